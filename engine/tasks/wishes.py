"""What a request wishes beside its task, as controls over a timeline, and priors that obey it."""

from __future__ import annotations

import codecs
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from engine.analysis.intensity import intensity_curve, smoothed
from engine.analysis.spectra import Samples
from engine.controls.control import Control, Setting, is_named_json
from engine.controls.intensity import Intensity
from engine.controls.table import wished
from engine.curves import Form
from engine.files.audio import read_clip
from engine.files.read import read_bytes
from engine.models.studio import STUDIO_RATE_HZ, StudioCodec, step_seconds
from engine.musical_time import MusicalTime
from engine.opening import open_named
from engine.render.finish import to_stereo
from engine.spec import BridgeError, RenderRequest

_MAX_TEXT_BYTES = 1 << 20
_PEEKED_BYTES = 256
_GAIN_LIMIT_DB = 30.0  # a silent prior is not turned up into its own noise
_QUIET_DB = -70.0
_REST_DB = 30.0  # what lies so far below a prior's loudest moment does not say where its level is
_SILENT_POWER = 1e-12
_ROUNDS = 4  # the smoothing of a product is not the product of smoothings


@dataclass(frozen=True, slots=True)
class Axis:
    """The time axis of a timeline.

    Attributes:
        steps, step_s: how many latent steps, each of how many seconds.
        frames_per_step: of the codec's spectrum.
        starts_s: where it begins on the result's time axis.
    """

    steps: int
    step_s: float
    frames_per_step: int
    starts_s: float

    @classmethod
    def of(cls, codec: StudioCodec, steps: int, starts_s: float) -> Axis:
        """Of a codec's latents."""
        return cls(steps, step_seconds(codec), codec.frames_per_step, starts_s)


def wishes_of(
    request: RenderRequest,
    axis: Axis,
    length_s: float,
    bar_s: float | None,
    time: MusicalTime | None = None,
) -> tuple[Control, ...]:
    """The controls that a request asks for over a timeline.

    Args:
        length_s: of the result.
        bar_s: length of a bar; None where no tempo is known.
        time: bars on the result's time axis, where they may differ in length.

    Raises:
        BridgeError: a wish cannot be read or does not fit the result.
    """
    setting = Setting(
        axis.steps,
        axis.step_s,
        axis.starts_s,
        length_s,
        bar_s,
        _hear,
        _read_text,
        axis.frames_per_step,
        _is_json,
    )
    return wished(_in_seconds(request, time), setting)


def _in_seconds(request: RenderRequest, time: MusicalTime | None) -> RenderRequest:
    """The same wishes with the bars of a form as times, where bars may differ in length."""
    form = None if request.structure is None else Form.parse(request.structure)
    if form is None or form.sizes is None or time is None:
        return request
    bars = accumulate(form.sizes, initial=0.0)
    starts_s = tuple(float(time.bars_s(at)) for at, _ in zip(bars, form.letters, strict=False))
    return replace(request, structure=str(Form(form.letters, None, starts_s)))


def _hear(path: str) -> tuple[Samples, int]:
    clip = read_clip(path)
    return clip.samples, clip.sample_rate_hz


def _is_json(path: str) -> bool:
    """By its name, or by what it begins with: an upload may have come without a suffix."""
    if is_named_json(path):
        return True
    try:
        with open_named(path) as file:
            begun = file.read(_PEEKED_BYTES)
    except OSError:
        return False  # whoever reads it says why
    return begun.removeprefix(codecs.BOM_UTF8).lstrip()[:1] in (b"[", b"{")


def _read_text(path: str) -> str:
    data = read_bytes(
        Path(path), code="bad_request", wanted="a JSON file", max_bytes=_MAX_TEXT_BYTES
    )
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BridgeError(
            "bad_request", "the lane's file is not text", "save it as UTF-8"
        ) from None


def loudness_wish(controls: tuple[Control, ...]) -> Intensity | None:
    """The wish about intensity, where there is one."""
    return next((control for control in controls if isinstance(control, Intensity)), None)


