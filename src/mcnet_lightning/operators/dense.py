"""Operators small enough to be written down: as a matrix, or by the eigenvectors of their Gram matrix.

Both turn projections of an operator of which only A and A^T are known into closed form. They are made once per operator
and image size and kept under a key of what the operator does, so that nobody needs to tell equal operators apart.
"""

import hashlib
from collections.abc import Callable
from copy import copy
from math import prod
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from mcnet_lightning.errors import ConfigError
from mcnet_lightning.files import make_folder, write_file
from mcnet_lightning.operators.base import (
    RESOLVED,
    DiagonalGramOperator,
    MeasurementOperator,
    Shape,
    Size,
    short_digest,
)
from mcnet_lightning.operators.cache import CONSTANTS, lasting
from mcnet_lightning.operators.checks import TOLERANCE

CHUNK = 64  # unit measurements at a time
LARGEST_GRAM = 10_000  # measured values: eigenvectors of 800 MB


class _Tabulated(DiagonalGramOperator):
    """An operator with U and d in tables; `image_shape` (C, H, W), `measured_shape` (...), without the batch; `of`: the
    operator whose tables they are.
    """

    image_shape: Shape

    def __init__(
        self, image_shape: Shape, measured_shape: Shape, tables: dict[str, Tensor], of: MeasurementOperator | None
    ) -> None:
        self.image_shape, self.measured_shape, self.tables = image_shape, measured_shape, tables
        self.converted: dict[tuple[str, torch.dtype, torch.device], Tensor] = {}
        resolution = super().resolution if of is None else of.resolution
        rank_tolerance = super().rank_tolerance if of is None else of.rank_tolerance
        self.resolutions = {dtype: resolution(dtype) for dtype in (torch.float32, torch.float64)}
        self.rank_tolerances = {dtype: rank_tolerance(dtype) for dtype in self.resolutions}

    def rank_tolerance(self, dtype: torch.dtype) -> float:
        return self.rank_tolerances[dtype]

    def resolution(self, dtype: torch.dtype) -> float:
        return self.resolutions[dtype]

    def measurement_shape(self, image_shape: Shape) -> Shape:
        if tuple(image_shape[-3:]) != self.image_shape:
            raise ConfigError(f"{self.name} is for images {self.image_shape}, got {tuple(image_shape[-3:])}")
        return (*image_shape[:-3], *self.measured_shape)

    def to_gram_basis(self, measurement: Tensor, image_size: Size) -> Tensor:
        return self._product(self._table("basis", measurement).mT, measurement, self.measured_shape)

    def from_gram_basis(self, coefficients: Tensor, image_size: Size) -> Tensor:
        return self._product(self._table("basis", coefficients), coefficients, self.measured_shape)

    def gram_eigenvalues(self, image_size: Size, like: Tensor) -> Tensor:
        eigenvalues = self._table("eigenvalues", like)
        return eigenvalues.view(*eigenvalues.shape[:-1], *self.measured_shape)

    def _table(self, name: str, like: Tensor) -> Tensor:
        key = (name, like.dtype, like.device)
        if key not in self.converted:
            with torch.inference_mode(False):
                self.converted[key] = self.tables[name].to(like.device, like.dtype)
        return self.converted[key]

    @staticmethod
    def _product(matrix: Tensor, vectors: Tensor, shape: Shape) -> Tensor:
        """(n, m) or (B, n, m) times (B, ...), to (B, *shape)."""
        flat = vectors.flatten(1)
        made = flat @ matrix.mT if matrix.ndim == 2 else torch.bmm(matrix, flat.unsqueeze(2)).squeeze(2)
        return made.view(len(vectors), *shape)


