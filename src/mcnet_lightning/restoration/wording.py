"""What a certificate says of a saved file, in words for people who take photographs."""

import math
from collections.abc import Mapping
from typing import Any

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
