"""Who reads one run of `train` from its first call downwards never has to turn back to a file that he came from."""

from pathlib import Path

import pytest
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf
from sweep_commands import SETTINGS, make_pictures
from walk import walk

from mcnet_lightning import train
from mcnet_lightning.config.checking import compose_config
from mcnet_lightning.config.running import Running, running
from mcnet_lightning.operators.cache import CONSTANTS

NETWORK = ["denoiser.weights=none", "denoiser.depth=2", "denoiser.channels=4", "solver.max_evaluations=3"]
BRIEF = ["trainer.accelerator=cpu", "trainer.max_steps=1", "logger=csv", "backward.max_products=3"]
PICTURES = [word for word in SETTINGS if word.startswith("data")]
LADDER = "method=[start,start+projection,backbone,backbone+projection,mcnet]"


SMALL = [*PICTURES, "data.max_patches=4", "data.validation_images=1"]
WHOLE = ["problem.size=24", "data.max_patches=4", "data.batch_size=2", "data.validation_images=1"]


def test_training_goes_back_up_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["backbone=bicubic", "method=[bicubic,bicubic+projection,backbone,mcnet]"]
    goes_back_up_nowhere(tmp_path, monkeypatch, [*SMALL, *words])


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [
        [
            *SMALL,
            "scale=3",
            "backbone=rcan",
            "operator=blur",
            "epsilon=0.1",
            "method=[backbone,tvtv]",
            "tvtv.max_steps=9",
        ],
        [*SMALL, "problem=inpainting", "backbone=start", LADDER],
        [*SMALL, "problem=deblurring", "backbone=unet", "epsilon=1", LADDER],
        [*WHOLE, "problem=mri", "method=[start,tv,wavelet,mcnet]", "tv.max_steps=3", "wavelet.max_steps=3"],
        [*WHOLE, "problem=mri", "problem.real=true", "backbone=start", LADDER],
        [*WHOLE, "problem=mri", "problem.coils=4", "problem.noise=0.01", "epsilon=noise", LADDER],
        [*WHOLE, "problem=ct", "problem.views=8", "backbone=start", LADDER],
    ],
    ids=["x3, blurred", "inpainting", "deblurring", "mri", "mri of magnitudes", "mri of coils", "ct"],
)
def test_training_for_other_problems_goes_back_up_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]
) -> None:
    goes_back_up_nowhere(tmp_path, monkeypatch, words)


def goes_back_up_nowhere(folder: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]) -> None:
    CONSTANTS.groups.clear()  # what an earlier test has computed would not be walked through
    CONSTANTS.bytes = 0
    hydra = OmegaConf.create({"hydra": {"runtime": {"output_dir": str(folder / "run")}, "mode": "RUN"}})
    (folder / "run").mkdir()
    make_pictures(folder)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("MCNET_CACHE", str(folder / "cache"))
    monkeypatch.setattr(HydraConfig.instance(), "cfg", hydra)
    running.set(Running("mcnet_lightning.train", words=tuple(words)))
    entered, back = walk(train.run, compose_config("train", [*words, *NETWORK, *BRIEF]))
    assert len(entered) > 70
    assert not back
