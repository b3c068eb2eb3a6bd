"""Runs the command `lucid`: ``python -m lucid``."""

from .cli import main

if __name__ == "__main__":
    main(prog_name="lucid")
