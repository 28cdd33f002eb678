"""One picture of a visitor, restored as `restore` restores it, and everything that the page shows of it."""

import math
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from mcnet_lightning.backbones.tiling import plain_memory_errors
from mcnet_lightning.config.checking import compose_config
from mcnet_lightning.demonstration.guard import used
from mcnet_lightning.demonstration.views import LEVELS, ErrorMap, displayed, error_map, magnified
from mcnet_lightning.errors import ConfigError, DataError, MCNetError, printable
from mcnet_lightning.files.naming import shortened
from mcnet_lightning.operators import MeasurementOperator
from mcnet_lightning.restoration import agreement, read_picture, save_certified
from mcnet_lightning.restoration.batch import describe_measurement, restore_measurement
from mcnet_lightning.restoration.building import build_restorer, describe_restorer
from mcnet_lightning.restoration.certificate import certificate_path, worst_channel
from mcnet_lightning.restoration.failures import describe_reached, raise_if_unmet
from mcnet_lightning.restoration.progress import USUAL_EVALUATIONS, picture_size, solved
from mcnet_lightning.restoration.writing import SUFFIX, Format, encode

FORMATS: tuple[Format, ...] = ("png8", "tiff")  # the last one is what the page shows
AT_FORMAT = {"png8": 0.75, "tiff": 0.9}  # shares of the work
HOW = {"png8": "looking for the whole levels that agree best", "tiff": "every pixel as it was computed"}
LONGEST_STEM = 100
MAX_UPLOAD = 64.0  # million pixels that are read to be shrunk: above what phones make by default
EPSILON_WORDS = {  # by unit
    "l2": "epsilon={}",
    "rms": "epsilon_rms={}",
    "levels": "epsilon_levels={}",
    "noise": "epsilon=noise",
}

Tell = Callable[[float, str], None]  # how much of the work is done, in [0, 1], and what is next


@dataclass(frozen=True)
class Choice:
    """What a visitor chose; the names and ranges are those of the keys of `restore`."""

    backbone: str
    scale: int
    boundary: str
    epsilon: float | None
    unit: str = "l2"
    shrink: bool = False  # pictures beyond the limit, in place of refusing them


@dataclass(frozen=True)
class Shown:
    """Everything that is seen of one restoration.

    lr, backbone, mcnet: RGB pictures of equal size. change: |MCNet - backbone|; residual_before and residual_after:
    |A x - b| of the backbone and of MCNet, on one scale. certificates and files: of the PNG and of the TIFF.
    """

    sentence: str
    lr: Image.Image
    backbone: Image.Image
    mcnet: Image.Image
    change: ErrorMap
    residual_before: ErrorMap
    residual_after: ErrorMap
    certificates: dict[str, dict[str, Any]]
    files: list[Path]


class Demonstrator:
    """Restores uploads within limits: `max_megapixels` million pixels of the result, `max_store` bytes in `store`."""

    def __init__(
        self, max_megapixels: float, device: str = "auto", store: Path | None = None, max_store: float = math.inf
    ) -> None:
        self.words = [f"max_megapixels={max_megapixels}", f"device={device}"]
        self.store, self.max_store = store, max_store

    def __call__(
        self, upload: Path | None, choice: Choice, folder: Path, tell: Tell = lambda share, words: None
    ) -> Shown:
        """Writes the results into `folder`. Raises MCNetError, in one sentence, for what cannot be restored."""
        if upload is None:
            raise ConfigError("there is no picture yet; drop one into the field")
        if self.store is not None and used(self.store) > self.max_store:
            raise MCNetError("the server holds as many pictures as it may; try again in an hour")
        try:
            with plain_memory_errors():
                return self._shown(upload, choice, folder, tell)
        except MCNetError as error:  # a visitor knows the name of the file alone
            raise type(error)(str(error).replace(f"{upload.parent}{os.sep}", "")) from None
        except MemoryError:
            raise MCNetError("there is not enough memory for this picture; cut or shrink it") from None

    def _shown(self, upload: Path, choice: Choice, folder: Path, tell: Tell) -> Shown:
        tell(0.0, f"reading {printable(upload.name)}")
        files: list[Path] = []
        config = compose_config("restore", [*self.words, *_words(choice)])
        restorer = build_restorer(config)
        limit = config.max_megapixels / config.scale**2
        size = picture_size(upload)
        if size is not None and size[0] * size[1] > limit * 1e6:
            if not choice.shrink:
                raise DataError(
                    f"{upload.name} has {size[0]} x {size[1]} pixels, more than the {limit:g} million that this page "
                    f"enlarges by {config.scale}; tick *shrink large pictures*, or cut it"
                )
            tell(0.05, f"shrinking its {size[0]} x {size[1]} pixels to {limit:g} million")
            upload = _shrunk(upload, limit, folder)
            files.append(upload)
        measurement = read_picture(upload, limit)
        height, width = (config.scale * side for side in measurement.size)
        restorer.on_tile = lambda number, count: tell(
            0.1 + 0.3 * number / count, f"the network makes {width} x {height} pixels: part {number} of {count}"
        )
        restorer.on_evaluation = lambda number: tell(
            0.4 + 0.35 * solved(number),
            f"the layer makes them agree with your picture: round {number} of {USUAL_EVALUATIONS} or so",
        )
        restored, about = restore_measurement(measurement, restorer, describe_restorer(config, restorer))
        found = agreement(restored.picture, restored.target, restorer.operator)
        reached = describe_reached(found, restored.epsilon)
        raise_if_unmet([{"file": upload.name, "epsilon": restored.epsilon, **about, "reached": reached}])
        record = {**describe_measurement(upload, measurement), **about, "reached": reached}
        stem = f"{shortened(printable(upload.stem), LONGEST_STEM)}_x{config.scale}"
        certificates: dict[str, dict[str, Any]] = {}
        for format in FORMATS:
            tell(AT_FORMAT[format], f"writing the {SUFFIX[format][1:].upper()} file: {HOW[format]}")
            path = folder / f"{stem}{SUFFIX[format]}"
            certificates[format] = save_certified(
                path,
                restored.picture,
                restored.target,
                restorer.operator,
                format=format,
                epsilon=restored.epsilon,
                record=record,
            )
            files += [path, certificate_path(path)]
        tell(0.95, "drawing what changed")
        saved, prior = read_picture(path, math.inf), restored.prior
        return Shown(
            sentence=summary(certificates, agreement(prior, measurement, restorer.operator).lr_psnr),
            **_views(saved.colour, prior.colour, measurement.colour, restorer.operator),
            certificates=certificates,
            files=files,
        )


