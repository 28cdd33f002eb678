"""End-to-end training of the equilibrium layer: loss, logging, optimisers; the mathematics lives in the model."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from mcnet_lightning.config.training import Optimiser
from mcnet_lightning.equilibrium import local_jacobian, project_measurement_ball
from mcnet_lightning.equilibrium.epsilon import Epsilon
from mcnet_lightning.equilibrium.stats import SolveStats
from mcnet_lightning.errors import ConvergenceError
from mcnet_lightning.evaluation.failures import UNMET
from mcnet_lightning.evaluation.metrics import ImageMeans, consistency, headroom
from mcnet_lightning.evaluation.records import meets
from mcnet_lightning.files.tensors import LARGEST
from mcnet_lightning.model.mcnet import MCNet
from mcnet_lightning.problems import Observation, Problem, figure
from mcnet_lightning.training.optimisation import Training, adam_with_warmup, finite, training_loss
from mcnet_lightning.training.warm_starts import WarmStarts

VALIDATION_FIGURES = (  # beside the headline figure
    "gain",
    "gain_over_projection",
    "headroom",
    "consistency",
    "not_met",
    "evaluations",
    "residual",
    "not_converged",
)
JACOBIAN_CROP = 48  # the local estimates need tapes and products: a crop of the first validation image will do
JACOBIAN_STEPS = 10


class LayerTraining(Training):
    """Logs of training: train/loss, psnr (or what else the problem's headline is), gain and gain_over_projection (dB),
    consistency, not_met (patches farther than epsilon from b), forward and backward evaluations, residuals and
    not_converged counts, beta. Of validation: the means of VALIDATION_FIGURES over images, val/jacobian_norm and
    val/spectral_radius (estimates from below) and val/denoiser_lipschitz_bound.

    `record` is what a checkpoint must know beside the tensors to describe and rebuild the layer.
    """

    def __init__(
        self,
        model: MCNet,
        problem: Problem,
        epsilon: float | Epsilon,
        optimiser: Optimiser,
        record: dict[str, Any],
    ) -> None:
        super().__init__()
        self.model = model
        self.problem, self.settings = problem, optimiser
        self.headline = figure(problem.figures[0])
        self.epsilon = Epsilon.of(epsilon)
        self.record = record
        self.means = ImageMeans((self.headline.kind, *VALIDATION_FIGURES))
        self.last_validation_image: dict[str, Tensor] | None = None
        self.local_estimates: dict[str, float] = {}
        self.warm_starts = WarmStarts()

    def training_step(self, batch: dict[str, Any], _: int) -> Tensor:
        prior, observation = batch["prior_image"], batch["observation"]
        truth, measurement = observation.truth, observation.measurement
        start = self.warm_starts.start(batch["index"], prior) if self.settings.warm_start else prior
        radii = self.problem.radii(self.epsilon, observation)
        with self._divergence_named():
            result = self.model(
                measurement, radii, prior_image=prior, initial_state=start, operator=observation.operator
            )
        if self.settings.warm_start:
            self.warm_starts.remember(batch["index"], result.state)
        with torch.no_grad():
            gains = self._gains(result.estimate.detach(), prior, observation, radii)
            agreement = consistency(result.estimate, measurement, observation.operator)
        self.log_dict({f"train/{name}": value.mean() for name, value in gains.items()})
        self.log("train/consistency", agreement.mean())
        self.log("train/not_met", self._not_met(agreement, radii, measurement, result.stats).sum())
        self._log_solve("train/forward", result.stats)
        self.log("train/beta", self.model.layer.prior_weight.detach())
        loss = finite(training_loss(result.estimate, truth, prior, truth, self.settings), self.global_step)
        self.log("train/loss", loss, prog_bar=True)
        return loss

    def on_after_backward(self) -> None:
        stats = self.model.layer.backward_stats
        if stats is not None:
            self._log_solve("train/backward", stats)

    def validation_step(self, batch: dict[str, Any], index: int) -> None:
        assert self.model.backbone is not None
        prior, observation = self.model.backbone.prior_image(batch, self.device), batch["observation"]
        measurement, operator = observation.measurement, observation.operator
        radii = self.problem.radii(self.epsilon, observation)
        with self._divergence_named(f"{batch['name']}: "):
            result = self.model(measurement, radii, prior_image=prior, operator=operator)
        gains = self._gains(result.estimate, prior, observation, radii)
        agreement = consistency(result.estimate, measurement, operator)
        self.means.update(
            batch["counts"],
            **gains,
            headroom=headroom(prior, observation, self.problem),
            consistency=agreement,
            not_met=self._not_met(agreement, radii, measurement, result.stats),
            evaluations=result.stats.evaluations,
            residual=result.stats.residual,
            not_converged=result.stats.failed,
        )
        if index == 0:
            panels = {"prior_image": prior, "estimate": result.estimate, "truth": observation.truth}
            shown = {"measurement": self.problem.seen(observation)}
            shown |= {name: self.problem.picture(image) for name, image in panels.items()}
            self.last_validation_image = {
                name: picture[0].mean(0, keepdim=True).cpu() for name, picture in shown.items()
            }
            self._log_local_jacobian(prior, observation, radii)

    def on_validation_epoch_end(self) -> None:
        means = self.means.compute()
        self.means.reset()
        shown = (self.headline.kind, "gain", "gain_over_projection")
        self.log_dict({f"val/{name}": means[name].float() for name in shown}, prog_bar=True)
        self.log_dict({f"val/{name}": value.float() for name, value in means.items() if name not in shown})
        certificate = self.model.layer.certificate()
        if certificate:
            self.log("val/denoiser_lipschitz_bound", certificate["denoiser_lipschitz_bound"])

    def configure_optimizers(self) -> Any:
        layer = self.model.layer
        groups = [
            (layer.denoiser.parameters(), self.settings.learning_rate),
            ([layer.raw_prior_weight], self.settings.beta_learning_rate),
        ]
        return adam_with_warmup(groups, self.settings, lambda: self.trainer.estimated_stepping_batches)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["mcnet"] = {**self.record, "certificate": self.certificate()}
        checkpoint["warm_starts"] = self.warm_starts.state_dict()
        checkpoint["local_estimates"] = self.local_estimates

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        if "warm_starts" in checkpoint:
            self.warm_starts.load_state_dict(checkpoint["warm_starts"])
        self.local_estimates = dict(checkpoint.get("local_estimates", {}))

    def certificate(self) -> dict[str, Any]:
        """Sound upper bounds of the denoiser, and the local estimates (from below) of the last validation."""
        return {**self.model.layer.certificate(), **self.local_estimates}

    @contextmanager
    def _divergence_named(self, where: str = "") -> Iterator[None]:
        """NaN out of a layer whose weights are NaN, or beyond those of any network, is the training's fault."""
        try:
            yield
        except ConvergenceError as error:
            largest = torch.stack([parameter.detach().abs().max() for parameter in self.model.layer.parameters()]).max()
            finite(largest if largest <= LARGEST else largest * torch.nan, self.global_step)
            raise ConvergenceError(f"{where}{error}") from None

    def _gains(self, estimate: Tensor, prior: Tensor, observation: Observation, radii: Tensor) -> dict[str, Tensor]:
        """The headline figure and what is gained over the backbone alone and over the backbone projected, per image."""
        projected = project_measurement_ball(prior, observation.measurement, observation.operator, radii)
        images = (estimate, prior, projected)
        quality, of_prior, of_projected = (self.problem.headline(x, observation.truth) for x in images)
        sign = -1 if self.headline.smaller_is_better else 1
        gains = {"gain": sign * (quality - of_prior), "gain_over_projection": sign * (quality - of_projected)}
        return {self.headline.kind: quality, **gains}

    @staticmethod
    def _not_met(agreement: Tensor, radii: Tensor, measurement: Tensor, stats: SolveStats) -> Tensor:
        """1 for samples that are not within epsilon of b, by what was measured or by what the solve says, (B,)."""
        pairs = zip(agreement.tolist(), radii.tolist(), stats.outcome.tolist(), strict=True)
        values = measurement[0].numel()
        return torch.tensor([float(ended in UNMET or not meets(d, r, values)) for d, r, ended in pairs])

    def _log_solve(self, prefix: str, stats: SolveStats) -> None:
        self.log(f"{prefix}_evaluations", stats.evaluations.double().mean().float())
        self.log(f"{prefix}_residual", stats.residual.mean().float())
        self.log(f"{prefix}_not_converged", stats.failed.sum().float())

    def _log_local_jacobian(self, prior: Tensor, observation: Observation, radii: Tensor) -> None:
        """Estimates at the fixed point of a validation image; of local problems of a small one of its own, cut from the
        corner.
        """
        operator = observation.operator
        side = JACOBIAN_CROP // self.problem.patch_multiple() * self.problem.patch_multiple()
        with torch.inference_mode(False), torch.no_grad():
            crop, patch = prior.clone(), observation.measurement.clone()
            if self.problem.local and operator.image_shape is None:
                crop = crop[..., :side, :side]
                patch = operator(crop)
                radii = self.epsilon.radii(patch, operator)
            state = self.model.layer(crop, patch, operator, radii).state
            fixed_point_map = self.model.layer.map(crop, patch, operator, radii)
            local = local_jacobian(fixed_point_map, state, JACOBIAN_STEPS)
        self.log("val/jacobian_norm", local.norm.mean().float(), batch_size=1)
        self.log("val/spectral_radius", local.spectral_radius.mean().float(), batch_size=1)
        self.local_estimates = {
            "local_jacobian_norm_estimate": float(local.norm.max()),
            "local_spectral_radius_estimate": float(local.spectral_radius.max()),
        }
