"""What other programs call a key: nobody has to guess twice."""

ALIASES: dict[str, tuple[str, ...]] = {  # by what is typed; the first key that the command has is named
    "batch": ("data.batch_size",),
    "checkpoint": ("resume", "layer.weights"),
    "ckpt": ("resume", "layer.weights"),
    "ckpt_path": ("resume", "layer.weights"),
    "dataset": ("data.test", "data.root"),
    "datasets": ("data.test", "data.root"),
    "dir": ("output", "hydra.run.dir"),
    "epoch": ("trainer.max_epochs",),
    "epochs": ("trainer.max_epochs",),
    "eps": ("epsilon",),
    "factor": ("scale",),
    "gpus": ("trainer.devices", "device"),
    "image": ("input", "image"),
    "in": ("input", "image"),
    "iterations": ("trainer.max_steps", "solver.max_evaluations"),
    "kernel": ("problem.kernel", "operator.kernel", "operator"),
    "learning_rate": ("optimiser.learning_rate",),
    "lr": ("optimiser.learning_rate",),
    "maps": ("problem.maps",),
    "mask": ("problem.mask", "operator.mask"),
    "model": ("backbone",),
    "network": ("backbone",),
    "num_epochs": ("trainer.max_epochs",),
    "optim": ("optimiser",),
    "optimizer": ("optimiser",),
    "out": ("output", "hydra.run.dir"),
    "output": ("output", "hydra.run.dir"),
    "output_dir": ("output", "hydra.run.dir"),
    "sigma": ("noise", "perturbation.noise", "noise_level"),
    "steps": ("trainer.max_steps",),
    "tol": ("solver.tolerance",),
    "upscale": ("scale",),
    "weights": ("layer.weights", "backbone.weights"),
    "workers": ("data.num_workers",),
}


def meant(path: str, names: set[str]) -> str | None:
    """The key among `names` that `path`, which is none of them, stands for elsewhere; None where nothing is known."""
    candidates = list(ALIASES.get(path, ()))
    head, _, last = path.rpartition(".")
    if head:
        own = ALIASES.get(head, (head,))
        candidates += [f"{group}.{last}" for group in own]
        candidates += [key for key in ALIASES.get(last, ()) if key.split(".")[0] in own]
    return next((key for key in candidates if key in names or key.startswith("hydra.")), None)
