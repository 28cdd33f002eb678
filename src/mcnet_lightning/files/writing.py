"""Files that have their name only when they are complete, and the digest that tells what is in one.

with staged(path) as temporary:      # a fresh file beside `path`; no other process has it
    temporary.write_bytes(content)   # synced, and given its name when the block ends
"""

import csv
import errno
import fcntl
import hashlib
import os
import re
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

from mcnet_lightning.errors import DataError

REMEDY = "free space or choose another folder"
DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.ENAMETOOLONG)
MODE = 0o666  # less the umask: what any other new file has
STAGED = re.compile(r"\..+\.[0-9a-f]{12}\.part")
NAME_BYTES = 200  # of the final name that a staged one repeats: file systems take 255 in all


@contextmanager
def staged(path: str | Path, remedy: str = REMEDY) -> Iterator[Path]:
    """Yields a new, empty file beside `path`; what was written into it is synced and gets the final name at the end.

    Its name is unique and made with O_EXCL: two processes never share one, and a link that somebody planted is not
    followed. It has to be written in place, not replaced. On any failure it is removed and `path` stays as it was; what
    a killed process left is removed by the next one that writes into the folder. Raises DataError, in one sentence with
    `remedy`, if the disk refuses.
    """
    path = Path(path)
    handle, temporary = None, None
    try:
        _remove_leftovers(path.parent)
        handle, temporary = _create(path)
        yield temporary
        sync(temporary)
        os.replace(temporary, path)
        _sync_folder(path.parent)
    except OSError as error:
        raise unwritable(path, error, remedy) from None
    finally:
        if temporary is not None:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
        if handle is not None:
            os.close(handle)


@contextmanager
def locked(folder: str | Path) -> Iterator[None]:
    """Has several processes do what is within the block one after the other, without a file for it."""
    handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        with suppress(OSError):  # not every file system can
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def write_file(path: str | Path, content: bytes | str, remedy: str = REMEDY) -> None:
    """Writes bytes, or text as UTF-8, under their final name in one step."""
    with staged(path, remedy) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)


def write_csv(path: str | Path, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Writes a table under its final name in one step: a header, and a line for each row."""
    with staged(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)


def make_folder(folder: str | Path, remedy: str = "choose another folder") -> Path:
    """The folder, made if it is not there. Raises DataError if it cannot be."""
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(folder, error, remedy) from None
    return Path(folder)


def unwritable(path: str | Path, error: OSError, remedy: str) -> DataError:
    """What to tell people of a file or folder that could not be written."""
    return DataError(f"{path} cannot be written ({error.strerror or error}); {remedy}")


def disk_failure(error: OSError) -> DataError | None:
    """What to tell people of an error that a disk or its rights are to blame for; None for any other."""
    if error.errno not in DISK or isinstance(error, ConnectionError):
        return None
    place = "a file" if error.filename is None else os.fsdecode(error.filename)
    return DataError(
        f"{place} cannot be used ({error.strerror}); free space, or choose another folder (that of the run is "
        "hydra.run.dir=FOLDER)"
    )


def file_digest(path: str | Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def files_digest(paths: Iterable[Path]) -> str:
    """SHA-256 of names and contents, in the order of the paths."""
    digest = hashlib.sha256()
    for path in sorted(paths):
        digest.update(path.name.encode() + b"\0" + bytes.fromhex(file_digest(path)))
    return digest.hexdigest()


def sync(path: Path) -> None:
    """Has the disk keep what was written: a disk that is full says so here at the latest."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _create(path: Path) -> tuple[int, Path]:
    """A new file beside `path` and its handle, which holds a lock for as long as this process writes it."""
    name = os.fsdecode(os.fsencode(path.name)[:NAME_BYTES])
    while True:
        temporary = path.with_name(f".{name}.{secrets.token_hex(6)}.part")
        with suppress(FileExistsError):
            handle = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, MODE)
            with suppress(OSError):  # not every file system can
                fcntl.flock(handle, fcntl.LOCK_EX)
            if os.fstat(handle).st_nlink:  # else somebody took it for a leftover before it was locked
                return handle, temporary
            os.close(handle)


@cache  # once per folder and process: a folder may hold thousands of pictures
def _remove_leftovers(folder: Path) -> None:
    """Removes the staged files of killed processes: nobody holds their lock any more."""
    for name in filter(STAGED.fullmatch, os.listdir(folder)):
        with suppress(OSError):
            handle = os.open(folder / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                (folder / name).unlink()
            finally:
                os.close(handle)


def _sync_folder(folder: Path) -> None:
    with suppress(OSError):  # not every file system can
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
