"""SRCNN 9-5-5 (Dong et al., TPAMI 2016): three convolutions on the bicubically enlarged Y."""

import torch
from torch import Tensor, nn

from mcnet_lightning.backbones.official import from_the_paper

HYPERPARAMETERS = {"features": (64, 32), "kernels": (9, 5, 5)}


class SRCNN(nn.Module):
    """(B, 1, H, W) enlarged Y in [0, 1] -> (B, 1, H, W), zero padding. Layer names as in the published weight files."""

    name = "srcnn"
    label, citation = "SRCNN", "Dong et al., TPAMI 2016"
    input_kind, start_of_beta = "upsampled", 0.05
    default_weights, anchor = "bundled", "conv1.weight"
    official = from_the_paper()

    def __init__(self) -> None:
        super().__init__()
        (wide, narrow), (patch, mapping, reconstruction) = HYPERPARAMETERS["features"], HYPERPARAMETERS["kernels"]
        self.conv1 = nn.Conv2d(1, wide, patch, padding=patch // 2)
        self.conv2 = nn.Conv2d(wide, narrow, mapping, padding=mapping // 2)
        self.conv3 = nn.Conv2d(narrow, 1, reconstruction, padding=reconstruction // 2)
        self.to(memory_format=torch.channels_last)

    def forward(self, upsampled: Tensor) -> Tensor:
        with torch.autocast(upsampled.device.type, enabled=False):  # 1/255 is lost in half precision
            features = torch.relu(self.conv1(upsampled))
        features = torch.relu(self.conv2(features))
        with torch.autocast(upsampled.device.type, enabled=False):
            return self.conv3(features.to(self.conv3.weight.dtype))

    @torch.no_grad()
    def start_from_interpolation(self) -> None:
        """Random features beside one channel that passes the image through, which alone is read out at first: training
        starts at bicubic.
        """
        for conv in (self.conv1, self.conv2, self.conv3):
            nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
            assert conv.bias is not None
            conv.bias.zero_()
        for conv in (self.conv1, self.conv2, self.conv3):
            centre = conv.kernel_size[0] // 2
            conv.weight[0] = 0.0
            conv.weight[0, 0, centre, centre] = 1.0
        self.conv2.weight[1:, 0] = 0.0
