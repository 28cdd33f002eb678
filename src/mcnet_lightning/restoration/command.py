"""The command `restore`, from config to pictures, certificates and a summary."""

from pathlib import Path

from omegaconf import DictConfig

from mcnet_lightning.config.validation import check_modes
from mcnet_lightning.restoration.batch import Saving, fix_pictures, restore_pictures
from mcnet_lightning.restoration.building import (
    asked_epsilon,
    build_file_operator,
    build_reading,
    build_restorer,
    build_scan_restorer,
    describe_restorer,
    is_kspace,
)
from mcnet_lightning.restoration.certificate import read_certificate
from mcnet_lightning.restoration.failures import failure_of, raise_if_unmet
from mcnet_lightning.restoration.runs import Report
from mcnet_lightning.restoration.scan_batch import fix_scans, reached_scan, restore_scans
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
    report = (_scans if is_kspace(config) else _pictures)(config, saving)
    _print_summary(report, config)
    report.raise_if_failed()
    kept = [certificate for path in report.kept if (certificate := read_certificate(path)) is not None]
    raise_if_unmet([*report.made, *kept])


def _pictures(config: DictConfig, saving: Saving) -> Report:
    if config.mode == "fix":
        operator = build_file_operator(config)
        sr, lr = (Path(path).expanduser() for path in (config.sr, config.lr))
        return fix_pictures(sr, lr, operator, asked_epsilon(config), saving, config.dequantise)
    restorer = build_restorer(config)
    record = describe_restorer(config, restorer)
    return restore_pictures(Path(config.input).expanduser(), restorer, saving, record)


def _scans(config: DictConfig, saving: Saving) -> Report:
    reading = build_reading(config)
    if config.mode == "fix":
        sr, lr = (Path(path).expanduser() for path in (config.sr, config.lr))
        return fix_scans(sr, lr, reading, asked_epsilon(config, 1.0), saving, config.slice)
    restorer = build_scan_restorer(config)
    record = describe_restorer(config, restorer)
    return restore_scans(Path(config.input).expanduser(), restorer, reading, saving, record, config.slice)


def _print_summary(report: Report, config: DictConfig) -> None:
    """One line per picture that agrees with its measurement: how far, and what keeps it from more."""
    said, what = (reached_scan, "image") if is_kspace(config) else (reached, "picture")
    for certificate in report.made:
        if failure_of(certificate) is None:
            print(f"{certificate['file']}: {said(certificate)}")
    kept = f", {len(report.kept)} were there already" if report.kept else ""
    pictures = what if len(report.made) == 1 else f"{what}s"
    print(f"{len(report.made)} {pictures} written to {config.output}{kept}")
