"""Audio clips in and out, bit-exact.

Samples are float64 `[channels, samples]`: a double holds every 32-bit integer sample exactly, so a
clip that is read and written in `lossless_subtype` comes back identical.
"""

from __future__ import annotations

import hashlib
import io
import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile

from engine.files.containers import Samples, encode, truncated_by_bytes
from engine.files.quantise import quantise
from engine.files.read import read_bytes, shown_name
from engine.files.tags import Tags
from engine.spec import BridgeError

__all__ = [
    "Clip",
    "Samples",
    "check_samples",
    "decode_clip",
    "lossless_subtype",
    "quantise",
    "read_clip",
    "read_clip_bytes",
    "write_audio",
]

MIN_RATE_HZ = 8_000
MAX_RATE_HZ = 192_000
MAX_CHANNELS = 64
MIN_SECONDS = 0.1
MAX_SECONDS = 1800.0
MAX_VALUES = 1 << 27  # channels times samples: one GiB as float64
MAX_FILE_BYTES = 1 << 30
_UNKNOWN_LENGTH = 1 << 60  # what decoders say of a file that was written as a stream
SILENCE_PEAK = 1e-4  # -80 dBFS
ABSURD_PEAK = 1e4  # +80 dBFS: a float file of garbage rather than a hot mix

_AS_HEARD = "check that it plays in an audio editor, or export it again as WAV"


@dataclass(frozen=True, slots=True)
class Clip:
    """An audio clip as it came.

    Attributes:
        samples: float64 `[channels, samples]`, full scale ±1, exactly the file's values.
        subtype: libsndfile's name of the sample format, such as `PCM_24`.
        container: libsndfile's name of the file format, such as `FLAC`.
        digest: SHA-256 of the file's bytes, in hexadecimal.
    """

    samples: Samples = field(repr=False)
    sample_rate_hz: int
    subtype: str
    container: str
    digest: str
    name: str

    @property
    def channels(self) -> int:
        """Number of channels."""
        return int(self.samples.shape[0])

    @property
    def length_samples(self) -> int:
        """Samples per channel."""
        return int(self.samples.shape[1])

    @property
    def seconds(self) -> float:
        """Duration in seconds."""
        return self.length_samples / self.sample_rate_hz


def read_clip(path: str | Path) -> Clip:
    """Read a clip: WAV, FLAC, AIFF, OGG, MP3 and whatever else libsndfile knows.

    Raises:
        BridgeError: `bad_audio` when it is missing, truncated, not audio, silent, constant, too
            short or holds NaN; `too_large` when it is over a limit.
    """
    source = Path(path)
    clip = decode_clip(read_clip_bytes(source), shown_name(source))
    check_samples(clip.samples, clip.sample_rate_hz, clip.name)
    return clip


def read_clip_bytes(path: Path) -> bytes:
    """The bytes of an audio file, not decoded.

    Raises:
        BridgeError: as `read_bytes`.
    """
    return read_bytes(path, code="bad_audio", wanted="an audio file", max_bytes=MAX_FILE_BYTES)


def decode_clip(data: bytes, name: str) -> Clip:
    """A clip from the bytes of its file, be it silent or a single sample.

    Raises:
        BridgeError: `bad_audio` when it is truncated or not audio; `too_large` over a limit.
    """
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as sound:
            _check_header(name, sound.samplerate, sound.channels, sound.frames)
            declared = sound.frames
            samples = sound.read(dtype="float64", always_2d=True).T
            rate, subtype, container = sound.samplerate, sound.subtype, sound.format
    except (soundfile.SoundFileError, OSError, RuntimeError) as error:
        raise _unreadable(name, data, error) from None
    missing = truncated_by_bytes(data)
    if missing or samples.shape[1] < declared:
        detail = f"{missing} bytes" if missing else f"{declared - samples.shape[1]} samples"
        raise BridgeError("bad_audio", f"{name} is truncated: {detail} are missing", _AS_HEARD)
    digest = hashlib.sha256(data).hexdigest()
    return Clip(np.ascontiguousarray(samples), rate, subtype, container, digest, name)


def check_samples(samples: Samples, sample_rate_hz: int, name: str = "the clip") -> None:
    """Refuse audio there is nothing to continue from; the same checks for files and streams.

    Args:
        samples: float64 `[channels, samples]`.

    Raises:
        BridgeError: `bad_audio` or `too_large`.
    """
    channels, length = samples.shape
    _check_header(name, sample_rate_hz, channels, length)
    if length == 0:
        raise BridgeError("bad_audio", f"{name} has no samples", "choose a clip that has a length")
    seconds = length / sample_rate_hz
    if seconds < MIN_SECONDS:
        raise BridgeError(
            "bad_audio",
            f"{name} is too short: {length} samples, {seconds:.3g} s",
            f"at least {MIN_SECONDS:g} s are needed",
        )
    broken = int(samples.size - np.count_nonzero(np.isfinite(samples)))
    if broken:
        raise BridgeError(
            "bad_audio",
            f"{name} holds {broken} samples that are not numbers (NaN or infinite)",
            "render the clip again, a plug-in in its chain has failed",
        )
    _check_level(samples, name)


