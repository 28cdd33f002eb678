"""Layers and denoisers from files: ours, training checkpoints, and the published format."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from references import dncnn, relative_error, tiny_layer, uniform
from torch import nn

from mcnet_lightning.denoisers import DnCNN
from mcnet_lightning.equilibrium import AndersonSolver, EquilibriumLayer, MeasurementBall
from mcnet_lightning.errors import WeightsError
from mcnet_lightning.files.weights import bundled_path, read_weights, write_weights
from mcnet_lightning.model.layer_files import describe_layer, load_denoiser, load_layer, save_denoiser, save_layer
from mcnet_lightning.operators import BicubicDownsample

A = BicubicDownsample(2)
VARIANTS = [
    {},
    {"parameterisation": "averaged", "averaging": 0.25},
    {"spectral_norm": False, "rescale": "per_sample"},
]


def estimate(layer: EquilibriumLayer) -> torch.Tensor:
    torch.manual_seed(3)
    w = torch.rand(1, 1, 8, 8)
    layer.solver = AndersonSolver(max_evaluations=5)
    with torch.no_grad():
        return layer.eval()(w, A(torch.rand(1, 1, 8, 8)), A).estimate


def own_layer(**denoiser: Any) -> EquilibriumLayer:
    layer = tiny_layer(tolerance=1e-5, **denoiser).float()
    layer.set_prior_weight(0.3, floor=0.015)
    return layer


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_layer_round_trip(tmp_path: Path, variant: dict[str, object]) -> None:
    original = own_layer(**variant)
    save_layer(tmp_path / "layer.safetensors", original, {"backbone": "srcnn", "scale": 2})
    loaded = load_layer(tmp_path / "layer.safetensors", scale=2)
    assert torch.equal(estimate(loaded), estimate(original))
    assert describe_layer(loaded) == describe_layer(original.fold())
    assert torch.equal(loaded.prior_weight_floor, original.prior_weight_floor)


def test_stored_layer_is_small_and_can_be_trained_on(tmp_path: Path) -> None:
    original = EquilibriumLayer(DnCNN()).eval()
    save_layer(tmp_path / "layer.safetensors", original, {"scale": 2})
    assert (tmp_path / "layer.safetensors").stat().st_size < 1e6
    loaded = load_layer(tmp_path / "layer.safetensors")
    image = torch.rand(1, 1, 12, 12)
    before = loaded.denoiser(image)
    loaded.denoiser.normalise()
    assert loaded.denoiser.norms is not None
    assert (loaded.denoiser.eval()(image) - before).norm() <= 0.02 * before.norm()  # the norms are estimated anew


def test_relaxation_is_kept_and_older_readers_refuse_the_file(tmp_path: Path) -> None:
    original = own_layer()
    original.relaxation = 0.7
    save_layer(tmp_path / "layer.safetensors", original, {"scale": 2})
    loaded = load_layer(tmp_path / "layer.safetensors")
    assert loaded.relaxation == 0.7
    assert torch.equal(estimate(loaded), estimate(original))
    assert describe_layer(loaded)["format"] == 2
    description = {**describe_layer(own_layer()), "relaxation": 1.5}
    write_weights(tmp_path / "off.safetensors", own_layer().state_dict(), {"layer": json.dumps(description)})
    with pytest.raises(WeightsError, match="relaxation"):
        load_layer(tmp_path / "off.safetensors")


def test_a_layer_may_name_a_bundled_denoiser_instead_of_holding_it(tmp_path: Path) -> None:
    whole = EquilibriumLayer(load_denoiser("bundled:dncnn17"), prior_weight=2.0, relaxation=0.7)
    own = {name: tensor for name, tensor in whole.state_dict().items() if not name.startswith("denoiser.")}
    digest = read_weights(bundled_path("denoiser", "dncnn17")).sha256
    header = {"kind": "layer", "format": 2, "layer": json.dumps(describe_layer(whole)), "bundled_denoiser": "dncnn17"}
    for name, said in (("right", digest), ("wrong", digest[::-1])):
        write_weights(tmp_path / f"{name}.safetensors", own, {**header, "bundled_denoiser_sha256": said})
    assert torch.equal(estimate(load_layer(tmp_path / "right.safetensors")), estimate(whole))
    image = torch.rand(1, 1, 8, 8)
    assert torch.equal(load_denoiser(tmp_path / "right.safetensors")(image), whole.denoiser(image))
    with pytest.raises(WeightsError, match="another version of the bundled denoiser dncnn17"):
        load_layer(tmp_path / "wrong.safetensors")
    write_weights(tmp_path / "none.safetensors", own, {**header, "bundled_denoiser": "nonesuch"})
    with pytest.raises(WeightsError, match="nonesuch"):
        load_layer(tmp_path / "none.safetensors")


def test_folded_layer_round_trip(tmp_path: Path) -> None:
    original = own_layer().fold()
    save_layer(tmp_path / "layer.safetensors", original, {"scale": 2})
    assert torch.equal(estimate(load_layer(tmp_path / "layer.safetensors")), estimate(original))


def test_checkpoint_of_a_training_run_holds_a_layer(tmp_path: Path) -> None:
    original = own_layer()
    state = {f"model.layer.{name}": tensor for name, tensor in original.state_dict().items()}
    checkpoint = {"state_dict": {**state, "means.total": torch.zeros(2)}, "mcnet": {"layer": describe_layer(original)}}
    torch.save(checkpoint, tmp_path / "last.ckpt")
    assert torch.equal(estimate(load_layer(tmp_path / "last.ckpt")), estimate(original))


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_denoiser_round_trip(tmp_path: Path, variant: dict[str, object]) -> None:
    original = dncnn(own_layer(**variant))
    save_denoiser(tmp_path / "denoiser.safetensors", original, {"noise": 0.05})
    loaded, v = load_denoiser(tmp_path / "denoiser.safetensors").eval(), torch.rand(1, 1, 8, 8)
    assert torch.equal(loaded(v), original(v))


def test_layer_for_another_scale_is_refused(tmp_path: Path) -> None:
    save_layer(tmp_path / "layer.safetensors", own_layer(), {"scale": 2})
    with pytest.raises(WeightsError, match="made for scale=2, not scale=3"):
        load_layer(tmp_path / "layer.safetensors", scale=3)


class Foreign(nn.Module):
    """A denoiser of somebody else's, with tied weights and statistics."""

    def __init__(self, features: int = 3) -> None:
        super().__init__()
        self.hyperparameters: dict[str, Any] = {"features": features}
        self.first, self.norm = nn.Conv2d(1, features, 3, padding=1), nn.BatchNorm2d(features)
        self.again = self.first

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        features = torch.tanh(self.norm(self.first(image)) + self.again(image))
        return image - 0.1 * features.mean(dim=1, keepdim=True)


