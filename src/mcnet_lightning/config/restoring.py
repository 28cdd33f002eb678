"""The keys of the commands for people's own pictures: restore, certify, demo."""

from dataclasses import dataclass, field
from typing import Any

from omegaconf import MISSING, DictConfig

from mcnet_lightning.config.commands import DEVICES, EPSILON, EPSILON_LEVELS, EPSILON_RMS, NOISE, one_epsilon
from mcnet_lightning.config.keys import key
from mcnet_lightning.config.model import CLASSES
from mcnet_lightning.config.problem import DEQUANTISE, SCALES
from mcnet_lightning.config.validation import shown_value
from mcnet_lightning.errors import ConfigError

DEQUANTISE_FILE = (
    "what the result has to agree with: the measurement as it is, or the middle of each rounding interval (midpoint), "
    "for files whose values were rounded down"
)


ZERO_FREQUENCY = (
    "of k-space: where the zero frequency lies; middle: at (H // 2, W // 2), corner: at (0, 0) as numpy.fft.fft2 "
    "leaves it, auto: where there is more energy"
)
IMAGE_ORIGIN = (
    "of k-space: which pixel the transform took for its origin; middle: (H // 2, W // 2) as scanners do, corner: "
    "(0, 0) as numpy.fft.fft2 of an image does, auto: with which the image lies in the middle"
)
ORIGINS = ("auto", "middle", "corner")


@dataclass
class RestorationLayer:
    weights: str = key(
        "auto",
        "auto (bundled if there is one for this backbone and scale, else none), bundled, a path, or none: the exact "
        "projection alone",
        path="file",
        words=("auto", "bundled", "none"),
    )
    classes: list[str] = key([], CLASSES)


@dataclass
class RestoreConfig:
    mode: str = key(
        "restore", "restore: backbone and layer; fix: the nearest consistent images", choices=("restore", "fix")
    )
    problem: Any = field(default=None, metadata={"from_files": True})
    input: str | None = key(
        None, "picture or folder of pictures to restore, or of k-space for problem=mri (mode=restore)", path="pictures"
    )
    sr: str | None = key(None, "picture, reconstruction or folder of them, by any method (mode=fix)", path="pictures")
    lr: str | None = key(None, "file or folder of what was measured, matched by name (mode=fix)", path="pictures")
    output: str = key(MISSING, "folder for the results and their certificates", path="output")
    scale: int | None = key(2, "factor between result and measurement", choices=SCALES, of_problem=True)
    slice: int | None = key(None, "of k-space: which of several slices, from 0; null: all", minimum=0)
    zero_frequency: str = key("auto", ZERO_FREQUENCY, choices=ORIGINS)
    image_origin: str = key("auto", IMAGE_ORIGIN, choices=ORIGINS)
    epsilon: int | float | str | None = key(
        None,
        "largest ||b - A x||_2 of each channel, for values in [0, 1], of k-space in the units of its file; noise: what "
        "the rounding and JPEG compression of b amount to, and `noise`; null: 0, for a JPEG noise, unless another unit "
        "says more",
        minimum=0.0,
        words=(NOISE,),
    )
    epsilon_rms: float | None = key(None, EPSILON_RMS, minimum=0.0)
    epsilon_levels: float | None = key(None, EPSILON_LEVELS, minimum=0.0)
    dequantise: str = key("none", DEQUANTISE_FILE, choices=DEQUANTISE, of_problem=True)
    noise: float | None = key(
        None,
        "standard deviation of the noise, where it is known: of pictures in grey levels of 255, of k-space that of "
        "real and imaginary part in the units of its file; implies epsilon=noise",
        minimum=0.0,
    )
    format: str = key(
        "png8",
        "png8, png16, tiff (float32, unclipped), webp (lossless), jpeg (quality 95), or same: as each picture's own; "
        "of k-space that of the magnitudes beside the .npy",
        choices=("png8", "png16", "tiff", "webp", "jpeg", "same"),
    )
    suffix: str = key("", "added to the names of the results, such as _x2")
    rounding: str = key(
        "consistent",
        "of PNG and WebP: consistent chooses the levels whose down-sampling is closest to b, nearest rounds each alone",
        choices=("consistent", "nearest"),
    )
    overwrite: bool = key(False, "replace files in output that were made otherwise")
    force: bool = key(False, "write a picture even where the operator does not fit and makes a pattern of it")
    beta: float | None = key(None, "overrides the layer's beta, the weight of ||x - w||^2", minimum=0.0)
    tile: int = key(
        256, "side of the backbone's tiles, in LR pixels; halved when memory runs out", minimum=32, of_problem=True
    )
    overlap: int = key(16, "LR pixels that neighbouring tiles share on each side", minimum=0, of_problem=True)
    max_megapixels: float = key(200.0, "pictures of more pixels are refused", minimum=0.0, exclusive=True)
    device: str = key("auto", "where to compute", choices=DEVICES)
    operator: Any = field(default=None, metadata={"of_problem": True})
    backbone: Any = None
    layer: RestorationLayer = field(default_factory=RestorationLayer)
    denoiser: Any = key(None, "allows the file of layer.weights to name this denoiser from outside the package")
    solver: Any = None

    @staticmethod
    def check(cfg: DictConfig) -> None:
        one_epsilon(cfg)
        other = next((name for name in EPSILON if cfg[name] not in (None, NOISE)), None)
        if cfg.noise is not None and other:
            raise ConfigError(
                f"noise={cfg.noise:g} and {other}={shown_value(cfg[other])} are two answers to one question; take "
                f"one of them back (noise=null or {other}=null)"
            )
        if any(sign in cfg.suffix for sign in "/\\\0\n"):
            raise ConfigError(f"suffix={cfg.suffix!r} is part of a file's name; take one without slashes, such as _x2")


