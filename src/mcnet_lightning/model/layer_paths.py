"""Which file the words of `layer.weights` mean."""

from pathlib import Path

from mcnet_lightning.files.weights import BUNDLED, bundled_name, bundled_path, is_bundled, is_bundled_file, variant

# backbones of the bundled layers that are not named like theirs
TRAINED_ON = {
    "paper": "backbone=srcnn backbone.weights=official scale={scale}",
    "dctlsa": "backbone=spandrel backbone.weights=dctlsa_x{scale}.pth scale={scale}",
}


def layer_path(weights: str, backbone: str, scale: int | str) -> Path:
    """The file that `load_layer` reads. Raises WeightsError that lists what is bundled."""
    if not is_bundled(weights):
        return Path(weights)
    name = bundled_name(weights, backbone)
    if isinstance(scale, str) and name != backbone and is_bundled_file("layer", name):  # as in bundled:paper_x2
        return bundled_path("layer", name)
    if weights != BUNDLED and is_bundled_file("denoiser", name):  # asked for by name, not because a backbone has it
        return bundled_path("denoiser", name)
    return bundled_path("layer", f"{name}_{variant(scale)}", _training_command(name, backbone, scale))


def _training_command(name: str, backbone: str, scale: int | str) -> str:
    """What makes the layer `name` of this scale, for those who look for it in vain."""
    if isinstance(scale, str):
        return f"train one with python -m mcnet_lightning.train problem={scale} backbone={backbone}"
    if name in TRAINED_ON:
        return f"train it with python -m mcnet_lightning.train {TRAINED_ON[name].format(scale=scale)} data=t91"
    return f"train one with python -m mcnet_lightning.train backbone={backbone} scale={scale} data=t91"
