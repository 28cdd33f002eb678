"""The authors' weights: known for each scale, kept under a name that says what they are."""

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from file_server import FileServer

from mcnet_lightning.backbones import facts_of, networks
from mcnet_lightning.backbones.official import official_weights
from mcnet_lightning.errors import DataError, WeightsError
from mcnet_lightning.files.downloads import RemoteFile
from mcnet_lightning.files.weights import SCALE_IN_NAME


def official(name: str) -> Mapping[int, RemoteFile]:
    return facts_of(networks()[name]).official


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    monkeypatch.setenv("MCNET_CACHE", str(tmp_path))
    with FileServer({"some/best.pth": b"weights"}) as server:
        yield server


@pytest.mark.parametrize("name", ["srcnn", "rcan", "rdn"])
def test_every_scale_has_a_file_of_its_own(name: str) -> None:
    assert set(official(name)) == {2, 3, 4}
    assert len({file.url for file in official(name).values()}) == 3
    assert all(f"x{scale}" in file.url for scale, file in official(name).items())
    assert all(file.url.startswith("https://") for file in official(name).values())


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_srcnn_is_the_published_file(scale: int, shared: Path) -> None:
    content = (shared / "weights" / "srcnn" / f"srcnn_x{scale}.pth").read_bytes()
    file = official("srcnn")[scale]
    assert (file.sha256, file.bytes) == (hashlib.sha256(content).hexdigest(), len(content))


def test_file_is_fetched_once_under_a_name_that_says_what_it_is(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {3: RemoteFile(f"{server.url}/some/best.pth")}
    path = official_weights("srcnn", files, 3)
    assert official_weights("srcnn", files, 3) == path == tmp_path / "weights" / "srcnn_x3.pth"
    assert path.read_bytes() == b"weights"
    assert len(server.asked) == 1
    match = SCALE_IN_NAME.search(path.stem)
    assert match is not None
    assert match[1] == "3"


def test_offline_names_url_and_path(tmp_path: Path, server: FileServer, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {2: RemoteFile("http://127.0.0.1:1/rcan_x2.pt")}
    with pytest.raises(DataError, match=rf"http://127\.0\.0\.1:1/rcan_x2\.pt .* at {tmp_path}/weights/rcan_x2\.pt"):
        official_weights("rcan", files, 2)


@pytest.mark.parametrize(
    ("name", "scale", "message"),
    [
        ("bicubic", 2, r"no official weights of 'bicubic'; take backbone\.weights=bundled, or the path of a file"),
        ("rdn", 8, r"'rdn' for scale=8, only for 2, 3, 4"),
    ],
)
def test_what_nobody_published_is_said(name: str, scale: int, message: str) -> None:
    with pytest.raises(WeightsError, match=message):
        official_weights(name, official(name), scale)
