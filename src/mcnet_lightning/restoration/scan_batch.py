"""Files of k-space, slice by slice: restored or made consistent, saved with a picture and NIfTI beside, certified."""

import hashlib
import io
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mcnet_lightning.equilibrium.epsilon import Epsilon
from mcnet_lightning.errors import DataError, MCNetError, printable
from mcnet_lightning.files.extras import place_of
from mcnet_lightning.files.naming import file_of, picture_names, shortened
from mcnet_lightning.imaging import Picture, find_picture
from mcnet_lightning.operators.fourier import as_channels
from mcnet_lightning.restoration.batch import Saving, describe_file, print_warning, run_all, stated, unsettled
from mcnet_lightning.restoration.certificate import write_certified
from mcnet_lightning.restoration.failures import failure_of
from mcnet_lightning.restoration.kspace import KSpace
from mcnet_lightning.restoration.kspace_files import KSpaceFile, Reading, read_images
from mcnet_lightning.restoration.progress import Lines
from mcnet_lightning.restoration.runs import Job, Report, pictures_of
from mcnet_lightning.restoration.scans import (
    RestoredScan,
    ScanRestorer,
    agreeing,
    describe_solve,
    distance_of,
    kspace_epsilon,
    meets,
    refuse_foreign,
)
from mcnet_lightning.restoration.writing import SUFFIX, encode, format_for

NIFTI = "nibabel"
EXACT = 1e-12  # of ||b||: a smaller distance is float64's own rounding, another on every machine
COMPLEX = "complex"  # images of the problem
Make = Callable[[KSpace, Job, Lines], tuple[RestoredScan, dict[str, Any]]]


def restore_scans(
    source: Path, restorer: ScanRestorer, reading: Reading, saving: Saving, record: Mapping[str, Any], only: int | None
) -> Report:
    """Restores the slices of a file of k-space, or of every one in a folder. only: which slice; None: all."""
    files = _Files(reading)
    others = [file_of(given).resolve() for given in (reading.mask, reading.maps) if given is not None]
    sources = [path for path in pictures_of(source, COMPLEX) if not source.is_dir() or path.resolve() not in others]
    jobs, failed = _planned(sources, lambda path, _: path, files, saving, only)

    def make(scan: KSpace, job: Job, lines: Lines) -> tuple[RestoredScan, dict[str, Any]]:
        restored = restorer(scan)
        print_warning(job, unsettled(restored.stats))
        return restored, {**record, "solver": describe_solve(restored)}

    settings = {"mode": "restore", **stated(restorer.epsilon), **record}
    if restorer.layer is not None:
        settings["solver"] = repr(restorer.layer.solver)
    return _run(jobs, failed, settings, make, files, saving, "restoring")


def fix_scans(
    source: Path, kspace: Path, reading: Reading, epsilon: Epsilon | None, saving: Saving, only: int | None
) -> Report:
    """The nearest consistent image to each reconstruction of `source`, with the k-space of the same name."""
    files, radius = _Files(reading), kspace_epsilon(epsilon)
    sources, measured = pictures_of(source, COMPLEX), pictures_of(kspace, COMPLEX)
    alone = len(sources) == len(measured) == 1
    jobs, failed = _planned(
        sources, lambda _, name: measured[0] if alone else find_picture(measured, name, 1), files, saving, only
    )

    def make(scan: KSpace, job: Job, lines: Lines) -> tuple[RestoredScan, dict[str, Any]]:
        images, index = read_images(job.source), job.part or 0
        slices = len(files.of(job.measurement or job.source))
        if len(images) not in (1, slices):
            raise DataError(f"{job.source.name} holds {len(images)} images, and its k-space {slices} slices")
        image = as_channels(torch.from_numpy(np.ascontiguousarray(images[index if len(images) > 1 else 0]))[None])
        if not saving.force:
            refuse_foreign(image, scan)
        restored = agreeing(image, scan, radius)
        return restored, {
            "method": "projection",
            "picture": describe_file(job.source),
            "solver": describe_solve(restored),
        }

    return _run(jobs, failed, {"mode": "fix", **stated(radius)}, make, files, saving, "projecting")


class _Files:
    """The file of k-space at hand: slices follow each other."""

    def __init__(self, reading: Reading) -> None:
        self.reading = reading
        self.last: KSpaceFile | None = None

    def of(self, path: Path) -> KSpaceFile:
        if self.last is None or self.last.path != path:
            self.last = None  # before the next one takes memory
            self.last = KSpaceFile(path, self.reading)
        return self.last


def _planned(
    sources: list[Path], pair: Callable[[Path, str], Path], files: _Files, saving: Saving, only: int | None
) -> tuple[list[Job], list[tuple[Path, MCNetError]]]:
    """A job for every slice of every source's k-space, and the files that cannot be read, which are named at once."""
    jobs, failed = list[Job](), list[tuple[Path, MCNetError]]()
    picture = SUFFIX["png8" if saving.format == "same" else saving.format]
    endings = [picture, ".nii"] if place_of(NIFTI) else [picture]
    for path, name in zip(sources, picture_names(sources), strict=True):
        try:
            kspace = pair(path, name)
            slices = len(files.of(kspace))
        except MCNetError as error:
            failed.append((path, error))
            print(printable(f"not done: {path.name}: {error}"), file=sys.stderr)
            continue
        for index in range(slices) if only is None else [only]:
            part = f"_{index:03d}" if slices > 1 else ""
            target = saving.output / f"{shortened(name)}{part}{saving.suffix}.npy"
            beside = tuple(target.with_name(target.name.removesuffix(".npy") + each) for each in endings)
            of_several = index if slices > 1 or index else None
            jobs.append(Job(path, target, None if kspace == path else kspace, beside, of_several))
    return jobs, failed


