"""Certificates that were edited, forged, cut or exchanged: none of them agrees."""

import contextlib
import json
import os
import random
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from composing_once import compose
from omegaconf import DictConfig, OmegaConf
from pictures import levels, save_png, smooth

from mcnet_lightning import certify
from mcnet_lightning.errors import CertificateError, DataError, MCNetError
from mcnet_lightning.files.weights import bundled_path, read_weights
from mcnet_lightning.operators import BicubicDownsample
from mcnet_lightning.restoration import Picture, read_picture, save_certified
from mcnet_lightning.restoration.batch import describe_measurement
from mcnet_lightning.restoration.certificate import SEAL, certificate_path, seal
from mcnet_lightning.restoration.writing import SUFFIX, Format

OPERATOR = BicubicDownsample(2)
EPSILON = 0.001  # below what eight bits can keep
Certificate = dict[str, Any]


@pytest.fixture(params=["png8", "png16", "tiff"])
def format(request: pytest.FixtureRequest) -> Format:
    return request.param


def made(folder: Path, format: Format = "png8", **record: object) -> tuple[Path, Path]:
    """A certified picture and its LR."""
    truth = levels(smooth(3, 32, 40))
    lr = save_png(folder / "lr.png", levels(OPERATOR(truth[None])[0]))
    image = folder / f"image{SUFFIX[format]}"
    measurement = read_picture(lr)
    about = {
        "method": "mcnet",
        "backbone": {
            "name": "srcnn",
            "weights": "bundled",
            "sha256": read_weights(bundled_path("backbone", "srcnn_x2")).sha256,
            "precision": "float32",
        },
        "layer": {
            "weights": "bundled",
            "sha256": read_weights(bundled_path("layer", "srcnn_x2")).sha256,
            "beta": 0.05,
            "tolerance": 1e-5,
        },
        "request": "f" * 64,
    }
    save_certified(
        image,
        Picture(truth + 0.01 * (smooth(3, 32, 40, seed=5) - 0.5)),
        measurement,
        OPERATOR,
        format=format,
        epsilon=EPSILON,
        record=describe_measurement(lr, measurement) | about | record,
    )
    return image, lr


@cache
def settings() -> DictConfig:
    return compose("certify", ["image=x", "measurement=y"])


def judged(image: Path, lr: Path, epsilon: float | None = None) -> None:
    config = OmegaConf.merge(settings(), {"image": str(image), "measurement": str(lr), "epsilon": epsilon})
    assert isinstance(config, DictConfig)
    certify.run(config)


def forge(image: Path, edit: Callable[[Certificate], object], sealed: bool, good: str | None = None) -> None:
    """Edits a certificate, and the digest over it if `sealed`: as who knows how it is made would do it."""
    stated = json.loads(good or certificate_path(image).read_text())
    edit(stated)
    if sealed:
        stated[SEAL] = seal(stated)
    certificate_path(image).write_text(json.dumps(stated))


def test_an_untouched_certificate_agrees_and_says_what_it_cannot_show(
    tmp_path: Path, format: Format, capsys: pytest.CaptureFixture[str]
) -> None:
    judged(*made(tmp_path, format))
    out = capsys.readouterr().out
    assert f"certificate agrees, as made for epsilon={EPSILON:g}" in out
    (rest,) = [line for line in out.splitlines() if line.startswith("not checked")]
    assert "rounding" in rest
    assert "request" in rest
    assert "layer.beta" in rest
    assert "backbone.sha256" not in rest  # the bundled weights are at hand, and were compared
    assert "layer.sha256" not in rest


def test_a_certificate_of_an_earlier_version_agrees(tmp_path: Path) -> None:
    image, lr = made(tmp_path)
    forge(image, lambda stated: stated.pop(SEAL), sealed=False)
    judged(image, lr)


