"""Typed schemas: a dataclass for every command and plain group, and for every component one that its class gives.

`--help`, the range checks and the spelling suggestions are all read from their fields, and the files in conf/ hold only
what differs from them. Imports neither torch nor Lightning, so that a typo is answered at once.
"""

import os
from datetime import datetime
from functools import cache

from hydra.core.config_store import ConfigStore
from omegaconf import OmegaConf

from mcnet_lightning.config import commands, restoring

COMMANDS: dict[str, type] = {
    "train": commands.TrainConfig,
    "evaluate": commands.EvaluateConfig,
    "search_beta": commands.SearchBetaConfig,
    "pretrain_backbone": commands.PretrainBackboneConfig,
    "pretrain_denoiser": commands.PretrainDenoiserConfig,
    "restore": restoring.RestoreConfig,
    "certify": restoring.CertifyConfig,
    "demo": restoring.DemoConfig,
    "report": commands.ReportConfig,
    "dashboard": commands.DashboardConfig,
}


def run_name() -> str:
    """The time; within `srun` the step's number, which all its tasks share and which a requeued job keeps."""
    if "SLURM_STEP_ID" in os.environ:
        return f"slurm_{os.environ['SLURM_JOB_ID']}.{os.environ['SLURM_STEP_ID']}"
    return f"{datetime.now():%Y-%m-%d_%H-%M-%S}"


@cache
def register_schemas(config_name: str) -> None:
    """Puts schemas in Hydra's store: a command's under its name, components as options of their groups.

    Also makes ${run_name:} known, the name of a run's folder.
    """
    from mcnet_lightning.config.components import register_components
    from mcnet_lightning.config.problems import usual

    OmegaConf.register_new_resolver("usual", usual, replace=True)
    OmegaConf.register_new_resolver("run_name", run_name, use_cache=True, replace=True)
    ConfigStore.instance().store(name=f"{config_name}_schema", node=COMMANDS[config_name])
    register_components()