class Unknown(nn.Module):
    """One that says nothing of how it was made."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.network = nn.Sequential(nn.Conv2d(1, features, 1), nn.Conv2d(features, 1, 1))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = self.network(image)
        return result


def foreign_files(folder: Path, layer: EquilibriumLayer) -> list[Path]:
    """A layer's file, and a checkpoint of its training."""
    save_layer(folder / "layer.safetensors", layer, {"scale": 2})
    state = {f"model.layer.{name}": tensor for name, tensor in layer.state_dict().items()}
    record = {"kind": "layer", "scale": 2, "layer": describe_layer(layer)}
    torch.save({"state_dict": state, "mcnet": record}, folder / "last.ckpt")
    return [folder / "layer.safetensors", folder / "last.ckpt"]


def test_layer_on_a_foreign_denoiser_comes_back_where_its_class_is_given(tmp_path: Path) -> None:
    original = EquilibriumLayer(Foreign(5), 0.4)
    for path in foreign_files(tmp_path, original):
        given = Foreign(5)
        before = {name: tensor.clone() for name, tensor in given.state_dict().items()}
        for denoiser in (Foreign, given):
            loaded = load_layer(path, denoiser=denoiser)
            assert torch.equal(estimate(loaded), estimate(original))
            assert isinstance(loaded.denoiser.network, Foreign)
        assert all(torch.equal(tensor, before[name]) for name, tensor in given.state_dict().items())


def test_foreign_class_is_never_imported_because_a_file_says_so(tmp_path: Path) -> None:
    for path in foreign_files(tmp_path, EquilibriumLayer(Foreign(5))):
        for load in (load_layer, load_denoiser):
            with pytest.raises(
                WeightsError, match=r"on .*\.Foreign, .* load_layer\(PATH, denoiser=Foreign\)"
            ) as caught:
                load(path)
            assert str(caught.value).count("\n") == 0