def _run(
    jobs: list[Job],
    failed: list[tuple[Path, MCNetError]],
    settings: Mapping[str, Any],
    make: Make,
    files: _Files,
    saving: Saving,
    title: str,
) -> Report:
    if not place_of(NIFTI):
        print(f"{NIFTI} is not installed: no NIfTI is written beside the images (pip install {NIFTI})", file=sys.stderr)

    def one(job: Job, key: str, lines: Lines) -> dict[str, Any]:
        path, index = job.measurement or job.source, job.part or 0
        file = files.of(path)
        scan = file.slice(index)
        if path not in told:
            told.add(path)
            for sentence in scan.said:
                lines.note(path, sentence)
        restored, about = make(scan, job, lines)
        certificate = _save(job, key, scan, restored, file, saving, about)
        if reason := failure_of(certificate):
            print(printable(f"failed: {job.name}: {reason}"), file=sys.stderr)
        return certificate

    told = set[Path]()  # what is found out about the first slice holds for the others
    report = run_all(jobs, {"problem": "mri", **settings, **files.reading.settings}, one, saving, title)
    report.failed += [(path, str(error)) for path, error in failed]
    report.kinds += [type(error) for _, error in failed]
    return report


def _save(
    job: Job, key: str, scan: KSpace, restored: RestoredScan, file: KSpaceFile, saving: Saving, about: Mapping[str, Any]
) -> dict[str, Any]:
    """NAME.npy, complex64, is what is certified; its magnitudes, and NIfTI, are for people to look at."""
    index, path = job.part or 0, job.measurement or job.source
    real, imaginary = restored.image[0].numpy()
    image = (real + 1j * imaginary).astype(np.complex64)
    buffer = io.BytesIO()
    np.save(buffer, image)
    magnitude = np.abs(image)
    white = float(magnitude.max()) or 1.0
    picture = Picture(torch.from_numpy(magnitude / white).double()[None])
    contents = [encode(picture, format_for(path, "png8" if saving.format == "same" else saving.format))]
    contents += [_nifti(magnitude)] if len(job.beside) > 1 else []
    found = file.about(scan, index)
    distance = float(restored.reached.distance[0])
    record = {
        **found,
        "measurement": describe_file(path) | found["measurement"],
        "mask": file.mask_from or "samples that are not zero",
        "maps": file.maps_from,
        "peak": scan.peak,
        "white": white,
        "beside": {
            other.name: hashlib.sha256(content).hexdigest() for other, content in zip(job.beside, contents, strict=True)
        },
        **about,
        "warning": None,
        "reached": {"consistency": distance, "epsilon_met": meets(distance, restored.epsilon, scan)},
        "request": key,
    }
    return write_certified(
        job.target,
        buffer.getvalue(),
        partial(described, scan=scan, epsilon=restored.epsilon),
        record,
        saving.overwrite,
        dict(zip(job.beside, contents, strict=True)),
    )


def described(path: Path, scan: KSpace, epsilon: float) -> dict[str, Any]:
    """The part of a certificate that anybody can recompute from the two files."""
    image = image_in(path)
    distance, norm = distance_of(image, scan), float(scan.measurement.norm())
    distance = distance if distance > EXACT * norm else 0.0
    return {
        "size": [image.shape[-1], image.shape[-2]],
        "format": "npy",
        "epsilon": epsilon,
        "epsilon_met": meets(distance, epsilon, scan),
        "consistency": {"kspace": distance},
        "relative": distance / norm,
    }


def image_in(path: Path) -> Tensor:
    """(1, 2, H, W), float64, of a .npy of one complex image, whatever the file is called while it is written."""
    try:
        values = np.load(path, allow_pickle=False)
    except Exception as error:  # damaged files fail in every way there is
        reason = str(error).splitlines()[0][:80] if str(error) else type(error).__name__
        raise DataError(f"{path} cannot be read as a .npy ({reason})") from None
    if not (isinstance(values, np.ndarray) and np.iscomplexobj(values) and values.ndim == 2):
        raise DataError(
            f"{path} holds no complex image (H, W), as restore writes; the picture beside it is not certified"
        )
    if not np.isfinite(values).all():
        raise DataError(f"{path} holds NaN or Inf; restore it again")
    return as_channels(torch.from_numpy(np.ascontiguousarray(values.astype(np.complex128)))[None])


def _nifti(magnitude: np.ndarray) -> bytes:
    import nibabel

    content: bytes = nibabel.Nifti1Image(magnitude.astype(np.float32)[..., None], np.eye(4)).to_bytes()
    return content


def reached_scan(certificate: Mapping[str, Any]) -> str:
    """How far the saved image agrees with its k-space, in words."""
    distance, epsilon = certificate["consistency"]["kspace"], certificate["epsilon"]
    words = f"agrees with its k-space to ||A x - b|| = {distance:.3g}, {certificate['relative']:.2g} of ||b||"
    return words + (f", within epsilon={epsilon:g}" if epsilon else "")
