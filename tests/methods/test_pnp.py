"""Plug-and-play against a dense reference: with a linear denoiser it solves a quadratic programme."""

import hashlib
from pathlib import Path
from typing import Any

import pytest
import torch
from references import dense_matrix, norms, relative_error, uniform
from torch import Tensor

from mcnet_lightning.denoisers import DnCNN
from mcnet_lightning.equilibrium import Denoiser, MeasurementBall, Outcome
from mcnet_lightning.errors import ConfigError, DataError, WeightsError
from mcnet_lightning.files.downloads import RemoteFile
from mcnet_lightning.methods import PnP, load_pnp_denoiser, pnp
from mcnet_lightning.methods.primal_dual import gradient, gradient_adjoint
from mcnet_lightning.model.layer_files import save_denoiser
from mcnet_lightning.operators import BicubicDownsample, DenseOperator

A = BicubicDownsample(2)
HEIGHT, WIDTH = 8, 10


class QuadraticProx(Denoiser):
    """v -> argmin_u 1/2 ||D u||^2 + 1/2 ||u - v||^2 = (I + D^T D)^{-1} v, D the forward differences."""

    def __init__(self) -> None:
        super().__init__()
        self.penalty = dense_matrix(lambda u: gradient_adjoint(gradient(u)), 1, HEIGHT, WIDTH)
        self.inverse = torch.linalg.inv(torch.eye(HEIGHT * WIDTH, dtype=torch.float64) + self.penalty)

    def forward(self, image: Tensor) -> Tensor:
        return (image.flatten(1) @ self.inverse.T).view_as(image)


def smoothest_consistent_image(b: Tensor) -> Tensor:
    """argmin ||D x||^2 s.t. A x = b, from its optimality conditions as one dense system."""
    Q = QuadraticProx().penalty
    M = dense_matrix(A, 1, HEIGHT, WIDTH)
    system = torch.cat([torch.cat([Q, M.T], 1), torch.cat([M, torch.zeros(len(M), len(M), dtype=Q.dtype)], 1)])
    right = torch.cat([torch.zeros(len(Q), dtype=Q.dtype), b.flatten()])
    return torch.linalg.solve(system, right)[: len(Q)].view(1, 1, HEIGHT, WIDTH)


def measured(batch: int = 1) -> Tensor:
    return A(uniform(batch, 1, HEIGHT, WIDTH))


@pytest.mark.parametrize("mixing", [1.0, 0.6])
def test_reaches_the_minimiser_that_the_denoiser_stands_for(mixing: float) -> None:
    b = measured()
    solver = PnP(QuadraticProx(), tolerance=1e-12, max_iterations=5000, mixing=mixing)
    x, stats = solver.solve(uniform(1, 1, HEIGHT, WIDTH), MeasurementBall(b, A))
    assert stats.converged.all()
    assert relative_error(x, smoothest_consistent_image(b)) <= 1e-8


def test_is_consistent_however_early_it_stops() -> None:
    b = measured(2)
    for radius in (0.0, 0.1):
        x, stats = PnP(QuadraticProx(), tolerance=1e-12, max_iterations=3).solve(
            uniform(2, 1, HEIGHT, WIDTH), MeasurementBall(b, A, radius)
        )
        assert (norms(A(x) - b) <= radius * (1 + 1e-9) + 1e-12).all()
        assert stats.evaluations.tolist() == [3, 3]
        assert stats.failed.all()


def test_a_sample_alone_or_in_a_batch_ends_the_same() -> None:
    b, start = measured(3), uniform(3, 1, HEIGHT, WIDTH)
    solver = PnP(QuadraticProx(), tolerance=1e-6, max_iterations=500)
    together, stats = solver.solve(start, MeasurementBall(b, A))
    for i in range(3):
        alone, own = solver.solve(start[i : i + 1], MeasurementBall(b[i : i + 1], A))
        assert relative_error(together[i : i + 1], alone) <= 1e-10
        assert stats.evaluations[i] == own.evaluations[0]


