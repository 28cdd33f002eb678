"""Rows of the ladder: what MCNet is compared with, and MCNet itself; a class and a file each."""

from mcnet_lightning.methods.backbone import Backbone
from mcnet_lightning.methods.base import Given, Made, Method
from mcnet_lightning.methods.mcnet import MCNetLayer
from mcnet_lightning.methods.pnp import PnP, load_pnp_denoiser
from mcnet_lightning.methods.projected_backbone import ProjectedBackbone
from mcnet_lightning.methods.projected_start import ProjectedBicubic, ProjectedStart
from mcnet_lightning.methods.start import Bicubic, Start
from mcnet_lightning.methods.tv import TV
from mcnet_lightning.methods.tvtv import TVTV
from mcnet_lightning.methods.wavelet import Wavelet

__all__ = [
    "TV",
    "TVTV",
    "Backbone",
    "Bicubic",
    "Given",
    "MCNetLayer",
    "Made",
    "Method",
    "PnP",
    "ProjectedBackbone",
    "ProjectedBicubic",
    "ProjectedStart",
    "Start",
    "Wavelet",
    "load_pnp_denoiser",
]
