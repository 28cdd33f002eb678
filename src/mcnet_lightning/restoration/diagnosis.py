"""Does the assumed operator fit? A super-resolved picture, before any projection, is the yardstick.

Pictures of strong networks have an LR-PSNR of 50 to 65 dB under the operator that they were made for; 43 dB is the
least that was seen (DCTLSA on Set5, where it clips). Less tells of another operator, noise, compression or a shift
between the picture and its LR. The reverse does not hold: a network follows its LR closely even if that was made in
another way, so that an LR without HR can be recognised as foreign only when the picture disagrees.
"""

import math

from mcnet_lightning.operators import KernelDownsample, MeasurementOperator
from mcnet_lightning.restoration.agreement import agreement
from mcnet_lightning.restoration.guess import candidates
from mcnet_lightning.restoration.pictures import Picture

EXPECTED_LR_PSNR = 40.0  # dB
BETTER = 2.0  # dB by which another operator has to be nearer to be named


def operator_warning(
    picture: Picture, measurement: Picture, operator: MeasurementOperator, epsilon: float
) -> str | None:
    """A sentence if the picture disagrees with b by more than a network's picture does, and by more than epsilon.

    It names the operator that fits better, if one does, and the epsilon that would leave the excess alone.
    """
    found = agreement(picture, measurement, operator)
    if found.lr_psnr >= EXPECTED_LR_PSNR or found.largest <= epsilon:
        return None
    usual = 10 ** (-EXPECTED_LR_PSNR / 20) * math.sqrt(found.pixels)
    excess = math.sqrt(max(found.largest**2 - usual**2, 0.0))
    return (
        f"{operator.name} fits badly: before projection LR-PSNR is {found.lr_psnr:.1f} dB, where more than "
        f"{EXPECTED_LR_PSNR:.0f} are usual; {_better(picture, measurement, operator, found.lr_psnr)}"
        f"if the LR is noisy or compressed, take epsilon={excess:.2g}"
    )


def _better(picture: Picture, measurement: Picture, operator: MeasurementOperator, lr_psnr: float) -> str:
    """Names the candidate that fits clearly better, if there is one."""
    if not isinstance(operator, KernelDownsample):
        return ""
    others = (other for other in candidates(operator.scale) if other.measurement_size(picture.size) == measurement.size)
    found = [(agreement(picture, measurement, other).lr_psnr, other.name) for other in others]
    best, name = max(found, default=(lr_psnr, ""))
    return f"{name} fits better ({best:.1f} dB); " if best > lr_psnr + BETTER else ""
