"""The downloader against a server that breaks off, forgets, changes its mind, or is not there."""

import hashlib
import multiprocessing
import socket
import threading
import time
from collections.abc import Iterator
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest
from file_server import FileServer

from mcnet_lightning.errors import DataError
from mcnet_lightning.files import downloads
from mcnet_lightning.files.downloads import PIECE, RemoteFile, fetch, fetch_all

CONTENT = bytes(range(256)) * 1000
OTHER = CONTENT[::-1]
HALF = len(CONTENT) // 2


@pytest.fixture
def server() -> Iterator[FileServer]:
    with FileServer({"net.pt": CONTENT}) as server:
        yield server


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "weights" / "net_x2.pt"


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def known(server: FileServer) -> RemoteFile:
    return RemoteFile(f"{server.url}/net.pt", sha256(CONTENT), len(CONTENT))


def unknown(server: FileServer) -> RemoteFile:
    return RemoteFile(f"{server.url}/net.pt")


def begun(path: Path, content: bytes, version: str = '"1"') -> Path:
    """What an earlier attempt left behind."""
    path.parent.mkdir()
    path.with_name(f"{path.name}.part").write_bytes(content)
    path.with_name(f"{path.name}.part.version").write_text(version)
    return path


def left(path: Path) -> set[str]:
    return {file.name.removeprefix(path.name) for file in path.parent.iterdir()} - {".lock"}


# ---------------------------------------------------------------------------------------- the good case


def test_file_arrives_whole_and_nothing_else_stays(server: FileServer, path: Path) -> None:
    assert fetch(known(server), path) == path
    assert path.read_bytes() == CONTENT
    assert left(path) == {""}


def test_second_visit_asks_nobody(server: FileServer, path: Path) -> None:
    fetch(known(server), path)
    fetch(known(server), path)
    assert server.asked == [("net.pt", None)]


