"""What an audio device is given: silence until a moment, then the take, round after round.

The moment is one of the system's clock. A device tells its own clock with every block; the two are
compared again and again until the audio begins, and never after, so that nothing jumps. Where the
moment has passed by then, the audio is joined where it would be by now.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Frames = npt.NDArray[np.float32]

StartsAt = Callable[[], float | None]
_FADE_S = 0.01  # of a stop by hand, and of a beginning in the midst of the audio
_LATE_S = 0.005  # later than asked for by no more, the audio begins with its first frame


class Player:
    """Fills blocks of an output stream.

    Attributes:
        heard_from_s: second of the system's clock at which audio was first heard; None before.
        skipped_frames: of all rounds, those that should have been heard before that.
        is_over: the moment had passed so long ago that no round was left.
    """

    def __init__(
        self,
        audio: Frames,
        sample_rate_hz: int,
        *,
        rounds: int | None = 1,
        starts_at: StartsAt | None = None,
        latency_s: float = 0.0,
        now: Callable[[], float] = time.time,
    ) -> None:
        """Prepare to play.

        Args:
            audio: float32 `[frames, channels]` at the device's rate.
            rounds: how often; None until `stop`.
            starts_at: second of the system's clock at which the first frame is to be heard; None
                from it while that is not known yet. Without it the audio begins at once.
            latency_s: from block to ear, for devices that do not tell their clock.
        """
        self._audio = audio
        self._rate = sample_rate_hz
        self._left = None if rounds is None else rounds * len(audio)
        self._starts_at = starts_at
        self._latency_s = latency_s
        # Some drivers drop what they still hold when a stream ends: let it be silence.
        self._tail = round(latency_s * sample_rate_hz)
        self._now = now
        self._ahead_s = float("inf")  # system's clock less the device's
        self._at = 0
        self._fade_in_frames = max(1, round(_FADE_S * sample_rate_hz))
        self._faded_in = self._fade_in_frames  # how much of that is done; all, where none is needed
        self._stopping = False
        self.begun = starts_at is None
        self.heard_from_s: float | None = None
        self.played_frames = 0
        self.skipped_frames = 0
        self.is_over = False
        self.underruns = 0
        self.finished = threading.Event()

    def stop(self) -> None:
        """Fade out and end."""
        self._stopping = True

    def fill(self, block: Frames, clock: Any, underrun: bool) -> bool:
        """Fill a block `[frames, channels]`; whether more will follow.

        Args:
            clock: `currentTime` and `outputBufferDacTime` in seconds, as PortAudio tells them.
        """
        self.underruns += underrun and self.begun
        block[:] = 0.0
        silent = 0 if self.begun else self._silence(len(block), clock)
        if self.is_over:
            return False
        if silent < len(block):
            if self.heard_from_s is None:
                self.heard_from_s = self._heard_s(clock) + silent / self._rate
            self.begun = True
            self._copy(block[silent:])
        if self._stopping and self._left != 0:
            self._fade(block)
            self._left = 0
            return self._tail > 0
        if self._left == 0:
            self._tail -= len(block)
            return self._tail > 0
        return True

    def _heard_s(self, clock: Any) -> float:
        """When the first frame of a block will be heard, by the system's clock."""
        now_s = self._now()
        if not clock.outputBufferDacTime or not clock.currentTime:
            return now_s + self._latency_s
        # Whatever delays us between the device's clock and ours only makes the difference larger.
        self._ahead_s = min(self._ahead_s, now_s - clock.currentTime)
        return float(clock.outputBufferDacTime + self._ahead_s)

    def _silence(self, frames: int, clock: Any) -> int:
        """Frames of a block that come before the start; all of them where it is not known yet.

        Where the start has passed, what should have been heard since is skipped.
        """
        heard_s = self._heard_s(clock)
        assert self._starts_at is not None
        start_s = self._starts_at()
        if start_s is None:
            return frames
        early = round((start_s - heard_s) * self._rate)
        if early < -_LATE_S * self._rate:
            self._skip(-early)
        return max(0, min(frames, early))

    def _skip(self, frames: int) -> None:
        """Begin in the midst of the audio, or not at all where all rounds have passed."""
        if self._left is not None:
            self.is_over = frames >= self._left
            if self.is_over:
                return
            self._left -= frames
        self.skipped_frames = frames
        self._at = frames % len(self._audio)
        self._faded_in = 0

    def _copy(self, block: Frames) -> None:
        """The next frames of the audio; its end is followed by its beginning."""
        wanted = len(block) if self._left is None else min(len(block), self._left)
        done = 0
        while done < wanted:
            count = min(wanted - done, len(self._audio) - self._at)
            block[done : done + count] = self._audio[self._at : self._at + count]
            self._at = (self._at + count) % len(self._audio)
            done += count
        self._fade_in(block)
        self.played_frames += wanted
        if self._left is not None:
            self._left -= wanted

    def _fade_in(self, block: Frames) -> None:
        """What is left of the fade at a beginning in the midst; blocks may be shorter than it."""
        count = min(len(block), self._fade_in_frames - self._faded_in)
        for frame in range(count):
            block[frame] *= (self._faded_in + frame + 1) / self._fade_in_frames
        self._faded_in += count

    def _fade(self, block: Frames) -> None:
        count = min(len(block), max(1, round(_FADE_S * self._rate)))
        for frame in range(count):
            block[frame] *= 1.0 - (frame + 1) / count
        block[count:] = 0.0
