"""The grid for beta: means as computed one by one, and a best row that stands."""

import csv
from pathlib import Path

import pytest
import torch

from mcnet_lightning.backbones import load_backbone
from mcnet_lightning.data import WholeImages, load_images
from mcnet_lightning.data.sources import EMBEDDED
from mcnet_lightning.errors import ConvergenceError
from mcnet_lightning.evaluation.beta_search import BetaRow, best_beta, print_rows, search_beta, write_rows
from mcnet_lightning.model.layer_files import load_layer
from mcnet_lightning.problems.quality import psnr
from mcnet_lightning.problems.super_resolution import SuperResolution

ROWS = [
    BetaRow(0.01, 34.0, 1.0, 0.9, 99.0, 0.5),
    BetaRow(0.1, 33.5, 0.5, 0.4, 20.0, 1.0),
    BetaRow(1.0, 33.2, 0.2, 0.1, 9.0, 1.0),
]


@torch.no_grad()
def test_rows_are_means_over_images_of_the_layer_at_that_beta() -> None:
    images = WholeImages(load_images(EMBEDDED, "validation"), SuperResolution("paper", 2), crop=48)
    backbone, layer = load_backbone("srcnn", 2), load_layer()
    low, high = search_beta(layer, backbone, images, [0.1, 1e4])
    reference, expected = load_layer(), []
    reference.set_prior_weight(0.1)
    for i in range(len(images)):
        w = backbone.prior_image(images[i])
        seen = images[i]["observation"]
        x = reference(w, seen.measurement, seen.operator).estimate
        expected.append([psnr(image, seen.truth, 2).item() for image in (x, w)])
    of_layer, of_backbone = torch.tensor(expected, dtype=torch.float64).mean(dim=0).tolist()
    assert low.quality == pytest.approx(of_layer, abs=1e-6)
    assert low.gain == pytest.approx(of_layer - of_backbone, abs=1e-6)
    assert low.converged == high.converged == 1.0
    assert low.headroom == high.headroom > 0
    assert abs(high.gain_over_projection) < 1e-3 < abs(low.gain_over_projection)  # a huge beta is projection


def test_best_is_the_highest_that_converged_everywhere() -> None:
    assert best_beta(ROWS) is ROWS[1]
    with pytest.raises(ConvergenceError, match=r"no beta of 0\.01 converged"):
        best_beta(ROWS[:1])


def test_table_and_file_hold_every_row(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_rows(tmp_path / "search_beta.csv", ROWS)
    with (tmp_path / "search_beta.csv").open(newline="") as file:
        header, *read = csv.reader(file)
    assert header[:3] == ["beta", "psnr_y", "gain"]
    assert [BetaRow(*map(float, row)) for row in read] == ROWS
    assert [path.name for path in tmp_path.iterdir()] == ["search_beta.csv"]
    print_rows(ROWS, "title")
    printed = capsys.readouterr().out
    assert all(word in printed for word in ("title", "0.01", "33.500", "+0.100", "50%"))
