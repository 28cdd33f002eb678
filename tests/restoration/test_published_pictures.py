"""The commands on Set5 and on published super-resolved pictures, measured from the files with other libraries."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
import torch.nn.functional as F
from composing_once import compose
from PIL import Image

from mcnet_lightning import BicubicDownsample, certify, restore

pytestmark = pytest.mark.slow
LUMA = np.array([65.481, 128.553, 24.966])  # of values in [0, 1], BT.601 studio swing


@pytest.fixture
def set5(shared: Path) -> list[Path]:
    return sorted((shared / "data" / "test" / "Set5").iterdir())


@pytest.fixture
def published(shared: Path) -> Path:
    folder = shared / "sr_results"
    if not folder.is_dir():
        pytest.skip(f"no published pictures in {folder}")
    return folder


def pixels(path: Path) -> np.ndarray:
    """(H, W, 3) in [0, 1], float64."""
    if path.suffix == ".tiff":
        return tifffile.imread(path).astype(np.float64)
    return np.asarray(Image.open(path).convert("RGB")) / 255


def cropped(path: Path, scale: int) -> np.ndarray:
    hr = pixels(path)
    return hr[: hr.shape[0] // scale * scale, : hr.shape[1] // scale * scale]


def shrunk(image: np.ndarray, scale: int) -> np.ndarray:
    """torch's bicubic, (H, W, 3) -> (h, w, 3)."""
    given = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None]
    made = F.interpolate(given, scale_factor=1 / scale, mode="bicubic", antialias=True)
    return made[0].permute(1, 2, 0).numpy()


def psnr(image: np.ndarray, truth: np.ndarray) -> float:
    return float(-10 * np.log10(np.square(image - truth).mean()))


def psnr_y(image: np.ndarray, truth: np.ndarray, border: int) -> float:
    """Of Y, clipped, without the border, as in the literature."""
    y, y_true = ((16 + x.clip(0, 1) @ LUMA)[border:-border, border:-border] / 255 for x in (image, truth))
    return psnr(y, y_true)


def network(name: str, scale: int, shared: Path) -> list[str]:
    if name == "rcan":
        return ["backbone=rcan"]
    pytest.importorskip("spandrel")
    weights = shared / "weights" / "dctlsa" / f"dctlsa_x{scale}.pth"
    if not weights.is_file():
        pytest.skip(f"no {weights}")
    return ["backbone=spandrel", f"backbone.weights={weights}"]


@pytest.mark.parametrize("name", ["rcan", "dctlsa"])
@pytest.mark.parametrize("scale", [2, 4])
def test_set5_saved_as_tiff_and_as_8_bit(scale: int, name: str, set5: list[Path], shared: Path, tmp_path: Path) -> None:
    lr_folder = tmp_path / "lr"
    lr_folder.mkdir()
    for path in set5:
        lr = (shrunk(cropped(path, scale), scale).clip(0, 1) * 255).round().astype(np.uint8)
        Image.fromarray(lr).save(lr_folder / f"{path.stem}.png")
    kinds = {
        "tiff": ["format=tiff"],
        "ours": ["format=png8"],
        "plain": ["format=png8", "rounding=nearest"],
    }
    for kind, words in kinds.items():
        words = [*words, *network(name, scale, shared), f"scale={scale}", f"input={lr_folder}"]
        restore.run(compose("restore", [*words, f"output={tmp_path / kind}"]))
    for path in set5:
        lr, hr = pixels(lr_folder / f"{path.stem}.png"), cropped(path, scale)
        agrees, quality = {}, {}
        for kind in kinds:
            file = tmp_path / kind / f"{path.stem}.{'tiff' if kind == 'tiff' else 'png'}"
            made, stated = pixels(file), json.loads(file.with_name(f"{file.name}.json").read_text())
            error = shrunk(made, scale) - lr
            agrees[kind], quality[kind] = psnr(shrunk(made, scale), lr), psnr_y(made, hr, scale)
            assert stated["lr_psnr"] == pytest.approx(agrees[kind], abs=1e-6)
            for channel, colour in enumerate(("red", "green", "blue")):
                assert stated["consistency"][colour] == pytest.approx(np.linalg.norm(error[..., channel]), abs=1e-9)
        assert agrees["tiff"] >= 120
        assert agrees["ours"] >= agrees["plain"] + 3
        assert quality["ours"] >= quality["plain"] - 0.05


@pytest.mark.parametrize("damage", ["none", "jpeg", "gamma", "shift"])
def test_published_pictures_only_gain(damage: str, published: Path, tmp_path: Path) -> None:
    """`restore mode=fix` with the LR that MATLAB's operator makes, not rounded: nothing is ever lost."""
    scale, operator = 4, BicubicDownsample(4, "replicate")
    for folder in ("sr", "lr"):
        (tmp_path / folder).mkdir()
    truth = {}
    for path in sorted((published / "RCAN" / "Set5" / "x4").glob("*.png")):
        name = path.stem.split("_")[0]
        truth[name] = pixels(published / "HR" / "Set5" / "x4" / f"{name}_HR_x4.png")
        lr = operator(torch.from_numpy(truth[name]).permute(2, 0, 1)[None])[0].permute(1, 2, 0).numpy()
        damaged(pixels(path), damage, tmp_path / "sr" / f"{name}.tiff")
        tifffile.imwrite(tmp_path / "lr" / f"{name}.tiff", lr.astype(np.float32), photometric="rgb")
    folders = [f"{key}={tmp_path / folder}" for key, folder in (("sr", "sr"), ("lr", "lr"), ("output", "out"))]
    words = ["mode=fix", *folders, f"scale={scale}", "operator.boundary=replicate", "format=tiff"]
    restore.run(compose("restore", words))
    for name, hr in truth.items():
        before, after = (pixels(tmp_path / folder / f"{name}.tiff") for folder in ("sr", "out"))
        assert psnr(after, hr) >= psnr(before, hr), name
        certify.run(
            compose(
                "certify",
                [
                    f"image={tmp_path / 'out' / f'{name}.tiff'}",
                    f"measurement={tmp_path / 'lr' / f'{name}.tiff'}",
                    "operator.boundary=replicate",
                    "epsilon=1e-4",
                ],
            )
        )


def damaged(picture: np.ndarray, damage: str, path: Path) -> None:
    if damage == "jpeg":
        target = io.BytesIO()
        Image.fromarray((picture * 255).round().astype(np.uint8)).save(target, "JPEG", quality=60)
        picture = np.asarray(Image.open(target)) / 255
    elif damage == "gamma":
        picture = picture**1.1
    elif damage == "shift":
        picture = np.concatenate([picture[:, :1], picture[:, :-1]], axis=1)
    tifffile.imwrite(path, picture.astype(np.float32), photometric="rgb")


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_published_lr_is_recognised_from_the_files(
    scale: int, shared: Path, published: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, dataset, boundary in (
        ("butterfly", "Set5", "replicate"),
        ("woman", "Set5", "replicate"),
        ("zebra", "Set14", "symmetric"),
        ("comic", "Set14", "symmetric"),
    ):
        (source,) = (shared / "data" / "test" / dataset).glob(f"{name}.*")
        hr = (cropped(source, scale) * 255).round().astype(np.uint8)
        Image.fromarray(hr).save(tmp_path / "hr.png")
        (lr,) = (published / "LRBI" / dataset / f"x{scale}").glob(f"{name}*x{scale}.png")
        certify.run(compose("certify", [f"image={tmp_path / 'hr.png'}", f"measurement={lr}", "guess=true"]))
        assert capsys.readouterr().out.startswith(f"bicubic-x{scale}-{boundary} (")