# what can be recomputed from the two files is, even where the digest over the certificate was forged as well
RECOMPUTED: dict[str, Callable[[Certificate], object]] = {
    "epsilon_met": lambda c: c.update(epsilon_met=not c["epsilon_met"]),
    "epsilon_met as a number": lambda c: c.update(epsilon_met=int(c["epsilon_met"])),
    "epsilon of a miss": lambda c: c.update(epsilon=1e-9, epsilon_met=True),
    "epsilon 10, still missed": lambda c: c.update(epsilon=10, epsilon_met=False),
    "epsilon -1": lambda c: c.update(epsilon=-1),
    "epsilon infinite": lambda c: c.update(epsilon=float("inf"), epsilon_met=True),
    "epsilon NaN": lambda c: c.update(epsilon=float("nan")),
    "epsilon true": lambda c: c.update(epsilon=True),
    "epsilon as text": lambda c: c.update(epsilon="0.001"),
    "epsilon gone": lambda c: c.pop("epsilon"),
    "sha256": lambda c: c.update(sha256="0" * 64),
    "measurement": lambda c: c["measurement"].update(sha256="0" * 64),
    "measurement depth": lambda c: c["measurement"].update(bit_depth=16),
    "measurement as text": lambda c: c.update(measurement="lr.png"),
    "size": lambda c: c.update(size=[80, 64]),
    "size gone": lambda c: c.pop("size"),
    "format": lambda c: c.update(format="png16" if c["format"] != "png16" else "png8"),
    "bit_depth": lambda c: c.update(bit_depth=12),
    "rounding": lambda c: c.update(rounding="none" if c["rounding"] != "none" else "consistent"),
    "operator": lambda c: c.update(operator="bicubic-x2-symmetric"),
    "operator_sha256": lambda c: c.update(operator_sha256="0" * 64),
    "consistency": lambda c: c["consistency"].update(red=c["consistency"]["red"] / 2),
    "consistency, huge": lambda c: c["consistency"].update(red=10**400),
    "consistency, true": lambda c: c["consistency"].update(red=True),
    "consistency, a channel gone": lambda c: c["consistency"].pop("blue"),
    "lr_psnr": lambda c: c.update(lr_psnr=c["lr_psnr"] + 1),
    "lr_psnr_luma null": lambda c: c.update(lr_psnr_luma=None),
    "backbone": lambda c: c["backbone"].update(sha256="0" * 64),
    "layer": lambda c: c["layer"].update(sha256="0" * 64),
    "file": lambda c: c.update(file="other.png"),
    "empty": lambda c: c.clear(),
}
# what only its author can know shows in the digest over the certificate
STATED: dict[str, Callable[[Certificate], object]] = {
    "rounding": lambda c: c.update(rounding="nearest" if c["rounding"] == "consistent" else "floor"),
    "beta": lambda c: c["layer"].update(beta=1.0),
    "precision": lambda c: c["backbone"].update(precision="float16"),
    "name": lambda c: c["backbone"].update(name="rcan"),
    "weights": lambda c: c["backbone"].update(weights="official"),
    "method": lambda c: c.update(method="projection"),
    "request": lambda c: c.update(request="0" * 64),
    "one more": lambda c: c.update(author="me"),
    "epsilon 10, met": lambda c: c.update(epsilon=10, epsilon_met=True),
}


@pytest.mark.parametrize("sealed", [False, True], ids=["edited", "forged"])
def test_what_can_be_recomputed_is(tmp_path: Path, sealed: bool, format: Format) -> None:
    image, lr = made(tmp_path, format)
    good = certificate_path(image).read_text()
    believed, sentences = [], []
    for name, edit in RECOMPUTED.items():
        forge(image, edit, sealed, good)
        try:
            judged(image, lr)
            believed.append(name)
        except CertificateError as error:
            sentences.append(str(error))
    assert all("\n" not in sentence and len(sentence) < 500 for sentence in sentences)
    met = json.loads(good)["epsilon_met"] and sealed  # then it is no lie that a picture as close as this meets it
    assert believed == (["epsilon of a miss"] if met else [])


@pytest.mark.parametrize("dequantise", ["foo", None, ["none"], {}, 10**400], ids=lambda value: type(value).__name__)
def test_a_measurement_that_nobody_knows_is_the_certificates_fault(tmp_path: Path, dequantise: object) -> None:
    image, lr = made(tmp_path)
    forge(image, lambda stated: stated.update(dequantise=dequantise), sealed=True)
    with pytest.raises(CertificateError, match="dequantise"):
        judged(image, lr)


@pytest.mark.parametrize("epsilon", [10**400, -(10**400)])
def test_an_epsilon_beyond_every_float_is_none(tmp_path: Path, epsilon: int) -> None:
    image, lr = made(tmp_path)
    forge(image, lambda stated: stated.update(epsilon=epsilon), sealed=True)
    with pytest.raises(CertificateError, match=r"states epsilon=-?1000"):
        judged(image, lr)


NAMELESS: dict[str, Callable[[Certificate], object]] = {
    "backbone without a name": lambda c: c["backbone"].pop("name"),
    "layer without a backbone": lambda c: c.pop("backbone"),
    "backbone as text": lambda c: c.update(backbone="srcnn"),
    "weights that no file is called": lambda c: c["layer"].update(weights="a\0b"),
    "weights of a long name": lambda c: c["layer"].update(weights="a" * 5000),
    "backbone null": lambda c: c.update(backbone=None),
}


