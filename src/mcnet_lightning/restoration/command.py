"""The command `restore`, from config to pictures, certificates and a summary."""

from pathlib import Path

from omegaconf import DictConfig

from mcnet_lightning.build import build_operator
from mcnet_lightning.config.validation import check_modes
from mcnet_lightning.restoration.batch import Saving, fix_pictures, restore_pictures
from mcnet_lightning.restoration.building import asked_epsilon, build_restorer, describe_restorer
from mcnet_lightning.restoration.certificate import read_certificate
from mcnet_lightning.restoration.failures import failure_of, raise_if_unmet
from mcnet_lightning.restoration.runs import Report
from mcnet_lightning.restoration.wording import reached


def restore(config: DictConfig) -> None:
    """Writes every result and its certificate into `output`.

    Raises DataError at the end if a picture was not made, WeightsError or ConvergenceError if that was for NaN, and
    CertificateError if one does not agree with its measurement, leaving aside what the file's levels cannot hold.
    """
    check_modes(config)
    saving = Saving(
        Path(config.output).expanduser(),
        config.format,
        config.suffix,
        config.rounding,
        config.overwrite,
        config.max_megapixels,
        config.force,
    )
    if config.mode == "fix":
        operator = build_operator(config.operator, config.scale)
        sr, lr = (Path(path).expanduser() for path in (config.sr, config.lr))
        report = fix_pictures(sr, lr, operator, asked_epsilon(config), saving, config.dequantise)
    else:
        restorer = build_restorer(config)
        record = describe_restorer(config, restorer)
        report = restore_pictures(Path(config.input).expanduser(), restorer, saving, record)
    _print_summary(report, config)
    report.raise_if_failed()
    kept = [certificate for path in report.kept if (certificate := read_certificate(path)) is not None]
    raise_if_unmet([*report.made, *kept])


def _print_summary(report: Report, config: DictConfig) -> None:
    """One line per picture that agrees with its measurement: how far, and what keeps it from more."""
    for certificate in report.made:
        if failure_of(certificate) is None:
            print(f"{certificate['file']}: {reached(certificate)}")
    kept = f", {len(report.kept)} were there already" if report.kept else ""
    pictures = "picture" if len(report.made) == 1 else "pictures"
    print(f"{len(report.made)} {pictures} written to {config.output}{kept}")
