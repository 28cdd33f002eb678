"""For people with images or scans: restore, fix, certify."""

from mcnet_lightning.restoration.agreement import Agreement, agreement
from mcnet_lightning.restoration.api import load_restoration_layer, load_restorer, restore_image, restore_scan
from mcnet_lightning.restoration.certificate import save_certified
from mcnet_lightning.restoration.guess import Verdict, guess_operator
from mcnet_lightning.restoration.pictures import Picture, read_picture
from mcnet_lightning.restoration.restorer import Restored, Restorer, make_consistent
from mcnet_lightning.restoration.rounding import round_consistently
from mcnet_lightning.restoration.verification import certify

__all__ = [
    "Agreement",
    "Picture",
    "Restored",
    "Restorer",
    "Verdict",
    "agreement",
    "certify",
    "guess_operator",
    "load_restoration_layer",
    "load_restorer",
    "make_consistent",
    "read_picture",
    "restore_image",
    "restore_scan",
    "round_consistently",
    "save_certified",
]
