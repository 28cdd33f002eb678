"""What must not end as a success, with stand-ins for solves that went wrong."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from mcnet_lightning.backbones import BackboneSpec, FrozenBackbone, load_backbone
from mcnet_lightning.data import WholeImages
from mcnet_lightning.data.sources import NamedImage
from mcnet_lightning.equilibrium import EquilibriumLayer, MeasurementBall, Outcome, SolveStats
from mcnet_lightning.equilibrium.layer import LayerResult
from mcnet_lightning.errors import CertificateError, ConvergenceError, MCNetError, WeightsError
from mcnet_lightning.evaluation.beta_search import search_beta
from mcnet_lightning.evaluation.failures import Failures, failure_of
from mcnet_lightning.evaluation.ladder import Ladder
from mcnet_lightning.evaluation.records import MEAN, Record
from mcnet_lightning.evaluation.runs import evaluate_ladder
from mcnet_lightning.methods import Backbone, Bicubic, MCNetLayer, ProjectedBackbone, ProjectedBicubic
from mcnet_lightning.model.layer_files import load_layer
from mcnet_lightning.problems.super_resolution import SuperResolution

QUALITY = {"psnr_y": 30.0, "ssim_y": 0.9}
RECORD = Record("paper", "A", "Set5", 2, "srcnn", "mcnet", "baby", QUALITY, 1e-6, 150.0, epsilon=1e-3)
CPU = torch.device("cpu")
LADDER = [Bicubic(), ProjectedBicubic(), Backbone(), ProjectedBackbone(), MCNetLayer()]


def stats(outcome: Outcome, attainable: float = 0.0) -> SolveStats:
    one = torch.ones(1, dtype=torch.float64)
    ended, least = torch.tensor([int(outcome)]), torch.tensor([attainable], dtype=torch.float64)
    return SolveStats(torch.tensor([7]), 1e-6 * one, ended, one[None], 1e-6 * one, least)


@pytest.mark.parametrize("outcome", [Outcome.CONVERGED, Outcome.MAX_EVALUATIONS, Outcome.UNMEASURED])
def test_an_image_within_epsilon_is_no_failure(outcome: Outcome) -> None:
    assert failure_of(RECORD, stats(outcome), 100) is None
    assert failure_of(replace(RECORD, epsilon=None, consistency=9.0), None, 100) is None  # promises nothing
    rounding = 1e-6 * 100**0.5
    assert failure_of(replace(RECORD, consistency=1e-3 + 0.9 * rounding), None, 100) is None
    assert failure_of(replace(RECORD, consistency=1e-3 + 1.1 * rounding), None, 100) is not None


@pytest.mark.parametrize(
    ("outcome", "error", "says"),
    [
        (
            Outcome.INCONSISTENT,
            CertificateError,
            "Set5, baby: mcnet ended as INCONSISTENT: .* smallest epsilon .* is 0.5",
        ),
        (Outcome.INEXACT, CertificateError, "ended as INEXACT: .*preconditioner"),
        (Outcome.WRONG_ADJOINT, CertificateError, "ended as WRONG_ADJOINT: .*check_adjoint"),
        (Outcome.NON_FINITE, ConvergenceError, "Set5, baby: mcnet: .*NON_FINITE"),
    ],
)
def test_what_a_solve_says_counts_whatever_the_image(outcome: Outcome, error: type[MCNetError], says: str) -> None:
    failure = failure_of(RECORD, stats(outcome, attainable=0.5), 100)
    assert failure is not None
    failures = Failures([failure])
    with pytest.raises(error, match=says):
        failures.raise_first()


@pytest.mark.parametrize("distance", [1.09, float("nan")])
def test_a_distance_counts_whatever_the_solve_says(distance: float) -> None:
    for solve in (None, stats(Outcome.CONVERGED)):
        failure = failure_of(replace(RECORD, consistency=distance), solve, 100)
        assert failure is not None
        sentence, kind = failure
        assert kind is CertificateError
        assert "epsilon = 0.001 was asked for" in sentence
    assert "an epsilon of 1.0901 would be met" in sentence or distance != 1.09


def test_nan_comes_first_and_the_rest_is_counted() -> None:
    Failures().raise_first()
    failures = Failures([("far away", CertificateError), ("not a number", WeightsError)])
    with pytest.raises(WeightsError, match=r"^not a number \(and 1 more, named above\)$"):
        failures.raise_first()


class NaNOnBright(nn.Module):
    def forward(self, image: Tensor) -> Tensor:
        return image / (image.mean() < 0.5)


def images(*brightness: float) -> WholeImages:
    flat = [NamedImage("Own", f"i{index}", torch.full((3, 24, 24), value)) for index, value in enumerate(brightness)]
    noisy = [replace(image, rgb=(image.rgb + 0.1 * torch.rand(3, 24, 24)).clamp(0, 1)) for image in flat]
    return WholeImages(noisy, SuperResolution("paper", 2))


class Unreachable(nn.Module):
    """A layer whose solves end INCONSISTENT, one grey level away from what they have to agree with."""

    def forward(self, w: Tensor, b: Tensor, operator: Any, epsilon: Any) -> LayerResult:
        return LayerResult(w + 1 / 255, w, stats(Outcome.INCONSISTENT, attainable=0.04))


def test_one_image_of_nan_is_named_and_the_others_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    backbone = FrozenBackbone(NaNOnBright(), BackboneSpec("moody", 2, "upsampled"))
    ladder = Ladder(backbone, None, SuperResolution("paper", 2), 0.0, LADDER, CPU)
    records, failures = evaluate_ladder(ladder, images(0.2, 0.8, 0.3))
    assert {record.image for record in records} == {"i0", "i2", MEAN}
    assert all(record.headline == record.headline for record in records)
    printed = capsys.readouterr()
    assert "Own (2 images)" in printed.out
    assert " nan " not in printed.out
    assert "not measured: Own, i1: the output of moody holds NaN or Inf" in printed.err
    with pytest.raises(WeightsError, match=r"^Own, i1: "):
        failures.raise_first()
    with pytest.raises(WeightsError, match="and 1 more"):
        evaluate_ladder(ladder, images(0.8, 0.9))


def test_an_unmet_epsilon_is_written_marked_and_raised_at_the_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    layer: Any = Unreachable()
    ladder = Ladder(load_backbone("bicubic", 2), layer, SuperResolution("paper", 2), 1e-3, LADDER, CPU)
    records, failures = evaluate_ladder(ladder, images(0.2))
    assert [record.method for record in records if record.image == MEAN] == [method.name for method in LADDER]
    assert "failed: Own, i0: mcnet ended as INCONSISTENT" in capsys.readouterr().err
    with pytest.raises(CertificateError, match=r"\|\|A x - b\|\| = .* smallest epsilon that can be met is 0\.04"):
        failures.raise_first()


def test_a_layer_of_nan_is_no_row() -> None:
    layer: Any = nn.Module()
    layer.forward = lambda w, *_: LayerResult(w / 0 * 0, w, stats(Outcome.CONVERGED))
    ladder = Ladder(load_backbone("bicubic", 2), layer, SuperResolution("paper", 2), 0.0, LADDER, CPU)
    with pytest.raises(ConvergenceError, match="Own, i0: mcnet: "):
        evaluate_ladder(ladder, images(0.2))


class NaNAfterwards(nn.Module):
    """A denoiser whose second answer is NaN: the solver still has a plausible state to return."""

    calls = 0

    def forward(self, image: Tensor) -> Tensor:
        self.calls += 1
        return image if self.calls == 1 else image * torch.nan


def test_a_denoiser_of_nan_gives_no_row_and_its_image_is_named() -> None:
    layer = EquilibriumLayer(NaNAfterwards())
    answer = r"^i0: beta=0\.1: the solve ended as NON_FINITE .*check the image and the denoiser's weights"
    with pytest.raises(ConvergenceError, match=answer):
        list(search_beta(layer, load_backbone("bicubic", 2), images(0.2, 0.3), [0.1]))


def test_what_misses_its_ball_is_said_once(recwarn: pytest.WarningsRecorder, monkeypatch: pytest.MonkeyPatch) -> None:
    ladder = Ladder(load_backbone("bicubic", 2), None, SuperResolution("paper", 2), 0.0, [ProjectedBicubic()], CPU)
    monkeypatch.setattr(MeasurementBall, "project", lambda self, image: image + 1 / 255)  # a projection that fails
    monkeypatch.setattr("mcnet_lightning.evaluation.ladder.headroom", lambda *_: torch.zeros(1))  # projects, too
    _, failures = evaluate_ladder(ladder, images(0.2))
    assert not [warning for warning in recwarn if "project_measurement_ball" in str(warning.message)]
    with pytest.raises(CertificateError, match=r"^Own, i0: bicubic\+projection"):
        failures.raise_first()


def test_no_beta_is_searched_where_epsilon_cannot_be_met(monkeypatch: pytest.MonkeyPatch) -> None:
    found = images(0.2)
    backbone, layer = load_backbone("bicubic", 2), load_layer()
    monkeypatch.setattr(MeasurementBall, "reach", lambda _, w: (w + 0.1, None))
    with pytest.raises(CertificateError, match=r"i0: the projection reaches \|\|A x - b\|\| = "):
        list(search_beta(layer, backbone, found, [0.1]))
    monkeypatch.undo()
    unreachable: Any = Unreachable()
    unreachable.set_prior_weight = lambda beta: None
    answer = r"^i0: beta=0\.1: the solve ended as INCONSISTENT with "
    with pytest.raises(CertificateError, match=answer):
        list(search_beta(unreachable, backbone, found, [0.1]))
