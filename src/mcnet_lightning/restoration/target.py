"""What a restored picture has to agree with: the measurement as its file holds it, or the middle of what it rounds."""

import math
from dataclasses import replace

from mcnet_lightning.equilibrium.epsilon import Epsilon, measured_values
from mcnet_lightning.errors import ConfigError, DataError
from mcnet_lightning.imaging.colour import LUMA_GAIN, LUMA_SPREAD
from mcnet_lightning.operators import MeasurementOperator
from mcnet_lightning.problems.rounding import UNIFORM, middle_of_floored
from mcnet_lightning.restoration.pictures import Picture

FLOAT_DEPTH = 32
DISTRUSTED = 17 / 255  # coarseness of JPEG, about quality 55
DEQUANTISE = ("none", "midpoint")


def check_dequantise(dequantise: str) -> None:
    if dequantise not in DEQUANTISE:
        raise ConfigError(f"dequantise={dequantise!r} is unknown; use one of {', '.join(DEQUANTISE)}")


def stated_target(measurement: Picture, dequantise: str = "none") -> Picture:
    """b: the measurement, or with `midpoint` the middle of each of its rounding intervals, half a level above colours
    that were rounded down; alpha stays. Raises DataError for float files, which were not rounded.
    """
    check_dequantise(dequantise)
    if dequantise == "none":
        return measurement
    if measurement.depth == FLOAT_DEPTH:
        raise DataError("dequantise=midpoint is for files of 8 or 16 bit, and this one holds floats; take none")
    return replace(measurement, colour=middle_of_floored(measurement.colour, 2**measurement.depth - 1))


def epsilon_for(epsilon: Epsilon | None, measurement: Picture) -> Epsilon:
    """What was asked for. Where nothing was: 0, or for a JPEG what its compression amounts to."""
    if epsilon is not None:
        return epsilon
    return Epsilon(0.0, "noise") if measurement.compression.noise else Epsilon()


def radius_of(epsilon: Epsilon | None, measurement: Picture, operator: MeasurementOperator) -> float:
    """The l2 radius of each channel. `noise` is the noise that was stated, what rounding to the file's levels leaves (0
    for float files), and what JPEG took.
    """
    epsilon = epsilon_for(epsilon, measurement)
    if epsilon.unit == "noise":
        epsilon = replace(
            epsilon, value=math.hypot(epsilon.value, _rounding(measurement), measurement.compression.noise)
        )
    return epsilon.radius(measured_values(measurement.colour[None, :1], operator)[0])


def luma_radius_of(epsilon: Epsilon | None, measurement: Picture, operator: MeasurementOperator) -> float:
    """The same for Y. Noise and rounding errors of the three channels do not know of each other and partly cancel; what
    JPEG took from the brightness is in all of them.
    """
    epsilon = epsilon_for(epsilon, measurement)
    if epsilon.unit != "noise":
        return radius_of(epsilon, measurement, operator)
    apart = math.hypot(epsilon.value, _rounding(measurement))
    apart *= LUMA_SPREAD if len(measurement.colour) == 3 else LUMA_GAIN
    deviation = math.hypot(apart, measurement.compression.noise * LUMA_GAIN)
    return replace(epsilon, value=deviation).radius(measured_values(measurement.colour[None, :1], operator)[0])


def _rounding(measurement: Picture) -> float:
    """Standard deviation of what rounding to the file's levels removes, per value in [0, 1]."""
    return 0.0 if measurement.depth == FLOAT_DEPTH else UNIFORM / (2**measurement.depth - 1)


def trusted_share(measurement: Picture) -> float:
    """How much of the backbone's detail a JPEG deserves, 1 for other files, 0 from DISTRUSTED on.

    Trained on clean pictures, backbones take the errors of compression for detail and sharpen them. Over eight
    photographs (SRCNN and RCAN, x2) three quarters of it are best at quality 90, half at 75, and a quarter at 60, which
    is still too much for the worst of them.
    """
    return max(0.0, 1.0 - measurement.compression.coarseness / DISTRUSTED)
