"""Files fetched once into the cache: resumed where they broke off, checked by SHA-256, by one process at a time."""

import os
import re
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import platformdirs
import requests
from filelock import FileLock
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from mcnet_lightning.errors import DataError
from mcnet_lightning.files import file_digest, write_file

TIMEOUT = (10, 60)  # seconds to connect, and between two pieces of an answer
ATTEMPTS = 3
PIECE = 1 << 16

Report = Callable[[int, int | None], None]  # bytes there, bytes in all if the server says


@dataclass(frozen=True)
class RemoteFile:
    url: str
    sha256: str | None = None  # None: trusted on first use and recorded in PATH.sha256
    bytes: int | None = None  # for the progress bar


def cache_folder(override: str | None = None) -> Path:
    """`override`, else $MCNET_CACHE, else the platform's cache folder; without a home, one for temporary files."""
    chosen = override or os.environ.get("MCNET_CACHE")
    if chosen:
        return Path(chosen)
    usual = Path(platformdirs.user_cache_dir("mcnet_lightning"))
    return usual if usual.is_absolute() else Path(tempfile.gettempdir()) / f"mcnet_lightning-{os.getuid()}"


def fetch(file: RemoteFile, path: Path) -> Path:
    """`path`, which holds `file` afterwards: it was there already, put there by hand perhaps, or is downloaded.

    Raises DataError, in one sentence with the URL and `path`, if the file cannot be had or has another checksum.
    """
    fetch_all({path: file}, path, file.bytes)
    return path


def fetch_all(files: Mapping[Path, RemoteFile], place: Path, total: int | None = None) -> None:
    """Fetches what is missing of `files` over one connection, with one lock and one progress bar named after `place`.

    total: bytes of all the files together, for the bar. Raises DataError like `fetch`, at the first failure; what has
    arrived by then stays.
    """
    if all(_is_there(file, path) for path, file in files.items()):
        return  # without a lock, so that a cache that cannot be written serves too
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{place}.lock"), requests.Session() as session, _progress_bar(place.name, total) as report:
            done = 0
            for path, file in files.items():
                if not _is_there(file, path):
                    by_hand = path.is_file()  # of a checksum that nobody knows yet
                    _admit(file, path if by_hand else _download(session, file, path, partial(report, done)), path)
                done += path.stat().st_size
    except OSError as error:
        raise DataError(
            f"{place} cannot be written ({error.strerror or error}); make room, or set MCNET_CACHE to another folder"
        ) from None


def _is_there(file: RemoteFile, path: Path) -> bool:
    """Whether `path` is a file with the known checksum. Raises DataError if the checksum is another."""
    expected = file.sha256 or _recorded(path)
    if expected is None or not path.is_file():
        return False
    if (found := file_digest(path)) != expected:
        change = "" if file.sha256 else f", or {_record(path)} if the change is meant"
        raise DataError(
            f"{path} has SHA-256 {found}, not {expected} of {file.url}; delete it to download it again{change}"
        )
    return True


def _admit(file: RemoteFile, candidate: Path, path: Path) -> None:
    """Gives `candidate` its final name if its checksum is right; records one that nobody knew yet, and says so."""
    found, expected = file_digest(candidate), file.sha256 or _recorded(path)
    if expected is None:
        write_file(_record(path), f"{found}  {path.name}\n")
        print(
            f"the checksum of {path.name} was not known: SHA-256 {found} is recorded in {_record(path)}, "
            "and from now on the file must have it",
            file=sys.stderr,
        )
    elif found != expected:
        candidate.unlink()
        change = "" if file.sha256 else f", or delete {_record(path)} if the change is meant"
        raise DataError(
            f"{file.url} has SHA-256 {found}, not {expected}, and was refused; run again, "
            f"or put the right file at {path} by hand{change}"
        )
    os.replace(candidate, path)


