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
    return Epsilon(0.0, "noise") if measurement.jpeg_noise else Epsilon()


def radius_of(epsilon: Epsilon | None, measurement: Picture, operator: MeasurementOperator) -> float:
    """The l2 radius of each channel. `noise` is the noise that was stated, what rounding to the file's levels leaves (0
    for float files), and what JPEG took.
    """
    epsilon = epsilon_for(epsilon, measurement)
    if epsilon.unit == "noise":
        epsilon = replace(epsilon, value=math.hypot(epsilon.value, _rounding(measurement), measurement.jpeg_noise))
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
    deviation = math.hypot(apart, measurement.jpeg_noise * LUMA_GAIN)
    return replace(epsilon, value=deviation).radius(measured_values(measurement.colour[None, :1], operator)[0])


def _rounding(measurement: Picture) -> float:
    """Standard deviation of what rounding to the file's levels removes, per value in [0, 1]."""
    return 0.0 if measurement.depth == FLOAT_DEPTH else UNIFORM / (2**measurement.depth - 1)


def network_noise(epsilon: Epsilon | None, measurement: Picture) -> float:
    """Standard deviation of what a network should not take for detail: of JPEG and of stated noise, for values in
    [0, 1]; 0 where epsilon was given as a number, which is for measurements that are to be taken as they are.
    """
    if epsilon is not None and epsilon.unit != "noise":
        return 0.0
    return math.hypot(measurement.jpeg_noise, 0.0 if epsilon is None else epsilon.value)
