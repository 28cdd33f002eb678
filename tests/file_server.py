"""A web server on this machine that serves given files and misbehaves as told."""

import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

os.environ["no_proxy"] = "127.0.0.1"  # the server is here, whatever proxy leads elsewhere


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up are part of the tests."""


class FileServer:
    """files: path on the server -> content. Everything else says how an answer goes wrong."""

    def __init__(self, files: dict[str, bytes] | None = None) -> None:
        self.files = files or {}
        self.version: dict[str, str] = {"ETag": '"1"'}  # headers that name the version of a file
        self.content_type = "application/octet-stream"
        self.cuts: list[int] = []  # the next answers break off after so many bytes of their body
        self.takes_ranges = True
        self.pause: threading.Event | None = None  # answers wait for it
        self.asked: list[tuple[str, str | None]] = []  # path and Range of every request
        self.connections: set[Any] = set()
        self._server = _Server(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> "FileServer":
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                path, span = self.path.lstrip("/"), self.headers.get("Range")
                server.asked.append((path, span))
                server.connections.add(self.client_address)
                if server.pause is not None:
                    server.pause.wait(10)
                if path.isdigit():  # /404, /500, ...
                    self.send_error(int(path))
                    return
                content, start = server.files[path], 0
                condition = self.headers.get("If-Range")
                if span and server.takes_ranges and condition in (None, *server.version.values()):
                    start = int(span.removeprefix("bytes=").removesuffix("-"))
                body = content[start:]
                status = 416 if start >= len(content) > 0 else 206 if start else 200
                self.send_response(status)
                for name, value in server.version.items():
                    self.send_header(name, value)
                if status == 416:
                    self.send_header("Content-Range", f"bytes */{len(content)}")
                    body = b""
                elif status == 206:
                    self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
                self.send_header("Content-Type", server.content_type)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                cut = server.cuts.pop(0) if server.cuts else len(body)
                self.wfile.write(body[:cut])
                self.close_connection = cut < len(body)

            def log_message(self, *_: object) -> None:
                pass

        return Handler