def _words(choice: Choice) -> list[str]:
    """The same choice on the command line of `restore`."""
    left_to_picture = choice.epsilon is None and choice.unit != "noise"
    epsilon = "epsilon=null" if left_to_picture else EPSILON_WORDS[choice.unit].format(choice.epsilon)
    return [
        f"backbone={choice.backbone}",
        f"scale={choice.scale}",
        f"operator.boundary={choice.boundary}",
        epsilon,
    ]


def _shrunk(upload: Path, limit: float, folder: Path) -> Path:
    """The same picture with fewer pixels than `limit` million, beside the results: they have to agree with it."""
    picture = read_picture(upload, MAX_UPLOAD)
    height, width = picture.size
    share = math.sqrt(limit * 1e6 / (height * width))
    size = [max(1, int(side * share)) for side in (height, width)]

    def smaller(image: Tensor) -> Tensor:
        return F.interpolate(image[None].float(), size, mode="bicubic", antialias=True)[0].clamp(0, 1).double()

    alpha = None if picture.alpha is None else smaller(picture.alpha)
    path = folder / f"{shortened(printable(upload.stem), LONGEST_STEM)}_shrunk.png"
    path.write_bytes(encode(replace(picture, colour=smaller(picture.colour), alpha=alpha), "png8"))
    return path


def _views(made: Tensor, prior: Tensor, given: Tensor, operator: MeasurementOperator) -> dict[str, Any]:
    """The pictures of `Shown`; `made` are the pixels of the saved TIFF."""
    size = made.shape[-2], made.shape[-1]
    before = error_map(operator(prior[None])[0] - given, size)
    after = error_map(operator(made[None])[0] - given, size, peak=before.white / LEVELS)
    return {
        "lr": displayed(magnified(given, size)),
        "backbone": displayed(prior),
        "mcnet": displayed(made),
        "change": error_map(made - prior, size),
        "residual_before": before,
        "residual_after": after,
    }


def summary(certificates: dict[str, dict[str, Any]], prior_lr_psnr: float) -> str:
    """What the certificates say, in a few short sentences (Markdown)."""
    tiff, png = certificates["tiff"], certificates["png8"]
    epsilon = f"epsilon={tiff['epsilon']:g}"
    agrees = "agrees" if tiff["epsilon_met"] else "does not agree"
    text = (
        f"**The float TIFF {agrees} with your picture within {epsilon}:** ||A x − b||₂ is {worst_channel(tiff):.1e} in "
        f"the worst channel, LR-PSNR {_decibel(tiff['lr_psnr'])}; of the backbone alone it is "
        f"{_decibel(prior_lr_psnr)}. The 8-bit PNG has {_decibel(png['lr_psnr'])}"
    )
    text += f" and meets {epsilon}, too." if png["epsilon_met"] else f"; 8 bit are too coarse for {epsilon}."
    if tiff["layer"] is None:
        text += " No layer took part: the picture of the backbone was projected."
    return text + (f"\n\n**Take care:** {tiff['warning']}." if tiff["warning"] else "")


def _decibel(value: float | None) -> str:
    return "infinite" if value is None else f"{value:.1f} dB"
