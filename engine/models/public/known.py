"""Public models that are known by name: what each needs, what it may be used for, how to get it.

Figures are their publishers'; what they have not published is None. Plain data, nothing heavy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

HUB = "https://huggingface.co"
STABILITY_LICENCE = "Stability AI Community License"
_STABILITY_COMMERCIAL = "under 1M USD revenue a year"
_CONVERTER = "convert_stable_audio_3_to_diffusers.py"
CONVERTER_PAGE = f"https://github.com/huggingface/diffusers/blob/main/scripts/{_CONVERTER}"


@dataclass(frozen=True, slots=True)
class Known:
    """One model.

    Attributes:
        name: what it is called here.
        title: what its publishers call it.
        hub: its repository.
        pipeline: class of its pipeline, a key of `opening.ARCHITECTURES`.
        licence: of its weights.
        gated: whether the licence must be accepted on the page before a download.
        commercial: whether its use may earn money, in a word or a few.
        parameters: of the denoising network.
        weights_bytes: of all parts, as they are downloaded.
        sample_rate_hz: of its audio.
        channels: of its audio.
        step_samples: audio samples to a latent step.
        longest_s: of one piece.
        edits: what it does by itself with audio that is there.
        steps, guidance: that it is sampled with where nobody says otherwise.
        memory: published figures, and what they are of.
        memory_bytes: the largest of them that is for a whole render on a GPU.
        good_at, limits: in a sentence each.
        in_format: the repository holds what is read here, and needs no conversion.
        stored_bytes: of each weight as it is downloaded; halved on a card where that is 4.
        on_cpu: meant for plain CPUs, too.
    """

    name: str
    title: str
    hub: str
    pipeline: str
    licence: str
    gated: bool | None
    commercial: str
    parameters: int | None
    weights_bytes: int | None
    sample_rate_hz: int
    channels: int
    step_samples: int
    longest_s: float
    edits: tuple[str, ...]
    steps: int
    guidance: float
    memory: str | None
    memory_bytes: int | None
    good_at: str
    limits: str
    in_format: bool = True
    stored_bytes: int | None = None
    on_cpu: bool = False

    @property
    def card_bytes(self) -> int | None:
        """What a card should have for drafts: the published figure, else a rule of thumb.

        The rule: its weights in half precision, and half as much again to work in.
        """
        if self.memory_bytes is not None:
            return self.memory_bytes
        if self.weights_bytes is None or self.stored_bytes is None:
            return None
        return self.weights_bytes * 2 // self.stored_bytes * 3 // 2

    @property
    def page(self) -> str:
        """Where its publishers describe it."""
        return f"{HUB}/{self.hub}"

    def ways(self) -> tuple[str, ...]:
        """What to do to have it, step by step, commands in backquotes."""
        steps = []
        if self.gated:
            steps.append(f"open {self.page}, accept the licence, and log in: `hf auth login`")
        if self.in_format:
            return (*steps, f"`daw-bridge models add {self.name}`")
        return (
            *steps,
            f"get {CONVERTER_PAGE}, as of your release of diffusers",
            f"`python {_CONVERTER} --checkpoint_path {self.hub} --output_dir {self.name}`",
            f"`daw-bridge models add ./{self.name}`",
        )


def _stable_audio_3(
    size: str,
    *,
    base: bool,
    parameters: int,
    longest_s: float,
    gated: bool | None,
    memory: str | None,
    memory_bytes: int | None,
    good_at: str,
) -> Known:
    name = f"stable-audio-3-{size}{'-base' if base else ''}"
    return Known(
        name=name,
        title=f"Stable Audio 3 {size.replace('-', ' ')}{' (base)' if base else ''}",
        hub=f"stabilityai/{name}",
        pipeline="StableAudio3Pipeline",
        licence=f"{STABILITY_LICENCE}, with Gemma's terms for the text encoder",
        gated=gated,
        commercial=_STABILITY_COMMERCIAL,
        parameters=parameters,
        weights_bytes=None,
        sample_rate_hz=44_100,
        channels=2,
        step_samples=4096,
        longest_s=longest_s,
        edits=("regions", "continuation", "variation"),
        steps=100 if base else 8,
        guidance=7.0 if base else 1.0,
        memory=memory,
        memory_bytes=memory_bytes,
        good_at=good_at,
        limits="a step of 93 ms: what it keeps comes back re-decoded, and seams are healed by us",
        in_format=False,
        on_cpu=size == "small-music" and not base,
    )


_BASE = "the same before distillation: slower, and it follows guidance; for fine-tuning"
_MB, _GB = 10**6, 10**9

_ACE_XL_TURBO = Known(
    name="ace-step-1.5-xl-turbo",
    title="ACE-Step 1.5 XL turbo",
    hub="ACE-Step/acestep-v15-xl-turbo-diffusers",
    pipeline="AceStepPipeline",
    licence="MIT",
    gated=False,
    commercial="yes",
    parameters=4_000 * _MB,
    weights_bytes=11_500 * _MB,
    sample_rate_hz=48_000,
    channels=2,
    step_samples=1920,
    longest_s=600.0,
    edits=("regions", "continuation"),
    steps=8,
    guidance=1.0,
    memory="20 GB and more recommended (publisher)",
    memory_bytes=20 * _GB,
    good_at="the same in more detail, for a large card; eight steps",
    limits="its own planner, a language model, is not used",
)

KNOWN: tuple[Known, ...] = (
    _stable_audio_3(
        "small-music",
        base=False,
        parameters=459 * _MB,
        longest_s=120.0,
        gated=True,
        memory="1.7 to 2.4 GB at its peak (publisher, H200)",
        memory_bytes=2_400 * _MB,
        good_at="music in eight steps, fast on a small card and usable on a CPU",
    ),
    _stable_audio_3(
        "small-music",
        base=True,
        parameters=459 * _MB,
        longest_s=120.0,
        gated=None,
        memory=None,
        memory_bytes=None,
        good_at=_BASE,
    ),
    _stable_audio_3(
        "medium",
        base=False,
        parameters=1_400 * _MB,
        longest_s=380.0,
        gated=True,
        memory="5.1 to 6.5 GB at its peak (publisher, H200)",
        memory_bytes=6_500 * _MB,
        good_at="music and sounds of up to six minutes in eight steps; the first choice on a card",
    ),
    _stable_audio_3(
        "medium",
        base=True,
        parameters=1_400 * _MB,
        longest_s=380.0,
        gated=True,
        memory=None,
        memory_bytes=None,
        good_at=_BASE,
    ),
    Known(
        name="stable-audio-open-1.0",
        title="Stable Audio Open 1.0",
        hub="stabilityai/stable-audio-open-1.0",
        pipeline="StableAudioPipeline",
        licence=STABILITY_LICENCE,
        gated=True,
        commercial=_STABILITY_COMMERCIAL,
        parameters=1_057 * _MB,
        weights_bytes=5_300 * _MB,
        sample_rate_hz=44_100,
        channels=2,
        step_samples=2048,
        longest_s=47.0,
        edits=(),
        steps=100,
        guidance=7.0,
        memory=None,
        memory_bytes=None,
        good_at="sounds, drum loops and textures; trained on Creative Commons recordings",
        limits="a hundred steps, always a window of 47 s; better at sounds than music, no voices",
        stored_bytes=4,
    ),
    Known(
        name="stable-audio-open-small",
        title="Stable Audio Open small",
        hub="stabilityai/stable-audio-open-small",
        pipeline="stable-audio-tools",
        licence=STABILITY_LICENCE,
        gated=True,
        commercial=_STABILITY_COMMERCIAL,
        parameters=341 * _MB,
        weights_bytes=2_570 * _MB,
        sample_rate_hz=44_100,
        channels=2,
        step_samples=2048,
        longest_s=11.9,
        edits=(),
        steps=8,
        guidance=1.0,
        memory=None,
        memory_bytes=None,
        good_at="short loops and sounds in eight steps, on small cards and CPUs",
        limits="a window of 12 s; better at sounds than music, no voices",
        stored_bytes=4,
        on_cpu=True,
    ),
    Known(
        name="ace-step-1.5-turbo",
        title="ACE-Step 1.5 turbo, as converted by Runware",
        hub="Runware/acestep-v15-turbo-diffusers",
        pipeline="AceStepPipeline",
        licence="MIT",
        gated=False,
        commercial="yes",
        parameters=2_000 * _MB,
        weights_bytes=6_300 * _MB,
        sample_rate_hz=48_000,
        channels=2,
        step_samples=1920,
        longest_s=600.0,
        edits=("regions", "continuation"),
        steps=8,
        guidance=1.0,
        memory="less than 4 GB where parts wait in main memory (diffusers), which ours do not",
        memory_bytes=None,
        good_at="songs with words, tempo, key and metre told; eight steps",
        limits="its own planner, a language model, is not used; not converted by its publishers",
        stored_bytes=2,
    ),
    _ACE_XL_TURBO,
    replace(
        _ACE_XL_TURBO,
        name="ace-step-1.5-xl-base",
        title="ACE-Step 1.5 XL (base)",
        hub="ACE-Step/acestep-v15-xl-base-diffusers",
        steps=50,
        guidance=7.0,
        good_at="the same before distillation: fifty steps, and it follows guidance",
        limits="twice the work in each of its steps; its own planner is not used",
    ),
    Known(
        name="audioldm2-music",
        title="AudioLDM 2 music",
        hub="cvssp/audioldm2-music",
        pipeline="AudioLDM2Pipeline",
        licence="CC BY-NC-SA 4.0",
        gated=False,
        commercial="no",
        parameters=350 * _MB,
        weights_bytes=4_400 * _MB,
        sample_rate_hz=16_000,
        channels=1,
        step_samples=640,
        longest_s=10.24,
        edits=(),
        steps=200,
        guidance=3.5,
        memory=None,
        memory_bytes=None,
        good_at="comparing methods of control with what was published",
        limits="16 kHz, one channel, ten seconds, 200 steps",
        stored_bytes=4,
    ),
    Known(
        name="musicldm",
        title="MusicLDM",
        hub="ucsd-reach/musicldm",
        pipeline="MusicLDMPipeline",
        licence="CC BY-NC-SA 4.0",
        gated=False,
        commercial="no",
        parameters=None,
        weights_bytes=None,
        sample_rate_hz=16_000,
        channels=1,
        step_samples=640,
        longest_s=10.24,
        edits=(),
        steps=200,
        guidance=2.0,
        memory=None,
        memory_bytes=None,
        good_at="comparing methods of control with what was published",
        limits="16 kHz, one channel, ten seconds, 200 steps",
    ),
)

KNOWN_BY_NAME: Mapping[str, Known] = {known.name: known for known in KNOWN}
KNOWN_BY_HUB: Mapping[str, Known] = {known.hub.lower(): known for known in KNOWN}


def meant(text: str) -> Known | None:
    """The row that a name or a repository means."""
    return KNOWN_BY_NAME.get(text.lower()) or KNOWN_BY_HUB.get(text.lower())
