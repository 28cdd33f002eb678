"""The mean of several networks, and of a network's own turned outputs."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from in_process import command
from scipy.optimize import minimize
from torch import Tensor, nn

from mcnet_lightning.backbones import load_backbone
from mcnet_lightning.backbones.frozen import BackboneSpec, FrozenBackbone
from mcnet_lightning.backbones.several import SeveralBackbones, best_shares
from mcnet_lightning.cli.words import hydra_words
from mcnet_lightning.config.checking import compose_config
from mcnet_lightning.data import load_images
from mcnet_lightning.errors import ConfigError
from mcnet_lightning.evaluation.records import SETTLED
from mcnet_lightning.imaging import write_png
from mcnet_lightning.sweeps.content import content


def several(*names: str, shares: object = None) -> SeveralBackbones:
    made = load_backbone("several", 2, None, {"networks": list(names), "shares": shares})
    assert isinstance(made, SeveralBackbones)
    return made


def test_is_the_mean_in_its_shares() -> None:
    picture = torch.rand(1, 3, 12, 10, generator=torch.manual_seed(0))
    rcan, rdn = (load_backbone(name, 2).picture(picture) for name in ("rcan", "rdn"))
    torch.testing.assert_close(several("rcan", "rdn").picture(picture), (rcan + rdn) / 2)
    torch.testing.assert_close(several("rcan", "rdn", shares=[3, 1]).picture(picture), (3 * rcan + rdn) / 4)


def test_one_anchor_stands_for_all() -> None:
    """sum_k beta_k ||x - w_k||^2 has the gradient of beta ||x - w||^2, in float64."""
    drawn = torch.Generator().manual_seed(0)
    x, *w = (torch.rand(1, 1, 5, 4, dtype=torch.float64, generator=drawn) for _ in range(4))
    betas, x = (0.2, 0.5, 0.1), x.requires_grad_()
    torch.stack([beta * (x - each).square().sum() for beta, each in zip(betas, w, strict=True)]).sum().backward()
    mean = sum(beta * each for beta, each in zip(betas, w, strict=True)) / sum(betas)
    torch.testing.assert_close(x.grad, 2 * sum(betas) * (x.detach() - mean))


def test_says_whose_it_is_and_what_it_depends_on() -> None:
    alike, unlike = several("rcan", "rdn"), several("rcan", "rdn", shares=[2, 1])
    assert alike.spec.label == "RCAN (compact, ours) + RDN (compact, ours)"
    assert unlike.spec.label == "0.667 RCAN (compact, ours) + 0.333 RDN (compact, ours)"
    assert len({each.spec.identity for each in (alike, unlike, several("rcan"), several("rdn", "rcan"))}) == 4
    assert alike.spec.input_kind == "lr_rgb"
    assert several("rcan", "srcnn").spec.input_kind == "observation"


@pytest.mark.parametrize("shares", [[1], [1, -1], [0, 0], "mine", [1, float("nan")]])
def test_shares_that_do_not_fit_are_refused(shares: object) -> None:
    with pytest.raises(ConfigError, match="does not fit 2 networks"):
        several("bicubic", "srcnn", shares=shares)


def test_best_shares_are_those_of_a_constrained_solver() -> None:
    drawn = np.random.default_rng(0)
    mixed = drawn.standard_normal((4, 4)) @ drawn.standard_normal((4, 200))
    mixed[3] *= 5  # so that it gets nothing
    found = best_shares([torch.from_numpy(row) for row in mixed])
    start, unit = np.full(4, 0.25), [{"type": "eq", "fun": lambda share: share.sum() - 1}]
    wanted = minimize(lambda s: ((s @ mixed) ** 2).mean(), start, bounds=[(0, 1)] * 4, constraints=unit, tol=1e-12)
    np.testing.assert_allclose(found, wanted.x, atol=1e-4)
    assert best_shares([torch.ones(5), torch.ones(5)]) == pytest.approx([0.5, 0.5], abs=1e-4)


class Slanted(nn.Module):
    """Anything but equal in all directions."""

    def forward(self, image: Tensor) -> Tensor:
        return nn.functional.interpolate(image, scale_factor=2) + image.roll(1, -1).repeat_interleave(
            2, -1
        ).repeat_interleave(2, -2)


def test_an_ensemble_turns_with_its_input() -> None:
    spec = BackboneSpec("slanted", 2, "measurement")
    alone, together = FrozenBackbone(Slanted(), spec), FrozenBackbone(Slanted(), replace(spec, ensemble=8))
    image = torch.rand(1, 1, 6, 9, generator=torch.manual_seed(0))
    for turns, axis in ((1, -1), (0, -1), (3, -2)):
        turned = image.rot90(turns, (-2, -1)).flip(axis)
        torch.testing.assert_close(together(turned), together(image).rot90(turns, (-2, -1)).flip(axis))
        assert not torch.allclose(alone(turned), alone(image).rot90(turns, (-2, -1)).flip(axis))
    assert together.spec.identity != alone.spec.identity
    assert together.spec.label == "slanted+"


def test_words_for_several() -> None:
    words = hydra_words("evaluate", ["backbone=[rcan,precomputed:my pictures]", "backbone=rdn"])
    assert words == ["backbone=several", "backbone.networks=[rcan,'precomputed:my pictures']", "backbone=rdn"]


def test_a_sweep_s_job_depends_on_their_files(tmp_path: Path) -> None:
    (tmp_path / "rdn.pt").write_bytes(b"one")
    config = compose_config("evaluate", ["backbone=several", f"backbone.networks=[rcan,'rdn:{tmp_path / 'rdn.pt'}']"])
    before = content(config)["config"]["backbone.networks"]
    assert before[0] == ["rcan", ""]
    (tmp_path / "rdn.pt").write_bytes(b"two")
    assert content(config)["config"]["backbone.networks"] != before


def test_commands_take_several(tmp_path: Path) -> None:
    for part in ("test", "train"):
        (tmp_path / "data" / part / "Small").mkdir(parents=True)
    for each in load_images("photographs", "test")[:1]:
        write_png(tmp_path / "data" / "test" / "Small" / "a.png", each.rgb[:, 60:92, 60:92])
        for name in ("a", "b"):
            write_png(tmp_path / "data" / "train" / "Small" / f"{name}.png", each.rgb[:, 90:154, 40:104])
    data = ["data=folder", "data.root=data", "data.train=[Small]", "data.test=[Small]"]
    words = ["backbone=[bicubic,srcnn]", "backbone.shares=auto", "layer.weights=bundled:srcnn", "hydra.run.dir=run"]
    done = command(tmp_path, "evaluate", *data, *words)
    assert done.returncode == 0, done.stderr
    assert "the best on 1 held-out training images" in done.stdout
    assert (tmp_path / "run" / SETTLED).read_text().startswith("backbone.shares: [")
    turned = command(tmp_path, "evaluate", *data, "backbone=srcnn", "backbone.ensemble=8", "hydra.run.dir=turned")
    assert turned.returncode == 0, turned.stderr
    assert "SRCNN+ (ours)" in turned.stdout
    words = ["data/test/Small/a.png", "out", "scale=2", "backbone=[bicubic,srcnn]"]
    restored = command(tmp_path, "restore", *words, "layer.weights=none")
    assert restored.returncode == 0, restored.stderr
    refused = command(tmp_path, "restore", *words, "backbone.shares=auto")
    assert refused.returncode == 2
    assert "needs training images" in refused.stderr
