"""YAML files that somebody else may have written: looked at before anything is built of what they say."""

from pathlib import Path

import yaml
from omegaconf import OmegaConf
from yaml.error import MarkedYAMLError

LARGEST = 2**20  # bytes
MOST = 100_000  # values, with every repetition of an anchor: settings have some hundreds


def fault_of(path: Path) -> str | None:
    """Why a file cannot be read as settings; None if it can be."""
    try:
        if not path.is_file() or path.stat().st_size > LARGEST:
            return "it is no file of settings"
        root = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
        if root is None:
            return None
        if not isinstance(root, yaml.MappingNode):
            return "it holds no KEY: VALUE"
        if _size(root, {}) > MOST:
            return "its anchors repeat too much"
        OmegaConf.load(path)
    except Exception as error:  # YAML fails in many ways
        return yaml_sentence(error)
    return None


def yaml_sentence(error: Exception) -> str:
    """What YAML and OmegaConf say in several lines, as one."""
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    if isinstance(error, MarkedYAMLError) and error.problem and error.problem_mark:
        return f"{error.problem}, line {error.problem_mark.line + 1}"
    return " ".join(str(error).split())[:200]


def _size(node: yaml.Node, known: dict[yaml.Node, int]) -> int:
    """How many values a node holds; more than MOST where it repeats itself without end."""
    if node not in known:
        known[node] = MOST + 1
        pairs = node.value if isinstance(node, yaml.MappingNode) else []
        inner = node.value if isinstance(node, yaml.SequenceNode) else [each for pair in pairs for each in pair]
        known[node] = 1 + sum(_size(each, known) for each in inner)
    return known[node]
