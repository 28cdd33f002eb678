"""Half precision is used where the processor has units for it, and where the result does not depend on it."""

from collections.abc import Iterator
from threading import Event, Thread

import pytest
import torch
from references import uniform
from torch import Tensor

from mcnet_lightning.equilibrium import (
    AndersonSolver,
    Denoiser,
    EquilibriumLayer,
    MeasurementBall,
    SolveStats,
    project_measurement_ball,
)
from mcnet_lightning.equilibrium.implicit import JacobianFree, Vjp
from mcnet_lightning.equilibrium.precision import CPU_PROBES, FLOAT32_PRODUCTS, full_precision, half_pays
from mcnet_lightning.methods import PnP
from mcnet_lightning.operators import BicubicDownsample

CPU = torch.device("cpu")
A = BicubicDownsample(2)
ALLOWED = ["tf32", "tf32", "tf32", "bf16", "bf16", "bf16"]


@pytest.fixture(autouse=True)
def _asked_again() -> Iterator[None]:
    half_pays.cache_clear()
    yield
    half_pays.cache_clear()


@pytest.mark.parametrize("present", [(), *((probe,) for probe in CPU_PROBES)])
def test_one_kind_of_unit_is_enough(monkeypatch: pytest.MonkeyPatch, present: tuple[str, ...]) -> None:
    for probe in CPU_PROBES:
        monkeypatch.setattr(torch.cpu, probe, lambda found=probe in present: found, raising=False)
    assert half_pays(CPU) == bool(present)


def test_a_pytorch_without_the_probes_computes_in_full_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    for probe in CPU_PROBES:
        monkeypatch.delattr(torch.cpu, probe, raising=False)
    assert half_pays(CPU) is False


def test_other_devices_compute_in_full_precision() -> None:
    assert not half_pays(torch.device("meta"))


def allowed() -> list[str]:
    return [products.fp32_precision for products in FLOAT32_PRODUCTS]


@pytest.fixture
def _less_allowed() -> Iterator[None]:
    before = allowed()
    for products, precision in zip(FLOAT32_PRODUCTS, ALLOWED, strict=True):
        products.fp32_precision = precision
    yield
    for products, precision in zip(FLOAT32_PRODUCTS, before, strict=True):
        products.fp32_precision = precision


class Halving(Denoiser):
    """R(v) = v / 2; notes what float32 products are allowed meanwhile."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[list[str]] = []

    def forward(self, image: Tensor) -> Tensor:
        self.seen.append(allowed())
        return image / 2


class Adjoint(JacobianFree):
    """v = g; notes the same."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[list[str]] = []

    def solve_adjoint(self, vjp: Vjp, gradient: Tensor) -> tuple[Tensor, SolveStats]:
        self.seen.append(allowed())
        return super().solve_adjoint(vjp, gradient)


@pytest.mark.usefixtures("_less_allowed")
def test_solves_are_in_full_precision_whatever_the_process_allows() -> None:
    denoiser, adjoint = Halving(), Adjoint()
    layer = EquilibriumLayer(denoiser, solver=AndersonSolver(1e-6), backward_solver=adjoint)
    truth = uniform(2, 1, 8, 8).float()
    w = (truth + 0.1).requires_grad_()
    layer(w, A(truth), A).estimate.sum().backward()
    pnp = PnP(denoiser, tolerance=1e-3)
    pnp.solve(w.detach(), MeasurementBall(A(truth), A))
    assert isinstance(pnp.denoiser, Halving)
    for seen in (denoiser.seen, adjoint.seen, pnp.denoiser.seen):
        assert seen
        assert all(each == ["ieee"] * len(ALLOWED) for each in seen)
    assert allowed() == ALLOWED


@pytest.mark.usefixtures("_less_allowed")
def test_projections_are_exact_whatever_the_process_allows() -> None:
    truth = uniform(2, 1, 96, 96).float()
    projected = project_measurement_ball(torch.zeros_like(truth), A(truth.double()).float(), A)
    assert (A(projected.double()) - A(truth.double())).abs().max() < 1e-5
    assert allowed() == ALLOWED


@pytest.mark.usefixtures("_less_allowed")
def test_an_error_leaves_the_process_as_it_was() -> None:
    with pytest.raises(KeyError), full_precision(CPU):
        raise KeyError
    assert allowed() == ALLOWED


@pytest.mark.usefixtures("_less_allowed")
def test_a_solve_that_ends_leaves_another_threads_solve_in_full_precision() -> None:
    entered, over = Event(), Event()

    def solve() -> None:
        with full_precision(CPU):
            entered.set()
            over.wait(10)

    with full_precision(CPU):
        thread = Thread(target=solve)
        thread.start()
        assert entered.wait(10)
    assert set(allowed()) == {"ieee"}
    over.set()
    thread.join()
    assert allowed() == ALLOWED


CONVOLUTIONS = FLOAT32_PRODUCTS[1]  # torch.backends.cudnn.conv, which PyTorch's types do not know yet
OLDER = {
    "as PyTorch comes": lambda: None,
    "matrix products in TF32": lambda: torch.set_float32_matmul_precision("high"),
    "matrix products in bfloat16": lambda: torch.set_float32_matmul_precision("medium"),
    "convolutions as such": lambda: setattr(torch.backends.cudnn, "allow_tf32", False),
    "both by the flags of old": lambda: setattr(torch.backends.cuda.matmul, "allow_tf32", True),
    "everything in TF32, by the newest name": lambda: setattr(torch.backends, "fp32_precision", "tf32"),
    "convolutions, by the newest name": lambda: setattr(CONVOLUTIONS, "fp32_precision", "ieee"),
}


def by_older_names() -> list[object]:
    """What each says, None where PyTorch finds that they contradict the newer ones."""
    said = list[object]()
    for ask in (
        lambda: torch.backends.cudnn.allow_tf32,
        lambda: torch.backends.cuda.matmul.allow_tf32,
        torch.get_float32_matmul_precision,
    ):
        try:
            said.append(ask())
        except RuntimeError:
            said.append(None)
    return said


@pytest.fixture
def _settings_come_back() -> Iterator[None]:
    before = allowed()
    yield
    setattr(torch.backends, "fp32_precision", "none")  # noqa: B010 (PyTorch has it, its types do not)
    torch.backends.cudnn.allow_tf32 = True
    torch.set_float32_matmul_precision("highest")
    for products, precision in zip(FLOAT32_PRODUCTS, before, strict=True):
        products.fp32_precision = precision


@pytest.mark.usefixtures("_settings_come_back")
@pytest.mark.parametrize("setting", OLDER)
def test_older_names_can_be_read_within_a_solve_and_say_the_same_after_it(setting: str) -> None:
    OLDER[setting]()
    inside = list[object]()

    class Identity(Denoiser):
        def forward(self, image: Tensor) -> Tensor:
            inside.append(by_older_names())
            return image

    before = by_older_names(), allowed()
    w = torch.rand(1, 1, 8, 8)
    with torch.no_grad():
        EquilibriumLayer(Identity())(w, A(w), A)
    assert inside[0] == [False, False, "highest"]
    assert (by_older_names(), allowed()) == before
