"""The certificate of a saved file: a JSON file beside it, made from the pixels that were read back."""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from mcnet_lightning.errors import DataError, printable
from mcnet_lightning.operators import MeasurementOperator
from mcnet_lightning.restoration.agreement import BESIDE_COLOUR, Agreement, agreement, operator_digest
from mcnet_lightning.restoration.pictures import MAX_MEGAPIXELS, Picture, read_picture
from mcnet_lightning.restoration.rounding import keeps_measurement, round_consistently, rounding_goal
from mcnet_lightning.restoration.writing import DEPTH, Format, encode, staged, write_file

CLOSE = 1e-9  # relative: two computations of one figure on different machines


def certificate_path(picture: Path) -> Path:
    return picture.with_name(f"{picture.name}.json")


def file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def save_certified(
    path: Path,
    picture: Picture,
    measurement: Picture,
    operator: MeasurementOperator,
    *,
    format: Format = "png8",
    consistent_rounding: bool = True,
    epsilon: float = 0.0,
    record: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Writes a picture, reads it back, and writes the certificate of what was read; returns the certificate.

    The certificate gets its name first: a picture under its final name always has one. `record` is added to it (which
    files, backbone, layer, solver). Raises DataError if the disk refuses.
    """
    rounding = "none" if format == "tiff" else "nearest"
    if format != "tiff" and consistent_rounding and keeps_measurement(operator):
        picture, rounding = _rounded(picture, measurement, operator, epsilon, 2 ** DEPTH[format] - 1), "consistent"
    content = encode(picture, format)
    with staged(path) as temporary:
        temporary.write_bytes(content)
        found = agreement(read_picture(temporary, math.inf), measurement, operator)
        certificate = {
            "file": path.name,
            "sha256": hashlib.sha256(content).hexdigest(),
            "size": [picture.size[1], picture.size[0]],
            "format": format,
            "bit_depth": DEPTH[format],
            "rounding": rounding,
            **describe(found, operator, epsilon),
            **(record or {}),
        }
        write_file(certificate_path(path), json.dumps(certificate, indent=2).encode() + b"\n")
    return certificate


def describe(found: Agreement, operator: MeasurementOperator, epsilon: float) -> dict[str, Any]:
    """The part of a certificate that anybody can recompute from the two files; infinite decibels become null."""
    figures = {name: value if math.isfinite(value) else None for name, value in asdict(found).items() if "psnr" in name}
    return {
        "operator": operator.name,
        "operator_sha256": operator_digest(operator),
        "epsilon": epsilon,
        "epsilon_met": found.meets(epsilon),
        "consistency": found.consistency,
        **figures,
    }


def worst_channel(certificate: Mapping[str, Any]) -> float:
    """||A x - b||_2 of the colour channel that agrees least: what epsilon bounds."""
    return max(value for name, value in certificate["consistency"].items() if name not in BESIDE_COLOUR)


def read_certificate(picture: Path) -> dict[str, Any] | None:
    """The certificate beside a picture, or None if there is none that can be read."""
    try:
        content = json.loads(certificate_path(picture).read_text())
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def certify(
    image: Path,
    measurement: Path,
    operator: MeasurementOperator,
    epsilon: float,
    max_megapixels: float = MAX_MEGAPIXELS,
) -> dict[str, Any]:
    """What the certificate of `image` should say, from the two files alone. Raises DataError where they do not fit."""
    found = agreement(read_picture(image, max_megapixels), read_picture(measurement, max_megapixels), operator)
    return {"file": printable(image.name), "sha256": file_digest(image), **describe(found, operator, epsilon)}


def differences(stated: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    """Names of the entries in which a certificate and an independent one do not agree."""
    return [name for name in found if name not in stated or not _agree(stated[name], found[name])]


def _agree(stated: Any, found: Any) -> bool:
    if isinstance(found, Mapping):
        return isinstance(stated, Mapping) and stated.keys() == found.keys() and not differences(stated, found)
    if isinstance(found, float) and isinstance(stated, int | float):
        return math.isclose(stated, found, rel_tol=CLOSE, abs_tol=CLOSE)
    return bool(stated == found)


def _rounded(
    picture: Picture, measurement: Picture, operator: MeasurementOperator, epsilon: float, peak: int
) -> Picture:
    """The picture on whole levels, alpha included if it was measured."""

    def rounded(image: Tensor, target: Tensor) -> Tensor:
        goal = rounding_goal(image, target.expand(len(image), -1, -1), operator, epsilon, peak)
        return round_consistently(image, goal, operator, peak) / peak

    if len(measurement.colour) not in (1, len(picture.colour)):
        raise DataError(
            f"a picture of {len(picture.colour)} channel cannot follow a measurement of {len(measurement.colour)}"
        )
    alpha = picture.alpha
    if alpha is not None and measurement.alpha is not None:
        alpha = rounded(alpha, measurement.alpha)
    return replace(picture, colour=rounded(picture.colour, measurement.colour), alpha=alpha)