@dataclass
class CertifyConfig:
    image: str = key(MISSING, "the picture to check, or the .npy that was restored from k-space", path="file")
    measurement: str = key(MISSING, "the LR picture, or k-space, that it has to agree with", path="file")
    problem: Any = field(default=None, metadata={"from_files": True})
    scale: int | None = key(
        None, "factor between them; null: the ratio of their sizes", choices=SCALES, of_problem=True
    )
    slice: int | None = key(None, "of k-space: which of several slices, from 0; null: as certified", minimum=0)
    zero_frequency: str | None = key(None, f"{ZERO_FREQUENCY}; null: as certified, else auto", choices=ORIGINS)
    image_origin: str | None = key(None, f"{IMAGE_ORIGIN}; null: as certified, else auto", choices=ORIGINS)
    epsilon: int | float | str | None = key(
        None,
        "largest ||b - A x||_2 of each channel; noise: what the rounding of b amounts to; null: what its certificate "
        "says, else 0",
        minimum=0.0,
        words=(NOISE,),
    )
    epsilon_rms: float | None = key(None, EPSILON_RMS, minimum=0.0)
    epsilon_levels: float | None = key(None, EPSILON_LEVELS, minimum=0.0)
    dequantise: str | None = key(
        None,
        f"{DEQUANTISE_FILE}; null: what its certificate says, else none",
        choices=DEQUANTISE,
        of_problem=True,
    )
    guess: bool = key(False, "compare many operators and name the one that made this measurement", of_problem=True)
    max_megapixels: float = key(200.0, "pictures of more pixels are refused", minimum=0.0, exclusive=True)
    operator: Any = field(default=None, metadata={"of_problem": True})
    check = staticmethod(one_epsilon)


@dataclass
class DemoConfig:
    host: str = key("127.0.0.1", "address to serve at; 0.0.0.0 lets other machines in")
    port: int = key(7860, "port to serve at", minimum=1, maximum=65535)
    max_megabytes: float = key(20.0, "larger uploads are refused", minimum=0.0, exclusive=True)
    max_megapixels: float = key(2.0, "results of more pixels are refused", minimum=0.0, exclusive=True)
    device: str = key("auto", "where to compute", choices=DEVICES)
