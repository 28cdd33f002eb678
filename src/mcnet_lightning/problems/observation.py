"""What is measured of a batch of images, and all that a method may know of it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from mcnet_lightning.operators import MeasurementOperator


@dataclass(frozen=True)
class Observation:
    """b = A x + n of a batch. Every tensor has the batch first; a complex image has two channels.

    truth:       x, (B, C, H, W): what the methods are to find; only losses and figures of quality may look at it.
    measurement: b, (B, ...).
    operator:    A of exactly this batch.
    inputs:      what a backbone may eat, by name: always "start", the image that needs no network, (B, C, H, W);
                 super_resolution also "upsampled", "lr_rgb" and "measurement" (Y of LR as its file holds it).
    colour:      the truth in RGB, (B, 3, H, W), where `truth` is its Y alone.
    """

    truth: Tensor
    measurement: Tensor
    operator: MeasurementOperator
    inputs: Mapping[str, Tensor]
    colour: Tensor | None = None

    def __len__(self) -> int:
        return len(self.truth)

    @property
    def start(self) -> Tensor:
        return self.inputs["start"]

    def select(self, index: Tensor) -> "Observation":
        """The samples `index` (k,), with the operator of these."""
        return self._mapped(lambda tensor: tensor[index], self.operator.select(index))

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "Observation":
        """On another device; operators follow the images that they are given."""
        return self._mapped(lambda tensor: tensor.to(device, non_blocking=non_blocking), self.operator)

    def _mapped(self, change, operator: MeasurementOperator) -> "Observation":  # type: ignore[no-untyped-def]
        return replace(
            self,
            truth=change(self.truth),
            measurement=change(self.measurement),
            operator=operator,
            inputs={name: change(tensor) for name, tensor in self.inputs.items()},
            colour=None if self.colour is None else change(self.colour),
        )
