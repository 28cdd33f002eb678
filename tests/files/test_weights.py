"""Weight files: what is wrong is said in one sentence, and nothing in them is run."""

import os
import random
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from mcnet_lightning.errors import WeightsError
from mcnet_lightning.files.weights import WeightFile, bundled_path, read_weights, write_weights

TENSORS = {"weight": torch.arange(6.0).view(2, 3), "bias": torch.tensor([0.1, -0.2])}


def file(tensors: dict[str, torch.Tensor] | None = None, name: str = "file.pth", **metadata: object) -> WeightFile:
    return WeightFile(Path(name), "", TENSORS if tensors is None else tensors, metadata)


def one_sentence(error: pytest.ExceptionInfo[WeightsError]) -> bool:
    return "\n" not in str(error.value) and len(str(error.value)) < 400


@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
def test_round_trip(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"file.{suffix}"
    write_weights(path, TENSORS, {}) if suffix == "safetensors" else torch.save(TENSORS, path)
    read = read_weights(path).tensors
    assert set(read) == set(TENSORS)
    assert all(torch.equal(read[name], TENSORS[name]) for name in TENSORS)


def test_metadata_travels_in_the_header(tmp_path: Path) -> None:
    write_weights(tmp_path / "file.safetensors", TENSORS, {"kind": "layer", "scale": 2})
    assert read_weights(tmp_path / "file.safetensors").metadata == {"kind": "layer", "scale": "2"}


@pytest.mark.parametrize(
    "wrapper", ["state_dict", "params_ema", "params", "model", "net", "model_state_dict", "generator", "ema"]
)
def test_checkpoints_are_unwrapped(tmp_path: Path, wrapper: str) -> None:
    torch.save({wrapper: TENSORS, "epoch": 3, "mcnet": {"kind": "layer", "scale": 2}}, tmp_path / "file.pth")
    read = read_weights(tmp_path / "file.pth")
    assert torch.equal(read.tensors["weight"], TENSORS["weight"])
    assert read.metadata == {"kind": "layer", "scale": 2}  # what our own checkpoints say of themselves


DOUBLED = {name: 2 * tensor for name, tensor in TENSORS.items()}


@pytest.mark.parametrize(
    "content",
    [
        {"params": DOUBLED, "params_ema": TENSORS},
        {"params_ema": TENSORS, "params": DOUBLED},
        {"state_dict": DOUBLED, "model_ema": {"state_dict": TENSORS}},
        {"model": {"state_dict": TENSORS}, "optimizer": {"state": {0: {"exp_avg": torch.ones(3)}}}},
        {"model": TENSORS, "state_dict": TENSORS},  # the same set twice is no question
        {"net": TENSORS, "epoch": torch.tensor(3)},
        {"state_dict": {f"module.{name}": tensor for name, tensor in TENSORS.items()}},
        {f"module._orig_mod.{name}": tensor for name, tensor in TENSORS.items()},
        {"n_averaged": torch.tensor(7)} | {f"module.{name}": tensor for name, tensor in TENSORS.items()},
        {name: nn.Parameter(tensor) for name, tensor in TENSORS.items()} | {"epoch": 3, "lr": 1e-4},
    ],
    ids=lambda content: "-".join(map(str, content)),
)
@pytest.mark.parametrize("name", ["file.pth", "file.ckpt", "file.safetensors", "file"])
def test_the_right_set_of_tensors_is_chosen(tmp_path: Path, content: dict[str, Any], name: str) -> None:
    torch.save(content, tmp_path / name)
    read = read_weights(tmp_path / name).tensors
    assert read.keys() == TENSORS.keys()
    assert all(torch.equal(read[name], TENSORS[name]) for name in TENSORS)
    assert not any(tensor.requires_grad for tensor in read.values())


def test_a_flipped_bit_of_a_pytorch_file_is_told_by_its_checksum(tmp_path: Path) -> None:
    path = tmp_path / "file.pth"
    torch.save(TENSORS, path)
    content = bytearray(path.read_bytes())
    content[content.index(TENSORS["weight"].numpy().tobytes()) + 6] ^= 1
    path.write_bytes(content)
    with pytest.raises(WeightsError, match=r"damaged or no weight file .*wrong checksum") as error:
        read_weights(path)
    assert one_sentence(error)
    torch.serialization.set_crc32_options(False)
    try:
        torch.save(TENSORS, path)
    finally:
        torch.serialization.set_crc32_options(True)
    assert torch.equal(read_weights(path).tensors["weight"], TENSORS["weight"])  # without any checksum


def test_two_sets_that_differ_are_refused_by_name(tmp_path: Path) -> None:
    torch.save({"model": TENSORS, "net": DOUBLED}, tmp_path / "file.pth")
    with pytest.raises(WeightsError, match=r"several sets of tensors \(model and net\)") as error:
        read_weights(tmp_path / "file.pth")
    assert one_sentence(error)


@pytest.mark.parametrize("prefix", ["", "net.", "model.", "model.net.", "generator."])
def test_a_network_is_found_within_a_larger_module(prefix: str) -> None:
    named = {f"{prefix}{name}": tensor for name, tensor in TENSORS.items()}
    found = file(named | ({"loss.scale": torch.ones(1)} if prefix else {})).below("weight")
    assert found.tensors.keys() == TENSORS.keys()


def test_two_networks_within_a_module_are_refused() -> None:
    named = {f"{p}.{name}": t for p, s in (("net", TENSORS), ("target", DOUBLED)) for name, t in s.items()}
    with pytest.raises(WeightsError, match=r"several networks \(net and target\)"):
        file(named).below("weight")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
def test_any_floating_point_becomes_single_precision(tmp_path: Path, dtype: torch.dtype, suffix: str) -> None:
    path, stored = tmp_path / f"file.{suffix}", {name: tensor.to(dtype) for name, tensor in TENSORS.items()}
    write_weights(path, stored, {}) if suffix == "safetensors" else torch.save(stored, path)
    read = read_weights(path).tensors
    assert all(torch.equal(read[name], stored[name].float()) for name in TENSORS)
    assert {tensor.dtype for tensor in read.values()} == {torch.float32}


@pytest.mark.parametrize(
    ("weight", "answer"),
    [
        (torch.tensor([[1.0, torch.nan, 0.0]]), "weight holds NaN"),
        (torch.tensor([[1.0, -torch.inf, 0.0]]), "weight holds Inf"),
        (torch.tensor([[1e30, 0.0, 0.0]]), r"weight holds numbers up to 1\.0e\+30"),
        (torch.tensor([[1e30, torch.nan, 0.0]]).double(), "weight holds NaN"),
        (torch.full((2, 3), 7e4).half(), "weight holds Inf"),
        (torch.ones(2, 3).to(torch.int8), "weight holds int8 numbers"),
        (torch.ones(2, 3).to(torch.uint8), "weight holds uint8 numbers"),
        (torch.ones(2, 3).to(torch.complex64), "weight holds complex64 numbers"),
        (torch.ones(2, 3).to(torch.float8_e4m3fn), "weight holds float8_e4m3fn numbers"),
        (torch.ones(2, 3).to_sparse(), "weight is no plain tensor"),
        (torch.ones(1, 1).expand(10**6, 10**6), "weight claims more numbers than the file holds"),
    ],
    ids=lambda value: "" if isinstance(value, torch.Tensor) else value,
)
def test_numbers_that_no_network_has_are_refused(tmp_path: Path, weight: torch.Tensor, answer: str) -> None:
    torch.save({**TENSORS, "weight": weight}, tmp_path / "file.pth")
    with pytest.raises(WeightsError, match=answer) as error:
        read_weights(tmp_path / "file.pth")
    assert one_sentence(error)


@pytest.mark.parametrize("dtype", [torch.bool, torch.int32, torch.int64], ids=str)
def test_whole_numbers_are_for_buffers_only(tmp_path: Path, dtype: torch.dtype) -> None:
    write_weights(tmp_path / "file.safetensors", {**TENSORS, "weight": torch.ones(2, 3).to(dtype)}, {})
    read = read_weights(tmp_path / "file.safetensors")
    with pytest.raises(WeightsError, match="not floating-point ones"):
        read.load_into(nn.Linear(3, 2))


def test_a_compressed_archive_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(10**6)}, tmp_path / "good.pth")
    with zipfile.ZipFile(tmp_path / "good.pth") as good, zipfile.ZipFile(tmp_path / "bomb.pth", "w") as bomb:
        for member in good.infolist():
            bomb.writestr(member.filename, good.read(member), zipfile.ZIP_DEFLATED)
    with pytest.raises(WeightsError, match="are compressed, as PyTorch never does"):
        read_weights(tmp_path / "bomb.pth")


