"""Operators that measure more numbers than an image has, such as coils: systems in A A^T are solved among images."""

from torch import Tensor

from mcnet_lightning.equilibrium.gram import per_sample
from mcnet_lightning.equilibrium.preconditioned import ConjugateGradientGram
from mcnet_lightning.operators.conjugate_gradient import Ended, conjugate_gradient

LEAST = 16  # units in the last place: a smaller relative residual is rounding


class ImageSpaceGram(ConjugateGradientGram):
    """(t I + A A^T)^{-1} y = (y - A d) / t with (t I + A^T A) d = A^T y, and A (A^T A)^{+2} A^T y where t = 0.

    Conjugate gradients in as many unknowns as an image has; nothing but a few images is kept. A b that no image has
    is no obstacle to them, unlike among measurements: A^T y is always within reach of A^T A. For epsilon = 0, where a
    Krylov space would have to be kept for hundreds of steps; for larger balls it is found in a few.
    """

    def _solve(self, rhs: Tensor, shift: Tensor, start: Tensor | None, tolerance: float | None = None) -> Tensor:
        back, exact = self.operator.adjoint(rhs, self.size), 256 * self.operator.resolution(rhs.dtype)
        flat = per_sample(shift == 0, back) > 0
        # an error among images is 1 / t times as large among measurements
        smallest = float(shift.where(shift > 0, 1.0).min())
        wanted = max((tolerance or exact) * min(1.0, smallest), LEAST * self.operator.resolution(rhs.dtype))
        d = self._among_images(back, shift, wanted)
        t = per_sample(shift.where(shift > 0, 1.0), rhs)
        solution = (rhs - self.operator(d)) / t
        if bool(flat.any()):
            twice = self._among_images(d, shift, wanted)
            solution = self.operator(twice).where(per_sample(shift == 0, rhs) > 0, solution)
        return solution

    def _among_images(self, rhs: Tensor, shift: Tensor, tolerance: float) -> Tensor:
        """(t I + A^T A)^{-1} rhs."""
        ended = list[Tensor]()
        solution = conjugate_gradient(self.operator.normal, rhs, tolerance, shift, record=ended.append)
        self.wrong_adjoint |= bool((ended[0] == int(Ended.NEGATIVE_CURVATURE)).any())
        return solution
