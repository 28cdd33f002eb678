"""Any network that spandrel recognises from its weight file: SwinIR, HAT, DRCT, DCTLSA, RCAN, ESRGAN and many more."""

from typing import Annotated, Any

import torch
from torch import Tensor, nn

from mcnet_lightning.backbones.frozen import BackboneSpec, FrozenBackbone, Precision
from mcnet_lightning.errors import WeightsError
from mcnet_lightning.files.extras import require
from mcnet_lightning.files.weights import WeightFile, read_weights


class _Detected(nn.Module):
    """(B, C, h, w) in [0, 1] -> (B, C, s h, s w) in [0, 1]; spandrel pads to the size the network needs."""

    def __init__(self, descriptor: Any) -> None:
        super().__init__()
        self.descriptor = descriptor
        self.model = descriptor.model  # registered, so that it moves and converts with this module

    def forward(self, image: Tensor) -> Tensor:
        # spandrel promises single images only, in inference mode; the clone is an ordinary tensor again
        return torch.cat([self.descriptor(single) for single in image.split(1)]).clone()


class Spandrel(FrozenBackbone):
    """A frozen network of any architecture that spandrel detects from its file.

    weights: a weight file of any network that spandrel detects
    precision: of the backbone's convolutions; the layer stays in float32

    Raises ConfigError if spandrel is not installed, WeightsError for a file it does not know or of another scale.
    """

    name = "spandrel"
    label, citation = "spandrel", "any network spandrel detects"

    def __init__(self, weights: Annotated[str, {"path": "file"}], scale: int, precision: Precision = "float32") -> None:
        file = read_weights(weights)
        descriptor = _detected(file)
        file.require_scale(scale, descriptor.scale)
        super().__init__(
            _Detected(descriptor),
            BackboneSpec(
                descriptor.architecture.name.lower(),
                scale,
                "lr_rgb" if descriptor.input_channels == 3 else "measurement",
                weights,
                file.sha256,
                hyperparameters={"tags": list(descriptor.tags)},
                size_multiple=descriptor.size_requirements.multiple_of,
                precision=precision,
            ),
        )


def _detected(file: WeightFile) -> Any:
    """spandrel's description of the network in a file, with its weights."""
    require("spandrel", "backbone=spandrel")
    import spandrel

    try:
        descriptor = spandrel.ModelLoader(device="cpu").load_from_state_dict(dict(file.tensors))
    except spandrel.UnsupportedModelError:
        raise WeightsError(
            f"{file.path}: spandrel {spandrel.__version__} does not recognise this network; "
            "srcnn, rdn and rcan files go to backbone=srcnn, rdn, rcan"
        ) from None
    except Exception as error:  # recognised by some of its names, yet incomplete
        raise WeightsError(
            f"{file.path} does not fit the network that spandrel takes it for ({_first(error)})"
        ) from None
    for name, tensor in descriptor.model.state_dict().items():
        if tensor.is_floating_point() and name in file.tensors and not file.tensors[name].is_floating_point():
            raise WeightsError(f"{file.path}: {name} holds no floating-point numbers; save the network in float32")
    if not isinstance(descriptor, spandrel.ImageModelDescriptor) or descriptor.input_channels not in (1, 3):
        raise WeightsError(f"{file.path} is a network that does not take gray or RGB images alone; use another file")
    return descriptor


def _first(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:160] if str(error).strip() else type(error).__name__
