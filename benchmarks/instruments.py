"""Watches the denoiser of a layer at work: how often it is called, forwards and backwards, for how long."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from unittest import mock

import measuring
import torch
from torch import Tensor

from mcnet_lightning import EquilibriumLayer
from mcnet_lightning.equilibrium import Linearisation, SelectableMap
from mcnet_lightning.equilibrium.linearisation import Linearisable, Roundable


@dataclass
class Call:
    samples: int
    half: bool  # in a narrower type than the image's
    backward: bool
    seconds: float = 0.0


@dataclass
class Watch:
    """Calls in the order in which they began."""

    calls: list[Call] = field(default_factory=list)

    def evaluations(self, batch: int) -> float:
        """Forward passes per sample of the batch, the taped ones included."""
        return sum(call.samples for call in self.calls if not call.backward) / batch

    def products(self, batch: int) -> float:
        """Vector-Jacobian products per sample; the last backward pass, to the weights, is none of them."""
        return max(0.0, sum(call.samples for call in self.calls if call.backward) / batch - 1)


@contextmanager
def watched(layer: EquilibriumLayer) -> Iterator[Watch]:
    """Whatever is bound from `layer.denoiser` meanwhile is counted and timed; any solver may call it."""
    watch = Watch()
    bind = layer.denoiser.bind
    with mock.patch.object(layer.denoiser, "bind", lambda *args, **options: _Watched(bind(*args, **options), watch)):
        yield watch


class _Watched:
    """A bound denoiser, or another form of one; `half` says in which precision its forward passes are."""

    def __init__(self, denoise: Callable[[Tensor], Tensor], watch: Watch, half: bool = False) -> None:
        self.denoise, self.watch, self.half = denoise, watch, half

    def __call__(self, image: Tensor) -> Tensor:
        value = self._timed(self.half, False, self.denoise, image)
        if value.requires_grad:
            self._watch_backward(image, value, half=False)
        return value

    def rounded(self, dtype: torch.dtype) -> "_Watched":
        assert isinstance(self.denoise, Roundable)
        return _Watched(self.denoise.rounded(dtype), self.watch, half=True)

    def linearise(self, image: Tensor, dtype: torch.dtype) -> Linearisation:
        assert isinstance(self.denoise, Linearisable)
        value, jvp, vjp = self._timed(False, False, self.denoise.linearise, image, dtype)
        if value.requires_grad:
            self._watch_backward(image, value, half=True)
        return Linearisation(value, _WatchedProduct(jvp, self), partial(self._timed, True, True, vjp))

    def _watch_backward(self, image: Tensor, value: Tensor, half: bool) -> None:
        """Nothing but the denoiser's own nodes runs between the gradient of its value and of its image."""
        began = 0.0

        def enter(gradient: Tensor | None) -> None:
            nonlocal began
            if gradient is not None:  # None: the pass to the weights does not come this way
                self.watch.calls.append(Call(len(gradient), half, True))
                began = measuring.clock()

        def leave(gradient: Tensor | None) -> None:
            if gradient is not None:
                self.watch.calls[-1].seconds = measuring.clock() - began

        value.register_hook(enter)
        if image.requires_grad:
            image.register_hook(leave)

    def _timed(self, half: bool, backward: bool, work: Callable[..., Any], image: Tensor, *rest: Any) -> Any:
        start = measuring.clock()
        value = work(image, *rest)
        self.watch.calls.append(Call(len(image), half, backward, measuring.clock() - start))
        return value


class _WatchedProduct:
    """u -> R'(v) u: forward passes in half precision."""

    def __init__(self, product: SelectableMap, watched: _Watched) -> None:
        self.product, self.watched = product, watched

    def __call__(self, direction: Tensor) -> Tensor:
        value: Tensor = self.watched._timed(True, False, self.product, direction)
        return value

    def select(self, index: Tensor) -> "_WatchedProduct":
        return _WatchedProduct(self.product.select(index), self.watched)
