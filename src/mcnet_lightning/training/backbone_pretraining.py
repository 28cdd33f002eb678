"""Trains a backbone from random weights (or from another file), before it is frozen."""

from typing import Any

import torch
from torch import Tensor, nn

from mcnet_lightning.backbones import as_luma
from mcnet_lightning.backbones.frozen import input_of
from mcnet_lightning.config.training import Damage, Optimiser
from mcnet_lightning.data import orient
from mcnet_lightning.evaluation.metrics import ImageMeans
from mcnet_lightning.problems import Observation, Problem, figure
from mcnet_lightning.training.damage import check_damage, damaged
from mcnet_lightning.training.draws import generator_for
from mcnet_lightning.training.optimisation import Training, adam_with_warmup, finite, training_loss


class BackbonePretraining(Training):
    """Error on x, or on RGB for a network that makes RGB; logs train/loss, the headline figure of the problem, as
    val/psnr, and val/gain (over the start). What a problem that is not local measures is drawn anew at each visit.
    Images held out are damaged as those that it trains on, each always in the same way.
    """

    def __init__(
        self,
        network: nn.Module,
        input_kind: str,
        problem: Problem,
        optimiser: Optimiser,
        seed: int = 0,
        damage: Damage | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.input_kind, self.problem = input_kind, problem
        self.settings, self.seed, self.damage = optimiser, seed, damage or Damage()
        check_damage(self.damage, input_kind)
        self.headline = figure(problem.figures[0])
        self.means = ImageMeans((self.headline.kind, "start"))

    def training_step(self, batch: dict[str, Any], index: int) -> Tensor:
        draws = generator_for(self.seed, self.current_epoch, index)
        turn = int(torch.randint(8, (), generator=draws))
        seen: Observation = batch["observation"]
        if self.problem.local:
            turn = turn if self.problem.turns and self.input_kind != "observation" else 0  # A stays as it is
            seen = seen.mapped(lambda image: orient(image, turn) if image.ndim == 4 else image)
        else:
            images = batch["images"].cpu()
            turn = turn if images.shape[-1] == images.shape[-2] else turn // 4 * 4  # sizes stay
            drawn = int(torch.randint(2**31, (), generator=draws))
            seen = self.problem.observe(orient(images, turn), drawn).to(self.device)
        seen = damaged(seen, self.damage, draws)
        estimate, truth = self.network(input_of(seen, self.input_kind)), seen.truth
        target = seen.colour if seen.colour is not None and estimate.shape[1] == 3 else truth
        loss = training_loss(estimate, target, seen.start, truth, self.settings)
        loss = finite(loss, self.global_step)
        self.log("train/loss", loss, prog_bar=True)
        return loss

    def validation_step(self, batch: dict[str, Any], index: int) -> None:
        seen = damaged(batch["observation"], self.damage, generator_for(self.seed, index))
        estimate = restored(self.network, seen, self.input_kind).float()
        quality, of_start = (self.problem.headline(image, seen.truth) for image in (estimate, seen.start))
        self.means.update(batch["counts"], **{self.headline.kind: quality, "start": of_start})

    def on_validation_epoch_end(self) -> None:
        means = self.means.compute()
        self.means.reset()
        name = self.headline.kind
        gain = (means[name] - means["start"]) * (-1 if self.headline.smaller_is_better else 1)
        self.log_dict({f"val/{name}": means[name].float(), "val/gain": gain.float()}, prog_bar=True)

    def configure_optimizers(self) -> Any:
        groups = [(self.network.parameters(), self.settings.learning_rate)]
        return adam_with_warmup(groups, self.settings, lambda: self.trainer.estimated_stepping_batches)


def restored(network: nn.Module, observation: Observation, input_kind: str) -> Tensor:
    """What the network makes of an observation, as x: Y of RGB where x is Y."""
    made: Tensor = network(input_of(observation, input_kind))
    return as_luma(made) if observation.truth.shape[1] == 1 else made
