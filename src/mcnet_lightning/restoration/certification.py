"""The command `certify`: what a file and its measurement say, beside what its certificate says."""

from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from mcnet_lightning.build import build_epsilon, build_operator, takes
from mcnet_lightning.config.commands import EPSILON
from mcnet_lightning.errors import CertificateError, printable
from mcnet_lightning.imaging import read_picture
from mcnet_lightning.restoration.certificate import read_certificate
from mcnet_lightning.restoration.failures import raise_if_unmet
from mcnet_lightning.restoration.guess import Verdict, guess_operator, scale_of
from mcnet_lightning.restoration.verification import (
    certify,
    check_weights,
    differences,
    stated_dequantise,
    stated_epsilon,
    unverified,
)


def run_certify(config: DictConfig) -> None:
    """Prints what agrees and what does not. Raises CertificateError where epsilon or the certificate is wrong, or where
    the certificate says that no consistent picture was found.
    """
    image, measurement = (Path(path).expanduser() for path in (config.image, config.measurement))
    if config.guess:
        pair = [read_picture(path, config.max_megapixels) for path in (image, measurement)]
        _print_verdict(guess_operator(pair[0], pair[1], config.scale))
        return
    scale = config.scale
    if not takes(config.operator, "scale"):
        scale = 1
    elif scale is None:
        scale = scale_of(*(read_picture(path, config.max_megapixels) for path in (image, measurement)))
    stated = read_certificate(image)
    made_for = 0.0 if stated is None else stated_epsilon(stated)
    made_from = stated_dequantise(stated or {})
    dequantise = config.dequantise or made_from
    operator = build_operator(config.operator, scale)
    found = certify(image, measurement, operator, made_for, config.max_megapixels, dequantise)
    asked = found
    given = any(config[name] is not None for name in EPSILON)
    if given:
        asked = certify(image, measurement, operator, build_epsilon(config), config.max_megapixels, dequantise)
    _print_figures(asked, dequantise)
    _compare(stated, found, scale, dequantise)
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


def _compare(stated: dict[str, Any] | None, found: dict[str, Any], scale: int, dequantise: str) -> None:
    """Says what agrees and what nobody can check. Raises CertificateError where the certificate says otherwise."""
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
    wrong = differences(stated, found)
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


def _print_verdict(verdict: Verdict) -> None:
    print(verdict.sentence)
    print(f"{'operator':<32}{'rounding':<40}{'rms, levels':>12}{'LR-PSNR, dB':>13}")
    for candidate in verdict.candidates:
        print(
            f"{candidate.operator.name:<32}{candidate.rounding:<40}{candidate.residual:>12.4f}{candidate.lr_psnr:>13.2f}"
        )
