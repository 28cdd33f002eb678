"""What people type, as the KEY=VALUE words that Hydra reads: paths with any signs in them, `restore IN OUT`, `-o DIR`.

Hydra's grammar gives spaces, commas, brackets, `=` and letters beyond ASCII other meanings or none, and reads a folder
called 2026_11_26 as a number: the values of keys that hold paths are quoted for it here, so that nobody has to.
"""

import os
import re
import shlex
import unicodedata
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote, urlsplit

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Quote, QuotedString
from hydra.errors import HydraException

from mcnet_lightning.config import COMMANDS
from mcnet_lightning.errors import ConfigError, printable

KEY = re.compile(r"\+{0,2}[A-Za-z_][\w.@/]*")
TARGET = re.compile(r"^(\w+)\._target_=")  # GROUP._target_=module.Class chooses as GROUP=module.Class does
SEVERAL = re.compile(r"^backbone=\[(.+)\]$")  # the mean of several networks
PLAIN = re.compile(r"[\w./+-]*", re.ASCII)  # what stands for itself in Hydra's grammar
NO_TEXT = re.compile(
    r"[-+]?[\d._]+(e[-+]?\d+)?|true|false|null|nan|[-+]?inf", re.IGNORECASE
)  # ... but is a number there
PATHS = ("image", "input", "measurement", "output", "runs", "sr")  # hold nothing but paths
BESIDE = ("cache_dir", "default_root_dir", "dir", "hr", "initial_weights", "maps", "mask", "resume", "root", "weights")
IN_ORDER = {
    "restore": ("input", "output"),
    "restore mode=fix": ("sr", "lr", "output"),
    "certify": ("image", "measurement"),
    "report": ("runs", "output"),
}
OF_PROBLEM = re.compile(r"^(mask|maps|kernel)=")  # as people with a measurement in a file say problem.mask=
SHORT = {"-i": "input", "-o": "output", "-s": "scale"}
FROM_FILES = ("restore", "certify")
WITH_VALUE = ("--cfg", "-c", "--package", "-p", "--config-path", "-cp", "--config-name", "-cn", "--config-dir", "-cd")
LONGEST_NAME = 12  # words that an unquoted name with spaces may have become


def hydra_words(config_name: str, argv: list[str]) -> list[str]:
    """The command line in Hydra's words. Raises ConfigError, with the words to type, for what cannot be read."""
    if {"-h", "--help"} & set(argv):  # beside which `all` is no path
        return argv
    order = IN_ORDER.get(f"{config_name} mode=fix" if "mode=fix" in argv else config_name, ())
    schema = COMMANDS.get(config_name)
    keys = set(getattr(schema, "__dataclass_fields__", {}))
    words, free = list[str](), list[str]()
    left = list(argv)
    if config_name in FROM_FILES and any(word.startswith("problem=") for word in argv):
        left = [OF_PROBLEM.sub(r"problem.\1=", word) for word in argv]
    while left:
        word = left.pop(0)
        if word == "--" and order:
            free, left = free + left, []
        elif word in WITH_VALUE:
            words += [word, *left[:1]]
            del left[:1]
        elif (name := _flag(word, keys)) is not None:
            if "=" not in word and not left:
                raise ConfigError(f"{word} needs a value; write {name}=...")
            words.append(f"{name}={word.partition('=')[2] if '=' in word else left.pop(0)}")
        elif (word.startswith("-") and not (order and os.path.lexists(word))) or (not order and "=" not in word):
            words.append(word)
        elif _is_setting(word, keys, bool(order)):
            words.append(_joined(word, left, True))
        else:
            free.append(_joined(word, left, False))
    words += _in_order(config_name, order, words, free)
    words = [each for word in words for each in _several(word)]
    return [_readable(_quoted(TARGET.sub(r"\1=", word))) for word in words]


def _several(word: str) -> list[str]:
    """backbone=[A,B] chooses `several` of these networks; paths in it are quoted for Hydra."""
    found = SEVERAL.match(word)
    if found is None:
        return [word]
    names = [name.strip() for name in found[1].split(",")]
    listed = [name if PLAIN.fullmatch(name.replace(":", "")) else _as_text(name) for name in names]
    return ["backbone=several", f"backbone.networks=[{','.join(listed)}]"]


def _flag(word: str, keys: set[str]) -> str | None:
    """The key that -o, --output or --output=DIR mean; None for Hydra's own flags."""
    name = SHORT.get(word) or (word[2:].partition("=")[0].replace("-", "_") if word.startswith("--") else None)
    return name if name in keys else None


def _is_setting(word: str, keys: set[str], may_be_path: bool) -> bool:
    """Whether the word is KEY=VALUE, and not the path of something whose name has a `=`."""
    key, sign, _ = word.partition("=")
    if not may_be_path:
        return True
    if os.path.isfile(word) or not (sign and KEY.fullmatch(key)):
        return word.startswith("~") and not os.path.lexists(word)
    return key.lstrip("+").split(".")[0] in keys or not os.path.lexists(word)