class DenseOperator(_Tabulated):
    """b = M x for a matrix M (m, n), or (B, m, n), one for each sample, of images with C H W = n values.

    In the basis of the singular value decomposition of M, which resolves singular values down to rounding of M itself,
    or as `of`, the operator that it writes down, states.
    """

    def __init__(
        self,
        matrix: Tensor,
        image_shape: Shape,
        measured_shape: Shape | None = None,
        of: MeasurementOperator | None = None,
    ) -> None:
        with lasting():
            self._tabulate(matrix.detach().clone().cpu().double(), image_shape, measured_shape, of)

    def _tabulate(
        self, exact: Tensor, image_shape: Shape, measured_shape: Shape | None, of: MeasurementOperator | None
    ) -> None:
        rows, columns = exact.shape[-2:]
        shape = (rows,) if measured_shape is None else tuple(measured_shape)
        if exact.ndim not in (2, 3) or columns != prod(image_shape) or rows != prod(shape):
            raise ConfigError(f"a matrix {tuple(exact.shape)} maps no images {tuple(image_shape)} to {shape}")
        left, singular, right = torch.linalg.svd(exact, full_matrices=True)
        few = singular.shape[-1]
        padded = torch.nn.functional.pad(singular, (0, rows - few))
        synthesis = torch.nn.functional.pad(right.mT[..., :few] * singular.unsqueeze(-2), (0, rows - few))
        tables = {"matrix": exact, "basis": left, "eigenvalues": padded.square(), "synthesis": synthesis}
        super().__init__(tuple(image_shape), shape, tables, of)
        self._name = of.name if of else f"dense-{short_digest(exact)}"

    @property
    def name(self) -> str:
        return self._name

    def __call__(self, image: Tensor) -> Tensor:
        return self._product(self._table("matrix", image), image, self.measured_shape)

    def adjoint(self, measurement: Tensor, image_size: Size | None = None) -> Tensor:
        return self._product(self._table("matrix", measurement).mT, measurement, self.image_shape)

    def synthesise(self, coefficients: Tensor, image_size: Size) -> Tensor:
        return self._product(self._table("synthesis", coefficients), coefficients, self.image_shape)

    def weak(self, eigenvalues: Tensor) -> Tensor:
        return torch.zeros_like(eigenvalues, dtype=torch.bool)  # squares of singular values: none is noise

    def select(self, index: Tensor) -> "DenseOperator":
        if self.tables["matrix"].ndim == 2:
            return self
        chosen = copy(self)
        with torch.inference_mode(False):
            chosen.tables = {name: table[index.cpu()] for name, table in self.tables.items()}
        chosen.converted = {}
        return chosen


class DenseGram(_Tabulated):
    """Any operator that is the same for all samples, with the eigenvectors of A A^T (m, m)."""

    def __init__(self, operator: MeasurementOperator, image_shape: Shape, tables: dict[str, Tensor]) -> None:
        shape = tuple(operator.measurement_shape((1, *image_shape)))[1:]
        super().__init__(tuple(image_shape), shape, tables, operator)
        self.operator = operator

    @property
    def name(self) -> str:
        return self.operator.name

    def __call__(self, image: Tensor) -> Tensor:
        return self.operator(image)

    def adjoint(self, measurement: Tensor, image_size: Size | None = None) -> Tensor:
        return self.operator.adjoint(measurement, image_size or (self.image_shape[-2], self.image_shape[-1]))

    def rank_tolerance(self, dtype: torch.dtype) -> float:
        """An eigendecomposition of A A^T in float64 knows no smaller ones."""
        return max(RESOLVED * torch.finfo(torch.float64).eps, super().rank_tolerance(dtype))


def content_key(operator: MeasurementOperator, image_shape: Shape) -> str:
    """SHA-256 of the operator's name and of what it makes of fixed random images, to six digits."""
    generator = torch.Generator().manual_seed(0)
    probe = torch.randn(2, *image_shape, generator=generator, dtype=torch.float64)
    size = (image_shape[-2], image_shape[-1])
    with torch.no_grad():
        measured = _tolerant(operator, probe)
        back = _tolerant(lambda y: operator.adjoint(y, size), measured)
    digest = hashlib.sha256(f"{operator.name} {tuple(image_shape)}".encode())
    for values in (measured, back):
        scale = values.abs().max().clamp_min(torch.finfo(torch.float64).tiny)
        digest.update((values / scale * 1e6).round().long().numpy().tobytes())
    return digest.hexdigest()