def test_foreign_denoiser_without_hyperparameters_is_given_as_an_instance(tmp_path: Path) -> None:
    original = EquilibriumLayer(Unknown(4))
    for path in foreign_files(tmp_path, original):
        assert torch.equal(estimate(load_layer(path, denoiser=Unknown(4))), estimate(original))
        with pytest.raises(WeightsError, match="Unknown cannot be built from"):
            load_layer(path, denoiser=Unknown)
        with pytest.raises(WeightsError, match="does not fit EquilibriumLayer"):
            load_layer(path, denoiser=Unknown(3))


def test_hyperparameters_that_no_file_can_hold_are_refused(tmp_path: Path) -> None:
    network = Foreign()
    network.hyperparameters["features"] = torch.ones(2)
    with pytest.raises(WeightsError, match=r"Foreign\.hyperparameters holds more than"):
        save_layer(tmp_path / "layer.safetensors", EquilibriumLayer(network), {})


def test_files_say_their_format_and_newer_ones_are_refused(tmp_path: Path) -> None:
    save_layer(tmp_path / "layer.safetensors", own_layer(), {"scale": 2})
    save_denoiser(tmp_path / "denoiser.safetensors", dncnn(own_layer()), {})
    for name in ("layer", "denoiser"):
        assert read_weights(tmp_path / f"{name}.safetensors").metadata["format"] == "1"
    description = {**describe_layer(own_layer()), "format": 3}
    write_weights(tmp_path / "new.safetensors", own_layer().state_dict(), {"layer": json.dumps(description)})
    with pytest.raises(WeightsError, match="format 3, and this mcnet_lightning reads up to 2"):
        load_layer(tmp_path / "new.safetensors")


@pytest.mark.parametrize("penalty", [1.0, 4.0])
def test_file_from_before_the_format_is_read_with_beta_in_units_of_its_penalty(tmp_path: Path, penalty: float) -> None:
    original = own_layer()
    original.set_prior_weight(0.4, floor=0.06)
    description = {"penalty": penalty, "denoiser": original.denoiser.hyperparameters}
    write_weights(
        tmp_path / "old.safetensors", original.state_dict(), {"kind": "layer", "layer": json.dumps(description)}
    )
    loaded = load_layer(tmp_path / "old.safetensors")
    assert loaded.prior_weight.item() == pytest.approx(0.4 / penalty, rel=1e-6)
    assert loaded.prior_weight_floor.item() == pytest.approx(0.06 / penalty, rel=1e-6)
    w, b = torch.rand(1, 1, 8, 8), A(torch.rand(1, 1, 8, 8))
    x = loaded.map(w, b, A).estimate(w)
    bound = MeasurementBall(b, A).project((0.4 * w + penalty * w) / (0.4 + penalty))
    torch.testing.assert_close(x, bound)


def test_denoiser_becomes_the_R_of_an_untrained_layer(tmp_path: Path) -> None:
    original = own_layer()
    save_denoiser(tmp_path / "denoiser.safetensors", dncnn(original), {})
    layer = load_layer(tmp_path / "denoiser.safetensors")
    layer.set_prior_weight(original.prior_weight.item())
    assert torch.allclose(estimate(layer), estimate(original), atol=1e-5)
    assert dncnn(load_layer("bundled:dncnn17", "rcan", 3)).hyperparameters["depth"] == 17
    with pytest.raises(WeightsError, match="no layer 'dncnn17_x3' is bundled"):
        load_layer("bundled", "dncnn17", 3)  # a backbone that happens to have its name


@pytest.mark.parametrize("suffix", ["safetensors", "ckpt"])
def test_layer_lends_its_denoiser(tmp_path: Path, suffix: str) -> None:
    original, path = own_layer(), tmp_path / f"layer.{suffix}"
    if suffix == "ckpt":
        state = {f"model.layer.{name}": tensor for name, tensor in original.state_dict().items()}
        record = {"kind": "layer", "scale": 2, "layer": describe_layer(original)}
        torch.save({"state_dict": state, "mcnet": record}, path)
    else:
        save_layer(path, original, {"scale": 2})
    loaded, v = load_denoiser(path).eval(), torch.rand(1, 1, 8, 8)
    assert torch.equal(loaded(v), original.denoiser(v))


