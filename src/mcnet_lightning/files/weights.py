"""Weight files: read safely, checked, identified by SHA-256; ours are safetensors that say what they are."""

import json
import math
import pickle
import re
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save
from torch import Tensor, nn

from mcnet_lightning.errors import WeightsError
from mcnet_lightning.files import file_digest, make_folder, write_file
from mcnet_lightning.files.tensors import below, tensors_of

BUNDLED = "bundled"
OFFICIAL = "official"
ASSETS = Path(__file__).parents[1] / "assets"
SCALE_IN_NAME = re.compile(r"(?:^|[^a-z0-9])x([2-9])(?:[^0-9]|$)", re.IGNORECASE)
SCALES = range(1, 100)


@dataclass(frozen=True)
class WeightFile:
    path: Path
    sha256: str
    tensors: dict[str, Tensor]
    metadata: dict[str, Any]  # what the file says of itself; empty for foreign files

    def require_scale(self, scale: int | str, found: int | None = None) -> None:
        """Raises WeightsError if the file is for another scale: as `found` in its tensors (SRCNN's look alike at all),
        else as it says, else as it is named. For a problem without scales, given by its name, any will do.
        """
        if isinstance(scale, str):
            return
        said = self.metadata.get("scale") if found is None else found
        if said is None and (match := SCALE_IN_NAME.search(self.path.stem)):
            said = match.group(1)
        if said is not None and not (str(said).isdecimal() and int(str(said)[:9]) in SCALES):
            raise WeightsError(f"{self.path} says scale={str(said)[:20]!r} of itself, which is none; get it again")
        if said is not None and int(said) != scale:
            raise WeightsError(
                f"{self.path} was made for scale={said}, not scale={scale}; use that scale or another file"
            )

    def require_kind(self, kind: str) -> None:
        """Raises WeightsError if the file says that it holds something else (backbone, denoiser, layer)."""
        said = self.metadata.get("kind", kind)
        if said != kind:
            said = str(said)[:20]
            raise WeightsError(f"{self.path} holds a {said}, not a {kind}; give it to {said}.weights instead")

    def below(self, anchor: str) -> "WeightFile":
        """The network that holds the tensor `anchor`, without the prefix that a larger module has put before it."""
        return replace(self, tensors=below(self.path, self.tensors, anchor))

    def described(self, entry: str) -> dict[str, Any]:
        """What the file says of itself under `entry`: settings by name, as JSON or, in checkpoints, as they are.

        Raises WeightsError if that cannot be read, or holds numbers that the file's tensors cannot bear out.
        """
        said = self.metadata.get(entry)
        try:
            settings = json.loads(said) if isinstance(said, str) else said
        except (ValueError, RecursionError):
            settings = None
        most = max([len(self.tensors), *(size for tensor in self.tensors.values() for size in tensor.shape)])
        if not isinstance(settings, Mapping) or not _is_plain(settings, most):
            raise WeightsError(f"{self.path}: what it says of its {entry} cannot be right; get it again or train anew")
        return dict(settings)

    def load_into(self, module: nn.Module, tensors: dict[str, Tensor] | None = None) -> None:
        """Strict: every name and shape must match. Raises WeightsError naming the first that does not."""
        module.load_state_dict(self.require_fit(module, tensors))

    def require_fit(self, module: nn.Module, tensors: dict[str, Tensor] | None = None) -> dict[str, Tensor]:
        """The tensors for `module`, whose own may be on no device yet. Raises WeightsError like `load_into`."""
        given, wanted = tensors if tensors is not None else self.tensors, module.state_dict()
        problems = [f"{name} is missing" for name in wanted if name not in given]
        problems += [f"{name} is unexpected" for name in given if name not in wanted]
        problems += [
            f"{name} has shape {tuple(given[name].shape)}, not {tuple(tensor.shape)}"
            for name, tensor in wanted.items()
            if name in given and given[name].shape != tensor.shape
        ]
        problems += [
            f"{name} holds {str(given[name].dtype).removeprefix('torch.')} numbers, not floating-point ones"
            for name, tensor in wanted.items()
            if name in given and tensor.is_floating_point() and not given[name].is_floating_point()
        ]
        if problems:
            more = f" and {len(problems) - 1} more differences" if len(problems) > 1 else ""
            raise WeightsError(f"{self.path} does not fit {type(module).__name__}: {problems[0]}{more}")
        return given


def variant(scale: int | str) -> str:
    """What the names of bundled files end in: `x2`, or the name of a problem that has no scale."""
    return scale if isinstance(scale, str) else f"x{scale}"


