"""What the items are made of: prompts, references to continue, noise, and the data's own level."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import soundfile
import torch
from evaluation.material import HELD_OUT_SEEDS, excerpt_of
from evaluation.measures import Audio
from evaluation.store import ROOT
from torch import Tensor

from ditto_bench.tunes import Cut, held_out_cuts
from engine.analysis.intensity import intensity_curve
from engine.files.audio import read_clip
from engine.models.house.model import WINDOW_STEPS, HouseModel
from engine.models.house.network import Globals
from engine.models.house.words import globals_of
from engine.models.studio import Words
from engine.render.finish import to_model
from engine.sketch.score import MODES
from engine.sketch.styles import STYLES

RATE_HZ, STEP_SAMPLES = 44_100, 1024
WINDOW_SAMPLES = WINDOW_STEPS * STEP_SAMPLES
STEP_S = STEP_SAMPLES / RATE_HZ
WINDOW_S = WINDOW_SAMPLES / RATE_HZ
REFERENCE_SEEDS, MUSIC_SEEDS = HELD_OUT_SEEDS + 600_000, HELD_OUT_SEEDS + 700_000
LEVELLED = 8  # references whose mean level the curves lie around
_PROMPT_SEED, _NOISE_SEED = 20_262_000, 20_263_000
_PIECES_EACH = 40  # looked through for one that is long enough
_MARGIN_S = 0.1
CLIPS = ROOT / "scripts" / "clips"


@dataclass(frozen=True, slots=True)
class Prompt:
    """What the model is told about a whole window."""

    style: str
    tonic: int
    mode: str
    tempo_bpm: float

    def conditions(self, model: HouseModel) -> Globals:
        """As the model takes it; moods, roles and instruments are left to it."""
        words = Words(
            "", WINDOW_S, bpm=self.tempo_bpm, tonic=self.tonic, mode=self.mode, style=self.style
        )
        return globals_of(words, model.vocabulary, model.network.shape)


@dataclass(frozen=True, slots=True)
class Music:
    """A window of music, float32 `[2, samples]` and a little more, with what it is."""

    audio: Tensor = field(repr=False)
    prompt: Prompt

    @property
    def window(self) -> Audio:
        """Exactly a window as float64 `[2, samples]`."""
        return self.audio[:, :WINDOW_SAMPLES].double().numpy()


Source = Callable[[int], Music]  # number -> music


def prompt_of(item: int) -> Prompt:
    """The style, key and tempo that an item's seed draws."""
    rng = np.random.default_rng([_PROMPT_SEED, item])
    style = sorted(STYLES)[int(rng.integers(len(STYLES)))]
    low, high = STYLES[style].tempo_bpm
    tempo_bpm = round(float(rng.uniform(low, high)), 1)
    return Prompt(style, int(rng.integers(12)), MODES[int(rng.integers(2))], tempo_bpm)


def noise_of(item: int, channels: int) -> Tensor:
    """The noise that every method starts with on an item `[1, channels, steps]`."""
    generator = torch.Generator().manual_seed(_NOISE_SEED + item)
    return torch.randn(1, channels, WINDOW_STEPS, generator=generator)


def held_out(first_seed: int) -> Source:
    """Excerpts of held-out pieces; each number has pieces of its own to be found among."""

    def music(number: int) -> Music:
        start = first_seed + _PIECES_EACH * number
        for seed in range(start, start + _PIECES_EACH):
            excerpt = excerpt_of(seed, WINDOW_S + _MARGIN_S)
            if excerpt is not None:
                piece = excerpt.piece
                prompt = Prompt(piece.style, piece.key.tonic, piece.key.mode, piece.tempo_bpm)
                return Music(torch.from_numpy(excerpt.mix.astype(np.float32)), prompt)
        raise RuntimeError(f"{_PIECES_EACH} pieces from {start} hold none of {WINDOW_S:.1f} s")

    return music


def shipped_clips(number: int) -> Music:
    """The clips that come with the project, which need no soundfont."""
    paths = sorted(CLIPS.glob("*.flac"))
    clip = read_clip(paths[number % len(paths)])
    audio = torch.from_numpy(to_model(clip.samples, clip.sample_rate_hz))
    wanted = WINDOW_SAMPLES + round(_MARGIN_S * RATE_HZ)
    repeats = -(-wanted // audio.shape[1])
    return Music(audio.repeat(1, repeats)[:, :wanted], prompt_of(number))


def kept_in(folder: Path, source: Source) -> Source:
    """The same music, rendered once and then read from files."""

    def music(number: int) -> Music:
        sound, said = folder / f"{number}.flac", folder / f"{number}.json"
        if not said.is_file():
            folder.mkdir(parents=True, exist_ok=True)
            made = source(number)
            soundfile.write(sound, made.audio.T.numpy(), RATE_HZ, subtype="PCM_24")
            said.write_text(json.dumps(asdict(made.prompt)), encoding="utf-8")
        samples, _ = soundfile.read(sound, dtype="float32", always_2d=True)
        prompt = Prompt(**json.loads(said.read_text(encoding="utf-8")))
        return Music(torch.from_numpy(np.ascontiguousarray(samples.T)), prompt)

    return music


@dataclass
class Material:
    """Everything that items are made of.

    Attributes:
        references: music to continue, repair and loop.
        music: other music of the same kind, to be as near to as music can be.
        levelled: references whose level is the data's.
    """

    model: HouseModel
    references: Source
    music: Source
    levelled: int = LEVELLED
    tunes: tuple[Cut, ...] = field(default_factory=lambda: held_out_cuts(WINDOW_S))

    @cached_property
    def _levels_db(self) -> tuple[float, float]:
        """Mean smoothed level of the references in dBFS, and the model's own measure of it."""
        heard, told = [], []
        for number in range(self.levelled):
            music = self.references(number)
            heard.append(float(intensity_curve(music.window, RATE_HZ, 1.0 / STEP_S).mean()))
            with torch.no_grad():
                curve = self.model.told_level(self.latent(music))
            told.append(float(curve.mean()))
        return float(np.mean(heard)), float(np.mean(told))

    @property
    def mean_level_db(self) -> float:
        """What the curves of intensity lie around."""
        return self._levels_db[0]

    def told_level(self, level_db: Tensor) -> Tensor:
        """Levels in dBFS as the model is told them: its measure differs by a constant in dB."""
        heard_db, told = self._levels_db
        return told + (level_db - heard_db) / 12.0

    def latent(self, music: Music) -> Tensor:
        """Latent of the window `[1, channels, steps]`; what follows it is heard at its end."""
        whole = -(-music.audio.shape[1] // STEP_SAMPLES) * STEP_SAMPLES
        padded = torch.nn.functional.pad(music.audio, (0, whole - music.audio.shape[1]))
        with torch.no_grad():
            return self.model.codec.encode(padded)[None, :, :WINDOW_STEPS]

    def tune(self, item: int) -> Cut:
        """The tune of an item."""
        return self.tunes[item % len(self.tunes)]