def _check_level(samples: Samples, name: str) -> None:
    peak = float(np.max(np.abs(samples)))
    if peak > ABSURD_PEAK:
        raise BridgeError("bad_audio", f"{name} peaks at {20 * np.log10(peak):.0f} dBFS", _AS_HEARD)
    if peak < SILENCE_PEAK:
        level = f"{20 * np.log10(peak):.0f} dBFS" if peak > 0 else "digital silence"
        raise BridgeError(
            "bad_audio", f"{name} is silent (peak: {level})", "there is nothing to continue from"
        )
    swing = float(np.max(np.ptp(samples, axis=1))) / 2
    if swing < SILENCE_PEAK:
        raise BridgeError(
            "bad_audio",
            f"{name} holds a constant value only (DC)",
            "there is nothing to continue from",
        )


def _check_header(name: str, rate: int, channels: int, length: int) -> None:
    """Refuse by the header alone, before anything is decoded."""
    if length > _UNKNOWN_LENGTH:
        raise BridgeError(
            "bad_audio", f"{name} does not say how long it is", "export it again, not as a stream"
        )
    if rate < MIN_RATE_HZ:
        raise BridgeError(
            "bad_audio", f"{name} has a rate of {rate} Hz", f"at least {MIN_RATE_HZ} Hz are needed"
        )
    limits = (
        (rate > MAX_RATE_HZ, f"a rate of {rate} Hz", f"at most {MAX_RATE_HZ} Hz"),
        (channels > MAX_CHANNELS, f"{channels} channels", f"at most {MAX_CHANNELS} channels"),
        (
            length > MAX_SECONDS * rate,
            f"a length of {length / rate:.0f} s",
            f"at most {MAX_SECONDS:.0f} s",
        ),
        (
            length * channels > MAX_VALUES,
            f"{length} samples in {channels} channels",
            f"at most {MAX_VALUES} samples over all channels",
        ),
    )
    for over, found, allowed in limits:
        if over:
            raise BridgeError("too_large", f"{name} has {found}", f"{allowed} are taken")


def _unreadable(name: str, data: bytes, error: Exception) -> BridgeError:
    """Say whether a file that failed to decode is a damaged clip or no audio at all."""
    magic = (
        b"RIFF",
        b"RIFX",
        b"RF64",
        b"riff",
        b"caff",
        b"FORM",
        b"fLaC",
        b"OggS",
        b"ID3",
        b"\xff\xfb",
    )
    reason = str(error).rsplit(": ", 1)[-1].strip().rstrip(".")
    if data.startswith(magic):
        return BridgeError("bad_audio", f"{name} is damaged or truncated ({reason})", _AS_HEARD)
    return BridgeError(
        "bad_audio", f"{name} is not audio", "WAV, FLAC, AIFF, OGG and MP3 files are read"
    )


_LOSSLESS = {
    "PCM_S8": "PCM_16",  # 8-bit values survive in 16 bits, and new audio is spared the 8-bit hiss
    "PCM_U8": "PCM_16",
    "PCM_16": "PCM_16",
    "PCM_24": "PCM_24",
    "PCM_32": "PCM_32",
    "FLOAT": "FLOAT",
    "ULAW": "PCM_16",
    "ALAW": "PCM_16",
    "ALAC_16": "PCM_16",
    "ALAC_20": "PCM_24",
    "ALAC_24": "PCM_24",
    "ALAC_32": "PCM_32",
    "VORBIS": "FLOAT",  # lossy codecs decode to single precision
    "OPUS": "FLOAT",
    "MPEG_LAYER_I": "FLOAT",
    "MPEG_LAYER_II": "FLOAT",
    "MPEG_LAYER_III": "FLOAT",
}


def lossless_subtype(source_subtype: str) -> str:
    """The WAV sample format in which samples of a source survive bit-identically."""
    return _LOSSLESS.get(source_subtype, "DOUBLE")


def write_audio(
    path: str | Path,
    samples: npt.ArrayLike,
    sample_rate_hz: int,
    subtype: str,
    container: str = "WAV",
    *,
    tags: Tags | None = None,
    overwrite: bool = False,
) -> Path:
    """Write a clip atomically: it is there complete, or not at all.

    Args:
        samples: `[channels, samples]`, full scale ±1; integer formats round and clip exactly as
            `quantise` does.
        subtype: `PCM_U8`, `PCM_16`, `PCM_24`, `PCM_32`, `FLOAT` or `DOUBLE`.
        container: `WAV`, `AIFF` or `FLAC`.
        tags: what the file says of itself.

    Raises:
        BridgeError: `bad_request` when the file exists and `overwrite` is false, when the folder
            is missing or the container cannot hold the subtype; `too_large` beyond 4 GiB.
    """
    target = Path(path)
    data = encode(np.asarray(samples, dtype=np.float64), sample_rate_hz, subtype, container, tags)
    part = target.with_name(f".{target.name}.{os.getpid()}.{os.urandom(4).hex()}.part")
    try:
        with open(part, "xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        _publish(part, target, overwrite)
    except FileExistsError:
        raise BridgeError(
            "bad_request", f"{target.name} exists already", "choose another name"
        ) from None
    except OSError as error:
        raise BridgeError(
            "bad_request", f"{target.name} cannot be written: {error.strerror}", "check the folder"
        ) from None
    finally:
        part.unlink(missing_ok=True)
    return target


def _publish(part: Path, target: Path, overwrite: bool) -> None:
    """Give the finished file its name; a hard link refuses an existing one atomically."""
    if overwrite:
        os.replace(part, target)
    else:
        try:
            os.link(part, target)
        except FileExistsError:
            raise
        except OSError:  # a file system without hard links: reserve the name, then replace it
            os.close(os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
            os.replace(part, target)
    if os.name == "posix":
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
