"""``python -m zoo.compare [MODEL ...]``, the same as ``zoo compare``."""

import sys

from zoo.cli.app import main

if __name__ == "__main__":
    main(["compare", *sys.argv[1:]], prog="python -m zoo.compare")
