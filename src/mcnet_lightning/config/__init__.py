"""Typed schemas of every command: one dataclass per group, one field per key, its meaning beside it.

`--help`, the range checks and the spelling suggestions are all read from these fields, and the files in conf/ hold only
what differs from them. Imports neither torch nor Lightning, so that a typo is answered at once.
"""

import os
from datetime import datetime

from hydra.core.config_store import ConfigStore
from omegaconf import OmegaConf

from mcnet_lightning.config import commands, model, problem, solving

COMMANDS: dict[str, type] = {
    "train": commands.TrainConfig,
    "evaluate": commands.EvaluateConfig,
    "search_beta": commands.SearchBetaConfig,
    "pretrain_backbone": commands.PretrainBackboneConfig,
    "pretrain_denoiser": commands.PretrainDenoiserConfig,
    "restore": commands.RestoreConfig,
    "certify": commands.CertifyConfig,
    "demo": commands.DemoConfig,
    "report": commands.ReportConfig,
    "dashboard": commands.DashboardConfig,
}
VARIANTS: dict[str, dict[str, type]] = {
    "operator": {
        "bicubic": problem.BicubicOperator,
        "kernel": problem.KernelOperator,
        "blur": problem.BlurOperator,
        "mask": problem.MaskOperator,
    },
    "backbone": {
        "srcnn": model.SRCNNBackbone,
        "rcan": model.RCANBackbone,
        "rdn": model.RDNBackbone,
        "spandrel": model.SpandrelBackbone,
        "precomputed": model.PrecomputedBackbone,
        "bicubic": model.BicubicBackbone,
    },
    "solver": {"anderson": solving.Anderson, "picard": solving.Picard, "published": solving.Published},
    "backward": {
        "gmres": solving.GMRES,
        "anderson": solving.AdjointAnderson,
        "neumann": solving.Neumann,
        "jfb": solving.JacobianFree,
        "unrolled": solving.Unrolled,
    },
}


def run_name() -> str:
    """The time; within `srun` the step's number, which all its tasks share and which a requeued job keeps."""
    if "SLURM_STEP_ID" in os.environ:
        return f"slurm_{os.environ['SLURM_JOB_ID']}.{os.environ['SLURM_STEP_ID']}"
    return f"{datetime.now():%Y-%m-%d_%H-%M-%S}"


def register_schemas() -> None:
    """Puts every schema in Hydra's store: commands under their name, variants of a group under schema/<group>.

    Also makes ${run_name:} known, the name of a run's folder.
    """
    from mcnet_lightning.config.problems import usual

    OmegaConf.register_new_resolver("usual", usual, replace=True)
    OmegaConf.register_new_resolver("run_name", run_name, use_cache=True, replace=True)
    store = ConfigStore.instance()
    for name, node in COMMANDS.items():
        store.store(name=f"{name}_schema", node=node)
    for group, options in VARIANTS.items():
        for name, node in options.items():
            store.store(group=f"schema/{group}", name=name, node=node)