@pytest.mark.parametrize("metadata", [3, "text", [1], {"scale": "two"}, {"scale": -2}, {"scale": 10**30}], ids=str)
def test_what_a_file_says_of_itself_is_checked(tmp_path: Path, metadata: object) -> None:
    torch.save({"state_dict": TENSORS, "mcnet": metadata}, tmp_path / "file.ckpt")
    with pytest.raises(WeightsError, match=r"is damaged \(what it says|says scale=") as error:
        read_weights(tmp_path / "file.ckpt").require_scale(2)
    assert one_sentence(error)


@pytest.mark.parametrize(
    "said", ["{", "[1]", "null", '{"depth": 1000000000}', '{"averaging": NaN}', '{"a": {"b": Infinity}}', "[" * 10**5]
)
def test_settings_that_the_tensors_cannot_bear_out_are_refused(said: str) -> None:
    with pytest.raises(WeightsError, match=r"what it says of its layer cannot be right") as error:
        file(layer=said).described("layer")
    assert one_sentence(error)
    assert file(layer='{"depth": 3, "name": "x"}').described("layer") == {"depth": 3, "name": "x"}


def test_identity_follows_the_content(tmp_path: Path) -> None:
    for name, factor in (("a", 1), ("b", 1), ("c", 2)):
        write_weights(tmp_path / f"{name}.safetensors", {k: factor * v for k, v in TENSORS.items()}, {})
    a, b, c = (read_weights(tmp_path / f"{name}.safetensors").sha256 for name in "abc")
    assert a == b != c
    assert len(a) == 64


