"""The contract of a linear measurement operator A: R^n -> R^m, b = A x + n."""

from abc import ABC, abstractmethod

from torch import Tensor

Size = tuple[int, int]
RANK_TOLERANCE = 1e-10  # eigenvalues below this share of the largest are directions that A does not measure


class MeasurementOperator(ABC):
    """Linear map from images (B, C, H, W) to measurements (B, C, h, w), the same for every sample and channel.

    Subclasses give the forward map and its *exact* transpose: <A x, y> = <x, A^T y> to rounding. Both keep dtype and
    device of their argument and are differentiable.
    """

    @abstractmethod
    def __call__(self, image: Tensor) -> Tensor:
        """A x: (B, C, H, W) -> (B, C, h, w)."""

    @abstractmethod
    def adjoint(self, measurement: Tensor, image_size: Size | None = None) -> Tensor:
        """A^T y: (B, C, h, w) -> (B, C, H, W). `image_size` (H, W) is needed only where (h, w) leaves it open."""

    @abstractmethod
    def measurement_size(self, image_size: Size) -> Size:
        """(h, w) of the measurement of an image of size (H, W)."""

    @abstractmethod
    def image_size(self, measurement_size: Size) -> Size:
        """(H, W) of the image that `adjoint` makes by default from a measurement of size (h, w)."""

    @property
    @abstractmethod
    def name(self) -> str:
        """Kind and parameters in one word, written into every record of a result."""

    def gram(self, measurement: Tensor, image_size: Size) -> Tensor:
        """A A^T y."""
        return self(self.adjoint(measurement, image_size))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name})"


class DiagonalGramOperator(MeasurementOperator):
    """An operator with a known orthonormal basis U of its Gram matrix: A A^T = U diag(d) U^*.

    With it every projection onto { x : ||A x - b|| <= epsilon } is closed form, without it conjugate gradients.
    `synthesise` and `pseudo_inverse` are what a projection applies; override them where factors can be joined.
    """

    def synthesise(self, coefficients: Tensor, image_size: Size) -> Tensor:
        """A^T U z."""
        return self.adjoint(self.from_gram_basis(coefficients, image_size), image_size)

    def pseudo_inverse(self, measurement: Tensor, image_size: Size) -> Tensor:
        """A^+ y = A^T (A A^T)^+ y."""
        eigenvalues = self.gram_eigenvalues(image_size, measurement)
        measured = is_measured(eigenvalues)
        coefficients = self.to_gram_basis(measurement, image_size) * measured
        return self.synthesise(coefficients / eigenvalues.where(measured, 1.0), image_size)

    @abstractmethod
    def to_gram_basis(self, measurement: Tensor, image_size: Size) -> Tensor:
        """U^* y; keeps the l2 norm of everything A can produce, drops what it cannot. May be complex."""

    @abstractmethod
    def from_gram_basis(self, coefficients: Tensor, image_size: Size) -> Tensor:
        """U z, real."""

    @abstractmethod
    def gram_eigenvalues(self, image_size: Size, like: Tensor) -> Tensor:
        """d >= 0, real, broadcastable against `to_gram_basis(y)`, on the device and in the real dtype of `like`."""


def is_measured(eigenvalues: Tensor) -> Tensor:
    """Which directions of the Gram matrix's basis A measures at all."""
    return eigenvalues > RANK_TOLERANCE * eigenvalues.max()
