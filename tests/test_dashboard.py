"""The W&B workspace as code: every panel by name, on metrics that runs log."""

import json
from pathlib import Path

import pytest
from in_process import command

from mcnet_lightning.reporting.dashboard import workspace

PANELS = {
    "PSNR gain by backbone",
    "PSNR gain by scale",
    "Consistency against epsilon",
    "Evaluations",
    "Residuals",
    "Tolerance curve",
    "Picture grid",
}


def test_the_file_holds_every_named_panel(tmp_path: Path) -> None:
    words = ["project=mine", "entity=us", "hydra.run.dir=board"]
    done = command(tmp_path, "dashboard", *words)
    assert done.returncode == 0, done.stderr
    view = json.loads((tmp_path / "board" / "workspace.json").read_text())
    assert (view["entity"], view["project"]) == ("us", "mine")
    sections = view["spec"]["section"]["panelBankConfig"]["sections"]
    titles = {panel["config"].get("chartTitle") for section in sections for panel in section["panels"]}
    assert titles >= PANELS
    tables = next(section for section in sections if section["name"] == "Run table")
    assert {panel["viewType"] for panel in tables["panels"]} == {"Run Comparer", "Weave"}


def test_the_file_can_be_loaded_back() -> None:
    import wandb_workspaces.workspaces as ws

    board = workspace("us", "mine", "MCNet")
    again = ws.Workspace._from_model(board._to_model())
    assert [section.name for section in again.sections] == [section.name for section in board.sections]
    assert [len(section.panels) for section in again.sections] == [len(section.panels) for section in board.sections]


def test_going_online_without_an_entity_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mcnet_lightning.errors import ConfigError
    from mcnet_lightning.reporting.dashboard import _create

    with pytest.raises(ConfigError, match="entity="):
        _create(workspace("us", "mine", "MCNet"), None)
