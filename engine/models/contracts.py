"""What a model must offer to the engine, whatever its own parametrisation.

All models speak of one path, the straight line of rectified flow: at noise level `t` in [0, 1]

    x_t = (1 - t) x_0 + t ε,   ε ~ N(0, I)

A variance-preserving diffusion model with coefficients (α, σ) lies on it after the rescaling
`t = σ / (α + σ)`, `x_t = x / (α + σ)`, so samplers, priors and the optimiser are written once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

from torch import Tensor


class Denoiser(Protocol):
    """An estimate of x_0."""

    def __call__(self, x: Tensor, level: float, next_level: float | None = None, /) -> Tensor:
        """The estimate at `x`, of its shape `[batch, channels, steps]`.

        Args:
            x: state at `level`.
            next_level: where the step is to end. A flow map answers with the x̂_0 whose straight
                line from `x` passes through the flow's own point at that level; models that know
                no such thing, and everybody where it is None, with the expectation of x_0.
        """
        ...


@runtime_checkable
class Remembering(Denoiser, Protocol):
    """A denoiser that, in a run, goes by what it said in the steps before, too.

    It keeps nothing itself: what is to be remembered is handed in and out, so steps can be made in
    any order and made anew. Asked as a plain denoiser it answers as in the first step of a run.
    """

    def recalling(
        self, x: Tensor, level: float, memory: Tensor | None, /
    ) -> tuple[Tensor, Tensor | None]:
        """The estimate at `x` in the middle of a run, and what the next step is to be handed.

        Args:
            memory: what the step before handed on, of the shape of `x`; None where there is none.
        """
        ...


class Codec(Protocol):
    """Audio to latents and back.

    Attributes:
        sample_rate_hz: rate of the audio.
        step_samples: audio samples to a latent step.
        latent_channels: values in a step.
    """

    sample_rate_hz: int
    step_samples: int
    latent_channels: int

    def encode(self, audio: Tensor) -> Tensor:
        """`[..., 2, samples]` to `[..., latent_channels, steps]`; differentiable."""
        ...

    def decode(
        self,
        latent: Tensor,
        guide: Tensor | None = None,
        on_step: Callable[[], None] = lambda: None,
        *,
        change: float = 1.0,
    ) -> Tensor:
        """`[..., latent_channels, steps]` to `[..., 2, steps × step_samples]`.

        Long latents are decoded in pieces, so that memory stays bounded. `guide` is audio known to
        be close to the answer and `change` says how close, from 0 (the same) to 1; `on_step` is
        called during the work and may raise to stop it.
        """
        ...
