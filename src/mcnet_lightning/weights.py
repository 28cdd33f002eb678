"""Weight files: read safely, checked, identified by SHA-256; ours are safetensors that say what they are."""

import hashlib
import os
import pickle
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from mcnet_lightning.errors import WeightsError

BUNDLED = "bundled"
OFFICIAL = "official"
ASSETS = Path(__file__).parent / "assets"
SCALE_IN_NAME = re.compile(r"(?:^|[^a-z0-9])x([2-9])(?:[^0-9]|$)", re.IGNORECASE)
WRAPPERS = ("state_dict", "params_ema", "params", "model")  # where training codes put the tensors of a checkpoint


@dataclass(frozen=True)
class WeightFile:
    path: Path
    sha256: str
    tensors: dict[str, Tensor]
    metadata: dict[str, Any]  # what the file says of itself; empty for foreign files

    def require_scale(self, scale: int, found: int | None = None) -> None:
        """Raises WeightsError if the file is for another scale: as `found` in its tensors (SRCNN's look alike at all),
        else as it says, else as it is named.
        """
        said = self.metadata.get("scale") if found is None else found
        if said is None and (match := SCALE_IN_NAME.search(self.path.stem)):
            said = match.group(1)
        if said is not None and int(said) != scale:
            raise WeightsError(
                f"{self.path} was made for scale={said}, not scale={scale}; use that scale or another file"
            )

    def require_kind(self, kind: str) -> None:
        """Raises WeightsError if the file says that it holds something else (backbone, denoiser, layer)."""
        said = self.metadata.get("kind", kind)
        if said != kind:
            raise WeightsError(f"{self.path} holds a {said}, not a {kind}; give it to {said}.weights instead")

    def load_into(self, module: nn.Module, tensors: dict[str, Tensor] | None = None) -> None:
        """Strict: every name and shape must match. Raises WeightsError naming the first that does not."""
        given, wanted = tensors if tensors is not None else self.tensors, module.state_dict()
        problems = [f"{name} is missing" for name in wanted if name not in given]
        problems += [f"{name} is unexpected" for name in given if name not in wanted]
        problems += [
            f"{name} has shape {tuple(given[name].shape)}, not {tuple(tensor.shape)}"
            for name, tensor in wanted.items()
            if name in given and given[name].shape != tensor.shape
        ]
        if problems:
            more = f" and {len(problems) - 1} more differences" if len(problems) > 1 else ""
            raise WeightsError(f"{self.path} does not fit {type(module).__name__}: {problems[0]}{more}")
        module.load_state_dict(given)


def is_bundled(weights: str | Path) -> bool:
    """Whether the words "bundled" or "bundled:NAME" were given, and not a path."""
    return str(weights) == BUNDLED or str(weights).startswith(f"{BUNDLED}:")


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
    """Reads .safetensors, or a PyTorch file without executing any code in it.

    Raises WeightsError, in one sentence, if the file is missing, truncated, no weight file, or holds pickled code.
    """
    path = Path(path)
    if not path.is_file():
        raise WeightsError(f"there is no weight file {path}; check the path")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    try:
        if path.suffix == ".safetensors":
            with safe_open(path, framework="pt") as file:
                return WeightFile(
                    path, digest, {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}
                )
        content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise WeightsError(
            f"{path} is no weight file, or holds more than tensors, which will not be run; save its state_dict alone"
        ) from None
    except Exception as error:  # a damaged pickle fails in every way there is
        reason = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
        raise WeightsError(f"{path} is damaged or no weight file ({reason}); get it again") from None
    if not isinstance(content, dict):
        raise WeightsError(f"{path} holds a {type(content).__name__}, not a dictionary of tensors; save its state_dict")
    wrapper = next((name for name in WRAPPERS if isinstance(content.get(name), dict)), None)
    tensors = content[wrapper] if wrapper else content
    metadata = content.get("mcnet", {})  # our checkpoints describe themselves there
    return WeightFile(path, digest, {k: v for k, v in tensors.items() if isinstance(v, Tensor)}, metadata)


def write_weights(path: str | Path, tensors: dict[str, Tensor], metadata: dict[str, Any]) -> None:
    """Writes safetensors with string metadata, under its final name only when complete."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    stored = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    save_file(stored, temporary, {name: str(value) for name, value in metadata.items()})
    temporary.chmod(0o644)  # safetensors would leave it to its owner alone
    os.replace(temporary, path)
