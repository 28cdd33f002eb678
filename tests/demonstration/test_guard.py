"""What the page's server refuses, asked of the guard itself: no web framework, no network."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from mcnet_lightning.demonstration.guard import HEADERS, Guard, used
from mcnet_lightning.demonstration.restoring import Choice, Demonstrator
from mcnet_lightning.errors import MCNetError

LIMITS = {"max_body": 1000, "max_store": 5000}


async def page(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"x-frame-options", b"ALLOWALL")]})
    await send({"type": "http.response.body", "body": b"the page"})


def ask(guard: Guard, method: str = "GET", path: str = "/", **headers: str) -> tuple[int, dict[bytes, bytes]]:
    """Status and headers of the answer; a header such as `sec_fetch_site="cross-site"`."""
    sent: list[Any] = []
    given = {"host": "127.0.0.1:7860", **{name.replace("_", "-"): value for name, value in headers.items()}}
    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "headers": [(name.encode(), value.encode()) for name, value in given.items()],
    }

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        raise AssertionError("the page of this test reads no body")

    asyncio.run(guard(scope, receive, send))
    return sent[0]["status"], dict(sent[0]["headers"])


@pytest.fixture
def guard(tmp_path: Path) -> Guard:
    return Guard(page, host="127.0.0.1", loopback=True, store=tmp_path, **LIMITS)


@pytest.mark.parametrize("host", ["127.0.0.1:7860", "localhost:7860", "LOCALHOST", "[::1]:7860", "127.0.0.1"])
def test_its_own_names_are_answered(guard: Guard, host: str) -> None:
    assert ask(guard, host=host)[0] == 200
    assert ask(guard, host=host, origin=f"http://{host}")[0] == 200


@pytest.mark.parametrize("host", ["evil.example", "evil.example:7860", "127.0.0.1.evil.example", "", "[", "10.0.0.7"])
def test_names_that_were_made_to_lead_here_are_not(guard: Guard, host: str) -> None:
    assert ask(guard, host=host)[0] == 403


def test_a_server_for_others_is_reached_by_address(tmp_path: Path) -> None:
    guard = Guard(page, host="0.0.0.0", loopback=False, store=tmp_path, **LIMITS)
    assert ask(guard, host="192.168.1.7:7860")[0] == 200
    assert ask(guard, host="[fe80::1]:7860")[0] == 200
    assert ask(guard, host="evil.example")[0] == 403


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:8000", "http://localhost:7860"])
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_other_sites_are_refused(guard: Guard, origin: str, method: str) -> None:
    assert ask(guard, method, "/gradio_api/upload", origin=origin, content_length="10")[0] == 403


def test_a_link_from_another_site_may_lead_here(guard: Guard) -> None:
    assert ask(guard, sec_fetch_site="cross-site", sec_fetch_mode="navigate")[0] == 200
    for site in ("cross-site", "same-site"):
        assert ask(guard, sec_fetch_site=site, sec_fetch_mode="no-cors")[0] == 403
        assert ask(guard, "POST", sec_fetch_site=site, sec_fetch_mode="navigate", content_length="1")[0] == 403
    assert ask(guard, sec_fetch_site="same-origin", sec_fetch_mode="cors")[0] == 200


def test_every_answer_says_what_may_be_done_with_it(guard: Guard) -> None:
    for host in ("127.0.0.1", "evil.example"):
        headers = ask(guard, host=host)[1]
        assert {name: headers[name] for name, _ in HEADERS} == dict(HEADERS)
    assert b"frame-ancestors 'none'" in headers[b"content-security-policy"]


def test_uploads_are_limited_each_and_together(guard: Guard, tmp_path: Path) -> None:
    def upload(size: str) -> int:
        return ask(guard, "POST", "/gradio_api/upload", content_length=size)[0]

    assert upload("1000") == 200
    assert upload("1001") == 413
    assert upload("-5") == 411
    assert ask(guard, "POST", "/gradio_api/upload")[0] == 411
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "kept.png").write_bytes(bytes(4500))
    assert used(tmp_path) == 4500
    assert upload("500") == 200
    assert upload("501") == 507
    assert ask(guard, "POST", "/gradio_api/queue/join", content_length="900")[0] == 200
    assert guard.arriving == 0
    guard.arriving = 400  # others are on their way
    assert upload("200") == 507


def test_a_full_store_restores_nothing(tmp_path: Path) -> None:
    (tmp_path / "kept.png").write_bytes(bytes(100))
    with pytest.raises(MCNetError, match="as many pictures as it may"):
        Demonstrator(1.0, "cpu", tmp_path, 99)(tmp_path / "kept.png", Choice("bicubic", 2, "truncated", 0.0), tmp_path)
