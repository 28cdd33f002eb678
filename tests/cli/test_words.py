"""Any path works as it is typed or pasted, with or without its key; what cannot be read gets words to type."""

import os
import shlex
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from mcnet_lightning.cli.words import hydra_words
from mcnet_lightning.errors import ConfigError

NAMES = [
    "[y].png",
    "a=b.png",
    "it's.png",
    "photo (1).png",
    "photo, final.png",
    "été 東京.png",
    '"quoted" name.png',
    "'quoted'.png",
    "${HOME}.png",
    r"a\${b}.png",
    "back\\slash.png",
    r"ends in \'.png",
    "ends in \\",
    "a, b = [c] (d) {e} 'f'.png",
    "~tilde.png",
    "-dash.png",
    "--input.png",
    "scale=2.png",
    "scale=3,epsilon=0.1",
    "+plus.png",
    "#1 50%.png",
    "a;b&c|d>e.png",
    "`x` $y !z.png",
    "*?.png",
    " space first.png",
    "null",
    "true",
    "2026_11_26",
    "1e3",
    "日本 😀.png",
    "tab\tin.png",
]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def read(*argv: str, config_name: str = "restore") -> Any:
    """What a configuration would hold after this command line."""
    parsed = OverridesParser.create().parse_overrides(hydra_words(config_name, list(argv)))
    config = OmegaConf.create({override.key_or_group: override.value() for override in parsed})
    return OmegaConf.to_container(config, resolve=True)


@pytest.mark.parametrize("name", NAMES)
def test_any_name_is_the_same_file_however_it_is_given(name: str) -> None:
    Path(name).touch()
    ways = [
        [f"input={name}", "output=o"],
        [f"input={os.path.abspath(name)}", "output=o"],
        [name, "o"],
        ["-i", name, "-o", "o"],
        [f"--input={name}", "--output", "o"],
        [f"input={shlex.quote(name)}", "output=o"],  # pasted with the shell's quotes in quotes
        [f"input=file://{quote(os.path.abspath(name))}", "output=o"],
        [f"output={name}", "input=o"],
    ]
    for words in ways:
        found = read(*words)
        paths = {os.path.abspath(str(found[key])) for key in ("input", "output")}
        assert paths == {os.path.abspath(name), os.path.abspath("o")}, words
        assert set(map(type, found.values())) == {str}
        again = hydra_words("restore", hydra_words("restore", words))  # as Lightning repeats it
        assert again == hydra_words("restore", words)


def test_the_names_at_hand_are_among_them() -> None:
    folder = Path(__file__).resolve().parents[3] / "shared" / "cases" / "names"
    if not folder.is_dir():
        pytest.skip("no ../shared/cases/names")
    assert {path.name for path in folder.iterdir()} <= set(NAMES)


def test_a_new_folder_may_have_any_name() -> None:
    for name in ("my results (2)", "2026_11_26", "a,b", "été", "[x]", "o=p"):
        assert read("input=x.png", f"output={name}")["output"] == name


def test_names_with_spaces_may_come_in_pieces() -> None:
    Path("my photo (1).png").touch()
    assert read("input=my", "photo", "(1).png", "output=o")["input"] == "my photo (1).png"
    assert read("my", "photo", "(1).png", "o") == {"input": "my photo (1).png", "output": "o"}


def test_letters_that_another_system_takes_apart() -> None:
    Path("e\u0301te\u0301.png").touch()
    assert read("input=\u00e9t\u00e9.png")["input"] == "e\u0301te\u0301.png"


def test_every_key_that_holds_a_path() -> None:
    run = Path("multirun/backbone=srcnn,scale=4,epsilon=0.1/checkpoints")
    run.mkdir(parents=True)
    (run / "last.ckpt").touch()
    for key in ("resume", "layer.weights", "backbone.weights", "denoiser.weights", "initial_weights"):
        assert read(f"{key}={run}/last.ckpt", config_name="train")[key] == f"{run}/last.ckpt"
    for key in ("data.root", "data.lr", "data.hr", "hydra.run.dir"):
        assert read(f"{key}={run}", config_name="train")[key] == str(run)
    assert read(f"runs={run}", config_name="report")["runs"] == str(run)
    assert read(str(run), "o", config_name="report") == {"runs": str(run), "output": "o"}
    Path("b, c").mkdir()
    assert read(f"runs=[{run}, b, c]", config_name="report")["runs"] == [str(run), "b, c"]


def test_what_holds_no_path_stays_as_it_is() -> None:
    words = ["data.train=[a,b]", "scale=2,3", "-m", "output=${hydra.run.dir}", "layer.weights=bundled,none", "~logger"]
    assert hydra_words("train", words) == words
    assert hydra_words("restore", ["-c", "job", "scale=2"]) == ["-c", "job", "scale=2"]


def test_pictures_of_other_modes_and_commands_in_their_order() -> None:
    assert read("mode=fix", "a", "b", "c") == {"mode": "fix", "sr": "a", "lr": "b", "output": "c"}
    assert read("a.png", "b.png", config_name="certify") == {"image": "a.png", "measurement": "b.png"}
    assert read("-s", "4", "a.png", "o") == {"scale": 4, "input": "a.png", "output": "o"}


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (["a.png", "b.png", "o"], "o is one too many; a name with spaces needs quotes, and for several pictures give "),
        (["input=a", "-o"], "-o needs a value; write output=..."),
        (["epsilon=(1"], """type 'epsilon="(1"'"""),
        (["data.test=[a b,(c]"], """type 'data.test=["a b","(c"]'"""),
    ],
)
def test_what_cannot_be_read_is_answered_in_words_to_type(words: list[str], answer: str) -> None:
    with pytest.raises(ConfigError) as caught:
        hydra_words("restore", words)
    assert answer in str(caught.value)
    if "type " in answer:
        typed = shlex.split(answer.removeprefix("type "))
        assert hydra_words("restore", typed) == typed
