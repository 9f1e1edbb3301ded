"""Exports: exact where the format can hold the take, dithered where it cannot, never cut unsaid."""

from __future__ import annotations

import hashlib
import json
import struct
import subprocess
import sys
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from daw_bridge.takes.wav import read_wav_info, read_wav_raw
from engine.exporting import SILENT_DB, export
from engine.files.audio import write_audio
from engine.files.containers import encode
from engine.files.tag_reading import read_tags
from engine.files.tags import Tags, riff_chunks
from engine.opening import confine
from engine.spec import BridgeError
from engine.units import Metre

RATE_HZ = 48_000
TAGS = Tags("Groove", "loop, seed 7", 96_001, 123.5, 8.0, Metre(7, 8), loops=True)
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An export enters its folder; afterwards the tests are where they were."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "out").mkdir()
    yield
    confine(None)


def noise(length_samples: int = 48_000, channels: int = 2, peak: float = 0.5) -> Any:
    return np.random.default_rng(3).uniform(-peak, peak, (channels, length_samples))


def source(tmp_path: Path, samples: Any, subtype: str = "FLOAT", tags: Tags = TAGS) -> Path:
    return write_audio(tmp_path / "take.wav", samples, RATE_HZ, subtype, tags=tags, overwrite=True)


def asked(tmp_path: Path, **changes: Any) -> dict[str, Any]:
    return {
        "source": str(tmp_path / "take.wav"),
        "folder": str(tmp_path / "out"),
        "name": "take",
        "container": "wav",
        "sample_format": "PCM_24",
        "sample_rate_hz": None,
        "gain_db": 0.0,
        "over": "refuse",
        **changes,
    }


def read(path: str) -> npt.NDArray[np.float64]:
    """By libsndfile, `[channels, samples]`."""
    samples, _ = soundfile.read(path, dtype="float64", always_2d=True)
    return np.asarray(samples.T)