def _download(session: requests.Session, file: RemoteFile, path: Path, report: Report) -> Path:
    """The whole file under the name PATH.part, which is kept when the transfer breaks off."""
    part = path.with_name(f"{path.name}.part")
    path.parent.mkdir(parents=True, exist_ok=True)
    for _ in range(ATTEMPTS):
        try:
            if _receive(session, file, part, report):
                _version_file(part).unlink(missing_ok=True)
                return part
        except requests.RequestException as error:
            raise DataError(
                f"cannot download {file.url} ({_reason(error)}); run again when it can be reached, "
                f"or put the file at {path} by hand"
            ) from None
    raise DataError(
        f"the download of {file.url} broke off {ATTEMPTS} times; run again to resume it, "
        f"or put the file at {path} by hand"
    )


def _receive(session: requests.Session, file: RemoteFile, part: Path, report: Report) -> bool:
    """Adds to `part` what it lacks; False if the answer broke off or does not continue `part`.

    Parts of two versions are never glued: with If-Range, a server whose file has changed sends all of the new one.
    Without any mark of the version, only a file whose checksum is known is resumed.
    """
    version = _version_file(part).read_text(errors="replace") if _version_file(part).is_file() else ""
    start = part.stat().st_size if part.is_file() and (version or file.sha256) else 0
    headers = {"Accept-Encoding": "identity"}  # lengths and ranges are those of the file itself
    if start:
        headers |= {"Range": f"bytes={start}-"} | ({"If-Range": version} if version else {})
    with session.get(file.url, headers=headers, stream=True, timeout=TIMEOUT) as answer:
        said = answer.headers.get("Content-Range", "")
        if start and answer.status_code == 416 and said == f"bytes */{start}":
            return True  # it had arrived to the last byte
        if answer.status_code == 416 or (answer.status_code == 206 and not said.startswith(f"bytes {start}-")):
            part.unlink(missing_ok=True)
            return False
        answer.raise_for_status()
        if answer.headers.get("Content-Type", "").startswith("text/html"):
            raise requests.HTTPError("a web page came instead of the file")  # as from the login page of a network
        size = start if answer.status_code == 206 else 0
        length = answer.headers.get("Content-Length")
        expected = size + int(length) if length else None
        with open(part, "ab" if size else "wb", opener=_no_link) as out:
            if not size:
                write_file(_version_file(part), _version(answer))
            try:
                for piece in answer.iter_content(PIECE):
                    out.write(piece)
                    size += len(piece)
                    report(size, expected)
            except requests.RequestException:
                return False
    return expected is None or size == expected


def _version(answer: requests.Response) -> str:
    """What If-Range takes: the strong ETag, else the date, else nothing."""
    etag = answer.headers.get("ETag", "")
    return etag if etag and not etag.startswith("W/") else answer.headers.get("Last-Modified", "")


def _no_link(path: str, flags: int) -> int:
    """Opens a file, and no link in its place that somebody planted."""
    return os.open(path, flags | os.O_NOFOLLOW, 0o666)


def _version_file(part: Path) -> Path:
    return part.with_name(f"{part.name}.version")


def _record(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def _recorded(path: Path) -> str | None:
    """The checksum that was recorded when `path` was trusted for the first time. Raises DataError if it is none."""
    if not _record(path).is_file():
        return None
    recorded = _record(path).read_text(errors="replace").partition(" ")[0]
    if not re.fullmatch("[0-9a-f]{64}", recorded):
        raise DataError(f"{_record(path)} is damaged; delete it, and {path} unless you know that it is right")
    return recorded


def _reason(error: requests.RequestException) -> str:
    """The few words that matter out of what `requests` says."""
    if isinstance(error, requests.HTTPError):
        return str(error).partition(" for url")[0]
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    found = re.search(r"\[Errno -?\d+\] ([\w ]+)", str(error))
    return found[1] if found else type(error).__name__


@contextmanager
def _progress_bar(title: str, total: int | None) -> Iterator[Callable[[int, int, int | None], None]]:
    """On a terminal only. Yields what takes the bytes of earlier files, of this one, and of this one in all."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(title, total=total)
        yield lambda done, size, expected: bar.update(task, completed=done + size, total=total or expected)
