"""What files say of themselves, read back by an independent parser and by libsndfile."""

from __future__ import annotations

import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from daw_bridge.takes.wav import read_wav_info, read_wav_raw
from engine.files.audio import read_clip, write_audio
from engine.files.containers import encode, truncated_by_bytes
from engine.files.tag_reading import read_tags
from engine.files.tags import Tags
from engine.job import Job
from engine.spec import RenderRequest
from engine.units import Metre
from tests.engine.fake_model import FakeHost, fake_model

CLIPS = Path(__file__).parents[3] / "scripts" / "clips"
LOOP = Tags("Grüße", "loop, seed 7", 5_000_000_000, 123.4, 14.0, Metre(7, 8), True)
ONCE = Tags("take\0one\n", "x" * 9000, -5, None, None)


def noise(channels: int = 2, length: int = 4_801) -> np.ndarray:
    return np.random.default_rng(channels).uniform(-1, 1, (channels, length))


def chunks_of(data: bytes) -> dict[bytes, bytes]:
    """The chunks of a WAV, walked by their sizes; every byte belongs to one of them."""
    assert struct.unpack("<4sI4s", data[:12]) == (b"RIFF", len(data) - 8, b"WAVE")
    found: dict[bytes, bytes] = {}
    at = 12
    while at < len(data):
        name, size = struct.unpack_from("<4sI", data, at)
        assert name not in found
        found[name] = data[at + 8 : at + 8 + size]
        assert len(found[name]) == size
        assert not any(data[at + 8 + size : at + 8 + size + size % 2])
        at += 8 + size + size % 2
    assert at == len(data)
    return found


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
@pytest.mark.parametrize("channels", [1, 2, 6])
@pytest.mark.parametrize("tags", [LOOP, ONCE])
def test_samples_are_untouched_for_every_reader(
    tmp_path: Path, subtype: str, channels: int, tags: Tags
) -> None:
    samples = noise(channels, 4_801)  # an odd number of bytes in one channel of 24 bits
    plain = encode(samples, 48_000, subtype, "WAV")
    tagged = encode(samples, 48_000, subtype, "WAV", tags)
    assert tagged == encode(samples, 48_000, subtype, "WAV", tags)
    assert chunks_of(tagged)[b"data"] == chunks_of(plain)[b"data"]
    assert truncated_by_bytes(tagged) == 0
    assert truncated_by_bytes(tagged[:-10]) >= 9
    for name, data in (("plain", plain), ("tagged", tagged)):
        (tmp_path / f"{name}.wav").write_bytes(data)
    heard = [soundfile.read(tmp_path / f"{name}.wav")[0] for name in ("plain", "tagged")]
    np.testing.assert_array_equal(*heard)
    info = read_wav_info(tmp_path / "tagged.wav")
    raw = read_wav_raw(tmp_path / "tagged.wav", info, 0, info.length_samples)
    assert raw == chunks_of(tagged)[b"data"]


def test_broadcast_extension_by_the_byte() -> None:
    body = chunks_of(encode(noise(), 48_000, "PCM_24", "WAV", LOOP))[b"bext"]
    text = {"description": body[:256], "originator": body[256:288]}
    found = {name: value.rstrip(b"\0") for name, value in text.items()}
    assert found == {"description": b"Gr??e: loop, seed 7", "originator": b"daw-bridge"}
    low, high, version = struct.unpack_from("<IIH", body, 338)
    assert (high << 32 | low, version) == (5_000_000_000, 1)
    assert not any(body[288:338])
    assert not any(body[348:602])
    assert body[602:] == b"A=PCM,F=48000,W=24,M=stereo,T=daw-bridge\r\n"


def test_what_cannot_be_said_is_left_out() -> None:
    found = chunks_of(encode(noise(), 48_000, "PCM_16", "WAV", ONCE))
    assert set(found) == {b"fmt ", b"bext", b"LIST", b"data"}
    assert struct.unpack_from("<Q", found[b"bext"], 338) == (0,)
    assert len(found[b"LIST"]) < 1000
    assert b"take one " in found[b"LIST"]
    assert set(chunks_of(encode(noise(), 48_000, "PCM_16", "WAV"))) == {b"fmt ", b"data"}


