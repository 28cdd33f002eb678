"""What is measured of a batch of images, and all that a method may know of it."""

from collections.abc import Callable, Mapping, Sequence
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
        return self.mapped(lambda tensor: tensor[index], self.operator.select(index))

    def to(self, device: torch.device | str, non_blocking: bool = False) -> "Observation":
        """On another device; operators follow the images that they are given."""
        return self.mapped(lambda tensor: tensor.to(device, non_blocking=non_blocking))

    def tensors(self) -> list[Tensor]:
        """Each once, in the order in which they are mapped."""
        named = (self.truth, self.measurement, *self.inputs.values(), self.colour)
        return list({id(tensor): tensor for tensor in named if tensor is not None}.values())

    def mapped(self, change: Callable[[Tensor], Tensor], operator: MeasurementOperator | None = None) -> "Observation":
        made = {id(tensor): change(tensor) for tensor in self.tensors()}  # inputs are often one tensor of many names
        return replace(
            self,
            truth=made[id(self.truth)],
            measurement=made[id(self.measurement)],
            operator=operator or self.operator,
            inputs={name: made[id(tensor)] for name, tensor in self.inputs.items()},
            colour=None if self.colour is None else made[id(self.colour)],
        )


def joined(parts: Sequence[Observation]) -> Observation:
    """One observation of all samples, of parts that share their operator."""
    rest = [iter(part.tensors()) for part in parts[1:]]
    return parts[0].mapped(lambda tensor: torch.cat([tensor, *(next(each) for each in rest)]))