def _joined(word: str, left: list[str], setting: bool) -> str:
    """The word with those after it that belong to one name with spaces, where such a file or folder exists."""
    key, sign, value = word.partition("=") if setting else ("", "", word)
    if (setting and not _holds_path(key)) or _existing(value) is not None:
        return word
    for count in range(1, min(len(left), LONGEST_NAME) + 1):
        if (whole := _existing(" ".join([value, *left[:count]]))) is not None:
            del left[:count]
            return f"{key}{sign}{whole}"
    return word


def _in_order(config_name: str, order: tuple[str, ...], words: list[str], free: list[str]) -> Iterator[str]:
    """The words without a key, each for the first key in `order` that has no value yet."""
    given = {word.partition("=")[0] for word in words}
    names = [name for name in order if name not in given]
    if len(free) > len(names):
        takes = " ".join(name.upper() for name in order)
        raise ConfigError(
            f"{config_name} takes {takes}, and {shlex.quote(free[len(names)])} is one too many; a name with spaces "
            f"needs quotes, and for several pictures give their folder, as in {order[0]}={_folder(free[0])}"
        )
    for name, word in zip(names, free, strict=False):
        yield f"{name}={word}"


def _folder(word: str) -> str:
    return shlex.quote(str(Path(word).parent))


def _holds_path(key: str) -> bool:
    return key.rsplit(".", 1)[-1].lstrip("+") in (*PATHS, *BESIDE)


def _quoted(word: str) -> str:
    """The word with its path in quotes for Hydra; words that hold no path, and Hydra's own quotes, stay."""
    key, sign, value = word.partition("=")
    if not sign or not KEY.fullmatch(key):
        return word
    path = _existing(value) if not PLAIN.fullmatch(value) or _holds_path(key) else None
    if path is None and key.lstrip("+") == "runs" and value.startswith("["):
        listed = _listed(value)
        return word if listed is None else f"{key}=[{','.join(map(_as_text, listed))}]"
    if path is None:
        several = ("[", ",") if key.lstrip("+") == "runs" or key.lstrip("+") not in PATHS else ()
        if not _holds_path(key) or value == "null" or value[:1] in ("'", '"') or "${" in value:
            return word
        if any(sign in value for sign in several):  # a list, or values of a sweep
            return word
        path = _from_address(value) or value
    if PLAIN.fullmatch(path) and not (key.lstrip("+") in PATHS and NO_TEXT.fullmatch(path)):
        return f"{key}={path}"
    return f"{key}={_as_text(path)}"


def _as_text(path: str, quote: Quote = Quote.single) -> str:
    """A path as a quoted string of Hydra's, in which OmegaConf finds nothing to fill in."""
    return QuotedString(text=re.sub(r"(\\*)\$\{", r"\1\1\\${", path), quote=quote).with_quotes()


def _listed(value: str) -> list[str] | None:
    """The paths of [A,B], where names may hold commas: the longest that exist; None if there are no such."""
    parts, found = value[1:].removesuffix("]").split(","), list[str]()
    while parts:
        for count in range(len(parts), 0, -1):
            if (path := _existing(",".join(parts[:count]).strip())) is not None:
                found.append(path)
                del parts[:count]
                break
        else:
            return None
    return found


def _existing(value: str) -> str | None:
    """The path that was meant: as it stands, or as a terminal, a file manager or another system writes it; None where
    none of these is a file or folder.
    """
    for path in _spellings(value):
        with suppress(OSError, ValueError):  # a name too long, or with a zero in it
            if path and os.path.lexists(os.path.expanduser(path)):
                return path
    return None


def _spellings(value: str) -> Iterator[str]:
    yield value
    bare = value.strip()
    yield bare
    if len(bare) > 1 and bare[0] == bare[-1] and bare[0] in "'\"":
        yield bare[1:-1]
    yield _from_address(bare) or ""
    with suppress(ValueError):
        words = shlex.split(bare)
        yield words[0] if len(words) == 1 else ""
    for form in ("NFC", "NFD"):  # macOS takes letters apart that a keyboard writes as one
        yield unicodedata.normalize(form, bare)


def _from_address(value: str) -> str | None:
    """The path in file:///home/me/photo%20(1).png, as file managers copy it."""
    return unquote(urlsplit(value).path) if value.startswith("file:///") else None


def _readable(word: str) -> str:
    """The word itself. Raises ConfigError where Hydra cannot read it, with the word to type in its place."""
    key, sign, value = word.partition("=")
    if not sign or not KEY.fullmatch(key) or PLAIN.fullmatch(value) or printable(word) != word:
        return word
    try:
        OverridesParser.create().parse_override(word)
    except HydraException:
        inner = value[1:].removesuffix("]")
        quoted = ",".join(_as_text(part.strip().strip("'\""), Quote.double) for part in inner.split(","))
        said = f"[{quoted}]" if value.startswith("[") else _as_text(value.strip("'\""), Quote.double)
        raise ConfigError(
            f"{word} has signs with a meaning of their own; type {shlex.quote(f'{key}={said}')}"
        ) from None
    return word