@torch.no_grad()
def test_half_precision_ends_where_single_precision_ends() -> None:
    torch.manual_seed(1)
    denoiser = DnCNN(depth=3, channels=8, parameterisation="averaged")
    b = measured(2).float()
    start, ends = torch.rand(2, 1, HEIGHT, WIDTH), []
    for half in (False, True):
        x, stats = PnP(denoiser, tolerance=1e-3, max_iterations=200, half_iterations=half).solve(
            start, MeasurementBall(b, A)
        )
        assert stats.converged.all()
        assert len(stats.trace) >= int(stats.evaluations.max())
        ends.append(x)
    assert relative_error(ends[1], ends[0]) <= 2e-2


@pytest.mark.parametrize("options", [{"tolerance": 0.0}, {"max_iterations": 0}, {"mixing": 0.0}, {"mixing": 1.5}])
def test_impossible_settings_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        PnP(QuadraticProx(), **options)


def test_default_denoiser_is_the_bundled_one_of_seventeen_layers() -> None:
    for word in ("bundled", "bundled:dncnn17"):
        denoiser = load_pnp_denoiser(word)
        assert isinstance(denoiser, DnCNN)
        assert denoiser.hyperparameters["depth"] == 17


def test_own_files_are_read_and_others_refused(tmp_path: Path) -> None:
    own = DnCNN(depth=3, channels=4)
    save_denoiser(tmp_path / "own.safetensors", own, {})
    read, image = load_pnp_denoiser(tmp_path / "own.safetensors"), torch.rand(1, 1, 9, 9)
    assert torch.allclose(read(image), own.eval()(image), atol=1e-6)
    torch.save({"conv1.weight": torch.ones(3)}, tmp_path / "srcnn.pth")
    with pytest.raises(WeightsError, match=r"srcnn\.pth is neither ours nor the published format"):
        load_pnp_denoiser(tmp_path / "srcnn.pth")
    with pytest.raises(WeightsError, match="no denoiser 'none17' is bundled"):
        load_pnp_denoiser("bundled:none17")


def test_official_denoiser_is_the_published_file(shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = (shared / "weights" / "dncnn" / "dncnn_gray_sigma25.pth").read_bytes()
    assert pnp.OFFICIAL_DENOISER.sha256 == hashlib.sha256(content).hexdigest()
    monkeypatch.setenv("MCNET_CACHE", str(tmp_path))
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "dncnn_25.pth").write_bytes(content)
    denoiser = load_pnp_denoiser("official")
    clean = torch.full((1, 1, 32, 32), 0.5)
    noisy = clean + 25 / 255 * torch.randn(1, 1, 32, 32)
    assert norms(denoiser(noisy) - clean) <= 0.3 * norms(noisy - clean)


def test_official_denoiser_offline_names_url_and_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MCNET_CACHE", str(tmp_path))
    monkeypatch.setattr(pnp, "OFFICIAL_DENOISER", RemoteFile("http://127.0.0.1:1/dncnn_25.pth"))
    with pytest.raises(DataError, match=rf"127\.0\.0\.1:1/dncnn_25\.pth .* at {tmp_path}/weights/dncnn_25\.pth"):
        load_pnp_denoiser("official")


def test_a_ball_out_of_reach_is_no_success() -> None:
    low_rank = DenseOperator(torch.tensor([[1.0, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1]]), (1, 2, 2))
    b = torch.tensor([[1.0, 0, 0.5], [0.7, 0.7, 0.1]], dtype=torch.float64)
    for radius, ended in ((1e-3, [Outcome.INCONSISTENT, Outcome.CONVERGED]), (0.7072, [Outcome.CONVERGED] * 2)):
        _, stats = PnP(torch.nn.Identity(), max_iterations=500).solve(
            uniform(2, 1, 2, 2), MeasurementBall(b, low_rank, radius)
        )
        assert stats.outcome.tolist() == ended
    _, stats = PnP(torch.nn.Identity(), max_iterations=500).solve(
        uniform(2, 1, 2, 2), MeasurementBall(b, low_rank, 1e-3)
    )
    assert float(stats.attainable[0]) == pytest.approx(0.5**0.5)
    assert float(stats.distance[0]) == pytest.approx(0.5**0.5)
