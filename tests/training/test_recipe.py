"""The paper's trainings, by name: what `train experiment=paper_NETWORK_xSCALE` stands for."""

from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
from composing_once import compose
from sweep_commands import make_pictures
from training_commands import checkpoint, run

from mcnet_lightning.build import build_epsilon, build_layer
from mcnet_lightning.denoisers import DnCNN
from mcnet_lightning.equilibrium import EquilibriumLayer
from mcnet_lightning.equilibrium.epsilon import Epsilon
from mcnet_lightning.errors import ConfigError
from mcnet_lightning.model.layer_files import save_layer

LEVELS = {"srcnn": None, "rdn": 0.1, "rcan": 0.1}  # an l2 radius of 0.1, as published, binds no patch of 48 x 48


@pytest.mark.parametrize("scale", [2, 3, 4])
@pytest.mark.parametrize("network", LEVELS)
def test_every_training_of_the_paper_has_a_name(network: str, scale: int) -> None:
    config = compose("train", [f"experiment=paper_{network}_x{scale}"])
    assert (config.backbone.name, config.backbone.weights, config.scale) == (network, "official", scale)
    assert (config.epsilon, config.epsilon_levels) == (None, LEVELS[network])
    assert build_epsilon(config) == Epsilon(LEVELS[network] or 0.0, "levels" if LEVELS[network] else "l2")
    assert (list(config.data.train), config.trainer.max_epochs, config.protocol.name) == (["T91"], 40, "paper")
    last_rate = config.optimiser.learning_rate * config.optimiser.final_fraction
    assert (config.optimiser.learning_rate, last_rate) == (1e-4, pytest.approx(1e-5))


def test_the_command_line_wins() -> None:
    words = ["experiment=paper_rcan_x4", "data=photographs", "backbone.weights=bundled", "trainer.max_epochs=1"]
    config = compose("train", words)
    assert (list(config.data.train), config.backbone.weights, config.trainer.max_epochs) == (
        ["photographs"],
        "bundled",
        1,
    )
    assert (config.scale, config.epsilon_levels) == (4, 0.1)
    published = compose("train", ["experiment=paper_rcan_x4", "epsilon=0.1", "epsilon_levels=null"])
    assert build_epsilon(published) == Epsilon(0.1)
    exact = compose("train", ["experiment=paper_rcan_x4", "epsilon=0", "epsilon_levels=null"])
    assert build_epsilon(exact) == Epsilon(0.0)


@pytest.mark.parametrize("epsilon", ["0", "0.0", "0.1"])
def test_an_epsilon_beside_the_recipe_s_own_is_refused(epsilon: str) -> None:
    answer = r"epsilon=[0.1]+ and epsilon_levels=0\.1 are two answers .*\(epsilon=null or epsilon_levels=null\)"
    with pytest.raises(ConfigError, match=answer):
        compose("train", ["experiment=paper_rcan_x2", f"epsilon={epsilon}"])


def test_beta_of_a_trained_layer_is_not_started_anew() -> None:
    words = ["layer=bundled", "layer.prior_weight=0.3"]
    with pytest.raises(ConfigError, match=r"layer\.weights=bundled brings its own; give beta=0\.3"):
        build_layer(compose("train", words))
    layer = build_layer(compose("train", ["layer=fresh", "layer.prior_weight=0.3"]))
    assert layer.prior_weight.item() == pytest.approx(0.3)


def test_relaxation_is_the_file_s_unless_said(tmp_path: Path) -> None:
    save_layer(tmp_path / "a.safetensors", EquilibriumLayer(DnCNN(2, 4), relaxation=0.5), {"scale": 2})
    words = [f"layer.weights={tmp_path / 'a.safetensors'}"]
    assert build_layer(compose("evaluate", words)).relaxation == 0.5
    assert build_layer(compose("evaluate", [*words, "layer.relaxation=1"])).relaxation == 1
    assert build_layer(compose("train", ["layer=fresh", "layer.relaxation=0.8"])).relaxation == 0.8
    with pytest.raises(ConfigError, match=r"layer\.relaxation"):
        compose("train", ["layer.relaxation=1.2"])


@pytest.mark.parametrize("kind", ["layer", "denoiser"])
@pytest.mark.parametrize("norms", [1.0, 3.0])
def test_only_what_was_normalised_is_normalised_again(
    tmp_path: Path, norms: float, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_pictures(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MCNET_CACHE", str(tmp_path / "cache"))
    network = DnCNN(2, 4)
    network.fold()
    with torch.no_grad():
        network.weights[1].mul_(norms)
    save_layer(tmp_path / "start.safetensors", EquilibriumLayer(network), {"scale": 2})  # the denoiser's, too
    words = {"layer": [], "denoiser": ["layer.weights=none", "denoiser.depth=2", "denoiser.channels=4"]}[kind]
    expected = nullcontext() if norms == 1 else pytest.warns(UserWarning, match="without spectral normalisation")
    with expected:
        run("train", *words, f"{kind}.weights=start.safetensors", "trainer.max_steps=1", folder="run")
    kept = checkpoint("run")["state_dict"]
    assert any("norms" in name for name in kept) == (norms == 1)
