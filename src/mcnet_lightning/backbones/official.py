"""The authors' own weight files: where they are published, fetched once into the cache."""

from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from mcnet_lightning.errors import WeightsError
from mcnet_lightning.files.downloads import RemoteFile, cache_folder, fetch

TORCHSR = "https://github.com/Coloquinte/torchSR/releases/download/v1.0.3"
# trained on T91 with PIL bicubic, in the repository published with the paper
SRCNN = (
    "https://raw.githubusercontent.com/mouryarahul/SR-MCNet/52870696db786dbb03e19bef96f3e9ae5ebaf5e7"
    "/Learned_SRCNN_Models/T91/Interp_Order_3"
)
SRCNN_SHA256 = {
    2: "1d6f5ca508158787e7b1f9b2f7980b7975e51bd95059b636ee0277bda36da537",
    3: "1ca4ec83a5f71333161bee9f2b967ec1052c8c3dc384cf7c27083c46a0a0b191",
    4: "bc6ef34a4d088b7a86c6d0d92e161b7a810136203ab78fa040a99c56412661c7",
}

Files = Mapping[int, RemoteFile]  # by scale


def from_the_paper() -> Files:
    return {
        scale: RemoteFile(f"{SRCNN}/x{scale}/PIL/best.pth", sha256, 231063) for scale, sha256 in SRCNN_SHA256.items()
    }


def torchsr(name: str) -> Files:
    return {scale: RemoteFile(f"{TORCHSR}/{name}_x{scale}.pt") for scale in (2, 3, 4)}


def official_weights(name: str, files: Files, scale: int) -> Path:
    """The file in the cache, NAME_xSCALE with its own ending, downloaded if it is not there yet.

    Raises WeightsError if nobody published such a file, and DataError, with URL and path, if it cannot be had.
    """
    if scale not in files:
        scales = ", ".join(map(str, files))
        only = (
            f" for scale={scale}, only for {scales}; use one of these" if files else "; take backbone.weights=bundled"
        )
        raise WeightsError(f"there are no official weights of {name!r}{only}, or the path of a file")
    return fetch(files[scale], cached_weights(name, files, scale))


def cached_weights(name: str, files: Files, scale: int) -> Path:
    """Where the file lies once it is downloaded. Raises KeyError if nobody published such a file."""
    return cache_folder() / "weights" / f"{name}_x{scale}{PurePosixPath(files[scale].url).suffix}"
