"""The contract of a linear measurement operator A: R^n -> R^m, b = A x + n."""

import hashlib
from abc import ABC, abstractmethod

import torch
from torch import Tensor

from mcnet_lightning.errors import ConfigError

Size = tuple[int, int]
Shape = tuple[int, ...]
RESOLVED = 64  # units in the last place: a share of the largest eigenvalue below that many is rounding


def short_digest(values: Tensor, more: str = "") -> str:
    """What tells an operator with these values from others, in its name."""
    return hashlib.sha256(values.cpu().numpy().tobytes() + more.encode()).hexdigest()[:12]


class MeasurementOperator(ABC):
    """Linear map from images (B, C, H, W) to measurements (B, ...) of any shape, real both; complex numbers are two
    channels.

    Subclasses give the forward map, its *exact* transpose, <A x, y> = <x, A^T y> to rounding, and the shape (or, where
    every channel is measured alike, the size) of the measurement. Forward map and transpose keep dtype and device of
    their argument and are differentiable. `check_adjoint` tries all of this. An operator that differs from sample to
    sample overrides `select`, one that computes in float32 whatever it is given says so by `precision`.
    """

    precision: torch.dtype = torch.float64
    image_shape: Shape | None = None  # (C, H, W) of the images that it is for, if it is for one size only
    tall: bool = False  # whether it measures more numbers than an image has
    smallest_share: float = 0.0  # of the largest eigenvalue of A A^T, that smooth operators count as measured

    @abstractmethod
    def __call__(self, image: Tensor) -> Tensor:
        """A x: (B, C, H, W) -> (B, ...)."""

    @abstractmethod
    def adjoint(self, measurement: Tensor, image_size: Size | None = None) -> Tensor:
        """A^T y: (B, ...) -> (B, C, H, W). `image_size` (H, W) is needed only where the measurement leaves it open."""

    @property
    @abstractmethod
    def name(self) -> str:
        """Kind and parameters in one word, written into every record of a result."""

    def measurement_shape(self, image_shape: Shape) -> Shape:
        """(B, ...) of the measurement of images (B, C, H, W); by default (B, C, h, w), every channel alike."""
        *lead, height, width = image_shape
        return (*lead, *self.measurement_size((height, width)))

    def measurement_size(self, image_size: Size) -> Size:
        """(h, w) of the measurement of an image of size (H, W), where a measurement is an image."""
        raise ConfigError(f"{self.name} measures no images; ask for its measurement_shape")

    def image_size(self, measurement_size: Size) -> Size:
        """(H, W) of the image that `adjoint` makes by default from a measurement of size (h, w)."""
        raise ConfigError(f"{self.name} does not say which image size a measurement belongs to; give image_size")

    def select(self, index: Tensor) -> "MeasurementOperator":
        """The operator of the samples `index` (k,) of its batch: itself, where it is the same for all."""
        return self

    def measured(self, measurement: Tensor) -> Tensor:
        """b without what the operator is documented to ignore, such as pixels outside a mask; by default b."""
        return measurement

    def rank_tolerance(self, dtype: torch.dtype) -> float:
        """Eigenvalues of A A^T up to this share of the largest are directions that A does not measure: singular values
        of A are told from rounding in `dtype`.
        """
        return max(self.smallest_share, (RESOLVED * self.resolution(dtype)) ** 2)

    def resolution(self, dtype: torch.dtype) -> float:
        """The relative rounding of what it makes of tensors of `dtype`."""
        return float(max(torch.finfo(dtype).eps, torch.finfo(self.precision).eps))

    def precondition(self, measurement: Tensor, image_size: Size, shift: Tensor) -> Tensor | None:
        """Something near (t I + A A^T)^{-1} y, symmetric positive definite, t = `shift` (B,); None: no such thing."""
        return None

    def gram(self, measurement: Tensor, image_size: Size) -> Tensor:
        """A A^T y."""
        return self(self.adjoint(measurement, image_size))

    def normal(self, image: Tensor) -> Tensor:
        """A^T A x."""
        return self.adjoint(self(image), (image.shape[-2], image.shape[-1]))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name})"


class DiagonalGramOperator(MeasurementOperator):
    """An operator with a known orthonormal basis U of its Gram matrix: A A^T = U diag(d) U^*.

    With it every projection onto { x : ||A x - b|| <= epsilon } is closed form, without it a Krylov method.
    `synthesise` and `pseudo_inverse` are what a projection applies; override them where factors can be joined.
    Eigenvalues within the rounding of A A^T itself are believed only if the adjoint confirms them: see `weak`.
    """

    def synthesise(self, coefficients: Tensor, image_size: Size) -> Tensor:
        """A^T U z."""
        return self.adjoint(self.from_gram_basis(coefficients, image_size), image_size)

    def pseudo_inverse(self, measurement: Tensor, image_size: Size) -> Tensor:
        """A^+ y = A^T (A A^T)^+ y."""
        coefficients = self.to_gram_basis(measurement, image_size)
        eigenvalues, measured = self.spectrum(image_size, measurement, coefficients)
        measured = measured & ~self.weak(eigenvalues)
        return self.synthesise(coefficients * measured / eigenvalues.where(measured, 1.0), image_size)

    @abstractmethod
    def to_gram_basis(self, measurement: Tensor, image_size: Size) -> Tensor:
        """U^* y, (B, ...); keeps the l2 norm of everything A can produce, may drop what it cannot. May be complex."""

    @abstractmethod
    def from_gram_basis(self, coefficients: Tensor, image_size: Size) -> Tensor:
        """U z, real."""

    @abstractmethod
    def gram_eigenvalues(self, image_size: Size, like: Tensor) -> Tensor:
        """d >= 0, real, on the device and in the real dtype of the measurement `like` (B, ...). Its shape is that of
        the coefficients `to_gram_basis(like)`, or, where all samples share it, that of one sample's.
        """

    def spectrum(self, image_size: Size, measurement: Tensor, coefficients: Tensor) -> tuple[Tensor, Tensor]:
        """d and which directions A measures at all, both (B, ...) or (1, ...). Raises ConfigError for eigenvalues of
        any other shape than those of the contract: a leading axis too many would couple the samples.
        """
        eigenvalues = self.gram_eigenvalues(image_size, measurement)
        shape, one = tuple(eigenvalues.shape), tuple(coefficients.shape[1:])
        if shape == one:
            eigenvalues = eigenvalues.unsqueeze(0)
        elif shape != tuple(coefficients.shape):
            raise ConfigError(
                f"{self.name}: gram_eigenvalues has shape {shape}; it must be {one}, one value for each coefficient "
                f"of to_gram_basis, or {tuple(coefficients.shape)} where samples differ"
            )
        return eigenvalues, eigenvalues > self.rank_tolerance(eigenvalues.dtype) * _largest(eigenvalues)

    def weak(self, eigenvalues: Tensor) -> Tensor:
        """Where eigenvalues (B or 1, ...) are within the rounding of the Gram matrix that they belong to."""
        return eigenvalues <= RESOLVED * self.resolution(eigenvalues.dtype) * _largest(eigenvalues)


def _largest(eigenvalues: Tensor) -> Tensor:
    return eigenvalues.flatten(1).amax(dim=1).view(-1, *[1] * (eigenvalues.ndim - 1))
