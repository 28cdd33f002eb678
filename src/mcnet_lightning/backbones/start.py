"""The start image as a backbone: for people who have a measurement, and no network for its problem."""

from torch import Tensor, nn


class StartImage(nn.Module):
    """Returns the image that needs no network, (B, C, H, W): zero-filled, mean-filled, Wiener, ..."""

    name = "start"
    label, citation = "start", "the problem's start image, no network"
    input_kind, start_of_beta = "start", 0.05
    default_weights = None

    def forward(self, start: Tensor) -> Tensor:
        return start
