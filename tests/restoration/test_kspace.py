"""K-space to certificate: against NumPy's transform, in the units of the file, for one coil and several."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from composing_once import compose
from in_process import command
from numpy.typing import NDArray
from PIL import Image
from scipy.io import savemat
from torch import Tensor, nn

from mcnet_lightning import restore_scan
from mcnet_lightning.backbones import BackboneSpec, FrozenBackbone
from mcnet_lightning.equilibrium.epsilon import Epsilon
from mcnet_lightning.errors import CertificateError, ConfigError, DataError
from mcnet_lightning.operators import FourierSampling, check_adjoint
from mcnet_lightning.operators.sense import simulated_maps
from mcnet_lightning.restoration.certificate import SEAL, seal
from mcnet_lightning.restoration.kspace import KSpace, kspace_of
from mcnet_lightning.restoration.kspace_files import KSpaceFile, Reading

Array = NDArray[Any]
SIZE = (32, 32)
PLANE = (-2, -1)
SEEN = np.random.default_rng(1).random(SIZE) < 0.4
SEEN[12:20, 12:20] = True
LAYER = ("layer.weights=bundled:paper_x2", "beta=0.05")


def head(size: tuple[int, int] = SIZE) -> Array:
    rows, columns = np.mgrid[: size[0], : size[1]]
    body = np.exp(-((rows - size[0] / 2) ** 2 + (columns - size[1] / 2 + 2) ** 2) / 40)
    inside = (abs(rows - size[0] / 2) < 9) & (abs(columns - size[1] / 2) < 6)
    return (body + 0.3 * inside) * np.exp(1j * columns / 9)


def centred(image: Array) -> Array:
    return np.fft.fftshift(np.fft.fft2(np.fft.ifftshift(image, PLANE), norm="ortho"), PLANE)


def measured(coils: int = 0, noise: float = 0.0, unit: float = 1.0) -> tuple[Array, Array | None]:
    """Undersampled k-space of the head, and coil maps."""
    maps = simulated_maps(coils, SIZE).numpy() if coils else None
    spectrum = centred(head() if maps is None else maps * head())
    draw = np.random.default_rng(2).standard_normal((2, *spectrum.shape))
    return unit * (spectrum + noise * (draw[0] + 1j * draw[1])) * SEEN, maps


def image_of(scan: KSpace) -> Array:
    real, imaginary = scan.start[0].numpy()
    return real + 1j * imaginary


def relative(found: Array, expected: Array) -> float:
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


CONVENTIONS: dict[str, tuple[Callable[[Array], Array], str, str]] = {
    "scanner": (centred, "middle", "middle"),
    "shifted": (lambda image: np.fft.fftshift(np.fft.fft2(image, norm="ortho")), "middle", "corner"),
    "plain": (lambda image: np.fft.fft2(image, norm="ortho"), "corner", "corner"),
    "half": (lambda image: np.fft.fft2(np.fft.ifftshift(image), norm="ortho"), "corner", "middle"),
}


@pytest.mark.parametrize("size", [SIZE, (33, 30)])
@pytest.mark.parametrize("kind", CONVENTIONS)
def test_the_origins_of_k_space_are_found_and_the_image_is_as_it_was(kind: str, size: tuple[int, int]) -> None:
    transform, zero_frequency, image_origin = CONVENTIONS[kind]
    spectrum = transform(head(size))
    found = kspace_of(spectrum)
    assert (found.zero_frequency, found.image_origin) == (zero_frequency, image_origin)
    assert any(zero_frequency in sentence for sentence in found.said)
    forced = kspace_of(spectrum, zero_frequency=zero_frequency, image_origin=image_origin)
    for scan in (found, forced):
        assert relative(image_of(scan), head(size)) < 1e-12
    assert float(found.measurement.norm()) == pytest.approx(np.linalg.norm(spectrum))


def seen_by(scan: KSpace) -> np.ndarray:
    assert isinstance(scan.operator, FourierSampling)
    return scan.operator.mask.numpy()


@pytest.mark.parametrize("shifted", [False, True])
def test_masks_lie_as_their_k_space_does_or_are_turned(shifted: bool) -> None:
    whole = centred(head())
    mask = np.fft.ifftshift(SEEN) if shifted else SEEN
    for spectrum in (whole, np.fft.ifftshift(whole)):
        scan = kspace_of(spectrum, mask.astype(np.uint8) * 255)
        assert np.array_equal(seen_by(scan) == 1, SEEN)
        assert any("leaves out" in sentence for sentence in scan.said)
    columns = np.zeros(32)
    columns[::2] = 1
    assert np.array_equal(seen_by(kspace_of(whole, columns)), np.broadcast_to(columns, SIZE))


@pytest.mark.parametrize("coils", [1, 4, 8])
def test_the_operator_is_numpys_transform_and_its_adjoint_is_its_transpose(coils: int) -> None:
    spectrum, maps = measured(coils)
    scan = kspace_of(spectrum, SEEN, maps)
    check_adjoint(scan.operator, (2, *SIZE))
    x = np.random.default_rng(3).standard_normal((2, *SIZE))
    b = scan.operator(torch.from_numpy(x)[None])[0].numpy()
    assert maps is not None
    assert relative(b[:, 0] + 1j * b[:, 1], centred(maps * (x[0] + 1j * x[1])) * SEEN) < 1e-12


def test_forms_of_arrays_are_one_k_space() -> None:
    spectrum, maps = measured(4)
    parts = np.stack([spectrum.real, spectrum.imag])
    expected = kspace_of(spectrum, SEEN, maps)
    for form in (parts, np.moveaxis(parts, 0, -1), spectrum.astype(np.complex64)):
        torch.testing.assert_close(kspace_of(form, SEEN, maps).measurement, expected.measurement, rtol=0, atol=1e-6)


def saved(folder: Path, kind: str) -> tuple[str, list[str]]:
    """Two slices of one coil, or one of four, as other programs' files; the words that go with them."""
    spectrum, maps = measured(4)
    assert maps is not None
    np.save(folder / "maps.npy", maps)
    words = [f"maps={folder / 'maps.npy'}"]
    if kind == "npz":
        np.savez(folder / "k.npz", kspace=spectrum, mask=SEEN, maps=maps)
        return "k.npz", []
    if kind == "mat":  # coils last, as in MATLAB
        savemat(folder / "k.mat", {"k": np.moveaxis(spectrum, 0, -1)})
        return "k.mat", words
    if kind == "h5":
        h5py = pytest.importorskip("h5py", reason="h5py is not installed")
        with h5py.File(folder / "k.h5", "w") as file:
            file["kspace"], file["mask"] = spectrum[None].astype(np.complex64), SEEN.astype(np.float32)
            file["reconstruction_rss"] = np.zeros((1, *SIZE), np.float32)
        return "k.h5", words
    for name, values in (("k", spectrum), ("maps", maps)):
        stored = np.moveaxis(values, 0, -1)[:, :, None].astype(np.complex64)
        stored.flatten(order="F").tofile(folder / f"{name}.cfl")
        (folder / f"{name}.hdr").write_text("# Dimensions\n32 32 1 4 1 1\n")
    return "k.cfl", [f"maps={folder / 'maps.cfl'}"]


