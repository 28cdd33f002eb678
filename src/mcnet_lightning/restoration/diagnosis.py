"""Does the assumed operator fit? A super-resolved picture, before any projection, is the yardstick.

Pictures of strong networks have an LR-PSNR of 50 to 65 dB under the operator that they were made for; 43 dB is the
least that was seen (DCTLSA on Set5, where it clips). Less tells of another operator, noise, compression or a shift
between the picture and its LR. The reverse does not hold: a network follows its LR closely even if that was made in
another way, so that an LR without HR can be recognised as foreign only when the picture disagrees.
"""

import math

from mcnet_lightning.errors import DataError
from mcnet_lightning.operators import KernelDownsample, MeasurementOperator
from mcnet_lightning.restoration.agreement import agreement
from mcnet_lightning.restoration.guess import candidates
from mcnet_lightning.restoration.pictures import Picture

LEVELS = 255
EXPECTED_LR_PSNR = 40.0  # dB
AMPLIFIED, PATTERN = 4.0, 5.0  # times the disagreement, and levels: of a change that is the operator's own pattern
LARGE, HUGE = 2.0, 30.0  # the same of a change so large that the picture is another one
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


def refuse_pattern(prior: Picture, made: Picture, measurement: Picture, operator: MeasurementOperator) -> None:
    """Raises DataError where agreement was bought with a pattern: the picture changed by many times what it disagreed.

    Right operators change it by 1 to 3 times the disagreement (root mean squares, bicubic to blurs of 1.6 pixels), the
    zebra stripes of a blur that was not there are 8 to 700 times as large, and so is what a strong blur makes of
    rounding at epsilon=0.
    """
    found = agreement(prior, measurement, operator)
    left = 10 ** (-found.lr_psnr / 20) * LEVELS
    change = float((made.colour - prior.colour).square().mean().sqrt()) * LEVELS
    if not ((change > AMPLIFIED * left and change > PATTERN) or (change > LARGE * left and change > HUGE)):
        return
    better = _better(prior, measurement, operator, found.lr_psnr)
    raise DataError(
        f"{operator.name} does not fit: to agree with it, the picture would change by {change:.0f} grey levels where "
        f"it disagrees by {left:.1f}, which is a pattern and no detail; {better}"
        "take the operator that made the picture, or epsilon=noise, or write it all the same with force=true"
    )


def _better(picture: Picture, measurement: Picture, operator: MeasurementOperator, lr_psnr: float) -> str:
    """Names the candidate that fits clearly better, if there is one."""
    if not isinstance(operator, KernelDownsample):
        return ""
    others = (other for other in candidates(operator.scale) if other.measurement_size(picture.size) == measurement.size)
    found = [(agreement(picture, measurement, other).lr_psnr, other.name) for other in others]
    best, name = max(found, default=(lr_psnr, ""))
    return f"{name} fits better ({best:.1f} dB); " if best > lr_psnr + BETTER else ""
