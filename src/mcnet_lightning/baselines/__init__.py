"""What MCNet is compared with, beside its own backbone: methods that need no training of a layer."""

from mcnet_lightning.baselines.pnp import PnP, load_pnp_denoiser
from mcnet_lightning.baselines.tvtv import TVTV

__all__ = ["TVTV", "PnP", "load_pnp_denoiser"]
