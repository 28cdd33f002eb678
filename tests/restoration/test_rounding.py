"""Rounding that keeps the down-sampling: never worse than plain, against exhaustive search where that is possible."""

import itertools
import math

import pytest
import torch
from pictures import pair, smooth
from skimage import data

from mcnet_lightning.operators import BicubicDownsample, BlurDownsample, Kernel, KernelDownsample
from mcnet_lightning.restoration import Picture, round_consistently
from mcnet_lightning.restoration.restorer import make_consistent
from mcnet_lightning.restoration.rounding import DISTANCE_WEIGHT, _moves, round_plainly, round_within, rounding_goal

OPERATORS = [
    BicubicDownsample(2),
    BicubicDownsample(3, "replicate"),
    BicubicDownsample(4, "symmetric"),
    KernelDownsample(2, Kernel("gaussian", 1.0), "symmetric"),
    KernelDownsample(4, Kernel("box")),
]
every_operator = pytest.mark.parametrize("operator", OPERATORS, ids=lambda operator: operator.name)


def decibel(z: torch.Tensor, b: torch.Tensor, operator: KernelDownsample) -> float:
    return -10 * math.log10(float((operator(z[None] / 255)[0] - b).square().mean()) + 1e-30)


@every_operator
def test_levels_are_whole_near_and_better_than_plain_rounding(operator: KernelDownsample) -> None:
    truth, b = pair(operator, size=(48, 60))
    noisy = truth.colour + 0.01 * torch.randn_like(truth.colour)
    x = make_consistent(type(truth)(noisy), b, operator, 0.0).colour
    z = round_consistently(x, b.colour, operator, 255)
    assert torch.equal(z, z.round())
    assert z.min() >= 0
    assert z.max() <= 255
    assert (z / 255 - x).abs().max() * 255 < 2.5
    plain = round_plainly(x, 255)
    assert decibel(z, b.colour, operator) > decibel(plain, b.colour, operator) + 3
    noise, noise_of_plain = (float((levels - 255 * x).square().mean()) for levels in (z, plain))
    assert noise < 4 * noise_of_plain


@every_operator
def test_residual_that_is_kept_up_to_date_is_the_true_one(operator: KernelDownsample) -> None:
    from mcnet_lightning.restoration.rounding import _Descent

    x = smooth(1, 24, 29) * 255
    b = operator((x / 255)[None])[0] * 255
    z = x.round()
    descent = _Descent(z, x, b, *operator.axis_matrices((24, 29)), 255)
    descent.run()
    m = descent.margin
    inner = descent.residual[:, m:-m, m:-m]
    torch.testing.assert_close(inner, operator(z[None])[0] - b, rtol=0, atol=1e-9)
    descent.residual[:, m:-m, m:-m] = 0
    assert not descent.residual.any()


@pytest.mark.parametrize("paired", [False, True])
@every_operator
def test_moves_are_the_columns_of_the_matrix_and_phases_do_not_touch(operator: KernelDownsample, paired: bool) -> None:
    matrix = operator.axis_matrices((50, 4))[0]
    moves = _moves(matrix, operator.scale, paired)
    effect = (matrix[:, :-1] - matrix[:, 1:] if paired else matrix).T
    margin = moves.weights.shape[1] * 2
    rebuilt = torch.zeros(len(effect), effect.shape[1] + 2 * margin, dtype=torch.float64)
    index = margin + torch.tensor(moves.first)[:, None] + torch.arange(moves.weights.shape[1])
    rebuilt.scatter_(1, index, moves.weights)
    torch.testing.assert_close(rebuilt[:, margin:-margin], effect, rtol=0, atol=1e-8)
    everyone = torch.arange(len(effect))
    assert sorted(torch.cat([everyone[phase.up] for phase in moves.phases]).tolist()) == everyone.tolist()
    for phase in moves.phases:
        rows = index[phase.up].flatten().tolist()
        assert rows == list(range(margin + phase.first, margin + phase.first + len(rows)))
        assert torch.equal(torch.arange(50)[phase.down], everyone[phase.up] + paired)