@pytest.mark.parametrize("load", [load_layer, load_denoiser])
def test_foreign_file_is_refused(tmp_path: Path, load: Callable[[Path], object]) -> None:
    write_weights(tmp_path / "other.safetensors", {"conv.weight": torch.ones(2)}, {})
    with pytest.raises(WeightsError, match=r"holds no equilibrium layer|neither ours nor the published"):
        load(tmp_path / "other.safetensors")


@pytest.mark.parametrize(
    ("words", "command"),
    [
        (("bundled", "rcan", 3), r"no layer 'rcan_x3' .* mcnet_lightning\.train backbone=rcan scale=3"),
        (("bundled:mine", "srcnn", 2), r"no layer 'mine_x2' .* mcnet_lightning\.train backbone=srcnn scale=2"),
        (("bundled:paper", "srcnn", 4), r"no layer 'paper_x4' .* backbone=srcnn backbone\.weights=official scale=4"),
    ],
)
def test_missing_bundled_layer_comes_with_its_training_command(
    words: tuple[str, str, int], command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mcnet_lightning.files.weights.ASSETS", tmp_path)
    with pytest.raises(WeightsError, match=command):
        load_layer(*words)


def test_bundled_layer_is_found_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mcnet_lightning.files.weights.ASSETS", tmp_path)
    save_layer(tmp_path / "layers" / "paper_x3.safetensors", own_layer(), {"backbone": "srcnn", "scale": 3})
    assert load_layer("bundled:paper", "rcan", 3).prior_weight.item() == pytest.approx(0.3)


@pytest.mark.parametrize("weights", ["bundled:nonsense", "nowhere.safetensors"])
def test_missing_layer_is_named(weights: str) -> None:
    with pytest.raises(WeightsError, match=weights.removeprefix("bundled:")):
        load_layer(weights)


@pytest.mark.parametrize("scale", [2, 4])
def test_published_layer_loads_its_own_convolutions_and_beta(shared: Path, scale: int) -> None:
    path = shared / f"weights/mcnet_published/mcnet_srcnn_x{scale}.pth"
    layer, stored = load_layer(path, scale=scale), torch.load(path, map_location="cpu", weights_only=True)
    for index, weight in enumerate(dncnn(layer).effective_weights()):
        assert torch.equal(weight, stored[f"f.dncnn.dncnn.{2 * index}.weight"])
    assert len(dncnn(layer).weights) == 6
    assert float(layer.prior_weight.detach()) == pytest.approx(float(stored["f.alpha"]), rel=1e-6)


def test_published_denoiser_loads_its_own_convolutions(shared: Path) -> None:
    path = shared / "weights/dncnn6_published/dncnn6_sigma_0.0625_0.1250.pth"
    stored = torch.load(path, map_location="cpu", weights_only=True)
    weights = load_denoiser(path).effective_weights()
    published = [tensor for name, tensor in stored.items() if name.endswith(".weight")]
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(weights, published, strict=True))


def test_published_denoiser_removes_noise(shared: Path) -> None:
    denoise = load_denoiser(shared / "weights/dncnn6_published/dncnn6_sigma_0.0625_0.1250.pth").double()
    clean = torch.linspace(0, 1, 40, dtype=torch.float64).view(1, 1, 1, 40).expand(1, 1, 40, 40)
    noisy = clean + 0.1 * torch.randn_like(clean)
    with torch.no_grad():
        assert relative_error(denoise(noisy), clean) < 0.4 * relative_error(noisy, clean)


def test_published_layer_of_another_scale_is_known_by_its_name(shared: Path) -> None:
    with pytest.raises(WeightsError, match="made for scale=4, not scale=2"):
        load_layer(shared / "weights/mcnet_published/mcnet_srcnn_x4.pth", scale=2)


def test_solver_settings_are_writable() -> None:
    layer = own_layer()
    layer.solver.tolerance = 0.5
    layer.solver.half_evaluations = False
    w = uniform(1, 1, 8, 8).float()
    assert layer(w, A(w), A).stats.evaluations.tolist() == [1]