def dense_operator(operator: MeasurementOperator, image_shape: Shape) -> DenseOperator:
    """The matrix of an operator that is the same for all samples, by its adjoint's image of every unit measurement."""
    group = ("matrix", content_key(operator, image_shape))
    found: DenseOperator | None = CONSTANTS.find(group, "matrix")
    if found is None:
        shape = tuple(operator.measurement_shape((1, *image_shape)))[1:]
        with lasting():
            rows = _of_units(lambda y: operator.adjoint(y, (image_shape[-2], image_shape[-1])), shape)
            made = DenseOperator(rows.flatten(1), image_shape, shape, operator)
        found = CONSTANTS.keep(group, "matrix", made)
    return found


def dense_gram(operator: MeasurementOperator, image_shape: Shape, folder: str | Path | None = None) -> DenseGram:
    """The operator, the same for all samples, with the eigenvectors of its Gram matrix (m, m), computed once: kept in
    memory, and in `folder` if there is one, under a key of what the operator does.

    Raises ConfigError if m is above 10,000: use the operator as it is then.
    """
    shape = tuple(operator.measurement_shape((1, *image_shape)))[1:]
    if prod(shape) > LARGEST_GRAM:
        raise ConfigError(
            f"{operator.name} measures {prod(shape)} values; eigenvectors of more than {LARGEST_GRAM} take too much "
            "memory, and the projection works without them"
        )
    if type(operator).select is not MeasurementOperator.select:
        raise ConfigError(
            f"{operator.name} may differ from sample to sample, and one eigenbasis cannot serve all of them"
        )
    size = (image_shape[-2], image_shape[-1])
    key = content_key(operator, image_shape)
    file = None if folder is None else Path(folder) / f"gram-{key[:32]}.safetensors"
    tables = CONSTANTS.find(("gram", key), "tables")
    if tables is None:
        with lasting():
            tables = None if file is None else _kept(file, operator, size, shape)
            if tables is None:
                gram = _of_units(lambda y: operator.gram(y, size), shape).flatten(1)
                eigenvalues, basis = torch.linalg.eigh((gram + gram.T) / 2)
                tables = {"basis": basis.contiguous(), "eigenvalues": eigenvalues.clamp_min(0)}
                if file is not None:
                    make_folder(file.parent)
                    write_file(file, save(tables))
        tables = CONSTANTS.keep(("gram", key), "tables", tables)
    return DenseGram(operator, tuple(image_shape), tables)


def _kept(file: Path, operator: MeasurementOperator, size: Size, shape: Shape) -> dict[str, Tensor] | None:
    """The tables of a file, if they are those of this operator: a damaged file is computed anew."""
    try:
        tables = load_file(file)
        basis, eigenvalues = tables["basis"], tables["eigenvalues"]
        y = torch.randn(1, *shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        rebuilt = (y.flatten(1) @ basis * eigenvalues) @ basis.T
    except (OSError, SafetensorError, KeyError, RuntimeError):
        return None
    gram = _tolerant(lambda z: operator.gram(z, size), y).flatten(1)
    return tables if bool((rebuilt - gram).norm() <= TOLERANCE[operator.precision] * gram.norm()) else None


def _of_units(function: Callable[[Tensor], Tensor], shape: Shape) -> Tensor:
    """function of every unit measurement, float64 on the CPU, chunk by chunk."""
    count = prod(shape)
    units = torch.eye(count, dtype=torch.float64).view(count, *shape)
    with torch.no_grad():
        return torch.cat([_tolerant(function, chunk) for chunk in units.split(CHUNK)])


def _tolerant(function: Callable[[Tensor], Tensor], argument: Tensor) -> Tensor:
    """In float64, or in float32 for operators that know no other."""
    try:
        return function(argument).double().cpu()
    except RuntimeError:
        return function(argument.float()).double().cpu()
