"""What a restored picture has to agree with: the measurement as its file holds it, or the middle of what it rounds."""

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


def radius_of(epsilon: Epsilon, measurement: Picture, operator: MeasurementOperator) -> float:
    """The l2 radius of each channel. `noise` is what rounding to the file's levels leaves, 0 for float files."""
    if epsilon.unit == "noise":
        epsilon = Epsilon(_rounding(measurement), "noise")
    return epsilon.radius(measured_values(measurement.colour[None, :1], operator)[0])


def luma_radius_of(epsilon: Epsilon, measurement: Picture, operator: MeasurementOperator) -> float:
    """The same for Y; rounding errors of the three channels do not know of each other, and partly cancel."""
    radius = radius_of(epsilon, measurement, operator)
    if epsilon.unit != "noise":
        return radius
    return radius * (LUMA_SPREAD if len(measurement.colour) == 3 else LUMA_GAIN)


def _rounding(measurement: Picture) -> float:
    """Standard deviation of what rounding to the file's levels removes, per value in [0, 1]."""
    return 0.0 if measurement.depth == FLOAT_DEPTH else UNIFORM / (2**measurement.depth - 1)
