"""Frozen means frozen."""

import copy

import pytest
import torch
from torch import Tensor, nn

from mcnet_lightning.backbones import BackboneSpec, FrozenBackbone, InputKind
from mcnet_lightning.errors import DataError, WeightsError
from mcnet_lightning.operators import BicubicDownsample
from mcnet_lightning.problems import Observation


class Greedy(nn.Module):
    """A network that writes into its input, and behaves otherwise in training."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.full((1,), 3.0))
        self.dropout = nn.Dropout(0.9)

    def forward(self, image: Tensor) -> Tensor:
        image *= 255
        return self.dropout(self.gain * image[:, :1])


def frozen(kind: InputKind = "upsampled") -> FrozenBackbone:
    return FrozenBackbone(Greedy(), BackboneSpec("greedy", 2, kind))


def test_shows_no_parameters_and_no_state() -> None:
    backbone = nn.ModuleDict({"backbone": frozen()})
    assert not list(backbone.parameters())
    assert not backbone.state_dict()


def test_makes_no_gradients() -> None:
    backbone = frozen()
    assert not backbone(torch.rand(1, 1, 4, 4, requires_grad=True)).requires_grad
    assert not any(parameter.requires_grad for parameter in backbone.network.parameters())


def test_leaves_its_input_untouched() -> None:
    image = torch.rand(1, 1, 4, 4)
    before = image.clone()
    frozen()(image)
    assert torch.equal(image, before)


def test_stays_in_eval_when_its_owner_trains() -> None:
    backbone = frozen()
    nn.ModuleDict({"backbone": backbone}).train()
    assert not backbone.training
    assert not backbone.network.training
    image = torch.rand(1, 1, 4, 4)
    assert torch.equal(backbone(image), backbone(image))


def test_moves_with_its_owner() -> None:
    backbone = frozen()
    owner = nn.ModuleDict({"backbone": backbone}).double()
    assert backbone(torch.rand(1, 1, 4, 4).double()).dtype == torch.float64
    owner.to("meta")
    assert next(backbone.network.parameters()).is_meta


def test_copies_take_the_network_along() -> None:
    original = frozen()
    duplicate = copy.deepcopy(original).double()
    assert next(original.network.parameters()).dtype == torch.float32
    assert next(duplicate.network.parameters()).dtype == torch.float64


@pytest.mark.parametrize(
    ("kind", "shape"),
    [("upsampled", (1, 3, 4, 4)), ("lr_rgb", (1, 1, 4, 4)), ("upsampled", (1, 4, 4))],
)
def test_refuses_what_it_does_not_eat(kind: InputKind, shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match=f"greedy takes {kind} images"):
        frozen(kind)(torch.rand(shape))


def test_identity_tells_name_scale_and_weights() -> None:
    specs = [
        BackboneSpec("srcnn", 2, "upsampled", "a.pth", "0123456789abcdef0123"),
        BackboneSpec("srcnn", 3, "upsampled", "a.pth", "0123456789abcdef0123"),
        BackboneSpec("srcnn", 2, "upsampled", "a.pth", "ffff456789abcdef0123"),
        BackboneSpec("other", 2, "upsampled"),
    ]
    assert len({spec.identity for spec in specs}) == 4


class Overflowing(nn.Module):
    """A convolution whose values do not fit into float16, and come back to [0, 1]."""

    def __init__(self) -> None:
        super().__init__()
        self.up, self.down = nn.Conv2d(1, 1, 1, bias=False), nn.Conv2d(1, 1, 1, bias=False)
        nn.init.constant_(self.up.weight, 6e4)
        nn.init.constant_(self.down.weight, 1 / 6e4)

    def forward(self, image: Tensor) -> Tensor:
        return self.down(2 * self.up(image))


@pytest.mark.parametrize(
    ("precision", "remedy"), [("float16", "bfloat16 or float32"), ("bfloat16", None), ("float32", None)]
)
def test_no_nan_leaves_by_this_door(precision: str, remedy: str | None) -> None:
    backbone = FrozenBackbone(Overflowing(), BackboneSpec("loud", 2, "upsampled", precision=precision))
    upsampled = torch.full((1, 1, 4, 4), 0.8)
    observed = Observation(upsampled, torch.zeros(1, 1, 2, 2), BicubicDownsample(2), {"upsampled": upsampled})
    image = {"name": "baby", "observation": observed}
    if remedy is None:
        assert backbone.prior_image(image).isfinite().all()
        return
    with pytest.raises(WeightsError, match=f"^baby: the output of loud holds NaN or Inf .* take .*={remedy}$"):
        backbone.prior_image(image)


def test_whose_fault_nan_is() -> None:
    with pytest.raises(WeightsError, match="what greedy was given holds NaN or Inf; repair that image"):
        frozen()(torch.full((1, 1, 4, 4), torch.nan))
    broken = frozen()
    next(broken.network.parameters()).data.fill_(torch.inf)
    with pytest.raises(WeightsError, match=r"its weights \(none\) are damaged"):
        broken(torch.rand(1, 1, 4, 4))
