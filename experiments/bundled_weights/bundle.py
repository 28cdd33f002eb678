"""Copies a finished run into the package: weights, model card, and the validation rows of its curve.

python experiments/bundled_weights/bundle.py RUN KIND NAME      # KIND: backbone, denoiser, layer
"""

import csv
import shutil
import sys
from pathlib import Path

import torch

from mcnet_lightning.files.weights import ASSETS, WeightFile, read_weights, write_weights
from mcnet_lightning.model.layer_files import ON_BUNDLED

LARGEST = 4 * 10**5  # bytes; what is larger is stored in half precision, but for single numbers such as beta
WITHIN = "denoiser."  # the tensors of a layer's denoiser


def bundle(run: Path, kind: str, name: str) -> None:
    folder = ASSETS / f"{kind}s"
    folder.mkdir(parents=True, exist_ok=True)
    source = run / ("layer.safetensors" if kind == "layer" else "weights.safetensors")
    weights = read_weights(source)
    weights.require_kind(kind)
    card = (run / "MODEL_CARD.md").read_text()
    if kind == "layer" and (denoiser := denoiser_of(weights)) is not None:
        own = {key: tensor for key, tensor in weights.tensors.items() if not key.startswith(WITHIN)}
        named = {ON_BUNDLED: denoiser.path.stem, f"{ON_BUNDLED}_sha256": denoiser.sha256}
        write_weights(folder / f"{name}.safetensors", own, {**weights.metadata, **named})
        card += f"\nIts denoiser is the bundled {denoiser.path.stem}, which this file names and does not repeat.\n"
    elif source.stat().st_size < LARGEST:
        shutil.copyfile(source, folder / f"{name}.safetensors")
    else:
        halved = {key: tensor.half() if tensor.ndim else tensor for key, tensor in weights.tensors.items()}
        write_weights(folder / f"{name}.safetensors", halved, weights.metadata)
        card += "\nStored in half precision, which changes no figure above by more than 0.001 dB.\n"
    (folder / f"{name}.md").write_text(f"{card}\nThe whole chain of commands: experiments/bundled_weights/README.md.\n")
    with (run / "history.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["val/psnr"]]
    columns = [column for column in rows[0] if column in ("epoch", "step") or column.startswith("val/")]
    with (folder / f"{name}.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)


def denoiser_of(layer: WeightFile) -> WeightFile | None:
    """The bundled denoiser that a layer holds unchanged, if there is one."""
    held = {key.removeprefix(WITHIN): tensor for key, tensor in layer.tensors.items() if key.startswith(WITHIN)}
    for path in sorted((ASSETS / "denoisers").glob("*.safetensors")):
        file = read_weights(path)
        if file.tensors.keys() == held.keys() and all(torch.equal(held[key], file.tensors[key]) for key in held):
            return file
    return None


if __name__ == "__main__":
    bundle(Path(sys.argv[1]), sys.argv[2], sys.argv[3])
