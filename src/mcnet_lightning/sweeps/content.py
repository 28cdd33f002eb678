"""The content key of a job: SHA-256 of everything that its result follows from.

That is the resolved configuration, the pictures, the weight files, this package's own code, and that of components from
outside of it. Where files lie, where the run is recorded and how it is shown is left out (`content=False` beside the
key).
"""

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from mcnet_lightning.config.outline import is_own
from mcnet_lightning.config.problems import images_of
from mcnet_lightning.config.validation import keys_of
from mcnet_lightning.files import file_digest, files_digest
from mcnet_lightning.files.naming import file_of
from mcnet_lightning.files.sources import source_digest

PACKAGE = Path(__file__).resolve().parents[1]


def content_key(config: DictConfig) -> str:
    """64 hexadecimal digits. Raises DataError where pictures are missing."""
    return hashlib.sha256(json.dumps(content(config), sort_keys=True).encode()).hexdigest()


def content(config: DictConfig) -> dict[str, Any]:
    """{"config": ..., "data": ..., "code": ..., "components": ...}; files and folders stand as their SHA-256."""
    values, sources = dict[str, Any](), dict[str, str]()
    for path, field, value in keys_of(config):
        named = value if path == "layer.classes" else [value] if path.endswith("_target_") else []
        sources |= {target: source_digest(target) for target in named if not is_own(target)}
        limits = field.metadata if field else {}
        if limits.get("content", True):
            values[path] = _by_content(value, limits)
    return {"config": values, "data": _data(config), "code": code_version(), "components": sources}


@cache
def code_version() -> str:
    """SHA-256 of the package's modules and bundled files."""
    return files_digest([path for path in PACKAGE.rglob("*") if path.suffix in (".py", ".safetensors", ".sha256")])


def _by_content(value: Any, limits: Any) -> Any:
    if OmegaConf.is_list(value) and "networks" in limits:
        parts = [str(each).partition(":") for each in value]
        return [[name, where and _by_content(where, {"path": "file"})] for name, _, where in parts]
    if OmegaConf.is_config(value):
        return OmegaConf.to_container(value, resolve=True)
    if isinstance(value, str) and "path" in limits and value not in limits.get("words", ()):
        target, file = Path(value).expanduser(), file_of(value)
        if file.is_file():  # of PATH:NAME the name, too
            return file_digest(file) if file == target else [file_digest(file), value.rpartition(":")[2]]
        if target.is_dir():
            return files_digest([path for path in target.rglob("*") if path.is_file()])
    return value


def _data(config: DictConfig) -> dict[str, str]:
    """SHA-256 of the pictures of each training and test set."""
    data = config.get("data")
    if data is None:
        return {}
    kind = images_of(config)
    parts = ("train", "validation")
    sets = {f"{part} {name}": _images(name, part, data.root, kind) for part in parts for name in data.train}
    if data.hr is not None:
        return sets | {folder: _folder(data[folder]) for folder in ("hr", "lr") if data[folder] is not None}
    return sets | {f"test {name}": _images(name, "test", data.root, kind) for name in data.test}


def _images(dataset: str, part: Any, root: str | None, kind: Any) -> str:
    from mcnet_lightning.data.scans import SCANS
    from mcnet_lightning.data.sources import image_paths

    if dataset in SCANS:
        return _scans(dataset, part, root and str(Path(root).resolve()), kind)
    return _files(image_paths(dataset, part, root, kind))


@cache
def _scans(dataset: str, part: Any, root: str | None, kind: Any) -> str:
    """Of the numbers of a published set, which has no file for every image."""
    from mcnet_lightning.data.sources import load_images

    digest = hashlib.sha256()
    for image in load_images(dataset, part, root, kind):
        digest.update(image.name.encode() + image.rgb.contiguous().numpy().tobytes())
    return digest.hexdigest()


def _folder(folder: str) -> str:
    paths = [Path(folder)] if Path(folder).is_file() else Path(folder).rglob("*")
    return _files([path for path in paths if path.is_file()])


def _files(paths: list[Path]) -> str:
    found = [(path.resolve(), path.stat()) for path in paths]
    return _digest(tuple((path, stat.st_size, stat.st_mtime_ns) for path, stat in found))


@cache
def _digest(files: tuple[tuple[Path, int, int], ...]) -> str:
    """Of files that are as they were: the jobs of a sweep in one process read their pictures once."""
    return files_digest(path for path, *_ in files)
