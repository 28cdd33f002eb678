"""A certificate against what the two files say themselves, and what only its author can know."""

import math
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mcnet_lightning.backbones import facts_of, networks
from mcnet_lightning.backbones.loading import bundled_backbone
from mcnet_lightning.backbones.official import cached_weights
from mcnet_lightning.equilibrium.epsilon import Epsilon
from mcnet_lightning.errors import CertificateError, WeightsError, printable
from mcnet_lightning.files import file_digest
from mcnet_lightning.files.weights import OFFICIAL, is_bundled
from mcnet_lightning.model.layer_paths import layer_path
from mcnet_lightning.operators import MeasurementOperator
from mcnet_lightning.restoration.agreement import agreement
from mcnet_lightning.restoration.certificate import SEAL, describe, seal
from mcnet_lightning.restoration.failures import raise_if_unmet
from mcnet_lightning.restoration.pictures import MAX_MEGAPIXELS, read_picture
from mcnet_lightning.restoration.target import DEQUANTISE, radius_of, stated_target

DIGEST = re.compile(r"[0-9a-f]{64}")
DIGESTS = (
    "sha256",
    "operator_sha256",
    "mask_sha256",
    "maps_sha256",
    "request",
    SEAL,
)  # under another name, it is the seal with its name changed
CLOSE = 1e-9  # relative: two computations of one figure on different machines
Close = tuple[float, float]
TIFF_STARTS = (b"II", b"MM")
JPEG_START = b"\xff\xd8"


def certify(
    image: Path,
    measurement: Path,
    operator: MeasurementOperator,
    epsilon: float | Epsilon,
    max_megapixels: float = MAX_MEGAPIXELS,
    dequantise: str = "none",
) -> dict[str, Any]:
    """What the certificate of `image` should say, from the two files alone. Raises DataError where they do not fit."""
    picture, measured = read_picture(image, max_megapixels), read_picture(measurement, max_megapixels)
    found = agreement(picture, stated_target(measured, dequantise), operator)
    radius = radius_of(Epsilon.of(epsilon), measured, operator)
    return {
        "file": printable(image.name),
        "sha256": file_digest(image),
        "size": [picture.size[1], picture.size[0]],
        "format": _format(image.read_bytes()[:12], picture.depth),
        "bit_depth": picture.depth,
        **describe(found, operator, radius),
        "measurement": {"sha256": file_digest(measurement), "bit_depth": measured.depth},
    }


def stated_epsilon(stated: Mapping[str, Any]) -> float:
    """The epsilon that a certificate says its picture was made for. Raises CertificateError if that is no epsilon."""
    epsilon = stated.get("epsilon")
    if isinstance(epsilon, bool) or not isinstance(epsilon, int | float) or not 0 <= epsilon <= sys.float_info.max:
        raise CertificateError(
            f"the certificate states epsilon={repr(epsilon)[:80]}, which is no number from 0 on; it was changed, "
            "restore again"
        )
    return float(epsilon)


def stated_dequantise(stated: Mapping[str, Any]) -> str:
    """Which b a certificate says its picture was made for. Raises CertificateError if there is no such one."""
    dequantise = stated.get("dequantise", "none")
    if dequantise not in DEQUANTISE:
        raise CertificateError(
            f"the certificate states dequantise={repr(dequantise)[:80]}, which is none of {', '.join(DEQUANTISE)}; it "
            "was changed, restore again"
        )
    return str(dequantise)


def differences(stated: Mapping[str, Any], found: Mapping[str, Any], close: Close = (CLOSE, CLOSE)) -> list[str]:
    """Names of the entries in which a certificate and what was found do not agree, and of those that it lacks. close:
    relative and absolute, of numbers that were computed.

    What nobody has stated of the measurement (it was never a file) is no difference; an entry that contradicts another
    is one: the rounding of a format, and the digest over all entries.
    """
    wrong = []
    for name, value in found.items():
        if name == "measurement":
            said = stated.get(name, {})
            inner = said if isinstance(said, Mapping) else {"sha256": None}
            wrong += [
                f"measurement.{key}" for key in value if key in inner and not _agree(inner[key], value[key], close)
            ]
        elif name not in stated or not _agree(stated[name], value, close):
            wrong.append(name)
    if "rounding" in stated and (stated["rounding"] == "none") != (found.get("format") == "tiff"):
        wrong.append("rounding")
    stray = any(DIGEST.fullmatch(str(value)) for name, value in stated.items() if name not in DIGESTS)
    if stray or (SEAL in stated and stated[SEAL] != seal(stated)):
        wrong.append(SEAL)
    return wrong