def test_file_put_there_by_hand_is_taken(server: FileServer, path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(CONTENT)
    assert fetch(known(server), path).read_bytes() == CONTENT
    assert not server.asked
    assert left(path) == {""}


def test_cache_that_cannot_be_written_serves(server: FileServer, path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(CONTENT)
    path.parent.chmod(0o500)
    try:
        assert fetch(known(server), path) == path
        assert not (path.parent / f"{path.name}.lock").exists()
    finally:
        path.parent.chmod(0o700)


def test_set_of_files_comes_over_one_connection(server: FileServer, tmp_path: Path) -> None:
    server.files = {f"{index}.png": bytes([index]) * 10 for index in range(8)} | {"0.png": b"there"}
    files = {
        tmp_path / "set" / name: RemoteFile(f"{server.url}/{name}", sha256(content))
        for name, content in server.files.items()
    }
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "0.png").write_bytes(b"there")
    fetch_all(files, tmp_path / "set", total=75)
    assert [name for name, _ in server.asked] == [f"{index}.png" for index in range(1, 8)]
    assert len(server.connections) == 1
    assert {file.name: file.read_bytes() for file in (tmp_path / "set").iterdir()} == server.files


def test_silent_without_a_terminal(server: FileServer, path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fetch(known(server), path)
    assert capsys.readouterr() == ("", "")


def test_bar_on_a_terminal(
    server: FileServer, path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich takes this for a terminal
    fetch(known(server), path)
    shown = capsys.readouterr().err
    assert "net_x2.pt" in shown
    assert "256.0/256.0 kB" in shown


# ---------------------------------------------------------------------------------------- broken off


@pytest.mark.parametrize("version", [{"ETag": '"1"'}, {"Last-Modified": "Mon, 01 Jan 2024 00:00:00 GMT"}], ids=list)
def test_broken_transfer_resumes_where_it_stopped(server: FileServer, path: Path, version: dict[str, str]) -> None:
    server.version, server.cuts = version, [PIECE, PIECE]
    fetch(unknown(server), path)
    assert [span for _, span in server.asked] == [None, f"bytes={PIECE}-", f"bytes={2 * PIECE}-"]
    assert path.read_bytes() == CONTENT


def test_what_an_interrupted_run_left_is_continued(server: FileServer, path: Path) -> None:
    fetch(unknown(server), begun(path, CONTENT[:HALF]))
    assert server.asked == [("net.pt", f"bytes={HALF}-")]
    assert path.read_bytes() == CONTENT


def test_transfer_that_keeps_breaking_off_says_so_and_keeps_its_part(server: FileServer, path: Path) -> None:
    server.cuts = [PIECE] * 3
    with pytest.raises(DataError, match=rf"{server.url}/net\.pt broke off 3 times; run again to resume .* at {path} "):
        fetch(known(server), path)
    assert left(path) == {".part", ".part.version"}
    fetch(known(server), path)
    assert server.asked[-1] == ("net.pt", f"bytes={3 * PIECE}-")
    assert path.read_bytes() == CONTENT


def test_interruption_keeps_the_part(server: FileServer, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> Iterator[bytes]:
        yield CONTENT[:HALF]
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("requests.Response.iter_content", interrupt)
        with pytest.raises(KeyboardInterrupt):
            fetch(known(server), path)
    assert fetch(known(server), path).read_bytes() == CONTENT
    assert server.asked[-1] == ("net.pt", f"bytes={HALF}-")


def test_parts_of_two_versions_are_never_glued(server: FileServer, path: Path) -> None:
    server.files["net.pt"], server.version = OTHER, {"ETag": '"2"'}
    assert fetch(unknown(server), begun(path, CONTENT[:HALF])).read_bytes() == OTHER
    assert server.asked == [("net.pt", f"bytes={HALF}-")]


@pytest.mark.parametrize("version", [{}, {"ETag": 'W/"1"'}], ids=["none", "weak"])
def test_without_a_version_only_a_known_checksum_is_resumed(
    server: FileServer, path: Path, version: dict[str, str]
) -> None:
    server.version, server.cuts = version, [PIECE, PIECE]
    fetch(unknown(server), path)
    assert server.asked == [("net.pt", None)] * 3
    assert path.read_bytes() == CONTENT
    server.asked, server.cuts = [], [PIECE]
    fetch(known(server), path.with_name("other.pt"))
    assert server.asked == [("net.pt", None), ("net.pt", f"bytes={PIECE}-")]


def test_server_without_ranges_sends_all_again(server: FileServer, path: Path) -> None:
    server.takes_ranges = False
    assert fetch(known(server), begun(path, OTHER[:HALF])).read_bytes() == CONTENT


def test_part_that_was_complete_is_not_sent_again(server: FileServer, path: Path) -> None:
    assert fetch(known(server), begun(path, CONTENT)).read_bytes() == CONTENT
    assert len(server.asked) == 1


def test_part_that_is_too_long_is_begun_anew(server: FileServer, path: Path) -> None:
    assert fetch(known(server), begun(path, CONTENT + b"more")).read_bytes() == CONTENT
    assert [span for _, span in server.asked] == [f"bytes={len(CONTENT) + 4}-", None]


# ---------------------------------------------------------------------------------------- checksums


def test_wrong_content_is_refused_and_removed(server: FileServer, path: Path) -> None:
    server.files["net.pt"] = OTHER
    with pytest.raises(DataError) as error:
        fetch(known(server), path)
    for word in (f"{server.url}/net.pt", sha256(CONTENT), sha256(OTHER), str(path)):
        assert word in str(error.value)
    assert not left(path)


def test_wrong_file_put_there_by_hand_is_refused_and_kept(server: FileServer, path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(OTHER)
    with pytest.raises(DataError, match=rf"{path} has SHA-256 {sha256(OTHER)}, not {sha256(CONTENT)}.*delete it"):
        fetch(known(server), path)
    assert path.read_bytes() == OTHER
    assert not server.asked


@pytest.mark.parametrize("by_hand", [False, True], ids=["downloaded", "by hand"])
def test_first_use_is_recorded_and_said(
    server: FileServer, path: Path, by_hand: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    if by_hand:
        path.parent.mkdir()
        path.write_bytes(CONTENT)
    fetch(unknown(server), path)
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert sha256(CONTENT) in said
    assert "was not known" in said
    record = path.with_name("net_x2.pt.sha256").read_text()
    assert record == f"{sha256(CONTENT)}  net_x2.pt\n"  # as `sha256sum` reads it
    assert left(path) == {"", ".sha256"}
    fetch(unknown(server), path)
    assert capsys.readouterr().err == ""
    assert len(server.asked) == (not by_hand)


def test_later_file_must_match_the_record(server: FileServer, path: Path) -> None:
    fetch(unknown(server), path)
    path.write_bytes(OTHER)
    record = f"{path}.sha256 if the change is meant"
    with pytest.raises(DataError, match=rf"{path} has SHA-256 {sha256(OTHER)}, not {sha256(CONTENT)} .*{record}"):
        fetch(unknown(server), path)
    path.unlink()
    server.files["net.pt"] = OTHER
    with pytest.raises(DataError, match=rf"{server.url}/net\.pt has SHA-256 {sha256(OTHER)}.*{record}"):
        fetch(unknown(server), path)
    assert left(path) == {".sha256"}
    path.with_name(f"{path.name}.sha256").unlink()
    assert fetch(unknown(server), path).read_bytes() == OTHER


# ---------------------------------------------------------------------------------------- nothing to be had


def closed_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("{server}/404", "404 Client Error: Not Found"),
        ("{server}/500", "500 Server Error: Internal Server Error"),
        ("http://127.0.0.1:{closed}/net.pt", "Connection refused"),
        ("net.pt", "MissingSchema"),
    ],
)
def test_unreachable_file_is_one_sentence_with_url_and_path(
    server: FileServer, path: Path, url: str, reason: str
) -> None:
    url = url.format(server=server.url, closed=closed_port())
    remedy = f"run again when it can be reached, or put the file at {path} by hand"
    with pytest.raises(DataError, match=rf"^cannot download {url} \({reason}\); {remedy}$"):
        fetch(RemoteFile(url), path)
    assert not left(path)


def test_no_network_at_all_is_said(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_name(*_: object) -> None:
        raise socket.gaierror(-3, "Temporary failure in name resolution")

    monkeypatch.setattr(socket, "getaddrinfo", no_name)
    monkeypatch.setenv("no_proxy", "*")
    with pytest.raises(DataError, match=r"http://nowhere\.invalid/net\.pt \(Temporary failure in name resolution\); "):
        fetch(RemoteFile("http://nowhere.invalid/net.pt"), path)


def test_server_that_does_not_answer_is_given_up(
    server: FileServer, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "TIMEOUT", (1, 0.05))
    server.pause = threading.Event()
    with pytest.raises(DataError, match=r"no answer in time"):
        fetch(known(server), path)
    server.pause.set()


def test_web_page_is_no_file(server: FileServer, path: Path) -> None:
    server.content_type = "text/html; charset=utf-8"
    with pytest.raises(DataError, match=r"a web page came instead of the file"):
        fetch(unknown(server), path)
    assert not left(path)


def test_place_that_cannot_be_written_is_named(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=r"file/net\.pt cannot be written \(.*\); make room, or set MCNET_CACHE"):
        fetch(known(server), tmp_path / "file" / "net.pt")


# ---------------------------------------------------------------------------------------- several at once


def fetch_together(file: RemoteFile, path: Path, barrier: Barrier) -> None:
    barrier.wait(60)
    fetch(file, path)


def test_several_processes_download_once(server: FileServer, path: Path) -> None:
    server.pause = threading.Event()
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(3)
    arguments = (known(server), path, barrier)
    processes = [context.Process(target=fetch_together, args=arguments) for _ in range(2)]
    for process in processes:
        process.start()
    barrier.wait(60)
    time.sleep(0.3)  # one of them waits for the server now, the other one for the lock
    server.pause.set()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0]
    assert server.asked == [("net.pt", None)]
    assert path.read_bytes() == CONTENT


def test_one_takes_over_where_another_failed(server: FileServer, path: Path) -> None:
    """Whoever waits for the lock resumes what the first left, and knows nothing of its failure."""
    server.cuts = [PIECE] * 3
    results: list[str] = []

    def run() -> None:
        try:
            results.append(fetch(known(server), path).name)
        except DataError:
            results.append("failed")

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(results) == ["failed", "net_x2.pt"]
    assert path.read_bytes() == CONTENT
