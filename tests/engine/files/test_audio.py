"""Clips: every format in, exact samples out, one clear refusal for everything else."""

from __future__ import annotations

import hashlib
import os
import shutil
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.files.audio import (
    MAX_CHANNELS,
    MAX_FILE_BYTES,
    check_samples,
    lossless_subtype,
    quantise,
    read_clip,
    write_audio,
)
from engine.files.containers import encode, truncated_by_bytes
from engine.spec import BridgeError


def tone(channels: int = 2, seconds: float = 0.3, rate: int = 44_100) -> np.ndarray:
    """Noise and a tone, `[channels, samples]`."""
    generator = np.random.default_rng(channels)
    time = np.arange(round(seconds * rate)) / rate
    return 0.4 * np.sin(2 * np.pi * 220 * time) + generator.normal(0, 0.05, (channels, len(time)))


FORMATS = [
    ("wav", "WAV", "PCM_U8"),
    ("wav", "WAV", "PCM_16"),
    ("wav", "WAV", "PCM_24"),
    ("wav", "WAV", "PCM_32"),
    ("wav", "WAV", "FLOAT"),
    ("wav", "WAV", "DOUBLE"),
    ("wav", "WAV", "ULAW"),
    ("wav", "WAVEX", "PCM_24"),
    ("wav", "RF64", "PCM_16"),
    ("flac", "FLAC", "PCM_16"),
    ("flac", "FLAC", "PCM_24"),
    ("aiff", "AIFF", "PCM_S8"),
    ("aiff", "AIFF", "PCM_16"),
    ("aiff", "AIFF", "FLOAT"),
    ("ogg", "OGG", "VORBIS"),
    ("mp3", "MP3", "MPEG_LAYER_III"),
]


@pytest.mark.parametrize(("suffix", "container", "subtype"), FORMATS)
def test_source_samples_survive_a_round_trip(
    tmp_path: Path, suffix: str, container: str, subtype: str
) -> None:
    path = tmp_path / f"clip.{suffix}"
    soundfile.write(path, tone().T, 44_100, subtype, format=container)
    clip = read_clip(path)
    assert (clip.subtype, clip.sample_rate_hz, clip.channels) == (subtype, 44_100, 2)
    assert clip.digest == hashlib.sha256(path.read_bytes()).hexdigest()
    assert clip.samples.dtype == np.float64
    written = lossless_subtype(clip.subtype)
    again = read_clip(write_audio(tmp_path / "again.wav", clip.samples, 44_100, written))
    np.testing.assert_array_equal(again.samples, clip.samples)
    np.testing.assert_array_equal(quantise(clip.samples, written), clip.samples)


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 48_000, 96_000, 192_000])
@pytest.mark.parametrize("channels", [1, 2, 6, 8])
def test_any_rate_and_channel_count(tmp_path: Path, rate: int, channels: int) -> None:
    samples = tone(channels, 0.12, rate)
    clip = read_clip(write_audio(tmp_path / "a.wav", samples, rate, "DOUBLE"))
    assert (clip.sample_rate_hz, clip.channels) == (rate, channels)
    assert clip.length_samples == samples.shape[1]
    assert clip.seconds == pytest.approx(0.12)
    np.testing.assert_array_equal(clip.samples, samples)


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE"])
@settings(max_examples=15, deadline=None)
@given(
    st.lists(st.floats(-1.5, 1.5, allow_nan=False), min_size=2, max_size=40).map(
        lambda v: np.array([v, v[::-1]])
    )
)
def test_the_file_holds_what_quantise_says(subtype: str, samples: np.ndarray) -> None:
    import io

    data = encode(samples, 48_000, subtype, "WAV")
    read, rate = soundfile.read(io.BytesIO(data), dtype="float64", always_2d=True)
    assert rate == 48_000
    np.testing.assert_array_equal(read.T, quantise(samples, subtype))
    assert encode(samples, 48_000, subtype, "WAV") == data
    assert truncated_by_bytes(data) == 0


@pytest.mark.parametrize(
    ("container", "subtype"),
    [
        ("AIFF", "PCM_16"),
        ("AIFF", "PCM_24"),
        ("FLAC", "PCM_16"),
        ("FLAC", "PCM_24"),
        ("AIFF", "FLOAT"),
    ],
)
def test_other_containers_hold_the_same_samples(
    tmp_path: Path, container: str, subtype: str
) -> None:
    samples = tone()
    path = write_audio(tmp_path / "x", samples, 44_100, subtype, container)
    np.testing.assert_array_equal(read_clip(path).samples, quantise(samples, subtype))


