"""Three lines of Python: every kind of image comes back as the same kind, consistent."""

import numpy as np
import pytest
import torch
from pictures import levels, smooth
from PIL import Image

from mcnet_lightning import load_restorer, restore_image
from mcnet_lightning.errors import DataError, WeightsError
from mcnet_lightning.operators import BicubicDownsample
from mcnet_lightning.restoration import Restorer

A = BicubicDownsample(2)


@pytest.fixture(scope="module")
def restorer() -> Restorer:
    return load_restorer("bicubic", 2)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.uint8])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_tensors(restorer: Restorer, channels: int, dtype: torch.dtype) -> None:
    image = levels(smooth(channels, 12, 16))
    given = (image * 255).round().to(dtype) if dtype == torch.uint8 else image.to(dtype)
    made = restore_image(given, restorer)
    assert (made.dtype, made.shape) == (dtype, (channels, 24, 32))
    error = A(made.double()[None] / (255 if dtype == torch.uint8 else 1))[0] - image
    assert error.square().mean().sqrt() < {torch.uint8: 3e-4, torch.float32: 1e-7, torch.float64: 1e-12}[dtype]


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("shape", [(12, 16), (12, 16, 1), (12, 16, 3), (12, 16, 2)])
def test_arrays(restorer: Restorer, shape: tuple[int, ...], dtype: str) -> None:
    peak = {"uint8": 255, "uint16": 65535, "float32": 1}[dtype]
    array = (smooth(1, 12, 16)[0, ..., None].expand(12, 16, (*shape, 1)[2]).reshape(shape) * peak).numpy().astype(dtype)
    made = restore_image(array, restorer)
    assert (str(made.dtype), made.shape) == (dtype, (24, 32, *shape[2:]))
    assert np.abs(made.mean() - array.mean()) < 0.01 * peak


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA"])
def test_pil_images(restorer: Restorer, mode: str) -> None:
    made = restore_image(Image.new(mode, (16, 12), 120 if mode == "L" else (120,) * len(mode)), restorer)
    assert (made.mode, made.size) == (mode, (32, 24))
    assert np.unique(np.asarray(made)).tolist() == [120]


@pytest.mark.parametrize(
    "wrong", [np.zeros((4, 4), dtype=np.int64), np.zeros((4, 4, 5)), torch.zeros(4, 4), np.full((4, 4), np.nan)]
)
def test_what_is_no_image_is_refused(restorer: Restorer, wrong: np.ndarray) -> None:
    with pytest.raises(DataError, match=r"no image|NaN"):
        restore_image(wrong, restorer)


def test_layer_is_the_bundled_one_where_there_is_one() -> None:
    assert load_restorer("srcnn", 2).layer is not None
    assert load_restorer("bicubic", 2).layer is None
    assert load_restorer("srcnn", 2, layer="none").layer is None
    with pytest.raises(WeightsError, match="is bundled"):
        load_restorer("bicubic", 2, layer="bundled")
