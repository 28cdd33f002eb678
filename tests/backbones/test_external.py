"""spandrel's networks behind the same door."""

import sys
from pathlib import Path

import pytest
import torch
from references import relative_error

from mcnet_lightning.backbones import load_backbone, untrained_backbone
from mcnet_lightning.errors import ConfigError, WeightsError
from mcnet_lightning.files.weights import write_weights

TINY = {"groups": 1, "blocks": 1, "features": 8, "reduction": 2}


@pytest.fixture
def rcan_file(tmp_path: Path) -> str:
    network, _ = untrained_backbone("rcan", 3, TINY)
    write_weights(tmp_path / "some.safetensors", network.state_dict(), {})
    return str(tmp_path / "some.safetensors")


def test_detected_network_equals_ours_and_leaves_its_input_alone(rcan_file: str) -> None:
    pytest.importorskip("spandrel")
    detected = load_backbone("spandrel", 3, rcan_file)
    image = torch.rand(2, 3, 12, 9)
    before = image.clone()
    expected = load_backbone("rcan", 3, rcan_file).network(image).clamp(0, 1)
    assert relative_error(detected.network(image.clone()), expected) <= 1e-5
    assert detected(image).shape == (2, 1, 36, 27)
    assert torch.equal(image, before)
    assert (detected.spec.name, detected.spec.channels, detected.spec.scale) == ("rcan", 3, 3)
    assert not list(detected.parameters())


def test_its_output_can_be_saved_for_a_gradient(rcan_file: str) -> None:
    """spandrel computes in inference mode, whose tensors autograd refuses."""
    pytest.importorskip("spandrel")
    prior = load_backbone("spandrel", 3, rcan_file)(torch.rand(1, 3, 8, 8))
    weight = torch.ones((), requires_grad=True)
    (weight * prior).sum().backward()
    assert weight.grad is not None


def test_wrong_scale_unknown_network_and_damaged_file_are_one_sentence(rcan_file: str, tmp_path: Path) -> None:
    pytest.importorskip("spandrel")
    with pytest.raises(WeightsError, match="made for scale=3, not scale=2"):
        load_backbone("spandrel", 2, rcan_file)
    write_weights(tmp_path / "odd.safetensors", {"nobody.knows": torch.ones(2)}, {})
    with pytest.raises(WeightsError, match="does not recognise this network"):
        load_backbone("spandrel", 2, str(tmp_path / "odd.safetensors"))
    network, _ = untrained_backbone("rcan", 3, TINY)
    tensors = dict(list(network.state_dict().items())[:-3])
    write_weights(tmp_path / "part.safetensors", tensors, {})
    with pytest.raises(WeightsError, match=r"part\.safetensors"):
        load_backbone("spandrel", 3, str(tmp_path / "part.safetensors"))


def test_without_spandrel_the_remedy_is_named(rcan_file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "spandrel", None)
    with pytest.raises(ConfigError, match=r"pip install 'mcnet-lightning\[spandrel\]'"):
        load_backbone("spandrel", 3, rcan_file)
