"""The command `certify`: what a file and its measurement say, beside what its certificate says."""

from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from mcnet_lightning.build import build_epsilon, takes
from mcnet_lightning.config.commands import EPSILON
from mcnet_lightning.errors import CertificateError, ConfigError
from mcnet_lightning.files.naming import ARRAYS
from mcnet_lightning.imaging import read_picture
from mcnet_lightning.restoration.building import build_file_operator, is_kspace, variant_of
from mcnet_lightning.restoration.certificate import read_certificate
from mcnet_lightning.restoration.guess import Verdict, guess_operator, scale_of
from mcnet_lightning.restoration.scan_certification import certify_scan
from mcnet_lightning.restoration.verification import (
    certify,
    compare,
    stated_dequantise,
    stated_epsilon,
)


def run_certify(config: DictConfig) -> None:
    """Prints what agrees and what does not. Raises CertificateError where epsilon or the certificate is wrong, or where
    the certificate says that no consistent picture was found.
    """
    if is_kspace(config):
        certify_scan(config)
        return
    image, measurement = (Path(path).expanduser() for path in (config.image, config.measurement))
    for path in (image, measurement):
        if path.suffix.lower() in ARRAYS:
            raise ConfigError(
                f"{path} is an array and no picture; of k-space, add problem=mri, mask=FILE and maps=FILE"
            )
    if config.guess:
        pair = [read_picture(path, config.max_megapixels) for path in (image, measurement)]
        _print_verdict(guess_operator(pair[0], pair[1], config.scale))
        return
    scale = config.scale
    if isinstance(variant_of(config), str) or not takes(config.operator, "scale"):
        scale = 1
    elif scale is None:
        scale = scale_of(*(read_picture(path, config.max_megapixels) for path in (image, measurement)))
    stated = read_certificate(image)
    made_for = 0.0 if stated is None else stated_epsilon(stated)
    made_from = stated_dequantise(stated or {})
    dequantise = config.dequantise or made_from
    operator = build_file_operator(config, scale)
    found = certify(image, measurement, operator, made_for, config.max_megapixels, dequantise)
    asked = found
    given = any(config[name] is not None for name in EPSILON)
    if given:
        asked = certify(image, measurement, operator, build_epsilon(config), config.max_megapixels, dequantise)
    _print_figures(asked, dequantise)
    compare(stated, found, variant_of(config) or scale, dequantise)
    if given and not asked["epsilon_met"]:
        raise CertificateError(f"{image.name} does not meet epsilon={asked['epsilon']:g}; restore it again")


def _print_figures(found: dict[str, Any], dequantise: str) -> None:
    decibel = ["infinite" if found[name] is None else f"{found[name]:.2f} dB" for name in ("lr_psnr", "lr_psnr_luma")]
    print(f"file        {found['file']}  sha256 {found['sha256']}")
    print(f"operator    {found['operator']}  sha256 {found['operator_sha256']}")
    if dequantise == "midpoint":
        print("b           the middle of each rounding interval of the measurement")
    print("||Ax-b||_2  " + ", ".join(f"{name} {value:.6g}" for name, value in found["consistency"].items()))
    print(f"LR-PSNR     {decibel[0]} (all channels), {decibel[1]} (luma)")
    print(f"epsilon     {found['epsilon']:g}: {'met' if found['epsilon_met'] else 'not met by the saved pixels'}")


def _print_verdict(verdict: Verdict) -> None:
    print(verdict.sentence)
    print(f"{'operator':<32}{'rounding':<40}{'rms, levels':>12}{'LR-PSNR, dB':>13}")
    for candidate in verdict.candidates:
        print(
            f"{candidate.operator.name:<32}{candidate.rounding:<40}{candidate.residual:>12.4f}{candidate.lr_psnr:>13.2f}"
        )
