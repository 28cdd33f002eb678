"""One file after another: what is done already is left alone, what cannot be done is named, the rest goes on."""

import contextlib
import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mcnet_lightning.backbones.tiling import plain_memory_errors
from mcnet_lightning.errors import ConfigError, DataError, MCNetError, printable
from mcnet_lightning.files import file_digest
from mcnet_lightning.files.naming import ARRAYS, folder_measurements, measured_endings, picture_names, shortened
from mcnet_lightning.imaging.compression import is_jpeg
from mcnet_lightning.restoration.certificate import is_certified
from mcnet_lightning.restoration.progress import Lines

NOISE = "epsilon=noise"


@dataclass(frozen=True)
class Job:
    """source becomes target; `measurement` is what it has to agree with, the source itself unless given.

    beside: other files that are written with the target. part: which slice of several it is made of.
    """

    source: Path
    target: Path
    measurement: Path | None = None
    beside: tuple[Path, ...] = ()
    part: int | None = None

    @property
    def files(self) -> list[Path]:
        return [self.source] if self.measurement is None else [self.source, self.measurement]

    @property
    def name(self) -> str:
        """For people."""
        return self.source.name if self.part is None else f"{self.source.name}, slice {self.part}"


@dataclass
class Report:
    """certificates of what was made; names of what had been made before; (file, sentence) of what was not, and the
    kinds of error that these are.
    """

    made: list[dict[str, Any]] = field(default_factory=list)
    kept: list[Path] = field(default_factory=list)
    failed: list[tuple[Path, str]] = field(default_factory=list)
    kinds: list[type[MCNetError]] = field(default_factory=list)

    def raise_if_failed(self) -> None:
        if self.failed:
            total = len(self.made) + len(self.kept) + len(self.failed)
            kinds: list[type[MCNetError]] = [DataError, *self.kinds]
            kind = max(kinds, key=lambda kind: kind.exit_code)
            raise kind(f"{len(self.failed)} of {total} pictures were not made; the lines above say why")


def pictures_of(source: Path, images: str = "picture") -> list[Path]:
    """A file itself, or what looks like a picture (or k-space) in a folder, sorted. Raises ConfigError if there is
    none.
    """
    if source.is_dir():
        paths = folder_measurements(source, images)
        if not paths:
            raise ConfigError(
                f"{source} holds no {'k-space' if images == 'complex' else 'pictures'} ({measured_endings(images)})"
            )
        return paths
    if images == "picture" and source.suffix.lower() in ARRAYS and source.is_file():
        raise ConfigError(f"{source} is an array and no picture; of k-space, add problem=mri, mask=FILE and maps=FILE")
    if not source.exists() and not source.is_symlink():
        raise ConfigError(f"there is no file or folder {source}; check the path")
    return [source]


def targets_of(sources: Sequence[Path], output: Path, suffixes: Sequence[str]) -> Iterator[Path]:
    """Where each source goes: its stem with a suffix, and its old suffix in between where two would collide."""
    for name, suffix in zip(picture_names(sources), suffixes, strict=True):
        yield output / f"{shortened(name)}{suffix}"


@contextlib.contextmanager
def prepared_output(output: Path) -> Iterator[None]:
    """Makes the folder and tries to write into it; one that is empty at the end goes with the parents made for it.

    Raises ConfigError if it cannot be written.
    """
    made = [path for path in (output, *output.parents) if not path.exists()]
    try:
        output.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=output):
            pass
    except OSError as error:
        raise ConfigError(f"output={output}: cannot write there ({error.strerror}); choose another folder") from None
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # not empty
            for path in made:
                path.rmdir()


def run_jobs(
    jobs: Iterable[Job],
    settings: dict[str, Any],
    make: Callable[[Job, str, Lines], dict[str, Any]],
    overwrite: bool = False,
    title: str = "restoring",
    factor: int = 1,
) -> Report:
    """Calls make(job, key, lines) for every job that is not done; `key` belongs into the certificate as `request`, and
    `lines` says how far it is. `factor`: by which results are larger.

    Done is a target whose certificate carries the key of these settings and these very files, and whose bytes are the
    certified ones. Any other existing target is refused unless `overwrite`. A failure is printed and the next job goes.
    """
    report, jobs = Report(), list(jobs)
    with Lines([job.source for job in jobs], title, factor) as lines:
        for index, job in enumerate(jobs):
            before = len(report.made)
            _run_job(report, job, settings, make, overwrite, lines, index)
            lines.finish(len(report.made) > before)
    return report


def _run_job(
    report: Report,
    job: Job,
    settings: dict[str, Any],
    make: Callable[[Job, str, Lines], dict[str, Any]],
    overwrite: bool,
    lines: Lines,
    index: int,
) -> None:
    try:
        key = _request(job, settings)
        if is_certified(job.target, key) and all(map(os.path.lexists, job.beside)):
            report.kept.append(job.target)
            return
        there = next((path for path in (job.target, *job.beside) if os.path.lexists(path)), None)
        if not overwrite and there is not None:
            raise DataError(
                f"{there} exists and was not made from this file with these settings; overwrite=true replaces it"
            )
        lines.start(index)
        with plain_memory_errors():
            report.made.append(make(job, key, lines))
    except (MCNetError, OSError, MemoryError) as error:
        text = "not enough memory" if isinstance(error, MemoryError) else " ".join(str(error).split())
        report.failed.append((job.source, text))
        report.kinds += [type(error)] if isinstance(error, MCNetError) else []
        print(printable(f"not done: {job.name}: {text}"), file=sys.stderr)


def _request(job: Job, settings: dict[str, Any]) -> str:
    """SHA-256 of the settings and of the files' contents; a file that cannot be opened counts as empty.

    An epsilon of None is 0, but for a JPEG, whose tables tell it: results of before they counted are others.
    """
    contents = [file_digest(path) if path.is_file() else "" for path in job.files]
    settings = settings if job.part is None else {**settings, "slice": job.part}
    epsilon = settings.get("epsilon")
    if epsilon in (None, NOISE) and is_jpeg(job.files[-1]):
        settings = {**settings, "epsilon": [epsilon, "and what JPEG took"]}
    elif epsilon is None:
        settings = {**settings, "epsilon": 0.0}
    return hashlib.sha256(json.dumps([settings, contents], sort_keys=True).encode()).hexdigest()
