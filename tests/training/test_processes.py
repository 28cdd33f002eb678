"""Two gloo processes against one: the same means to the last bit, the same gradient, and no word within a solve."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.multiprocessing.spawn import spawn
from torch.nn.parallel import DistributedDataParallel

from mcnet_lightning.data.loading import EvenShare
from mcnet_lightning.denoisers import DnCNN
from mcnet_lightning.equilibrium import GMRES, AndersonSolver, EquilibriumLayer
from mcnet_lightning.evaluation.metrics import ImageMeans
from mcnet_lightning.operators import BicubicDownsample

PROCESSES = 2
IMAGES = 5  # shared out unevenly
COLLECTIVES = ("all_reduce", "all_gather", "broadcast", "reduce", "barrier", "all_gather_object", "gather", "scatter")
Figures = dict[str, Tensor]


class Patches(nn.Module):
    """The layer on a batch of patches, as trained."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        solver = AndersonSolver(tolerance=1e-12, max_evaluations=400)
        denoiser = DnCNN(depth=3, channels=6, parameterisation="averaged")
        self.layer = EquilibriumLayer(denoiser, 0.2, solver=solver, backward_solver=GMRES(1e-12, 200)).double()
        self.operator = BicubicDownsample(2)

    def forward(self, measurement: Tensor, prior: Tensor) -> Tensor:
        return self.layer(prior, measurement, self.operator, 0.05).estimate


def batch() -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    truth = torch.rand(4, 1, 16, 16, generator=generator, dtype=torch.float64)
    prior = (truth + 0.1 * torch.randn(truth.shape, generator=generator, dtype=torch.float64)).clamp(0, 1)
    return truth, prior, BicubicDownsample(2)(truth)


def gradient(model: nn.Module, places: slice) -> None:
    truth, prior, measurement = batch()
    error = model(measurement[places], prior[places]) - truth[places]
    error.square().mean(dim=(1, 2, 3)).mean().backward()


def figures() -> list[dict[str, Any]]:
    values = torch.rand(IMAGES, generator=torch.Generator().manual_seed(2), dtype=torch.float64) * 1e3
    return [{"psnr": value[None] / 7} for value in values]


def means(rank: int, processes: int) -> Figures:
    metric = ImageMeans(("psnr",))
    share = EvenShare(figures(), rank, processes)
    for image in [share[index] for index in range(len(share))]:
        metric.update(image["counts"], psnr=image["psnr"])
    return metric.compute()


def forbid_words_within_solves(patch: Callable[[Any, str, Any], None], said: list[str]) -> list[bool]:
    """Notes every collective call that comes while a solver is at work."""
    solving = [False]

    def watched(method: Any) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            solving[0] = True
            try:
                return method(*arguments, **options)
            finally:
                solving[0] = False

        return call

    def noted(name: str, function: Any) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            if solving[0]:
                said.append(name)
            return function(*arguments, **options)

        return call

    patch(AndersonSolver, "solve", watched(AndersonSolver.solve))
    patch(GMRES, "solve_adjoint", watched(GMRES.solve_adjoint))
    for name in COLLECTIVES:
        patch(dist, name, noted(name, getattr(dist, name)))
    return solving


def process(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=PROCESSES)
    said: list[str] = []
    solving = forbid_words_within_solves(setattr, said)
    model = DistributedDataParallel(Patches())

    # PyTorch asks for this very annotation, and its types do not know the name
    def averaged(_: None, bucket: dist.GradBucket) -> torch.futures.Future[Tensor]:  # type: ignore[name-defined]
        if solving[0]:
            said.append("gradients")
        work = dist.all_reduce(bucket.buffer() / PROCESSES, async_op=True)
        assert work is not None
        return work.get_future().then(lambda future: future.value()[0])

    model.register_comm_hook(None, averaged)
    gradient(model, slice(rank, None, PROCESSES))
    grads = {name: parameter.grad for name, parameter in model.module.named_parameters()}
    torch.save({"grads": grads, "means": means(rank, PROCESSES), "said": said}, f"{folder}/{rank}.pt")
    dist.barrier()
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    folder: Path = tmp_path_factory.mktemp("processes")
    spawn(process, (str(folder),), nprocs=PROCESSES)
    return [torch.load(folder / f"{rank}.pt") for rank in range(PROCESSES)]


def test_gradients_are_those_of_one_process_on_the_same_batch(results: list[dict[str, Any]]) -> None:
    alone = Patches()
    gradient(alone, slice(None))
    for name, parameter in alone.named_parameters():
        assert parameter.grad is not None
        for result in results:
            difference = (result["grads"][name] - parameter.grad).norm()
            assert difference <= 1e-6 * parameter.grad.norm(), name


def test_means_over_uneven_shares_are_those_of_one_process_exactly(results: list[dict[str, Any]]) -> None:
    for result in results:
        assert torch.equal(result["means"]["psnr"], means(0, 1)["psnr"])


def test_processes_say_nothing_within_a_solve(results: list[dict[str, Any]]) -> None:
    assert [result["said"] for result in results] == [[], []]
