"""The authors' own weight files: where they are published, fetched once into the cache."""

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

OFFICIAL: dict[str, dict[int, RemoteFile]] = {
    "srcnn": {
        scale: RemoteFile(f"{SRCNN}/x{scale}/PIL/best.pth", sha256, 231063) for scale, sha256 in SRCNN_SHA256.items()
    },
    "rcan": {scale: RemoteFile(f"{TORCHSR}/rcan_x{scale}.pt") for scale in (2, 3, 4)},
    "rdn": {scale: RemoteFile(f"{TORCHSR}/rdn_x{scale}.pt") for scale in (2, 3, 4)},
}


def official_weights(name: str, scale: int) -> Path:
    """The file in the cache, NAME_xSCALE with its own ending, downloaded if it is not there yet.

    Raises WeightsError if nobody published such a file, and DataError, with URL and path, if it cannot be had.
    """
    if name not in OFFICIAL:
        raise WeightsError(
            f"there are no official weights of {name!r}, only of {', '.join(OFFICIAL)}; "
            "give backbone.weights=bundled or the path of a file"
        )
    if scale not in OFFICIAL[name]:
        scales = ", ".join(map(str, OFFICIAL[name]))
        raise WeightsError(
            f"there are no official weights of {name!r} for scale={scale}, only for {scales}; use one of these, "
            "or the path of a file"
        )
    return fetch(OFFICIAL[name][scale], cached_weights(name, scale))


def cached_weights(name: str, scale: int) -> Path:
    """Where the file lies once it is downloaded. Raises WeightsError if nobody published such a file."""
    try:
        file = OFFICIAL[name][scale]
    except KeyError:
        raise WeightsError(f"there are no official weights of {name!r} for scale={scale}; use another file") from None
    return cache_folder() / "weights" / f"{name}_x{scale}{PurePosixPath(file.url).suffix}"
