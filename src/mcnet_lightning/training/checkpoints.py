"""Checkpoints: written beside their final name, with the one before kept, and checked before they are trusted."""

import os
import shutil
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.io.torch_io import TorchCheckpointIO
from pytorch_lightning.callbacks import Checkpoint, ModelCheckpoint
from pytorch_lightning.utilities.rank_zero import rank_zero_only
from torch import Tensor

from mcnet_lightning.data.loading import ResumableLoader
from mcnet_lightning.errors import WeightsError
from mcnet_lightning.files import make_folder, staged, unwritable
from mcnet_lightning.files.private_apis import accumulates, counted_as_open, take_up_loops
from mcnet_lightning.problems.figures import Figure
from mcnet_lightning.training.optimisation import require_finite_weights
from mcnet_lightning.training.processes import EndTogether

LAST = "last"


class StagedCheckpoints(TorchCheckpointIO):
    """Lightning's own way stages in TMPDIR: from another file system that is a copy, of which a kill leaves half."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        target = Path(path)
        make_folder(target.parent)
        with staged(target) as temporary:
            try:
                torch.save(checkpoint, temporary)
            except RuntimeError as error:  # what PyTorch makes of a full disk
                raise unwritable(target, _refusal(error), "free space and give the same command again") from None
            if target.stem == LAST:
                _keep(target)


def before(path: Path) -> Path:
    """The name under which the checkpoint that `path` replaced is kept."""
    return path.with_name(f"{path.stem}.before{path.suffix}")


def readable(path: Path) -> Path:
    """The checkpoint itself, or the one before if it is damaged. Raises WeightsError if neither can be read."""
    damage = _damage(path)
    if damage is None:
        return path
    earlier = before(path)
    if earlier.is_file() and _damage(earlier) is None:
        print(f"{path} is damaged ({damage}); the one before is taken", flush=True)
        return earlier
    raise WeightsError(f"{path} is damaged ({damage}) and there is none before it; resume from another checkpoint")


def load(path: Path) -> dict[str, Any]:
    """A checkpoint's content, mapped from the disk. Raises WeightsError if it is none of a training."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # a damaged pickle fails in every way there is
        raise WeightsError(f"{path} cannot be resumed ({_first_line(error)}); give a last.ckpt of a run") from None
    if not _is_of_a_training(content):
        raise WeightsError(f"{path} is no checkpoint of a training; give RUN/checkpoints/last.ckpt")
    return content


class BestCheckpoint(ModelCheckpoint):
    """Keeps best.ckpt, by val/psnr as a rule. A run that goes on in another folder takes the best so far along."""

    def __init__(self, folder: Path, resumed: Path | None, headline: Figure) -> None:
        mode = "min" if headline.smaller_is_better else "max"
        name = f"val/{headline.kind}"
        super().__init__(folder, "best", monitor=name, mode=mode, save_top_k=1, enable_version_counter=False)
        self.resumed = resumed

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        assert self.dirpath is not None
        recorded = Path(state_dict["best_model_path"]).name
        if recorded and self.resumed is not None:
            earlier, ours = self.resumed.with_name(recorded), Path(self.dirpath) / recorded
            if not earlier.is_file():
                return  # the checkpoint was given without it: the best is found anew
            if (damage := _damage(earlier)) is not None:
                print(f"{earlier} is damaged ({damage}); the best is found anew", flush=True)
                ours.unlink(missing_ok=True)
                return
            if earlier.resolve() != ours.resolve():
                _copy(earlier, ours)
            paths = dict.fromkeys(("best_model_path", "kth_best_model_path"), str(ours))
            scores = {str(ours): state_dict["best_model_score"]}
            super().load_state_dict({**state_dict, **paths, "best_k_models": scores, "dirpath": self.dirpath})


class LastCheckpoint(Checkpoint):
    """Keeps last.ckpt: every `steps` steps, when a signal is about to end the run, and at the end of every epoch.

    It is written when the loader is asked for the next batch: by then the step is logged, and validated if that was
    due, so that a run that goes on repeats nothing and misses nothing.
    """

    def __init__(self, path: Path, steps: int, ending: EndTogether) -> None:
        self.path, self.steps, self.ending = path, steps, ending
        self.saved_at = 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.saved_at = trainer.global_step
        take_up_loops(trainer.fit_loop)
        self._watch(trainer)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:  # maybe another loader
        self._watch(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        with counted_as_open(trainer.fit_loop):
            self._save(trainer)

    def _watch(self, trainer: pl.Trainer) -> None:
        loader = trainer.train_dataloader
        assert isinstance(loader, ResumableLoader)
        loader.between_batches = lambda: self._between_batches(trainer)

    def _between_batches(self, trainer: pl.Trainer) -> None:
        due = self.ending.agreed or trainer.global_step // self.steps > self.saved_at // self.steps
        if due and not accumulates(trainer.fit_loop):
            self._save(trainer)

    def _save(self, trainer: pl.Trainer) -> None:
        require_finite_weights(trainer.lightning_module)
        trainer.save_checkpoint(self.path, weights_only=False)
        self.saved_at = trainer.global_step


@rank_zero_only
def _copy(source: Path, target: Path) -> None:
    make_folder(target.parent)
    with staged(target) as temporary:
        shutil.copyfile(source, temporary)


def _keep(target: Path) -> None:
    """The checkpoint that is about to be replaced keeps its content under another name."""
    spare = target.with_name(f".{before(target).name}.{os.getpid()}")
    with suppress(OSError):  # there is none yet, or the file system knows no second names
        os.link(target, spare)
        os.replace(spare, before(target))


def _damage(path: Path) -> str | None:
    """What is wrong with the file; None if every entry's checksum is right."""
    try:
        with zipfile.ZipFile(path) as archive:
            wrong = archive.testzip()
        return None if wrong is None else f"{wrong} has a wrong checksum"
    except Exception as error:  # a damaged archive fails in every way there is
        return _first_line(error)


def _is_of_a_training(content: Any) -> bool:
    """Whether a checkpoint has what a training goes on from, of the kinds that it has to be."""
    kinds: dict[str, Any] = {"state_dict": dict, "global_step": int, "loops": dict}
    if not isinstance(content, dict) or not all(isinstance(content.get(key), kinds[key]) for key in kinds):
        return False
    run = content.get("run", {"config": {}, "identity": {}, "patches": None})
    told = isinstance(run, dict) and all(isinstance(run.get(key), dict) for key in ("config", "identity"))
    return told and "patches" in run and all(isinstance(each, Tensor) for each in content["state_dict"].values())


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0][:120] if str(error).strip() else type(error).__name__


def _refusal(error: RuntimeError) -> OSError:
    return OSError(None, _first_line(error))