@pytest.mark.parametrize("kind", ["npz", "mat", "h5", "cfl"])
def test_files_of_other_programs_are_read_and_restored(tmp_path: Path, kind: str) -> None:
    name, words = saved(tmp_path, kind)
    reading = Reading(maps=words[0].partition("=")[2] if words else None)
    scan = KSpaceFile(tmp_path / name, reading).slice(0)
    spectrum, maps = measured(4)
    expected = kspace_of(spectrum, SEEN, maps)
    assert scan.operator.name == expected.operator.name
    torch.testing.assert_close(scan.measurement, expected.measurement, rtol=0, atol=1e-6)
    ended = command(tmp_path, "restore", "problem=mri", name, "out", "epsilon=1", *words)
    assert ended.returncode == 0, ended.stderr
    assert np.load(tmp_path / "out" / "k.npy").shape == SIZE


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One coil, mask and layer, in a strange unit; what was said."""
    folder = tmp_path_factory.mktemp("scan")
    np.save(folder / "k.npy", measured(unit=3e4)[0].astype(np.complex64))
    np.save(folder / "mask.npy", SEEN)
    ended = command(folder, "restore", "problem=mri", "k.npy", "out", "mask=mask.npy", "format=png16", *LAYER)
    assert ended.returncode == 0, ended.stderr
    (folder / "said.txt").write_text(ended.stdout + ended.stderr)
    return folder


def certificate(folder: Path, name: str = "k") -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "out" / f"{name}.npy.json").read_text())
    return found


def test_a_certificate_says_what_numpy_finds(finished: Path) -> None:
    stated, image, spectrum = certificate(finished), np.load(finished / "out/k.npy"), np.load(finished / "k.npy")
    assert image.dtype == np.complex64
    distance = np.linalg.norm((centred(image.astype(complex)) - spectrum) * SEEN)
    assert stated["consistency"]["kspace"] == pytest.approx(distance, rel=1e-6)
    assert stated["relative"] == pytest.approx(distance / np.linalg.norm(spectrum), rel=1e-6)
    assert stated["relative"] < 1e-6
    assert stated["epsilon_met"]
    assert stated["solver"]["outcome"] == "converged"
    assert stated["layer"]["sha256"]
    assert stated["mask"] == "mask.npy"
    assert relative(image, 3e4 * head()) < relative(3e4 * image_of(kspace_of(measured()[0])), 3e4 * head())
    assert "zero frequency in the middle" in (finished / "said.txt").read_text()


def test_magnitudes_lie_beside_in_the_window_that_is_stated(finished: Path) -> None:
    magnitude, stated = np.abs(np.load(finished / "out/k.npy")), certificate(finished)
    levels = np.asarray(Image.open(finished / "out/k.png"))
    assert stated["white"] == pytest.approx(magnitude.max())
    np.testing.assert_allclose(levels / 65535, magnitude / magnitude.max(), atol=1 / 65535)
    nibabel = pytest.importorskip("nibabel", reason="nibabel is not installed")
    np.testing.assert_allclose(np.asarray(nibabel.load(finished / "out/k.nii").dataobj)[..., 0], magnitude)


def test_a_finished_image_is_left_alone_and_a_foreign_one_is_not_replaced(finished: Path) -> None:
    words = ("problem=mri", "k.npy", "out", "mask=mask.npy", "format=png16")
    again = command(finished, "restore", *words, *LAYER)
    assert "0 images written to out, 1 were there already" in again.stdout
    other = command(finished, "restore", *words)
    assert other.returncode == 3
    assert "overwrite=true replaces it" in other.stderr


CERTIFY = ("problem=mri", "out/k.npy", "k.npy", "mask=mask.npy")
EDITS: list[tuple[str, Any]] = [
    ("epsilon", 5.0),
    ("consistency", {"kspace": 1e-9}),
    ("relative", 0.0),
    ("mask_sha256", "0" * 64),
    ("operator", "fourier-32x32-0123456789ab"),
    ("zero_frequency", "corner"),
    ("image_origin", "corner"),
    ("sha256", "0" * 64),
    ("size", [31, 32]),
    ("epsilon_met", False),
    ("problem", "ct"),
]


@pytest.mark.parametrize("resealed", [False, True])
def test_edited_certificates_are_refused(finished: Path, tmp_path: Path, resealed: bool) -> None:
    from mcnet_lightning.restoration.scan_certification import certify_scan

    config = compose(
        "certify",
        [
            *("problem=mri", f"image={finished / 'out/k.npy'}", f"measurement={finished / 'k.npy'}"),
            f"problem.mask={finished / 'mask.npy'}",
        ],
    )
    certify_scan(config)
    path, whole = finished / "out/k.npy.json", (finished / "out/k.npy.json").read_text()
    try:
        for name, value in EDITS:
            edited = json.loads(whole) | {name: value}
            if name == "epsilon" and resealed:
                continue  # what it was made for is the author's to say
            path.write_text(json.dumps(edited | {SEAL: seal(edited)} if resealed else edited))
            with pytest.raises(CertificateError):
                certify_scan(config)
        missing = {key: value for key, value in json.loads(whole).items() if key != "mask_sha256"}
        path.write_text(json.dumps(missing | {SEAL: seal(missing)}))
        with pytest.raises(CertificateError):
            certify_scan(config)
    finally:
        path.write_text(whole)


def test_certifying_asks_for_the_mask_and_sees_other_files(finished: Path) -> None:
    asked = command(finished, "certify", *CERTIFY[:-1])
    assert asked.returncode == 2
    assert "its mask came from mask.npy; add mask=FILE" in asked.stderr
    sound = command(finished, "certify", *CERTIFY)
    assert sound.returncode == 0, sound.stderr
    assert "certificate agrees" in sound.stdout
    strict = command(finished, "certify", *CERTIFY, "epsilon=1e-30")
    assert strict.returncode == 0  # to the rounding of complex64
    picture = finished / "out/k.png"
    content = picture.read_bytes()
    picture.write_bytes(content + b"\0")
    try:
        changed = command(finished, "certify", *CERTIFY)
    finally:
        picture.write_bytes(content)
    assert changed.returncode == 6
    assert "k.png" in changed.stderr
    np.save(finished / "other.npy", 2 * np.load(finished / "k.npy"))
    other = command(finished, "certify", "problem=mri", "out/k.npy", "other.npy", "mask=mask.npy")
    assert other.returncode == 6
    assert command(finished, "certify", "out/k.npy", "k.npy").returncode == 2


def test_units_of_k_space_are_those_of_the_image() -> None:
    for coils in (0, 4):
        spectrum, maps = measured(coils, noise=0.01)
        epsilon = Epsilon(0.01, "noise")
        made = restore_scan(spectrum, SEEN, maps, epsilon=epsilon, layer="bundled:paper_x2")
        large = restore_scan(1024 * spectrum, SEEN, maps, epsilon=Epsilon(10.24, "noise"), layer="bundled:paper_x2")
        assert np.array_equal(large, 1024 * made)  # a power of two, so that no bit is rounded
        thousand = restore_scan(1000 * spectrum, SEEN, maps, epsilon=Epsilon(10, "noise"))
        assert relative(thousand, 1000 * restore_scan(spectrum, SEEN, maps, epsilon=epsilon)) < 1e-9


@pytest.mark.parametrize("coils", [4, 8])
def test_coils_are_restored_from_noise_and_without(coils: int) -> None:
    spectrum, maps = measured(coils, noise=0.01)
    made = restore_scan(spectrum, SEEN, maps, epsilon=Epsilon(0.01, "noise"))
    assert maps is not None
    distance = np.linalg.norm(centred(maps * made) * SEEN - spectrum)
    assert distance == pytest.approx(0.01 * np.sqrt(2 * coils * SEEN.sum()), rel=1e-6)
    assert relative(made, head()) < 0.15


def test_the_smallest_epsilon_that_coils_with_noise_can_meet_is_told() -> None:
    maps = simulated_maps(4, (16, 16)).numpy()
    draw = np.random.default_rng(0).standard_normal((2, 4, 16, 16))
    spectrum = centred(maps * head((16, 16))) + 0.01 * (draw[0] + 1j * draw[1])
    nearest = (maps.conj() * np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(spectrum, PLANE), norm="ortho"), PLANE)).sum(
        0
    )
    least = float(np.linalg.norm(centred(maps * nearest) - spectrum))
    with pytest.raises(CertificateError, match=f"smallest epsilon that can be met is {least:.4g}"[:-1]):
        restore_scan(spectrum, maps=maps, epsilon=0.5 * least)
    with pytest.raises(CertificateError, match=f"smallest epsilon that can be met is {least:.4g}"[:-1]):
        restore_scan(spectrum, maps=maps)
    assert (
        np.linalg.norm(centred(maps * restore_scan(spectrum, maps=maps, epsilon=1.001 * least)) - spectrum)
        < 1.01 * least
    )


def test_slices_of_one_file_are_restored_each(tmp_path: Path) -> None:
    whole = centred(np.stack([head(), 2 * head()[:, ::-1]])) * SEEN
    np.save(tmp_path / "k.npy", whole[:, None].astype(np.complex64))
    ended = command(tmp_path, "restore", "problem=mri", "k.npy", "out")
    assert ended.returncode == 0, ended.stderr
    assert [path.name for path in sorted((tmp_path / "out").glob("*.npy"))] == ["k_000.npy", "k_001.npy"]
    for index in range(2):
        image = np.load(tmp_path / f"out/k_00{index}.npy")
        assert relative(centred(image) * SEEN, whole[index]) < 1e-6
        assert certificate(tmp_path, f"k_00{index}")["measurement"]["slice"] == index
    assert command(tmp_path, "certify", "problem=mri", "out/k_001.npy", "k.npy").returncode == 0
    assert command(tmp_path, "certify", "problem=mri", "out/k_001.npy", "k.npy", "slice=0").returncode == 6
    beyond = command(tmp_path, "restore", "problem=mri", "k.npy", "two", "slice=2")
    assert beyond.returncode == 3
    assert "holds 2 slices, counted from 0, and none has number 2" in beyond.stderr


def test_a_folder_is_restored_but_for_what_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    np.save(tmp_path / "in/a.npy", measured()[0])
    np.save(tmp_path / "in/mask.npy", SEEN)
    np.save(tmp_path / "in/broken.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    ended = command(tmp_path, "restore", "problem=mri", "in", "out", "mask=in/mask.npy")
    assert ended.returncode == 3
    assert "not done: broken.npy" in ended.stderr
    assert (tmp_path / "out/a.npy").is_file()
    assert not (tmp_path / "out/mask.npy").exists()


def wrong(name: str) -> tuple[dict[str, Any], str]:
    spectrum, maps = measured(4)
    assert maps is not None
    single = measured()[0]
    noted = single.copy()
    noted[3, 3] = np.nan
    cases: dict[str, tuple[dict[str, Any], str]] = {
        "coils without maps": ({"kspace": spectrum}, "k-space of 4 coils needs their sensitivities"),
        "other maps": ({"kspace": spectrum, "maps": maps[:3]}, "do not belong to k-space"),
        "real maps": ({"kspace": spectrum, "maps": np.abs(maps)}, "coil maps .* holds real numbers"),
        "real": ({"kspace": np.abs(single)}, "holds real numbers"),
        "NaN": ({"kspace": noted}, "NaN or Inf"),
        "zeros": ({"kspace": 0 * single}, "nothing but zeros"),
        "objects": ({"kspace": np.array([[None]])}, "no numbers"),
        "huge": ({"kspace": 1e200 * single}, "too large for single precision"),
        "tiny": ({"kspace": 1e-200 * single}, "too small for single precision"),
        "dimensions": ({"kspace": single[None, None]}, "is no slice"),
        "mask size": ({"kspace": single, "mask": SEEN[:-1]}, "does not belong to k-space of 32 x 32"),
        "gray mask": ({"kspace": single, "mask": SEEN * np.linspace(0.1, 1, 32)}, "matrix of 0 and 1"),
        "empty mask": ({"kspace": single, "mask": 0 * SEEN}, "matrix of 0 and 1"),
        "mask elsewhere": ({"kspace": single, "mask": ~SEEN & ~np.fft.fftshift(SEEN)}, "do not belong together|mask"),
        "origin": ({"kspace": single, "zero_frequency": "left"}, "zero_frequency='left' is unknown"),
    }
    return cases[name]


@pytest.mark.parametrize(
    "name",
    [
        *("coils without maps", "other maps", "real maps", "real", "NaN", "zeros", "objects", "huge", "tiny"),
        *("dimensions", "mask size", "gray mask", "empty mask", "mask elsewhere", "origin"),
    ],
)
def test_what_is_no_k_space_is_one_sentence(name: str) -> None:
    arguments, sentence = wrong(name)
    with pytest.raises((DataError, ConfigError), match=sentence) as raised:
        restore_scan(**arguments)
    assert "\n" not in str(raised.value)


def test_whole_numbers_do_not_overflow() -> None:
    pairs = np.stack([np.full(SIZE, 32767, np.int16), np.full(SIZE, -32768, np.int16)])
    made = restore_scan(pairs, zero_frequency="middle", image_origin="middle")
    assert relative(centred(made), np.full(SIZE, 32767 - 32768j)) < 1e-6


def test_reconstructions_are_projected_and_those_of_other_data_refused() -> None:
    spectrum, _ = measured()
    guess = head() + 0.1 * np.random.default_rng(5).standard_normal(SIZE)
    made = restore_scan(spectrum, SEEN, image=guess)
    missing = (spectrum - centred(guess)) * SEEN
    expected = guess + np.fft.fftshift(np.fft.ifft2(np.fft.ifftshift(missing), norm="ortho"))
    assert relative(made, expected) < 1e-9
    for image, sentence in (
        (head()[::-1, ::-1] * np.exp(2j), "go on with force=true"),
        (7 * guess, r"in other units: 0\.1389"),
        (np.abs(guess), "holds real numbers"),
        (guess[:, :-1], "check the pair"),
    ):
        with pytest.raises(DataError, match=sentence):
            restore_scan(spectrum, SEEN, image=image)


def test_fix_writes_a_certified_image_and_refuses_magnitudes(tmp_path: Path) -> None:
    np.save(tmp_path / "k.npy", measured()[0])
    np.save(tmp_path / "image.npy", head() + 0.05)
    np.save(tmp_path / "magnitude.npy", np.abs(head()))
    fixed = command(tmp_path, "restore", "problem=mri", "mode=fix", "image.npy", "k.npy", "out")
    assert fixed.returncode == 0, fixed.stderr
    stated = certificate(tmp_path, "image")
    assert (stated["method"], stated["measurement"]["file"]) == ("projection", "k.npy")
    assert command(tmp_path, "certify", "problem=mri", "out/image.npy", "k.npy").returncode == 0
    refused = command(tmp_path, "restore", "problem=mri", "mode=fix", "magnitude.npy", "k.npy", "two")
    assert refused.returncode == 3
    assert "save the complex reconstruction" in refused.stderr
    assert not (tmp_path / "two").exists()


class Recorder(nn.Module):
    """Takes the start image, remembers it and blurs it a little."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Tensor] = []

    def forward(self, start: Tensor) -> Tensor:
        self.seen.append(start)
        return 0.9 * start


