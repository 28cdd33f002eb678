"""The certificate of a saved file: a JSON file beside it, made from the pixels that were read back."""

import hashlib
import json
import math
import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from mcnet_lightning.errors import CertificateError, DataError, printable
from mcnet_lightning.files import file_digest, locked, staged, sync, write_file
from mcnet_lightning.operators import MeasurementOperator
from mcnet_lightning.restoration.agreement import BESIDE_COLOUR, Agreement, agreement, operator_digest
from mcnet_lightning.restoration.pictures import Picture, read_picture
from mcnet_lightning.restoration.rounding import keeps_measurement, round_within
from mcnet_lightning.restoration.writing import DEPTH, LOSSY, Format, encode

SEAL = "certificate_sha256"  # tells an edited certificate from one as it was written
REMEDY = "free space or choose another output"
HALF_LEVEL = 0.5 / 255
LARGEST = 2**20  # bytes of a certificate; ours have two thousand


def certificate_path(picture: Path) -> Path:
    return picture.with_name(f"{picture.name}.json")


def seal(certificate: Mapping[str, Any]) -> str:
    """SHA-256 of all other entries, as JSON with sorted keys."""
    rest = {name: value for name, value in certificate.items() if name != SEAL}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


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
    replace_others: bool = True,
) -> dict[str, Any]:
    """Writes a picture, reads it back, and writes the certificate of what was read; returns the certificate.

    The certificate gets its name first: a picture under its final name always has one, and no other process comes in
    between. `record` is added to it (which files, backbone, layer, solver). Without `replace_others`, what another
    command has written there meanwhile stays. Raises DataError then, and if the disk refuses.
    """
    beyond, rounding = _beyond(picture), "none" if format == "tiff" else "nearest"
    if format not in ("tiff", *LOSSY) and consistent_rounding and keeps_measurement(operator):
        picture, rounding = _rounded(picture, measurement, operator, epsilon, 2 ** DEPTH[format] - 1), "consistent"

    def described(file: Path) -> dict[str, Any]:
        found = agreement(read_picture(file, math.inf), measurement, operator)
        return {
            "size": [picture.size[1], picture.size[0]],
            "format": format,
            "bit_depth": DEPTH[format],
            "rounding": rounding,
            **({} if format == "tiff" else {"clipped": beyond}),
            **describe(found, operator, epsilon),
        }

    return write_certified(path, encode(picture, format), described, record or {}, replace_others)


def write_certified(
    path: Path,
    content: bytes,
    described: Callable[[Path], Mapping[str, Any]],
    record: Mapping[str, Any],
    replace_others: bool = True,
    beside: Mapping[Path, bytes] | None = None,
) -> dict[str, Any]:
    """Writes a file whose certificate says what `described` finds when it is read back, and `record`; returns that.

    beside: files that go with it, and get their names before it. See `save_certified`.
    """
    with ExitStack() as lock, staged(path, REMEDY) as temporary:
        temporary.write_bytes(content)
        sync(temporary)
        certificate = {
            "file": printable(path.name),
            "sha256": hashlib.sha256(content).hexdigest(),
            **described(temporary),
            **record,
        }
        certificate[SEAL] = seal(certificate)
        lock.enter_context(locked(path.parent))  # until the picture has its name, too
        if not replace_others and os.path.lexists(path) and not is_certified(path, certificate.get("request")):
            raise DataError(f"{path} was made meanwhile by another command; overwrite=true replaces it")
        for other, other_content in (beside or {}).items():
            write_file(other, other_content, REMEDY)
        write_file(certificate_path(path), json.dumps(certificate, indent=2) + "\n", REMEDY)
    return certificate


def _beyond(picture: Picture) -> float:
    """The share of values that no file of whole levels holds: more than half a level of 8 bit below 0 or above 1."""
    outside = (picture.colour < -HALF_LEVEL) | (picture.colour > 1 + HALF_LEVEL)
    return float(outside.double().mean())


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
    """The certificate beside a picture; None where there is none. Raises CertificateError if it cannot be read."""
    path = certificate_path(picture)
    if not os.path.lexists(path):
        return None
    try:
        if not path.is_file() or path.stat().st_size > LARGEST:
            raise ValueError("no certificate of ours")
        content = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse)
        if not isinstance(content, dict):
            raise ValueError("no entries")
    except (OSError, ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())[:100]
        raise CertificateError(
            f"{path} cannot be read as a certificate ({reason}): it was cut or changed; restore the picture again"
        ) from None
    return content


def is_certified(picture: Path, request: str | None) -> bool:
    """Whether the picture is there, and its certificate is of this request and of these very bytes."""
    try:
        certificate = read_certificate(picture)
        return (
            certificate is not None
            and request is not None
            and certificate.get("request") == request
            and picture.is_file()
            and certificate.get("sha256") == file_digest(picture)
        )
    except (CertificateError, OSError):
        return False


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no number")


def _rounded(
    picture: Picture, measurement: Picture, operator: MeasurementOperator, epsilon: float, peak: int
) -> Picture:
    """The picture on whole levels, alpha included if it was measured."""

    def rounded(image: Tensor, target: Tensor) -> Tensor:
        return round_within(image, target.expand(len(image), -1, -1), operator, epsilon, peak) / peak

    if len(measurement.colour) not in (1, len(picture.colour)):
        raise DataError(
            f"a picture of {len(picture.colour)} channel cannot follow a measurement of {len(measurement.colour)}"
        )
    alpha = picture.alpha
    if alpha is not None and measurement.alpha is not None:
        alpha = rounded(alpha, measurement.alpha)
    return replace(picture, colour=rounded(picture.colour, measurement.colour), alpha=alpha)
