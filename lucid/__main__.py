"""``python -m lucid`` is the command `lucid`."""

from .cli import main

if __name__ == "__main__":
    main(prog_name="lucid")
