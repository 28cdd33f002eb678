"""Rounding to whole levels that keeps an image's down-sampling: which 8-bit image agrees best with b?

    min_z ||A z - b||^2 + weight ||z - x||^2   over images z of whole levels 0..peak

Plain rounding takes the nearest level of every pixel and so adds noise that A does not remove. Here pixels, and pairs
of neighbours in opposite directions, change by one level wherever that lowers the objective (coordinate descent). With
a separable A = A_v . A_h^T a pixel touches a few rows and columns of the measurement only, so that pixels far enough
apart change at the same time, each with the exact effect of its own change.
"""

import itertools
from dataclasses import dataclass

import torch
from torch import Tensor

from mcnet_lightning.equilibrium.projection import MeasurementBall
from mcnet_lightning.operators import KernelDownsample, MeasurementOperator

DISTANCE_WEIGHT = 0.01  # of ||z - x||^2: without it z would wander off where A is blind
CLIPPING_STEPS = {255: 12, 65535: 30}  # by the largest level: finer levels show what the last steps gain
CLIPPING_CHANGE = 1e-6  # of a pixel, where they may end
RELAXATION = 1.5  # of a projection: twelve such steps do what thirty plain ones do
MAX_ROUNDS = 6
SMALL_GAIN = 0.03  # a round that lowers the objective by a smaller share was the last
LEFT_BY_ROUNDING = 0.08  # levels, root mean square of A z minus its goal: 70 dB at 8 bit, which all images exceed
NEGLIGIBLE = 1e-9  # a weight below this share of an axis' largest is none


def keeps_measurement(operator: MeasurementOperator) -> bool:
    """Whether `round_consistently` can do better than plain rounding for this operator."""
    return isinstance(operator, KernelDownsample)


def round_consistently(image: Tensor, measurement: Tensor, operator: MeasurementOperator, peak: int) -> Tensor:
    """Whole levels (C, H, W) in 0..peak, float64, near `image` (C, H, W) and with A z near `measurement` (C, h, w),
    both in [0, 1]. Operators that are not separable get plain rounding.
    """
    if isinstance(operator, KernelDownsample):
        image = _in_range(image, measurement, operator, CLIPPING_STEPS[peak])
    levels = round_plainly(image, peak)
    if isinstance(operator, KernelDownsample):
        vertical, horizontal = operator.axis_matrices((image.shape[-2], image.shape[-1]))
        _Descent(levels, image.double() * peak, measurement.double() * peak, vertical, horizontal, peak).run()
    return levels


def round_within(
    image: Tensor, measurement: Tensor, operator: MeasurementOperator, epsilon: float, peak: int
) -> Tensor:
    """Whole levels (C, H, W) in 0..peak: the nearest ones where they are within epsilon of the measurement in every
    channel, otherwise those that come nearest to it.
    """
    plain = round_plainly(image, peak)
    beyond = (operator(plain[None] / peak)[0] - measurement).flatten(1).norm(dim=1) > epsilon
    if not bool(beyond.any()):
        return plain
    return round_consistently(image, rounding_goal(image, measurement, operator, epsilon, peak), operator, peak)


def rounding_goal(
    image: Tensor, measurement: Tensor, operator: MeasurementOperator, epsilon: float, peak: int
) -> Tensor:
    """What A z should be near: b for epsilon = 0, else A x, drawn towards b by what rounding will leave.

    Rounded towards b itself, an image on the sphere ||A x - b|| = epsilon would be dragged away from x. (C, h, w).
    """
    if epsilon == 0:
        return measurement
    residual = operator(image.double()[None])[0] - measurement
    norm = residual.flatten(1).norm(dim=1)
    room = LEFT_BY_ROUNDING / peak * residual[0].numel() ** 0.5
    share = (1 - room / norm.clamp_min(room)).view(-1, 1, 1)
    return measurement + share * residual


def round_plainly(image: Tensor, peak: int) -> Tensor:
    """The nearest level of every pixel, float64 in 0..peak."""
    return (image.double().clamp(0, 1) * peak).round()


def _in_range(image: Tensor, measurement: Tensor, operator: KernelDownsample, steps: int) -> Tensor:
    """The image within [0, 1]: what clipping takes from A x, other pixels give back, by relaxed projections."""
    inside = image.double().clamp(0, 1)
    ball = MeasurementBall(measurement.double()[None], operator)
    for _ in range(steps):
        change = ball.project(inside[None])[0] - inside
        if not bool((change.abs() > CLIPPING_CHANGE).any()):
            break
        inside = (inside + RELAXATION * change).clamp(0, 1)
    return inside


@dataclass(frozen=True)
class _Moves:
    """Changes along one axis: number i adds weights[i] to the K rows of the measurement from first[i] on.

    paired: one pixel up and the next one down.
    """

    first: list[int]  # one more with every `scale` moves; negative at the border, where the weights start with zeros
    weights: Tensor  # (n, K)
    scale: int
    paired: bool

    @property
    def phases(self) -> list["_Phase"]:
        """Groups of moves whose rows lie side by side."""
        count, span = self.weights.shape
        stride = self.scale * span
        return [
            _Phase(
                self.weights[start::stride],
                self.first[start],
                slice(start, count, stride),
                slice(start + self.paired, count + self.paired, stride),
            )
            for start in range(min(stride, count))
        ]


