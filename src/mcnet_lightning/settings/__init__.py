"""From a command line to a valid configuration: composition, checks, and the --help page. Imports no torch."""

from mcnet_lightning.settings.arguments import compose_config
from mcnet_lightning.settings.composition import conf_dir
from mcnet_lightning.settings.validation import validate

__all__ = ["compose_config", "conf_dir", "validate"]