def refused(code: str, path: Path) -> BridgeError:
    with pytest.raises(BridgeError) as caught:
        read_clip(path)
    assert caught.value.code == code
    assert "\0" not in str(caught.value)
    if path.is_absolute():
        assert str(path.parent) not in str(caught.value)
    return caught.value


def test_what_is_no_clip_is_refused(tmp_path: Path) -> None:
    assert "does not exist" in refused("bad_audio", tmp_path / "none.wav").message
    assert "folder" in refused("bad_audio", tmp_path).message
    empty = tmp_path / "empty.wav"
    empty.touch()
    assert "empty" in refused("bad_audio", empty).message
    text = tmp_path / "text.wav"
    text.write_text("these are words and no sound at all, " * 50)
    assert "not audio" in refused("bad_audio", text).message
    fifo = tmp_path / "pipe.wav"
    os.mkfifo(fifo)
    assert "no regular file" in refused("bad_audio", fifo).message
    assert refused("bad_audio", Path("nul\0byte.wav"))
    assert refused("bad_audio", tmp_path / ("long" * 100))


@pytest.mark.parametrize(("suffix", "container", "subtype"), FORMATS)
@pytest.mark.parametrize("share", [0.02, 0.6, 0.97])
@pytest.mark.filterwarnings("ignore")
def test_a_truncated_file_is_refused(
    tmp_path: Path,
    suffix: str,
    container: str,
    subtype: str,
    share: float,
    capfd: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / f"cut.{suffix}"
    soundfile.write(path, tone(seconds=1.0).T, 44_100, subtype, format=container)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    assert refused("bad_audio", path)


def test_a_streamed_wav_without_sizes_is_read(tmp_path: Path) -> None:
    data = bytearray(encode(tone(), 44_100, "PCM_16", "WAV"))
    for at in (4, data.index(b"data") + 4):
        data[at : at + 4] = b"\xff\xff\xff\xff"
    path = tmp_path / "streamed.wav"
    path.write_bytes(bytes(data))
    assert read_clip(path).length_samples == tone().shape[1]


@pytest.mark.parametrize(
    "size",
    [0x7FFFF000, 0x7FFFEFFE, 0x7FFFFF00, 0x7FFFFFFF - 36, 0x7FFFFFFF, 0x80000000, 0xFFFFFFDB],
)
def test_sizes_that_only_mean_that_nobody_knew_are_no_truncation(tmp_path: Path, size: int) -> None:
    """What SoX, ALSA's arecord and others write into a pipe."""
    data = bytearray(encode(tone(), 44_100, "PCM_16", "WAV"))
    at = data.index(b"data") + 4
    data[4:8] = struct.pack("<I", min(size + 36, 0xFFFFFFFF))
    data[at : at + 4] = struct.pack("<I", size)
    path = tmp_path / "streamed.wav"
    path.write_bytes(data)
    np.testing.assert_array_equal(read_clip(path).samples, quantise(tone(), "PCM_16"))
    data[at : at + 4] = struct.pack("<I", MAX_FILE_BYTES)
    assert truncated_by_bytes(bytes(data)) > 0  # the largest that is read is a size in earnest


def test_a_streamed_aiff_is_read(tmp_path: Path) -> None:
    """SoX says 0x7F000000 bytes, rounded down to whole frames."""
    path = tmp_path / "streamed.aiff"
    soundfile.write(path, tone(3).T, 44_100, "PCM_24", format="AIFF")
    data, frames = bytearray(path.read_bytes()), 0x7F000000 // 9
    for name, offset, value in ((b"COMM", 10, frames), (b"SSND", 4, 9 * frames + 8)):
        at = data.index(name) + offset
        data[at : at + 4] = struct.pack(">I", value)
    path.write_bytes(data)
    assert read_clip(path).length_samples == tone().shape[1]


@pytest.mark.parametrize(
    ("samples", "rate", "code", "words"),
    [
        (np.zeros((2, 0)), 44_100, "bad_audio", "no samples"),
        (np.ones((2, 1)), 44_100, "bad_audio", "too short"),
        (tone(2, 0.09), 44_100, "bad_audio", "too short"),
        (np.zeros((2, 44_100)), 44_100, "bad_audio", "digital silence"),
        (np.full((2, 44_100), 3e-5), 44_100, "bad_audio", "silent"),
        (np.full((2, 44_100), 0.25), 44_100, "bad_audio", "constant"),
        (np.array([[0.25], [-0.1]]) * np.ones(44_100), 44_100, "bad_audio", "constant"),
        (np.where(np.arange(44_100) % 4410, tone(2, 1.0), np.nan), 44_100, "bad_audio", "20 samp"),
        (np.where(np.arange(44_100) % 4410, tone(2, 1.0), np.inf), 44_100, "bad_audio", "20 samp"),
        (1e30 * tone(2, 1.0), 44_100, "bad_audio", "dBFS"),
        (tone(1, 1.0), 4_000, "bad_audio", "4000 Hz"),
        (tone(1, 1.0), 384_000, "too_large", "384000 Hz"),
        (tone(MAX_CHANNELS + 1, 0.2), 44_100, "too_large", "channels"),
        (np.broadcast_to(0.1, (1, 8_000 * 1801)), 8_000, "too_large", "1801 s"),
        (np.broadcast_to(0.1, (64, 3 << 20)), 192_000, "too_large", "samples"),
    ],
)
def test_unusable_samples_are_refused(
    samples: np.ndarray, rate: int, code: str, words: str
) -> None:
    with pytest.raises(BridgeError) as caught:
        check_samples(samples, rate)
    assert caught.value.code == code
    assert words in caught.value.message
    assert caught.value.hint


def test_one_living_channel_is_enough() -> None:
    samples = tone(3, 0.2)
    samples[0], samples[2] = 0.0, 0.5
    check_samples(samples, 44_100)


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "mine.wav"
    path.write_bytes(b"precious")
    with pytest.raises(BridgeError, match="exists already"):
        write_audio(path, tone(), 44_100, "PCM_16")
    assert path.read_bytes() == b"precious"
    write_audio(path, tone(), 44_100, "PCM_16", overwrite=True)
    assert read_clip(path).channels == 2
    assert [p.name for p in tmp_path.iterdir()] == ["mine.wav"]


def test_a_file_system_without_links_still_refuses_to_overwrite(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    path = write_audio(tmp_path / "a.wav", tone(), 44_100, "PCM_16")
    assert read_clip(path).channels == 2
    with pytest.raises(BridgeError, match="exists already"):
        write_audio(path, tone(), 44_100, "PCM_16")
    assert [p.name for p in tmp_path.iterdir()] == ["a.wav"]


def test_what_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    for samples, subtype, container in (
        (tone() * np.nan, "FLOAT", "WAV"),
        (tone(), "PCM_12", "WAV"),
        (tone(), "FLOAT", "FLAC"),
        (tone(), "PCM_16", "MP3"),
    ):
        with pytest.raises(BridgeError):
            write_audio(tmp_path / "a.wav", samples, 44_100, subtype, container)
    with pytest.raises(BridgeError, match="cannot be written"):
        write_audio(tmp_path / "no" / "a.wav", tone(), 44_100, "PCM_16")
    assert not list(tmp_path.iterdir())
    with pytest.raises(BridgeError):
        quantise(tone(), "PCM_12")


@pytest.mark.skipif(not shutil.which("lame") or not shutil.which("ffmpeg"), reason="no encoders")
def test_files_of_other_encoders(tmp_path: Path) -> None:
    wav = write_audio(tmp_path / "a.wav", tone(seconds=1.0), 44_100, "PCM_16")
    commands = {
        "lame.mp3": ["lame", "--quiet", str(wav)],
        "ff.ogg": ["ffmpeg", "-loglevel", "error", "-i", str(wav), "-c:a", "libvorbis"],
        "ff.flac": ["ffmpeg", "-loglevel", "error", "-i", str(wav)],
        "ff.aiff": ["ffmpeg", "-loglevel", "error", "-i", str(wav)],
    }
    for name, command in commands.items():
        subprocess.run([*command, str(tmp_path / name)], check=True, capture_output=True)
        clip = read_clip(tmp_path / name)
        assert abs(clip.seconds - 1.0) < 0.05
        if not name.endswith(("mp3", "ogg")):
            np.testing.assert_array_equal(clip.samples, read_clip(wav).samples)
    piped = subprocess.run(
        ["ffmpeg", "-loglevel", "error", "-i", str(wav), "-f", "wav", "-"],
        check=True,
        capture_output=True,
    ).stdout
    (tmp_path / "piped.wav").write_bytes(piped)
    np.testing.assert_array_equal(read_clip(tmp_path / "piped.wav").samples, read_clip(wav).samples)