def is_bundled(weights: str | Path) -> bool:
    """Whether the words "bundled" or "bundled:NAME" were given, and not a path."""
    return str(weights) == BUNDLED or str(weights).startswith(f"{BUNDLED}:")


def bundled_name(weights: str | Path, usual: str) -> str:
    """NAME of bundled:NAME; of bundled alone the `usual` one."""
    return str(weights).removeprefix(BUNDLED).removeprefix(":") or usual


def is_bundled_file(kind: str, name: str) -> bool:
    return (ASSETS / f"{kind}s" / f"{name}.safetensors").is_file()


def bundled_path(kind: str, name: str, remedy: str = "train one") -> Path:
    """A weight file inside the package. Raises WeightsError that lists what there is and says how to get it."""
    folder = ASSETS / f"{kind}s"
    path = folder / f"{name}.safetensors"
    if not path.is_file():
        existing = ", ".join(sorted(file.stem for file in folder.glob("*.safetensors"))) or "none"
        raise WeightsError(
            f"no {kind} {name!r} is bundled (bundled: {existing}); give a path in {kind}.weights or {remedy}"
        )
    return path


def read_weights(path: str | Path) -> WeightFile:
    """Reads safetensors, or a PyTorch file without executing any code in it; the content tells which, not the name.

    Raises WeightsError, in one sentence, if the file is missing, truncated, no weight file, or holds pickled code or
    numbers that no network has.
    """
    path = Path(path)
    if not path.is_file():
        raise WeightsError(f"there is no weight file {path}; check the path")
    try:
        digest = file_digest(path)
    except OSError as error:
        raise WeightsError(f"{path} cannot be read ({error.strerror or error}); check the file") from None
    try:
        content, metadata = _safetensors(path) if _is_safetensors(path) else _pickled(path)
    except pickle.UnpicklingError:
        raise WeightsError(
            f"{path} is no weight file, or holds more than tensors, which will not be run; save its state_dict alone"
        ) from None
    except Exception as error:  # a damaged pickle fails in every way there is
        reason = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
        raise WeightsError(f"{path} is damaged or no weight file ({reason}); get it again") from None
    if not isinstance(content, Mapping):
        raise WeightsError(f"{path} holds a {type(content).__name__}, not a dictionary of tensors; save its state_dict")
    if not isinstance(metadata, Mapping):
        raise WeightsError(f"{path} is damaged (what it says of itself is a {type(metadata).__name__}); get it again")
    return WeightFile(path, digest, tensors_of(path, content), dict(metadata))


def write_weights(path: str | Path, tensors: dict[str, Tensor], metadata: dict[str, Any]) -> None:
    """Writes safetensors with string metadata, under its final name only when complete.

    Raises DataError if the disk refuses.
    """
    make_folder(Path(path).parent)
    stored = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_file(path, save(stored, {name: str(value) for name, value in metadata.items()}))


def _is_safetensors(path: Path) -> bool:
    """Eight bytes of length and a JSON object, whatever the file is called; a pickle or zip never begins so."""
    with path.open("rb") as file:
        start = file.read(9)
    return start[8:] == b"{" or (path.suffix == ".safetensors" and start[:2] not in (b"PK", b"\x80\x02"))


def _safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    with safe_open(path, framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}


def _pickled(path: Path) -> tuple[Any, Any]:
    """What a PyTorch file holds, and what our checkpoints say of themselves in it."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            if any(member.compress_type != zipfile.ZIP_STORED for member in members):
                raise ValueError("its members are compressed, as PyTorch never does")
            if any(member.CRC for member in members) and (wrong := archive.testzip()) is not None:
                raise ValueError(f"{wrong} has a wrong checksum")  # PyTorch looks at none, and may write none
    with path.open("rb") as file, warnings.catch_warnings():  # of a name torch.load would believe the ending
        warnings.simplefilter("ignore")
        content = torch.load(file, map_location="cpu", weights_only=True)
    return content, content.get("mcnet", {}) if isinstance(content, Mapping) else {}


def _is_plain(value: Any, most: int) -> bool:
    """Whether it is made of names, finite numbers and truth values, no count above `most`."""
    if isinstance(value, Mapping):
        return all(isinstance(name, str) and _is_plain(inner, most) for name, inner in value.items())
    if isinstance(value, list | tuple):
        return len(value) <= most and all(_is_plain(inner, most) for inner in value)
    if isinstance(value, bool | str) or value is None:
        return True
    if isinstance(value, int):
        return abs(value) <= most
    return isinstance(value, float) and math.isfinite(value)
