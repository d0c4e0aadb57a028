"""``python -m zoo.train RECIPE ...``, the same as ``zoo train``."""

import sys

from zoo.cli.app import main

if __name__ == "__main__":
    main(["train", *sys.argv[1:]], prog="python -m zoo.train")
