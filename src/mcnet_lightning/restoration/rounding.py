"""Rounding to whole levels that keeps an image's down-sampling: which 8-bit image agrees best with b?

    min_z ||A z - b||^2 + weight ||z - x||^2   over images z of whole levels 0..peak

Plain rounding takes the nearest level of every pixel and so adds noise that A does not remove. Here pixels, and pairs
of neighbours in opposite directions, change by one level wherever that lowers the objective (coordinate descent). With
a separable A = A_v . A_h^T a pixel touches a few rows and columns of the measurement only, so that pixels far enough
apart change at the same time, each with the exact effect of its own change.
"""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from mcnet_lightning.equilibrium import project_measurement_ball
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
    for _ in range(steps):
        change = project_measurement_ball(inside[None], measurement.double()[None], operator)[0] - inside
        if not bool((change.abs() > CLIPPING_CHANGE).any()):
            break
        inside = (inside + RELAXATION * change).clamp(0, 1)
    return inside


@dataclass(frozen=True)
class _Moves:
    """Changes along one axis: number i adds weights[i] to the rows first[i], first[i] + 1, ... of the measurement.

    Those `stride` apart touch different rows. `paired`: one pixel up and the next one down.
    """

    first: Tensor  # (n,), negative at the border where `weights` start with zeros
    weights: Tensor  # (n, K)
    paired: bool

    @cached_property
    def phases(self) -> list[Tensor]:
        """Groups of moves that touch different rows."""
        stride, span = 1, self.weights.shape[1]
        while bool((self.first[stride:] < self.first[:-stride] + span).any()):
            stride += 1
        return [torch.arange(phase, len(self.first), stride) for phase in range(min(stride, len(self.first)))]


def _moves(matrix: Tensor, scale: int, paired: bool) -> _Moves:
    """Of single pixels, or of neighbouring pairs, for the axis that `matrix` (out, in) shrinks by `scale`."""
    effect = (matrix[:, :-1] - matrix[:, 1:] if paired else matrix).T
    used = effect.abs() > NEGLIGIBLE * effect.abs().max()
    positions = torch.arange(matrix.shape[0])
    last = torch.where(used, positions, 0).amax(1)
    first = torch.minimum(torch.where(used, positions, matrix.shape[0]).amin(1), last)
    span = int((last - first).max()) + 1
    inner = first[span * scale :][: span * scale] - span
    if len(inner) == span * scale:  # continue the inner pattern over the border: shorter strides
        first[: len(inner)] = torch.minimum(first[: len(inner)], inner)
    padded = torch.nn.functional.pad(effect, (2 * span, 2 * span))
    window = first[:, None] + torch.arange(int((last - first).max()) + 1)
    return _Moves(first, padded.gather(1, window + 2 * span), paired)


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
                if len(rows.first) and len(columns.first):
                    self._sweep(rows, columns)
            before, objective = objective, self.objective()
            if before - objective <= SMALL_GAIN * before:
                return

    def objective(self) -> float:
        distance = (self.z - self.target).square().sum()
        return float(self.residual.square().sum() + DISTANCE_WEIGHT * distance)

    def _sweep(self, rows: _Moves, columns: _Moves) -> None:
        for i in rows.phases:
            for j in columns.phases:
                self._change(rows, columns, i, j)

    def _change(self, rows: _Moves, columns: _Moves, i: Tensor, j: Tensor) -> None:
        """Takes every step of one level, at the crossings of the moves i and j, that lowers the objective."""
        v, h = rows.weights[i], columns.weights[j]
        touched = self._touched(rows, i)[:, None], self._touched(columns, j)
        patch = self.residual[:, *touched]
        blocks = patch.view(len(patch), len(i), v.shape[1], len(j), h.shape[1])
        slope = torch.einsum("cikjl,ik,jl->cij", blocks, v, h)
        curvature = v.square().sum(1)[:, None] * h.square().sum(1) + DISTANCE_WEIGHT
        up = i[:, None], j
        z = self.z[:, *up]
        slope += DISTANCE_WEIGHT * (z - self.target[:, *up])
        if pair := rows.paired or columns.paired:
            down = (i + rows.paired)[:, None], j + columns.paired
            z_down = self.z[:, *down]
            slope -= DISTANCE_WEIGHT * (z_down - self.target[:, *down])
            curvature = curvature + DISTANCE_WEIGHT
        step = -torch.sign(slope)
        step *= (2 * slope.abs() - curvature > NEGLIGIBLE) & self._in_range(z + step)
        if pair:
            step *= self._in_range(z_down - step)
            self.z[:, *down] = z_down - step
        self.z[:, *up] = z + step
        self.residual[:, *touched] = patch + torch.einsum("cij,ik,jl->cikjl", step, v, h).reshape(patch.shape)

    def _touched(self, moves: _Moves, index: Tensor) -> Tensor:
        return (self.margin + moves.first[index, None] + torch.arange(moves.weights.shape[1])).flatten()

    def _in_range(self, level: Tensor) -> Tensor:
        return (level >= 0) & (level <= self.peak)