def compare(
    stated: Mapping[str, Any] | None,
    found: Mapping[str, Any],
    scale: int | str,
    dequantise: str = "none",
    close: Close = (CLOSE, CLOSE),
    changed: Sequence[str] = (),
) -> None:
    """Says what agrees and what nobody can check. Raises CertificateError where the certificate says otherwise.

    scale: or the name of a problem that has none. changed: what else was found to differ.
    """
    if stated is None:
        print("certificate none beside the image")
        return
    if stated.get("operator") != found["operator"]:
        raise CertificateError(
            f"the certificate beside {found['file']} is for {stated.get('operator')}, not {found['operator']}; "
            "choose that operator to compare them"
        )
    if stated.get("dequantise", "none") != dequantise:
        raise CertificateError(
            f"the certificate beside {found['file']} is for dequantise={stated.get('dequantise', 'none')}, not "
            f"{dequantise}; choose that to compare them"
        )
    wrong = [*differences(stated, found, close), *changed]
    if wrong:
        raise CertificateError(
            f"the certificate beside {found['file']} says something else of {', '.join(wrong)}; the picture, the "
            "measurement or the certificate was changed"
        )
    compared = check_weights(stated, scale)
    print(f"certificate agrees, as made for epsilon={found['epsilon']:g}")
    if rest := unverified(stated, found, compared):
        print(printable(f"not checked {', '.join(rest)}: stated there, and the two files cannot tell"))
    raise_if_unmet([stated])


def check_weights(stated: Mapping[str, Any], scale: int | str) -> list[str]:
    """Compares the weight files that a certificate names with those that are at hand.

    Returns names of the entries that were compared. Raises CertificateError where one has another digest.
    """
    compared = []
    for kind in ("backbone", "layer"):
        said = stated.get(kind)
        if not isinstance(said, Mapping) or not said.get("sha256"):
            continue
        try:
            path = _weight_file(kind, stated, scale)
            found = file_digest(path) if path is not None and path.is_file() else None
        except (WeightsError, AttributeError, KeyError, TypeError, OSError, ValueError):  # such as no name of a file
            found = None
        if found is None:
            continue
        if found != said["sha256"]:
            raise CertificateError(
                f"the certificate says {kind}.weights={said.get('weights')} with SHA-256 {said['sha256']}, but {path} "
                f"has {found}: the picture was made with other weights, or the certificate was changed"
            )
        compared.append(f"{kind}.sha256")
    return compared


def unverified(stated: Mapping[str, Any], found: Mapping[str, Any], compared: list[str]) -> list[str]:
    """Names of what the two files cannot tell: it is stated, and that is all."""
    names = []
    for name, value in stated.items():
        if name in ("measurement", "dequantise", SEAL) or name in found or value is None:
            continue
        inner = [f"{name}.{key}" for key in value] if isinstance(value, Mapping) else [name]
        names += [name] if not set(inner) & set(compared) else [key for key in inner if key not in compared]
    return names


def _weight_file(kind: str, stated: Mapping[str, Any], scale: int | str) -> Path | None:
    weights, name = str(stated[kind].get("weights")), str(stated["backbone"]["name"])
    if kind == "layer":
        return layer_path(weights, name, scale)
    if weights == OFFICIAL:
        return cached_weights(name, facts_of(networks()[name]).official, int(scale))
    return bundled_backbone(name, scale, weights) if is_bundled(weights) else Path(weights)


def _format(head: bytes, depth: int) -> str:
    """Of a file, by its first bytes."""
    if head[:2] in TIFF_STARTS:
        return "tiff"
    if head.startswith(JPEG_START):
        return "jpeg"
    return "webp" if head[8:] == b"WEBP" else f"png{depth}"


def _agree(stated: Any, found: Any, close: Close) -> bool:
    if isinstance(found, Mapping):
        return (
            isinstance(stated, Mapping)
            and stated.keys() == found.keys()
            and all(_agree(stated[name], found[name], close) for name in found)
        )
    if isinstance(found, float) and isinstance(stated, int | float) and not isinstance(stated, bool):
        return abs(stated) < 1e300 and math.isclose(stated, found, rel_tol=close[0], abs_tol=close[1])
    return type(stated) is type(found) and bool(stated == found)
