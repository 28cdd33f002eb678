"""Which process sees which patches and images, in an order that a resumed training can take up again."""

from collections.abc import Callable, Iterator
from typing import Any

from torch.utils.data import DataLoader, Dataset, DistributedSampler

from mcnet_lightning.errors import ConfigError


class PatchSampler(DistributedSampler[Any]):
    """This process' share of the permutation of (seed, epoch): every `processes`-th patch from `rank` on.

    The shares of one step together are the batch that a single process would draw.
    """

    skipped = (0, 0)  # (epoch, patches of it that were seen before)

    def __iter__(self) -> Iterator[Any]:
        order = list(super().__iter__())
        epoch, seen = self.skipped
        self.skipped = (0, 0)
        return iter(order[seen:] if epoch == self.epoch else order)


class ResumableLoader(DataLoader[dict[str, Any]]):
    """A loader whose place within an epoch is kept in checkpoints, by Lightning, and taken up from there."""

    batches_seen = 0
    between_batches: Callable[[], None] | None = None  # called when the next batch of an epoch is asked for

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]  # torch names the class of its own iterator
        assert isinstance(self.sampler, PatchSampler)
        assert self.batch_size is not None
        self.batches_seen = self.sampler.skipped[1] // self.batch_size
        for batch in super().__iter__():
            if self.between_batches is not None and self.batches_seen:
                self.between_batches()
            self.batches_seen += 1
            yield batch

    def state_dict(self) -> dict[str, int]:
        assert isinstance(self.sampler, PatchSampler)
        return {"epoch": self.sampler.epoch, "batches": self.batches_seen}

    def load_state_dict(self, state: dict[str, int]) -> None:
        assert isinstance(self.sampler, PatchSampler)
        assert self.batch_size is not None
        if state["batches"] < len(self):  # else the next epoch begins
            self.sampler.set_epoch(state["epoch"])
            self.sampler.skipped = (state["epoch"], state["batches"] * self.batch_size)


class EvenShare(Dataset[dict[str, Any]]):
    """Every `processes`-th image from `rank` on. All processes have equally many: what one sees only so that it has as
    much to do as the others carries `counts=False` and must not enter a mean.
    """

    def __init__(self, images: Any, rank: int, processes: int) -> None:
        self.images, self.rank, self.processes = images, rank, processes

    def __len__(self) -> int:
        return -(-len(self.images) // self.processes)

    def __getitem__(self, index: int) -> dict[str, Any]:
        if index >= len(self):
            raise IndexError(index)
        place = index * self.processes + self.rank
        return {**self.images[place % len(self.images)], "position": place, "counts": place < len(self.images)}


def share_of_batch(batch_size: int, processes: int) -> int:
    """Patches per process. Raises ConfigError if they cannot be shared out evenly."""
    if batch_size % processes:
        raise ConfigError(
            f"data.batch_size={batch_size} cannot be shared out among {processes} processes; "
            f"take data.batch_size={max(1, round(batch_size / processes)) * processes}"
        )
    return batch_size // processes
