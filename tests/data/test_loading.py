"""Shares of a batch, and an epoch that is taken up again where it was left."""

from typing import Any

import pytest
import torch

from mcnet_lightning.data.loading import EvenShare, PatchSampler, ResumableLoader, share_of_batch
from mcnet_lightning.errors import ConfigError


def loader(rank: int = 0, processes: int = 1, batch: int = 4) -> ResumableLoader:
    data: Any = torch.arange(24)
    return ResumableLoader(data, batch_size=batch, sampler=PatchSampler(data, processes, rank, seed=3))


def sampler(of: ResumableLoader) -> PatchSampler:
    assert isinstance(of.sampler, PatchSampler)
    return of.sampler


def test_the_shares_of_a_step_are_the_batch_of_one_process() -> None:
    for one, *shares in zip(loader(), loader(0, 2, 2), loader(1, 2, 2), strict=True):
        assert set(one.tolist()) == set(torch.cat(shares).tolist())


@pytest.mark.parametrize(("epoch", "done"), [(0, 1), (0, 5), (2, 3)])
def test_a_resumed_epoch_gives_the_batches_that_are_left(epoch: int, done: int) -> None:
    first = loader()
    sampler(first).set_epoch(epoch)
    batches = iter(first)
    for _ in range(done):
        next(batches)
    again = loader()
    again.load_state_dict(first.state_dict())
    assert torch.equal(torch.cat(list(again)), torch.cat(list(batches)))
    assert again.state_dict() == first.state_dict() == {"epoch": epoch, "batches": 6}
    assert len(torch.cat(list(again))) == 24  # only that epoch was begun already


def test_a_finished_epoch_is_not_taken_up() -> None:
    first = loader()
    list(first)
    again = loader()
    again.load_state_dict(first.state_dict())
    assert len(list(again)) == 6


def test_epochs_differ_and_repeat_with_their_seed() -> None:
    one, other = loader(), loader()
    first = torch.cat(list(one))
    assert torch.equal(first, torch.cat(list(other)))
    sampler(one).set_epoch(1)
    assert not torch.equal(first, torch.cat(list(one)))


@pytest.mark.parametrize(("images", "processes"), [(5, 2), (1, 3), (4, 2)])
def test_every_image_counts_once_and_shares_are_equally_long(images: int, processes: int) -> None:
    shares = [EvenShare([{"name": str(i)} for i in range(images)], rank, processes) for rank in range(processes)]
    assert len({len(share) for share in shares}) == 1
    seen = [share[index] for share in shares for index in range(len(share))]
    assert sorted(image["name"] for image in seen if image["counts"]) == [str(i) for i in range(images)]


def test_a_batch_that_cannot_be_shared_out_is_refused() -> None:
    assert share_of_batch(16, 2) == 8
    with pytest.raises(ConfigError, match=r"take data\.batch_size=6"):
        share_of_batch(5, 3)
