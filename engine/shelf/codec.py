"""A public model's codec as the tasks need it: audio at 44.1 kHz, a spectrum, whole steps."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from torch import Tensor
from torch.nn import functional

from engine.models.public.contract import PublicCodec
from engine.models.public.resampling import resampled
from engine.models.public.spectrum import DecodedMel
from engine.models.studio import STUDIO_RATE_HZ, Span
from engine.spec import BridgeError


class AtStudioRate:
    """Another codec behind audio at 44.1 kHz; a latent step is a whole number of its samples."""

    sample_rate_hz = STUDIO_RATE_HZ

    def __init__(self, codec: PublicCodec, frames_per_step: int) -> None:
        """Prepare.

        Raises:
            BridgeError: `not_found` where a latent step is no whole number of samples.
        """
        step_samples = Fraction(codec.step_samples * STUDIO_RATE_HZ, codec.sample_rate_hz)
        if step_samples.denominator != 1:
            raise BridgeError(
                "not_found",
                f"a latent of {codec.step_samples} samples at {codec.sample_rate_hz} Hz does not "
                f"fit {STUDIO_RATE_HZ} Hz",
                "none of the public models has one like it: use one of those",
            )
        self._codec = codec
        self._mel = DecodedMel(codec, frames_per_step)
        self.step_samples = int(step_samples)
        self.latent_channels = codec.latent_channels
        self.frames_per_step = frames_per_step
        # A learned encoder sees further than this, but what it hears there matters little.
        self.window_samples = 2 * self.step_samples

    def encode(self, audio: Tensor) -> Tensor:
        """`[..., 2, samples]` to `[..., channels, steps]`; the last step is filled with silence."""
        whole = functional.pad(audio, (0, -audio.shape[-1] % self.step_samples))
        return self._codec.encode(resampled(whole, STUDIO_RATE_HZ, self._codec.sample_rate_hz))

    def decode(
        self,
        latent: Tensor,
        guide: Tensor | None = None,
        on_step: Callable[[], None] = lambda: None,
        *,
        change: float = 1.0,
    ) -> Tensor:
        """`[..., channels, steps]` to `[..., 2, steps × step_samples]`."""
        audio = self._codec.decode(latent, None, on_step, change=change)
        return resampled(audio, self._codec.sample_rate_hz, STUDIO_RATE_HZ)

    def log_mel(self, latent: Tensor, span: Span | None = None) -> Tensor:
        """Log10 mel amplitudes of the decoded audio `[..., 192, frames_per_step × steps]`."""
        flat = latent.reshape(-1, *latent.shape[-2:])
        frames = self._mel(flat, span)
        return frames.reshape(*latent.shape[:-2], *frames.shape[-2:])