@pytest.mark.parametrize("container", ["wav", "aiff", "flac"])
@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT"])
def test_what_fits_comes_back_exactly(tmp_path: Path, container: str, subtype: str) -> None:
    source(tmp_path, noise(), subtype)
    if (container, subtype) == ("flac", "FLOAT"):
        with pytest.raises(BridgeError, match=r"FLAC cannot hold FLOAT.*PCM_16 or PCM_24"):
            export(asked(tmp_path, container=container, sample_format=subtype))
        return
    made = export(asked(tmp_path, container=container, sample_format=subtype))
    assert np.array_equal(read(made["path"]), read(str(tmp_path / "take.wav")))
    info = soundfile.info(made["path"])
    assert (info.format, info.subtype, info.samplerate) == (container.upper(), subtype, RATE_HZ)
    assert (info.channels, info.frames) == (2, 48_000)
    assert made["dithered"] is False
    assert Path(made["path"]).name == f"take.{container}"
    data = Path(made["path"]).read_bytes()
    assert (made["size_bytes"], made["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())


def aiff_values(data: bytes) -> npt.NDArray[np.float64]:
    """Samples of an AIFF read by its specification: big-endian chunks, `[channels, samples]`."""
    assert (data[:4], data[8:12]) in ((b"FORM", b"AIFF"), (b"FORM", b"AIFC"))
    chunks, position = {}, 12
    while position + 8 <= len(data):
        name, size_bytes = struct.unpack(">4sI", data[position : position + 8])
        chunks[name] = data[position + 8 : position + 8 + size_bytes]
        position += 8 + size_bytes + size_bytes % 2
    channels, length_samples, bits = struct.unpack(">hIh", chunks[b"COMM"][:8])
    body = chunks[b"SSND"][8:]
    if chunks[b"COMM"][18:22] in (b"fl32", b"FL32"):
        values = np.frombuffer(body, ">f4").astype(np.float64)
    else:
        width = bits // 8
        places = range(0, len(body), width)
        words = [int.from_bytes(body[at : at + width], "big", signed=True) for at in places]
        values = np.array(words) / (1 << (bits - 1))
    return np.asarray(values.reshape(length_samples, channels).T)


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT"])
def test_an_aiff_is_right_by_its_specification(tmp_path: Path, subtype: str) -> None:
    source(tmp_path, noise(999), subtype)
    made = export(asked(tmp_path, container="aiff", sample_format=subtype))
    values = aiff_values(Path(made["path"]).read_bytes())
    assert np.array_equal(values, read(str(tmp_path / "take.wav")))


def test_a_wav_is_right_by_two_other_readers(tmp_path: Path) -> None:
    source(tmp_path, noise(999), "PCM_24")
    path = Path(export(asked(tmp_path))["path"])
    with wave.open(str(path)) as file:
        assert file.getparams()[:4] == (2, 3, RATE_HZ, 999)
        raw = file.readframes(999)
    assert read_wav_raw(path, read_wav_info(path), 0, 999) == raw
    at = read_wav_info(tmp_path / "take.wav").data_at
    assert (tmp_path / "take.wav").read_bytes()[at : at + len(raw)] == raw


def test_fewer_bits_in_the_file_than_in_the_format_need_no_dither(tmp_path: Path) -> None:
    source(tmp_path, noise(), "PCM_16")
    made = export(asked(tmp_path, sample_format="PCM_24"))
    assert made["dithered"] is False
    assert np.array_equal(read(made["path"]), read(str(tmp_path / "take.wav")))
    assert export(asked(tmp_path, sample_format="FLOAT"))["dithered"] is False


@pytest.mark.parametrize(("subtype", "bits"), [("PCM_16", 16), ("PCM_24", 24)])
@pytest.mark.parametrize("level", ["silence", "quiet", "loud"])
def test_dither_is_what_the_theory_says(
    tmp_path: Path, subtype: str, bits: int, level: str
) -> None:
    """The error of TPDF: mean 0, a variance of a quarter of a bit squared, white, independent."""
    count, full = 1 << 18, 1 << (bits - 1)
    time = np.arange(count)
    peak = {"silence": 0.3 / full, "quiet": 5 / full, "loud": 0.7}[level]
    tone = np.stack([peak * np.sin(2 * np.pi * 997 / RATE_HZ * time), np.full(count, 0.3 / full)])
    source(tmp_path, tone, "DOUBLE")
    made = export(asked(tmp_path, sample_format=subtype))
    assert made["dithered"] is True
    error = (read(made["path"]) - tone) * full
    # Six standard errors of each figure; the fourth moment of this error is 0.1625 of a bit.
    assert np.abs(error.mean(axis=1)).max() < 6 * 0.5 / count**0.5
    assert np.abs(error.var(axis=1) - 0.25).max() < 6 * (0.1625 - 0.25**2) ** 0.5 / count**0.5
    assert np.abs(error).max() <= 1.5 + 1e-6
    for channel in error:
        power = np.abs(np.fft.rfft(channel)[1:-1]) ** 2 / count
        bands = power[: len(power) // 64 * 64].reshape(64, -1).mean(axis=1)
        deviation = 0.25 / (len(power) // 64) ** 0.5
        assert np.abs(bands - 0.25).max() < 6 * deviation
        assert power.max() < 0.25 * 20, "no line stands out of the noise"
    assert abs(np.corrcoef(error)[0, 1]) < 6 / count**0.5
    assert abs(np.corrcoef(error[0], tone[0])[0, 1]) < 6 / count**0.5


def test_without_dither_the_same_tone_would_be_distorted() -> None:
    """That the test above can tell: rounding alone leaves lines far out of the noise."""
    time = np.arange(1 << 18)
    tone = 1.5 * np.sin(2 * np.pi * 997 / RATE_HZ * time)
    error = np.rint(tone) - tone
    power = np.abs(np.fft.rfft(error)[1:-1]) ** 2 / len(time)
    assert power.max() > 0.25 * 1000


@pytest.mark.parametrize("container", ["wav", "aiff", "flac"])
@pytest.mark.parametrize("subtype", ["PCM_16", "FLOAT"])
def test_the_same_export_is_the_same_bytes(tmp_path: Path, container: str, subtype: str) -> None:
    if (container, subtype) == ("flac", "FLOAT"):
        return
    source(tmp_path, noise(4800))
    how = asked(tmp_path, container=container, sample_format=subtype, sample_rate_hz=44_100)
    first, second = export(how), export(how)
    assert Path(second["path"]).name == f"take-2.{container}"
    assert first["sha256"] == second["sha256"]
    source(tmp_path, noise(4800) * 0.999)
    assert export(how)["sha256"] != first["sha256"]


def test_an_aiff_of_floats_has_no_date() -> None:
    data = encode(noise(100), RATE_HZ, "FLOAT", "AIFF")
    peak = data.index(b"PEAK")
    assert data[peak + 12 : peak + 16] == b"\0\0\0\0"


@pytest.mark.parametrize("to_hz", [8_000, 44_100, 96_000, 192_000, 44_101])
@pytest.mark.parametrize("length_samples", [1, 7, 4_801, 48_000])
@pytest.mark.parametrize("loops", [False, True])
def test_a_converted_length_is_exact(
    tmp_path: Path, to_hz: int, length_samples: int, loops: bool
) -> None:
    source(tmp_path, noise(length_samples), tags=Tags(loops=loops))
    made = export(asked(tmp_path, sample_rate_hz=to_hz))
    exact = max(1, (2 * length_samples * to_hz + RATE_HZ) // (2 * RATE_HZ))
    assert made["length_samples"] == exact == soundfile.info(made["path"]).frames
    assert soundfile.info(made["path"]).samplerate == to_hz == made["sample_rate_hz"]


def test_a_converted_tone_is_the_tone(tmp_path: Path) -> None:
    def tone(rate_hz: int) -> Any:
        return 0.5 * np.sin(2 * np.pi * 1000 / rate_hz * np.arange(rate_hz))[None]

    source(tmp_path, tone(RATE_HZ))
    made = export(asked(tmp_path, sample_rate_hz=44_100, sample_format="FLOAT"))
    error = (read(made["path"]) - tone(44_100))[0, 2000:-2000]
    assert np.abs(error).max() < 1e-5


def test_tags_come_along(tmp_path: Path) -> None:
    path = source(tmp_path, noise(), "PCM_24")
    known = read_tags(path.read_bytes())
    assert known == TAGS
    made = export(asked(tmp_path))
    assert Path(made["path"]).read_bytes() == path.read_bytes()
    made = export(asked(tmp_path, sample_rate_hz=44_100, sample_format="PCM_16"))
    data = Path(made["path"]).read_bytes()
    # 96,001 samples at 48 kHz are 88,200.9 at 44.1 kHz.
    at_rate = Tags("Groove", "loop, seed 7", 88_201, 123.5, 8.0, Metre(7, 8), loops=True)
    assert read_tags(data) == at_rate
    assert riff_chunks(at_rate, 44_100, 2, 44_100, 16) in data
    for container in ("aiff", "flac"):
        with soundfile.SoundFile(export(asked(tmp_path, container=container))["path"]) as sound:
            assert (sound.title, sound.comment) == ("Groove", "loop, seed 7")


@pytest.mark.parametrize("cut", [0, 4, 12, 30, 60, 400, 700, 760])
def test_damaged_tags_are_those_that_are_not_said(tmp_path: Path, cut: int) -> None:
    data = source(tmp_path, noise(10), "PCM_16").read_bytes()
    read_tags(data[:cut])
    read_tags(data[:cut] + b"\xff" * 200)


def test_nothing_is_cut_unsaid(tmp_path: Path) -> None:
    samples = noise()
    samples[0, 5], samples[1, 9] = 1.25, -1.5
    source(tmp_path, samples)
    with pytest.raises(BridgeError) as caught:
        export(asked(tmp_path))
    assert caught.value.message == "2 samples are over full scale, the peak is +3.52 dBFS"
    assert "gain_db -3.53" in caught.value.hint
    assert list((tmp_path / "out").iterdir()) == []
    cut = export(asked(tmp_path, over="clip"))
    assert cut["over_samples"] == 2
    assert cut["peak_db"] == pytest.approx(20 * np.log10(1.5))
    assert read(cut["path"]).max() == 1 - 2.0**-23
    assert read(cut["path"]).min() == -1.0
    quieter = export(asked(tmp_path, gain_db=-3.53))
    assert quieter["over_samples"] == 0
    assert -0.01 < quieter["peak_db"] <= 0
    kept = export(asked(tmp_path, sample_format="FLOAT"))
    assert kept["over_samples"] == 0
    assert read(kept["path"])[0, 5] == 1.25


def test_silence_is_exported_as_silence(tmp_path: Path) -> None:
    source(tmp_path, np.zeros((1, 100)))
    made = export(asked(tmp_path, sample_format="PCM_16"))
    assert made["peak_db"] == SILENT_DB
    assert not read(made["path"]).any()


def test_nothing_is_written_outside_the_roots(tmp_path: Path) -> None:
    source(tmp_path, noise(100))
    (tmp_path / "link").symlink_to(ROOT)
    for folder in (ROOT, tmp_path / "link"):
        confine([tmp_path])
        with pytest.raises(BridgeError) as caught:
            export(asked(tmp_path, folder=str(folder)))
        assert caught.value.code == "forbidden"
    assert not (ROOT / "take.wav").exists()
    with pytest.raises(BridgeError, match="cannot be used"):
        export(asked(tmp_path, folder=str(tmp_path / "none")))


def test_the_process_answers_in_json(tmp_path: Path) -> None:
    source(tmp_path, noise(100))

    def ran(request: dict[str, Any]) -> dict[str, Any]:
        command = [sys.executable, "-m", "engine.exporting", "--root", str(tmp_path)]
        done = subprocess.run(
            command, input=json.dumps(request), capture_output=True, text=True, check=True, cwd=ROOT
        )
        told: dict[str, Any] = json.loads(done.stdout)
        return told

    assert ran(asked(tmp_path))["length_samples"] == 100
    (tmp_path / "take.wav").write_bytes(b"RIFF of nothing")
    assert ran(asked(tmp_path))["error"]["code"] == "bad_audio"
    assert ran({})["error"]["code"] == "engine_failed"
