"""Does the assumed operator fit? The backbone's own picture, before any projection, is the yardstick.

A backbone trained for bicubic LR makes pictures whose down-sampling is near b if b was made so. An LR of another
origin, or noise, or compression, leaves more.
"""

import math

from mcnet_lightning.operators import MeasurementOperator
from mcnet_lightning.restoration.agreement import agreement
from mcnet_lightning.restoration.guess import candidates
from mcnet_lightning.restoration.pictures import Picture

EXPECTED_LR_PSNR = 44.0  # dB; less is more than a strong backbone leaves on an LR of the operator it was made for
BETTER = 2.0  # dB by which another operator has to be nearer to be named


def operator_warning(prior: Picture, measurement: Picture, operator: MeasurementOperator, epsilon: float) -> str | None:
    """A sentence if the backbone's picture disagrees with b by more than a backbone does, and than epsilon allows.

    It names the operator that fits better, if one does, and the epsilon that would leave the excess alone.
    """
    found = agreement(prior, measurement, operator)
    if found.lr_psnr >= EXPECTED_LR_PSNR or found.largest <= epsilon:
        return None
    best = max((agreement(prior, measurement, other).lr_psnr, other.name) for other in candidates(operator.scale))  # type: ignore[attr-defined]
    usual = 10 ** (-EXPECTED_LR_PSNR / 20) * math.sqrt(found.pixels)
    excess = math.sqrt(max(found.largest**2 - usual**2, 0.0))
    hint = f"{best[1]} fits better ({best[0]:.1f} dB); " if best[0] > found.lr_psnr + BETTER else ""
    return (
        f"{operator.name} fits badly: the backbone's picture has an LR-PSNR of {found.lr_psnr:.1f} dB, where "
        f"{EXPECTED_LR_PSNR:.0f} and more are usual; {hint}if the LR is noisy or compressed, take epsilon={excess:.2g}"
    )
