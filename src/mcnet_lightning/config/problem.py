"""What was measured: operator, protocol and images."""

from dataclasses import dataclass

from omegaconf import MISSING

from mcnet_lightning.config.keys import key

PROTOCOLS = ("paper", "standard")
SCALES = (2, 3, 4)
DEQUANTISE = ("none", "midpoint")


@dataclass
class Protocol:
    name: str = key("paper", "how HR becomes LR and how quality is measured", choices=PROTOCOLS)
    quantise: bool = key(True, "round LR to 8 bit, as the protocol prescribes; false leaves it in float")
    dequantise: str = key(
        "none",
        "b: LR as it is, or the middle of each rounding interval (midpoint: half a level up where LR was rounded down, "
        "as in `paper`)",
        choices=DEQUANTISE,
    )


@dataclass
class Perturbation:
    """What makes a test image's LR differ from what the methods assume; all off by default."""

    noise: float = key(0.0, "standard deviation of Gaussian noise on LR, in grey levels of 255", minimum=0.0)
    jpeg: int | None = key(None, "LR goes through JPEG of this quality; null: it does not", minimum=1, maximum=100)
    operator: str | None = key(
        None,
        "makes LR in place of the operator that the methods assume: another boundary, Pillow's resize, or a blur first",
        choices=("truncated", "symmetric", "replicate", "pillow", "blurred"),
    )


@dataclass
class Data:
    root: str | None = key(
        MISSING,
        "folder that holds train/NAME and test/NAME; null: the embedded photographs, and T91, Set5, Set14 by download",
        path="folder",
        content=False,
    )
    train: list[str] = key([], "training sets by name; every tenth image is held out for validation")
    test: list[str] = key(MISSING, "test sets by name")
    hr: str | None = key(
        None, "folder or file of test images of your own, in place of root/test/NAME", path="files", content=False
    )
    lr: str | None = key(
        None,
        "folder or file of their measured LR images, matched by name; null: the protocol makes LR from HR",
        path="files",
        content=False,
    )
    patch_size: int = key(48, "side of a training patch in HR pixels; a multiple of the scale", minimum=12, local=True)
    patch_stride: int = key(48, "distance between patches in HR pixels", minimum=4, local=True)
    patch_margin: int = key(
        0,
        "HR pixels around a training patch that the network sees and the layer does not: without them its errors near "
        "the edges of patches, which no whole image has, are what the layer learns to mend",
        minimum=0,
        local=True,
    )
    max_patches: int | None = key(None, "use at most this many patches, drawn with the seed; null: all", minimum=1)
    batch_size: int = key(16, "patches per step, shared out among the processes", minimum=1)
    validation_size: int = key(
        192, "side of the central crop of a held-out image, in HR pixels", minimum=48, local=True
    )
    validation_images: int = key(4, "held-out images used at each validation", minimum=1)
    num_workers: int = key(0, "loader processes; patches are in memory, so 0 is fastest", minimum=0, content=False)
    cache_dir: str | None = key(
        None, "where backbone outputs are kept; null: the user's cache folder or $MCNET_CACHE", content=False
    )