def test_loop_points_and_tempo_by_the_byte() -> None:
    found = chunks_of(encode(noise(), 44_100, "PCM_16", "WAV", LOOP))
    sampler = struct.unpack("<15I", found[b"smpl"])
    assert sampler[2:4] == (22_676, 60)  # 10⁹ / 44100 ns; middle C
    assert sampler[7:] == (1, 0, 0, 0, 0, 4_800, 0, 0)
    flags, root, _, _, beats, lower, upper, bpm = struct.unpack("<IHHfIHHf", found[b"acid"])
    assert (flags & 1, root, beats, upper, lower) == (0, 60, 14, 7, 8)
    assert bpm == pytest.approx(123.4)


@pytest.mark.parametrize(
    ("length_beats", "flags", "told"),
    [(14.0, 4, 14), (14.0004, 4, 14), (3.5, 1, 0), (14.01, 1, 0), (13.6, 1, 0), (None, 1, 0)],
)
def test_no_number_of_beats_is_told_that_is_not_whole(
    length_beats: float | None, flags: int, told: int
) -> None:
    """Hosts take the tempo from it: a bar of 7/8 told as 4 beats would be out by a seventh."""
    tags = replace(LOOP, length_beats=length_beats)
    data = encode(noise(), 44_100, "PCM_16", "WAV", tags)
    body = chunks_of(data)[b"acid"]
    (found,), counted = struct.unpack_from("<I", body), struct.unpack_from("<IHHf", body, 12)
    assert (found, *counted[:3]) == (flags, told, 8, 7)
    assert counted[3] == pytest.approx(123.4)
    again = read_tags(data)
    assert (again.length_beats, again.metre, again.loops) == (told or None, LOOP.metre, True)
    assert encode(noise(), 44_100, "PCM_16", "WAV", again) == data


@pytest.mark.parametrize("container", ["WAV", "FLAC", "AIFF"])
def test_libsndfile_reads_the_texts(tmp_path: Path, container: str) -> None:
    path = tmp_path / f"take.{container.lower()}"
    samples = np.round(noise() * 8000) / 32768
    write_audio(path, samples, 48_000, "PCM_16", container, tags=LOOP)
    with soundfile.SoundFile(path) as sound:
        assert (sound.title, sound.comment) == ("Grüße", "loop, seed 7")
        assert sound.software.startswith("daw-bridge")
    np.testing.assert_array_equal(read_clip(path).samples, samples)


@pytest.mark.parametrize(
    ("fields", "loops"),
    [
        ({"task": "extend", "source": str(CLIPS / "drums.flac"), "bars": 1, "bpm": 120,
          "position_beats": 8}, False),
        ({"task": "loop", "source": str(CLIPS / "drums.flac"), "bars": 1, "bpm": 120}, True),
        ({"task": "generate", "prompt": "pop in D minor", "bars": 1, "bpm": 120,
          "seamless": True}, True),
    ],
)  # fmt: skip
def test_a_render_says_what_it_is(tmp_path: Path, fields: dict[str, Any], loops: bool) -> None:
    events: list[Any] = []
    request = RenderRequest.from_mapping({**fields, "seed": 5, "refine": 0, "steps": 1})
    Job(FakeHost(fake_model()[1]), request, tmp_path, events.append, lambda: False).run()
    report, found = events[-1].report, chunks_of((tmp_path / "mix.wav").read_bytes())
    assert (b"smpl" in found) == loops
    beats, lower, upper, bpm = struct.unpack_from("<IHHf", found[b"acid"], 12)
    length_beats = report["length_beats"]
    assert (beats, lower, upper, bpm) == (length_beats if length_beats % 1 == 0 else 0, 4, 4, 120)
    said = found[b"bext"][:256].rstrip(b"\0").decode()
    for part in (fields["task"], "seed 5", "120 bpm", "1 bar,", report["model"]["digest"]):
        assert part in said
    assert struct.unpack_from("<Q", found[b"bext"], 338) == (report["position_samples"] or 0,)
    if "position_beats" in fields:
        assert report["position_samples"] > 0
    if "prompt" in fields:
        assert "D minor" in said