@pytest.mark.parametrize("edit", NAMELESS.values(), ids=NAMELESS)
def test_weights_of_nobody_are_not_checked(
    tmp_path: Path, edit: Callable[[Certificate], object], capsys: pytest.CaptureFixture[str]
) -> None:
    image, lr = made(tmp_path)
    forge(image, edit, sealed=True)
    with contextlib.suppress(CertificateError):  # epsilon is not met at eight bits
        judged(image, lr)
    (rest,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("not checked")]
    assert "layer.sha256" in rest or "layer," in rest


def test_names_of_entries_are_printed_without_what_a_terminal_obeys(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image, lr = made(tmp_path)
    forge(image, lambda stated: stated.update({"a\x1b[2Jb": 1, "dequantise": "none"}), sealed=True)
    judged(image, lr)
    (rest,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("not checked")]
    assert "\x1b" not in rest
    assert "dequantise" not in rest  # it was: of another b nothing would agree


def test_a_name_that_a_terminal_would_obey_agrees_with_its_certificate(tmp_path: Path) -> None:
    image, lr = made(tmp_path)
    target = tmp_path / "a\u200e.png"
    save_certified(target, read_picture(image), read_picture(lr), OPERATOR, epsilon=EPSILON)
    judged(target, lr)


def test_any_other_edit_shows_in_the_digest(tmp_path: Path) -> None:
    image, lr = made(tmp_path)
    good = certificate_path(image).read_text()
    for edit in STATED.values():
        forge(image, edit, False, good)
        with pytest.raises(CertificateError):
            judged(image, lr)


def test_a_certificate_that_cannot_be_read_is_not_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image, lr = made(tmp_path)
    good, chance = certificate_path(image).read_bytes(), random.Random(0)
    cut = [good[: chance.randrange(len(good) - 2)] for _ in range(10)]
    for content in [*cut, b"\xff\xfe", b"[]", b"null", b"7", b"[" * 10**5, good + good, b" " * 2**21 + good]:
        certificate_path(image).write_bytes(content)
        with pytest.raises(CertificateError, match="cannot be read as a certificate"):
            judged(image, lr)
    certificate_path(image).unlink()
    os.mkfifo(certificate_path(image))
    with pytest.raises(CertificateError, match="cannot be read as a certificate"):
        judged(image, lr)
    certificate_path(image).unlink()
    capsys.readouterr()
    judged(image, lr)
    assert "certificate none beside the image" in capsys.readouterr().out


def test_no_flipped_byte_of_picture_or_certificate_goes_unnoticed(tmp_path: Path, format: Format) -> None:
    """A byte of the certificate that changes nothing in its entries (white space) is the only one that may agree."""
    image, lr = made(tmp_path, format)
    chance = random.Random(0)
    for path in (image, certificate_path(image)):
        good = path.read_bytes()
        for _ in range(25):
            flipped = bytearray(good)
            flipped[chance.randrange(len(good))] ^= 1 << chance.randrange(8)
            damaged = bytes(flipped)
            path.write_bytes(damaged)
            if path == image or _entries(damaged) != _entries(good):
                with pytest.raises(MCNetError):
                    judged(image, lr)
            path.write_bytes(good)


def _entries(content: bytes) -> object:
    try:
        return json.loads(content)
    except ValueError:
        return None


def test_it_is_judged_at_the_stated_epsilon_and_at_the_given_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image, lr = made(tmp_path)
    judged(image, lr, 0.5)
    out = capsys.readouterr().out
    assert "epsilon     0.5: met" in out
    assert f"as made for epsilon={EPSILON:g}" in out
    with pytest.raises(CertificateError, match=r"does not meet epsilon=1e-05"):
        judged(image, lr, 1e-5)
    forge(image, lambda stated: stated.update(epsilon_met=True), sealed=True)
    with pytest.raises(CertificateError, match="something else of epsilon_met"):
        judged(image, lr, 0.5)


def test_what_is_saved_meanwhile_by_another_command_stays(tmp_path: Path) -> None:
    image, _ = made(tmp_path)
    before = image.read_bytes(), certificate_path(image).read_bytes()
    truth = Picture(levels(smooth(3, 32, 40, seed=1)))
    measurement = Picture(levels(OPERATOR(truth.colour[None])[0]))
    for request in ("0" * 64, None):
        with pytest.raises(DataError, match="was made meanwhile by another command"):
            save_certified(image, truth, measurement, OPERATOR, record={"request": request}, replace_others=False)
    assert (image.read_bytes(), certificate_path(image).read_bytes()) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["image.png", "image.png.json", "lr.png"]
    save_certified(image, truth, measurement, OPERATOR, record={"request": "f" * 64}, replace_others=False)
    assert float((read_picture(image).colour - truth.colour).abs().max()) <= 3 / 255
