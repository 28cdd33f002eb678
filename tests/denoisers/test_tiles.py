"""Tiles change no value, whatever the image's size, and are not used where a tape is kept."""

import pytest
import torch
from references import relative_error, uniform

from mcnet_lightning.denoisers import DnCNN, tiles


@pytest.fixture(autouse=True)
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiles, "WHOLE_UP_TO", 200)
    monkeypatch.setattr(tiles, "SIDE", 16)


@pytest.mark.parametrize("size", [(15, 14), (16, 48), (33, 31), (5, 90)])
@pytest.mark.parametrize("form", ["plain", "rounded"])
def test_tiles_give_the_values_of_the_whole(size: tuple[int, int], form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    bound, image = DnCNN(depth=4, channels=6).double().eval().bind(), uniform(2, 1, *size)
    network = bound if form == "plain" else bound.rounded(torch.float64)
    with torch.no_grad():
        tiled = network(image)
        monkeypatch.setattr(tiles, "WHOLE_UP_TO", size[0] * size[1])
        assert relative_error(tiled, network(image)) <= 1e-13


def test_a_tape_is_kept_of_the_whole() -> None:
    calls = []

    def function(image: torch.Tensor) -> torch.Tensor:
        calls.append(image.shape)
        return image

    tiles.in_tiles(function, uniform(1, 1, 20, 20), reach=1)
    with torch.no_grad():
        tiles.in_tiles(function, uniform(1, 1, 20, 20), reach=1)
    assert calls == [(1, 1, 20, 20), (1, 1, 17, 17), (1, 1, 17, 5), (1, 1, 5, 17), (1, 1, 5, 5)]
