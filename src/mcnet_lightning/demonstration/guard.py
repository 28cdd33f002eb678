"""What the page's server answers to: its own page in a browser on this machine, within limits, and nobody else's.

Plain ASGI, so that it needs no web framework.
"""

import socket
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from http import HTTPStatus
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

THIS_MACHINE = ("localhost", "127.0.0.1", "::1")
POLICY = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self' 'unsafe-inline' 'unsafe-eval'",  # gradio's page is made of inline scripts
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "font-src 'self' data:",
        "media-src 'self' blob:",
        "worker-src 'self' blob:",
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
HEADERS = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-frame-options", b"DENY"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
)


class Guard:
    """Passes on what comes from the page itself, and adds HEADERS to every answer.

    Refused are: names that are not the server's (a foreign name that was made to lead here reads everything), requests
    that other sites make, bodies above `max_body` bytes, and uploads once `store` holds `max_store` bytes.
    """

    def __init__(
        self, app: Application, *, host: str, loopback: bool, store: Path, max_body: int, max_store: int
    ) -> None:
        self.app, self.loopback = app, loopback
        own = {host.lower(), *THIS_MACHINE}
        self.names = own if loopback else {*own, socket.gethostname().lower(), socket.getfqdn().lower()}
        self.store, self.max_body, self.max_store = store, max_body, max_store
        self.arriving = 0  # bytes of uploads under way

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        refusal = self._foreign(scope["method"], headers) or self._too_much(scope, headers)
        if refusal is not None:
            await _refuse(send, *refusal)
            return
        size = int(headers.get("content-length", "0")) if _is_upload(scope) else 0
        self.arriving += size
        try:
            await self.app(scope, receive, _with_headers(send))
        finally:
            self.arriving -= size

    def _foreign(self, method: str, headers: dict[str, str]) -> tuple[HTTPStatus, str] | None:
        host = headers.get("host", "")
        if not self._is_own(host):
            return HTTPStatus.FORBIDDEN, "this page is not served under that name"
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
            return HTTPStatus.FORBIDDEN, "this page answers no other site"
        visit = method == "GET" and headers.get("sec-fetch-mode") == "navigate"
        if headers.get("sec-fetch-site", "none") not in ("none", "same-origin") and not visit:
            return HTTPStatus.FORBIDDEN, "this page answers no other site"
        return None

    def _is_own(self, host: str) -> bool:
        """Whether a Host header is a name of this server; an address cannot be made to lead elsewhere later."""
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        return name in self.names or (not self.loopback and _is_address(name))

    def _too_much(self, scope: Scope, headers: dict[str, str]) -> tuple[HTTPStatus, str] | None:
        if scope["method"] in ("GET", "HEAD", "OPTIONS"):
            return None
        length = headers.get("content-length", "")
        if not length.isdecimal():
            return HTTPStatus.LENGTH_REQUIRED, "say how long the request is"
        if int(length) > self.max_body:
            return HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "File size exceeds the maximum allowed size"
        if _is_upload(scope) and used(self.store) + self.arriving + int(length) > self.max_store:
            return HTTPStatus.INSUFFICIENT_STORAGE, "the server holds as many pictures as it may; try again later"
        return None


def used(folder: Path) -> int:
    """Bytes of all files below a folder."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except OSError:  # deleted meanwhile
            continue
    return total


def _is_upload(scope: Scope) -> bool:
    return bool(scope["method"] == "POST" and scope["path"].rstrip("/").endswith("/upload"))


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _with_headers(send: Send) -> Send:
    names = {name for name, _ in HEADERS}

    async def sending(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            kept: Iterable[tuple[bytes, bytes]] = message.get("headers", ())
            message = {**message, "headers": [*(pair for pair in kept if pair[0].lower() not in names), *HEADERS]}
        await send(message)

    return sending


async def _refuse(send: Send, status: HTTPStatus, sentence: str) -> None:
    body = sentence.encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode()), *HEADERS]
    await send({"type": "http.response.start", "status": int(status), "headers": headers})
    await send({"type": "http.response.body", "body": body})
