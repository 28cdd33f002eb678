"""What a certificate says of a saved file, in words for people who take photographs."""

import math
from collections.abc import Mapping
from typing import Any

from mcnet_lightning.backbones.loading import bundled_backbone
from mcnet_lightning.equilibrium.epsilon import LEVELS, Epsilon
from mcnet_lightning.imaging import Picture
from mcnet_lightning.restoration.certificate import worst_channel

ROUNDING = 1 / math.sqrt(12)  # levels, root mean square: what rounding to the nearest level leaves, 59 dB at 8 bit
VISIBLE_SHARE = 1e-4  # of all values beyond black or white; fewer are not worth a word


def reached(certificate: Mapping[str, Any]) -> str:
    """How far the saved pixels agree with their measurement and, where that is not as far as epsilon asks, what keeps
    them from it: rounding, clipping, or a format too coarse for this operator.
    """
    decibel, worst, epsilon = certificate["lr_psnr"], worst_channel(certificate), certificate["epsilon"]
    if decibel is None:
        return "agrees with its measurement exactly"
    words = f"agrees with its measurement to {decibel:.0f} dB"
    if certificate["epsilon_met"]:
        return words + (f", within epsilon={epsilon:g}" if epsilon else "")
    if certificate["format"] == "tiff":
        return f"{words}, beyond epsilon={epsilon:g}; raise epsilon"
    if certificate["format"] == "jpeg":
        return f"{words}, which is what JPEG keeps of it; format=png8 is nearer"
    depth = certificate["bit_depth"]
    excess = 10 ** (-decibel / 20) * (1 - epsilon / worst) * (2**depth - 1)
    beside = f" beside epsilon={epsilon:g}" if epsilon else ""
    if excess <= ROUNDING:
        return f"{words}, within {depth}-bit rounding{beside}"
    clipped = certificate.get("clipped", 0)
    if clipped > VISIBLE_SHARE:
        return (
            f"{words}: {100 * clipped:.2g} % of its values lie beyond black or white and are cut off; "
            "format=tiff keeps them"
        )
    return f"{words}, more than {depth}-bit rounding leaves{beside}: format=tiff is finer, epsilon=noise asks for less"


def compression_note(measurement: Picture, denoised: bool, scale: int | str) -> str | None:
    """One line on a JPEG whose tables say how far it may be from what was seen; None for other files.

    denoised: whether the backbone sees it so, trained on clean LR as it is. scale: for which there may be another one.
    """
    if not measurement.jpeg_noise:
        return None
    levels = f"{measurement.jpeg_noise * LEVELS:.2g}"
    words = f"its JPEG tables tell of errors of {levels} grey levels, which epsilon allows for"
    if not denoised:
        return words
    robust = bundled_backbone("rcan", scale, "bundled:robust").is_file()
    better = "; backbone=rcan backbone.weights=bundled:robust was trained on such pictures" if robust else ""
    return f"{words}; the backbone sees it denoised{better}"


def describe_noise(epsilon: Epsilon | None, measurement: Picture, denoised: bool = False) -> dict[str, Any]:
    """What epsilon was made from, for the certificate: nothing where it was given as a number."""
    found = {}
    if epsilon is not None and epsilon.unit == "noise" and epsilon.value:
        found["noise_levels"] = round(epsilon.value * LEVELS, 6)
    if measurement.jpeg_noise and (epsilon is None or epsilon.unit == "noise"):
        found["jpeg_levels"] = round(measurement.jpeg_noise * LEVELS, 6)
    if denoised:
        found["denoised"] = True
    return {"noise": found} if found else {}
