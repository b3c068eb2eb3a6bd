"""serve: a web server for a folder, on this machine alone."""

from __future__ import annotations

from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

__all__ = ["server"]


class Handler(SimpleHTTPRequestHandler):
    """Serves files under the types that browsers ask for, whatever this machine's tables say."""

    extensions_map = {  # noqa: RUF012
        **SimpleHTTPRequestHandler.extensions_map,
        ".js": "text/javascript",
        ".mjs": "text/javascript",
        ".wasm": "application/wasm",
        ".onnx": "application/octet-stream",
        ".safetensors": "application/octet-stream",
    }

    def end_headers(self) -> None:
        # A page that was built anew is loaded anew.
        self.send_header("Cache-Control", "no-cache")
        super().end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Writes nothing."""


def server(folder: Path, port: int = 0) -> ThreadingHTTPServer:
    """Returns a server that does not run yet; port 0 is any free one.

    onnxruntime-web runs in one thread, so the page need not be isolated by headers.
    """
    return ThreadingHTTPServer(("127.0.0.1", port), partial(Handler, directory=str(folder)))
