"""``python -m zoo VERB``, the same as the command ``zoo VERB``."""

from zoo.cli.app import main

if __name__ == "__main__":
    main(prog="python -m zoo")
