"""What MCNet is compared with, beside its own backbone: methods that need no training of a layer."""

from mcnet_lightning.methods.pnp import PnP, load_pnp_denoiser
from mcnet_lightning.methods.tvtv import TVTV

__all__ = ["TVTV", "PnP", "load_pnp_denoiser"]