def test_networks_see_a_peak_of_one_and_tensors_come_back_as_tensors() -> None:
    spectrum, network = 70 * measured()[0], Recorder()
    backbone = FrozenBackbone(network, BackboneSpec("recorder", 1, "start"))
    made = restore_scan(torch.from_numpy(spectrum).to(torch.complex64), torch.from_numpy(SEEN), backbone=backbone)
    assert made.dtype == torch.complex64
    assert float(network.seen[0].norm(dim=1).max()) == pytest.approx(1)
    assert relative(centred(made.numpy()) * SEEN, spectrum) < 1e-6


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        ("problem.rate=0.3", "says how a measurement is simulated"),
        ("problem.mask=radial", "give its file, or leave it out"),
        ("problem.noise=2", "write noise=2"),
        ("scale=3", "problem=mri has no 'scale'"),
        ("operator=mask", "problem=mri has no 'operator'"),
        ("tile=64", "problem=mri has no 'tile'"),
        ("zero_frequency=left", "one of auto, middle, corner"),
    ],
)
def test_keys_that_k_space_has_no_use_for_are_answered(words: str, answer: str) -> None:
    with pytest.raises(ConfigError, match=answer):
        compose("restore", ["problem=mri", "input=k.npy", "output=out", *words.split()])


def test_other_problems_and_kinds_of_files_are_one_sentence(tmp_path: Path) -> None:
    np.save(tmp_path / "k.npy", measured()[0])
    plain = command(tmp_path, "restore", "k.npy", "out", "backbone=bicubic")
    assert plain.returncode == 2
    assert "add problem=mri" in plain.stderr
    sinogram = command(tmp_path, "restore", "problem=ct", "k.npy", "out")
    assert sinogram.returncode == 2
    assert "problem=ct is not among those whose measurements are read from files" in sinogram.stderr
    levels = command(tmp_path, "restore", "problem=mri", "k.npy", "out", "epsilon_levels=1")
    assert levels.returncode == 2
    assert "k-space has no grey levels" in levels.stderr
    network = command(tmp_path, "restore", "problem=mri", "k.npy", "out", "backbone=srcnn")
    assert network.returncode != 0
    assert len(network.stderr.strip().splitlines()) < 8