def test_file_appears_only_when_complete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file.safetensors"
    write_weights(path, TENSORS, {})
    before = path.read_bytes()

    def die_half_way(target: Path, content: bytes) -> None:
        with target.open("wb") as out:
            out.write(content[:4])
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "write_bytes", die_half_way)
    with pytest.raises(KeyboardInterrupt):
        write_weights(path, TENSORS, {})
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"no weight file .*nowhere\.pth"):
        read_weights(tmp_path / "nowhere.pth")


class Code:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("pwned",)


def test_code_in_a_pickle_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"weight": Code()}, tmp_path / "file.pth")
    with pytest.raises(WeightsError, match="more than tensors, which will not be run") as error:
        read_weights(tmp_path / "file.pth")
    assert one_sentence(error)
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
@pytest.mark.parametrize("content", [b"", b"plain text, no weights\n", b'{"json": 1}', bytes(100), b"PK\x03\x04"])
def test_other_files_are_refused(tmp_path: Path, suffix: str, content: bytes) -> None:
    (tmp_path / f"file.{suffix}").write_bytes(content)
    with pytest.raises(WeightsError, match=rf"file\.{suffix} is (damaged|no weight file)") as error:
        read_weights(tmp_path / f"file.{suffix}")
    assert one_sentence(error)


def test_something_else_than_a_dictionary_is_refused(tmp_path: Path) -> None:
    torch.save(torch.ones(3), tmp_path / "file.pth")
    with pytest.raises(WeightsError, match="holds a Tensor, not a dictionary"):
        read_weights(tmp_path / "file.pth")


@pytest.mark.parametrize("form", ["safetensors", "zip", "legacy"])
def test_truncated_and_damaged_files_are_refused_in_one_sentence(tmp_path: Path, form: str) -> None:
    path = tmp_path / ("file.safetensors" if form == "safetensors" else "file.pth")
    if form == "safetensors":
        write_weights(path, TENSORS, {})
    else:
        torch.save(TENSORS, path, _use_new_zipfile_serialization=form == "zip")
    good, chance = path.read_bytes(), random.Random(0)
    for length in sorted(chance.sample(range(len(good) - 1), 40)):
        path.write_bytes(good[:length])
        with pytest.raises(WeightsError, match=path.name) as error:
            read_weights(path)
        assert one_sentence(error)


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"weight": TENSORS["weight"]}, "does not fit Linear: bias is missing$"),
        ({**TENSORS, "scale": torch.ones(1)}, "scale is unexpected$"),
        ({**TENSORS, "weight": torch.ones(3, 2)}, r"weight has shape \(3, 2\), not \(2, 3\)$"),
        ({"gain": torch.ones(1)}, "weight is missing and 2 more differences$"),
    ],
)
def test_loading_is_strict_and_names_the_first_difference(tensors: dict[str, torch.Tensor], message: str) -> None:
    module = nn.Linear(3, 2)
    before = module.weight.clone()
    with pytest.raises(WeightsError, match=message):
        file(tensors).load_into(module)
    assert torch.equal(module.weight, before)


def test_loading_fills_every_tensor() -> None:
    module = nn.Linear(3, 2)
    file().load_into(module)
    assert torch.equal(module.weight, TENSORS["weight"])
    assert torch.equal(module.bias, TENSORS["bias"])


@pytest.mark.parametrize(
    ("name", "metadata"),
    [
        ("srcnn_x4.pth", {}),
        ("x4.pth", {}),
        ("RCAN-X4-div2k.pth", {}),
        ("own.safetensors", {"scale": "4"}),
        ("srcnn_x2.safetensors", {"scale": 4}),  # what the file says counts for more than its name
    ],
    ids=str,
)
def test_file_for_another_scale_is_refused(name: str, metadata: dict[str, Any]) -> None:
    with pytest.raises(WeightsError, match="made for scale=4, not scale=2; use"):
        file(name=name, **metadata).require_scale(2)
    file(name=name, **metadata).require_scale(4)


@pytest.mark.parametrize("name", ["srcnn.pth", "box4.pth", "max2.pth", "run_x16.pth", "model-3.pth"])
def test_name_without_a_scale_fits_every_scale(name: str) -> None:
    for scale in (2, 3, 4):
        file(name=name).require_scale(scale)


def test_file_of_another_kind_is_refused() -> None:
    with pytest.raises(WeightsError, match=r"holds a denoiser, not a layer; give it to denoiser\.weights"):
        file(kind="denoiser").require_kind("layer")
    file(kind="layer").require_kind("layer")
    file().require_kind("layer")  # a foreign file says nothing


def test_what_is_not_bundled_is_refused_with_what_is() -> None:
    with pytest.raises(WeightsError, match=r"no layer 'nonsense_x2' is bundled \(bundled: .*layer\.weights"):
        bundled_path("layer", "nonsense_x2")