@dataclass(frozen=True)
class _Phase:
    """Moves of one axis that touch K rows each, one after the other from `first` on."""

    weights: Tensor  # (n, K)
    first: int
    up: slice  # pixels
    down: slice  # their partners; the same where there are none


def _moves(matrix: Tensor, scale: int, paired: bool) -> _Moves:
    """Of single pixels, or of neighbouring pairs, for the axis that `matrix` (out, in) shrinks by `scale`."""
    effect = (matrix[:, :-1] - matrix[:, 1:] if paired else matrix).T
    count, rows = effect.shape
    used = effect.abs() > NEGLIGIBLE * effect.abs().max()
    block = torch.arange(count) // scale
    distance = torch.arange(rows) - block[:, None]
    nearest = [distance[i::scale][used[i::scale]].tolist() for i in range(min(scale, count))]
    first = block + torch.tensor([min(found, default=0) for found in nearest])[torch.arange(count) % scale]
    span = int(torch.where(used, torch.arange(rows) - first[:, None], 0).amax()) + 1 if count else 1
    window = first[:, None] + torch.arange(span)
    weights = effect.gather(1, window.clamp(0, rows - 1)) * ((window >= 0) & (window < rows))
    return _Moves(first.tolist(), weights, scale, paired)


class _Descent:
    """z (changed in place) and its residual A z - b, with a margin so that every move finds its rows."""

    def __init__(
        self, z: Tensor, target: Tensor, measurement: Tensor, vertical: Tensor, horizontal: Tensor, peak: int
    ) -> None:
        self.z, self.target, self.peak = z, target, peak
        scales = [round(matrix.shape[1] / matrix.shape[0]) for matrix in (vertical, horizontal)]
        rows = [_moves(vertical, scales[0], paired) for paired in (False, True)]
        columns = [_moves(horizontal, scales[1], paired) for paired in (False, True)]
        self.kinds = [(rows[0], columns[0]), (rows[0], columns[1]), (rows[1], columns[0])]
        self.margin = 2 * max(moves.weights.shape[1] for moves in (*rows, *columns))
        residual = vertical @ z @ horizontal.T - measurement
        self.residual = torch.nn.functional.pad(residual, (self.margin,) * 4)

    def run(self) -> None:
        objective = self.objective()
        for _ in range(MAX_ROUNDS):
            for rows, columns in self.kinds:
                for i, j in itertools.product(rows.phases, columns.phases):
                    self._change(i, j)
            before, objective = objective, self.objective()
            if before - objective <= SMALL_GAIN * before:
                return

    def objective(self) -> float:
        distance = (self.z - self.target).square().sum()
        return float(self.residual.square().sum() + DISTANCE_WEIGHT * distance)

    def _change(self, rows: _Phase, columns: _Phase) -> None:
        """Takes every step of one level, at the crossings of the moves, that lowers the objective."""
        v, h = rows.weights, columns.weights
        blocks = self._touched(rows, columns)
        lines = _weighted(blocks, v[..., None, None], 2)
        slope = _weighted(lines, h, 3)
        curvature = v.square().sum(1)[:, None] * h.square().sum(1) + DISTANCE_WEIGHT
        z, target = self.z[:, rows.up, columns.up], self.target[:, rows.up, columns.up]
        slope += DISTANCE_WEIGHT * (z - target)
        z_down = self.z[:, rows.down, columns.down]
        if paired := (rows.up, columns.up) != (rows.down, columns.down):
            slope -= DISTANCE_WEIGHT * (z_down - self.target[:, rows.down, columns.down])
            curvature = curvature + DISTANCE_WEIGHT
        step = -torch.sign(slope)
        step *= (2 * slope.abs() - curvature > NEGLIGIBLE) & self._in_range(z + step)
        if paired:
            step *= self._in_range(z_down - step)
            z_down -= step
        z += step
        change = step[..., None] * h
        for k in range(v.shape[1]):
            blocks[:, :, k].addcmul_(v[:, k, None, None], change)

    def _touched(self, rows: _Phase, columns: _Phase) -> Tensor:
        """The residual's part that these moves change, a view (C, n, K, m, L)."""
        part = self.residual
        for dim, phase in ((1, rows), (3, columns)):
            part = part.narrow(dim, self.margin + phase.first, phase.weights.numel()).unflatten(
                dim, phase.weights.shape
            )
        return part

    def _in_range(self, level: Tensor) -> Tensor:
        return (level >= 0) & (level <= self.peak)


def _weighted(values: Tensor, weights: Tensor, dim: int) -> Tensor:
    """The sum over `dim`, which has few entries, of values times weights[:, entry]."""
    total = values.select(dim, 0) * weights[:, 0]
    for entry in range(1, values.shape[dim]):
        total.addcmul_(values.select(dim, entry), weights[:, entry])
    return total
