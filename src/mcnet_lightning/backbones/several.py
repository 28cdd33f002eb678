"""Several networks for one layer.

The sum over k of beta_k ||x - w_k||^2 is beta ||x - w||^2 plus a constant, beta being the sum of the beta_k and w the
mean of the w_k in their shares.
"""

import hashlib
import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import numpy as np
import torch
from scipy.optimize import nnls
from torch import Tensor, nn

from mcnet_lightning.backbones.frozen import BackboneSpec, FrozenBackbone
from mcnet_lightning.backbones.loading import load_backbone
from mcnet_lightning.config.commands import AUTO
from mcnet_lightning.errors import ConfigError
from mcnet_lightning.problems import Observation


class SeveralSpec(BackboneSpec):
    """Its title says whose weights they are."""

    @property
    def label(self) -> str:
        return self.title


class SeveralBackbones(FrozenBackbone):
    """The mean of what several backbones make.

    networks: backbones by name, with their weights or folder behind a colon where they are not the usual ones:
        [rcan,rdn], [rcan:FILE,precomputed:DIR]; backbone=[...] for short
    shares: weights of the mean, one number >= 0 for each network; auto: those with the least squared error on held-out
        training images; null: all alike

    Raises ConfigError where there is none, where the shares do not fit, and what `load_backbone` raises.
    """

    name = "several"
    label, citation = "several networks", "the mean of several networks' images"
    default_weights = None

    def __init__(
        self,
        networks: Annotated[list[str], {"networks": True}],
        scale: int | str,
        shares: Annotated[Any, {"words": (AUTO,)}] = None,
    ) -> None:
        if not networks:
            raise ConfigError("backbone.networks names no network; give backbone.networks=[rcan,rdn]")
        self.names, self.automatic = [str(name) for name in networks], shares == AUTO
        super().__init__(
            nn.ModuleList(_member(name, scale) for name in self.names), BackboneSpec(self.name, 1, "picture")
        )
        self.settle([1.0] * len(networks) if shares is None or self.automatic else shares)

    def settle(self, shares: Sequence[float]) -> None:
        """Takes these shares of the mean, divided by their sum."""
        numbers = [share for share in shares if isinstance(share, float | int)] if isinstance(shares, Sequence) else []
        total = sum(numbers)
        if len(numbers) != len(self.names) or not all(0 <= share < math.inf for share in numbers) or total <= 0:
            raise ConfigError(
                f"backbone.shares={shares} does not fit {len(self.names)} networks; give one number >= 0 for each, "
                "auto, or null"
            )
        self.shares = [share / total for share in numbers]
        self.spec = _spec([member.spec for member in self.members], self.names, self.shares)

    @property
    def members(self) -> list[FrozenBackbone]:
        return [member for member in self.network.children() if isinstance(member, FrozenBackbone)]

    @torch.no_grad()
    def picture(self, backbone_input: Tensor | Observation) -> Tensor:
        """Of one input that all of them take, or of all that was observed."""
        if isinstance(backbone_input, Observation):
            return self._mean([member.of(backbone_input) for member in self.members])
        return self._mean([member.picture(backbone_input) for member in self.members])

    @torch.no_grad()
    def prior_image(self, image: Mapping[str, Any], device: torch.device | str = "cpu") -> Tensor:
        return self._mean([member.prior_image(image, device) for member in self.members])

    def _mean(self, made: list[Tensor]) -> Tensor:
        if len({tuple(each.shape) for each in made}) > 1:
            raise ConfigError(
                f"{self.spec.label} make images of {', '.join(str(tuple(each.shape)) for each in made)}, which have no "
                "mean; choose networks for the same images"
            )
        return torch.stack([share * each for share, each in zip(self.shares, made, strict=True)]).sum(0)


def best_shares(errors: Sequence[Tensor]) -> list[float]:
    """Those >= 0, of sum 1, with the least ||sum of share_k error_k||; errors: of each network, on the same images."""
    stacked = torch.stack([error.flatten().double() for error in errors])
    gram = (stacked @ stacked.T).numpy()
    size = max(float(np.trace(gram)), 1e-300)
    # with a row that asks for a sum of 1, a hundred times heavier than the errors
    rows = np.vstack([np.linalg.cholesky(gram / size + 1e-8 * np.eye(len(gram))).T, np.full(len(gram), 1e2)])
    found, _ = nnls(rows, np.append(np.zeros(len(gram)), 1e2))
    return [float(share) for share in found / found.sum()]


def _member(said: str, scale: int | str) -> FrozenBackbone:
    name, _, weights = said.partition(":")
    if name == SeveralBackbones.name:
        raise ConfigError(f"backbone.networks={said}: name its networks themselves")
    return load_backbone(name, scale, weights or None)


def _spec(members: list[BackboneSpec], networks: list[str], shares: list[float]) -> SeveralSpec:
    kinds = {member.input_kind for member in members}
    kind = "picture" if "picture" in kinds else kinds.pop() if len(kinds) == 1 else "observation"
    return SeveralSpec(
        SeveralBackbones.name,
        members[0].scale,
        kind,
        ", ".join(map(str, networks)),
        hashlib.sha256(
            repr([(member.identity, share) for member, share in zip(members, shares, strict=True)]).encode()
        ).hexdigest(),
        {},
        math.lcm(*(member.size_multiple for member in members)),
        title=" + ".join(
            _title(member.label, share, len(set(shares)) > 1) for member, share in zip(members, shares, strict=True)
        ),
    )


def _title(label: str, share: float, told: bool) -> str:
    return f"{share:.3g} {label}" if told else label