def spread_db(clip: Samples) -> float:
    """How much louder a clip `[channels, samples]` is than the model's stereo of it.

    Mono and stereo come as they are. Of more channels left and right are means, which those that
    are silent or unlike one another quieten more than the clip.
    """
    if clip.shape[0] <= 2:
        return 0.0
    own, heard = (float(np.mean(audio**2)) for audio in (clip, to_stereo(clip)))
    return 10.0 * float(np.log10(own / heard)) if min(own, heard) > _SILENT_POWER else 0.0


def in_stereo(controls: tuple[Control, ...], louder_db: float) -> tuple[Control, ...]:
    """The wishes as the model's stereo has to meet them, where the result is that much louder."""
    return tuple(
        replace(control, target_db=control.target_db - louder_db)
        if isinstance(control, Intensity) and control.match == "level"
        else control
        for control in controls
    )


def gain_curve_db(
    guide: Tensor, wish: Intensity, free: npt.NDArray[np.bool_]
) -> npt.NDArray[np.float64]:
    """Gain for each frame that brings the level of a prior to the curve wished for.

    A shape that may lie anywhere is laid where the prior's own level is.

    Args:
        guide: the prior as audio `[2, samples]` at 44.1 kHz.
        free: which frames may be changed `[frames]`.

    Returns:
        dB for each frame `[frames]`, 0 where nothing may be changed.
    """
    target = wish.target_db.double().numpy()
    samples = guide.double().numpy()
    if wish.match == "shape":
        own = _level(samples, wish.frame_s, len(target))
        sounding = free & (own > max(_QUIET_DB, own.max() - _REST_DB))
        if sounding.any():
            target = target - (target - own)[sounding].mean()
    gain_db = np.zeros(len(target))
    for _ in range(_ROUNDS):
        shaped = samples * _per_sample(gain_db, wish.frame_s, samples.shape[1])
        level = _level(shaped, wish.frame_s, len(target))
        missing, heard = target - level, level > _QUIET_DB
        gain_db = np.clip(gain_db + np.where(free & heard, missing, 0.0), -60.0, _GAIN_LIMIT_DB)
        gain_db = np.where(free, smoothed(gain_db, 1.0 / wish.frame_s / 8.0), 0.0)
    return gain_db


def with_gain(guide: Tensor, gain_db: npt.NDArray[np.float64], frame_s: float) -> Tensor:
    """Audio `[2, samples]` under a gain for each frame, straight lines between frames."""
    return guide * torch.from_numpy(_per_sample(gain_db, frame_s, guide.shape[1])).float()


def _per_sample(
    gain_db: npt.NDArray[np.float64], frame_s: float, samples: int
) -> npt.NDArray[np.float64]:
    at = np.arange(samples) / STUDIO_RATE_HZ / frame_s
    return np.asarray(10.0 ** (np.interp(at, np.arange(len(gain_db)), gain_db) / 20.0))


def free_frames(known: Tensor, frames_per_step: int) -> npt.NDArray[np.bool_]:
    """Which frames of a timeline nothing is known of; `known` is `[1, 1, steps]`."""
    return np.repeat(known[0, 0].numpy() == 0.0, frames_per_step)


def for_stem(wish: Intensity, stem: Tensor) -> Intensity:
    """The wish for one stem: its own level under the gain, as its shaped guide has it."""
    level = _level(stem.double().numpy(), wish.frame_s, len(wish.target_db))
    target = torch.from_numpy(level).float()
    return replace(wish, target_db=target, match="level")


def _level(samples: Samples, frame_s: float, frames: int) -> npt.NDArray[np.float64]:
    """Level for each frame of a timeline `[frames]`; its end goes on where the audio is shorter."""
    curve = intensity_curve(samples, STUDIO_RATE_HZ, 1.0 / frame_s)[:frames]
    return np.pad(curve, (0, frames - len(curve)), mode="edge")
