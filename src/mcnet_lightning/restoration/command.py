"""The command `restore`, from config to pictures, certificates and a summary."""

from pathlib import Path

from omegaconf import DictConfig

from mcnet_lightning.build import build_epsilon, build_operator
from mcnet_lightning.config.commands import RestoreConfig
from mcnet_lightning.errors import ConfigError
from mcnet_lightning.restoration.batch import Saving, fix_pictures, restore_pictures
from mcnet_lightning.restoration.building import build_restorer, describe_restorer
from mcnet_lightning.restoration.certificate import read_certificate, worst_channel
from mcnet_lightning.restoration.failures import failure_of, raise_if_unmet
from mcnet_lightning.restoration.runs import Report


def restore(config: DictConfig) -> None:
    """Writes every result and its certificate into `output`.

    Raises DataError at the end if a picture was not made, WeightsError or ConvergenceError if that was for NaN, and
    CertificateError if one does not agree with its measurement, leaving aside what the file's levels cannot hold.
    """
    _check_inputs(config)
    saving = Saving(
        Path(config.output).expanduser(), config.format, config.rounding, config.overwrite, config.max_megapixels
    )
    if config.mode == "fix":
        operator = build_operator(config.operator, config.scale)
        sr, lr = (Path(path).expanduser() for path in (config.sr, config.lr))
        report = fix_pictures(sr, lr, operator, build_epsilon(config), saving, config.dequantise)
    else:
        restorer = build_restorer(config)
        record = describe_restorer(config, restorer)
        report = restore_pictures(Path(config.input).expanduser(), restorer, saving, record)
    _print_summary(report, config, build_epsilon(config).label)
    report.raise_if_failed()
    kept = [certificate for path in report.kept if (certificate := read_certificate(path)) is not None]
    raise_if_unmet([*report.made, *kept])


def _check_inputs(config: DictConfig) -> None:
    needed = {"restore": ["input"], "fix": ["sr", "lr"]}[config.mode]
    for name in ("input", "sr", "lr"):
        if name in needed and config[name] is None:
            raise ConfigError(f"mode={config.mode} needs {name}=...: {_meaning(name)}")
        if name not in needed and config[name] is not None:
            raise ConfigError(f"{name}={config[name]} has no place in mode={config.mode}; it takes {', '.join(needed)}")


def _meaning(name: str) -> str:
    return str(RestoreConfig.__dataclass_fields__[name].metadata["help"])


def _print_summary(report: Report, config: DictConfig, epsilon: str) -> None:
    """One line per picture that agrees with its measurement, and one on epsilon if the files cannot meet it."""
    agreeing = [certificate for certificate in report.made if failure_of(certificate) is None]
    for certificate in agreeing:
        decibel = "infinite" if certificate["lr_psnr"] is None else f"{certificate['lr_psnr']:.1f} dB"
        print(f"{certificate['file']}: ||Ax-b|| {worst_channel(certificate):.2e}, LR-PSNR {decibel}")
    missed = sum(not certificate["epsilon_met"] for certificate in agreeing)
    if missed:
        print(
            f"{epsilon} is not met by {missed} of {len(agreeing)} saved files: "
            f"{config.format} is too coarse for it; "
            + ("raise epsilon" if config.format == "tiff" else "raise epsilon or take format=tiff")
        )
    kept = f", {len(report.kept)} were there already" if report.kept else ""
    pictures = "picture" if len(report.made) == 1 else "pictures"
    print(f"{len(report.made)} {pictures} written to {config.output}{kept}")
