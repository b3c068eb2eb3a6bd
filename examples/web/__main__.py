"""Builds the page and serves it on this machine: ``python -m examples.web [--build DIR] [--port PORT]``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from .build import build
from .npm import NpmError
from .serve import server


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m examples.web", description="A page that trains models.")
    parser.add_argument("--build", type=Path, metavar="DIR", help="only build a folder that any web server can host")
    parser.add_argument("--port", type=int, default=8000, help="of the server on this machine; 0 is any free one")
    options = parser.parse_args(arguments)
    folder = options.build or Path(__file__).parent / "out"
    try:
        build(folder)
    except NpmError as error:
        sys.exit(f"error: {error}")
    if options.build:
        print(f"{folder} can be hosted by any web server")
        return
    try:
        site = server(folder, options.port)
    except OSError as error:
        sys.exit(f"error: cannot serve on port {options.port}: {error.strerror}; choose another with --port")
    with site:
        print(f"the page is at http://localhost:{site.server_port}/ until Ctrl+C", flush=True)
        try:
            site.serve_forever()
        except KeyboardInterrupt:
            print()


if __name__ == "__main__":
    main()
