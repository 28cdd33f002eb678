"""The command `certify` of an image from k-space: what both files say, beside what its certificate says."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from mcnet_lightning.build import build_epsilon
from mcnet_lightning.config.commands import EPSILON
from mcnet_lightning.equilibrium.epsilon import Epsilon
from mcnet_lightning.errors import CertificateError, ConfigError, printable
from mcnet_lightning.files import file_digest
from mcnet_lightning.restoration.building import build_reading
from mcnet_lightning.restoration.certificate import read_certificate
from mcnet_lightning.restoration.kspace import ORIGINS, KSpace
from mcnet_lightning.restoration.kspace_files import KSpaceFile, Reading
from mcnet_lightning.restoration.scan_batch import described
from mcnet_lightning.restoration.scans import kspace_epsilon, radius_of
from mcnet_lightning.restoration.verification import compare, stated_epsilon

PROBLEM = "mri"
CLOSE = (1e-6, 0.0)  # relative, and absolute whatever the units: of distances, most of them the rounding of the file


def certify_scan(config: DictConfig) -> None:
    """Prints what agrees and what does not. Raises CertificateError where epsilon or the certificate is wrong."""
    image, measurement = (Path(path).expanduser() for path in (config.image, config.measurement))
    stated = read_certificate(image)
    reading = _as_stated(build_reading(config), config, stated or {})
    file = KSpaceFile(measurement, reading)
    index = _slice(config, stated or {}, file)
    scan = file.slice(index)
    found = certified_scan(image, file, scan, index, 0.0 if stated is None else stated_epsilon(stated))
    given = any(config[name] is not None for name in EPSILON)
    asked = found
    if given:
        asked = certified_scan(image, file, scan, index, kspace_epsilon(build_epsilon(config)))
    _print_figures(asked, file)
    compare(stated, found, PROBLEM, close=CLOSE, changed=_changed(image, stated or {}))
    if given and not asked["epsilon_met"]:
        raise CertificateError(f"{image.name} does not meet epsilon={asked['epsilon']:g}; restore it again")


def certified_scan(image: Path, file: KSpaceFile, scan: KSpace, index: int, epsilon: float | Epsilon) -> dict[str, Any]:
    """What the certificate of `image` should say, from the two files alone."""
    radius = radius_of(Epsilon.of(epsilon), scan)
    return {
        "file": printable(image.name),
        "sha256": file_digest(image),
        **described(image, scan, radius),
        **file.about(scan, index),
    }


def _as_stated(reading: Reading, config: DictConfig, stated: Mapping[str, Any]) -> Reading:
    """With the origins that the certificate says, where the keys say none. Raises ConfigError for a mask or maps that
    were files, and CertificateError for origins that are none.
    """
    for name, none in (("mask", "samples that are not zero"), ("maps", None)):
        said = stated.get(name)
        if isinstance(said, str) and said != none and ":" not in said and getattr(reading, name) is None:
            raise ConfigError(f"the certificate says that its {name} came from {said[:80]}; add {name}=FILE")
    chosen: dict[str, Any] = {}
    for name in ("zero_frequency", "image_origin"):
        if config[name] is None and name in stated:
            if stated[name] not in ORIGINS:
                raise CertificateError(f"the certificate states {name}={stated[name]!r}, which is none; it was changed")
            chosen[name] = str(stated[name])
    return replace(reading, **chosen)


def _slice(config: DictConfig, stated: Mapping[str, Any], file: KSpaceFile) -> int:
    said = stated.get("measurement")
    found = config.slice if config.slice is not None else said.get("slice") if isinstance(said, Mapping) else None
    if found is None and len(file) > 1:
        raise ConfigError(f"{file.path} holds {len(file)} slices; say of which one the image is: slice=0")
    if isinstance(found, bool) or not isinstance(found, int | None):
        raise CertificateError(f"the certificate states slice={repr(found)[:80]}, which is none; it was changed")
    return found or 0


def _changed(image: Path, stated: Mapping[str, Any]) -> list[str]:
    """The files beside the image that are no longer those that were written with it."""
    beside = stated.get("beside", {})
    paths = {name: image.with_name(Path(str(name)).name) for name in beside} if isinstance(beside, Mapping) else {}
    return [name for name, path in paths.items() if path.is_file() and file_digest(path) != beside[name]]


def _print_figures(found: dict[str, Any], file: KSpaceFile) -> None:
    print(f"file        {found['file']}  sha256 {found['sha256']}")
    print(f"k-space     {printable(file.path.name)}  sha256 {found['measurement']['sha256']}")
    print(
        f"operator    {found['operator']}, zero frequency in the {found['zero_frequency']}, image origin in the "
        f"{found['image_origin']}"
    )
    print(
        f"||Ax-b||_2  {found['consistency']['kspace']:.6g} in the units of k-space, {found['relative']:.3g} of ||b||_2"
    )
    print(f"epsilon     {found['epsilon']:g}: {'met' if found['epsilon_met'] else 'not met by the saved image'}")