def test_close_to_the_best_of_all_images_of_two_levels() -> None:
    operator = BicubicDownsample(2)
    x = 0.4 + 0.2 * torch.rand(1, 4, 4, dtype=torch.float64)
    b = operator(x[None])[0]
    floor = torch.floor(x * 255)

    def objective(z: torch.Tensor) -> float:
        return float((operator(z[None])[0] - 255 * b).square().sum() + DISTANCE_WEIGHT * (z - 255 * x).square().sum())

    every = (torch.tensor(bits, dtype=torch.float64).view(1, 4, 4) for bits in itertools.product((0, 1), repeat=16))
    everything = torch.stack([floor + bits for bits in every])
    errors = (operator(everything) - 255 * b).square().flatten(1).sum(1)
    errors += DISTANCE_WEIGHT * (everything - 255 * x).square().flatten(1).sum(1)
    ours, plain = objective(round_consistently(x, b, operator, 255)), objective(round_plainly(x, 255))
    assert ours < plain - 0.7 * (plain - float(errors.min()))


def test_saturated_pixels_stay_in_range() -> None:
    operator = BicubicDownsample(2)
    b = torch.ones(1, 8, 8, dtype=torch.float64)
    b[..., ::2] = 0
    x = make_consistent(Picture(torch.rand(1, 16, 16).double()), Picture(b), operator, 0.0).colour
    z = round_consistently(x, b, operator, 255)
    assert z.min() >= 0
    assert z.max() <= 255
    assert decibel(z, b, operator) > decibel(round_plainly(x, 255), b, operator)


@pytest.mark.parametrize("epsilon", [0.1, 1.0])
def test_rounding_stays_within_epsilon_without_leaving_the_image(epsilon: float) -> None:
    operator = BicubicDownsample(2)
    truth, b = pair(operator)
    noisy = type(truth)(truth.colour + 0.05 * torch.randn_like(truth.colour))
    x = make_consistent(noisy, b, operator, epsilon).colour.clamp(0, 1)
    x = make_consistent(type(truth)(x), b, operator, epsilon).colour
    goal = rounding_goal(x, b.colour, operator, epsilon, 255)
    z = round_consistently(x, goal, operator, 255)
    assert ((operator(z[None] / 255)[0] - b.colour).flatten(1).norm(dim=1) <= epsilon).all()
    assert (z / 255 - x).square().mean().sqrt() * 255 < 0.7
    assert torch.equal(rounding_goal(x, b.colour, operator, 0.0, 255), b.colour)


@pytest.mark.parametrize("size", [(2, 2), (2, 40), (3, 5)])
def test_tiny_images(size: tuple[int, int]) -> None:
    operator = BicubicDownsample(2)
    x = torch.rand(1, *size, dtype=torch.float64)
    assert round_consistently(x, operator(x[None])[0], operator, 255).shape == x.shape


def test_other_operators_get_plain_rounding() -> None:
    x = smooth(1, 16, 16)
    operator = BlurDownsample(torch.ones(3, 3) / 9, 2)
    assert torch.equal(round_consistently(x, operator(x[None])[0], operator, 255), round_plainly(x, 255))


def test_what_clipping_takes_other_pixels_give_back() -> None:
    """A photograph of hard contrast, whose consistent enlargement overshoots: finer levels agree better."""
    colour = torch.from_numpy(data.chelsea()[60:140, 100:200].transpose(2, 0, 1) / 255.0)
    operator = BicubicDownsample(2)
    lr = operator((1.6 * colour - 0.2).clamp(0, 1)[None])[0]
    x = make_consistent(Picture(1.6 * colour - 0.2), Picture(lr), operator, 0.0).colour
    assert ((x < 0) | (x > 1)).double().mean() > 0.01
    coarse, fine = (
        -10
        * math.log10(float((operator(round_consistently(x, lr, operator, peak)[None] / peak)[0] - lr).square().mean()))
        for peak in (255, 65535)
    )
    assert fine > coarse + 5
    assert coarse > decibel(round_plainly(x, 255), lr, operator) + 20


def test_plain_rounding_stays_where_epsilon_allows_for_it() -> None:
    operator = BicubicDownsample(2)
    truth, b = pair(operator, size=(32, 32))
    x = make_consistent(truth, b, operator, 0.0).colour
    plain = round_plainly(x, 255)
    reached = float((operator(plain[None] / 255)[0] - b.colour).flatten(1).norm(dim=1).max())
    assert torch.equal(round_within(x, b.colour, operator, 1.01 * reached, 255), plain)
    tighter = round_within(x, b.colour, operator, 0.5 * reached, 255)
    assert not torch.equal(tighter, plain)
    assert float((operator(tighter[None] / 255)[0] - b.colour).flatten(1).norm(dim=1).max()) <= 0.5 * reached
