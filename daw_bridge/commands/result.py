"""What a render leaves for the caller: the copy asked for, its report and its plot."""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.spec import PATH_FIELDS, ROLES, BridgeError

Draw = Callable[["Finished", Path], None]
Write = Callable[[Path], object]
_ENDINGS: Mapping[str, tuple[str, ...]] = {
    "out": (".wav",),
    "report": (".json",),
    "plot": (".png",),
}


@dataclass(frozen=True, slots=True)
class Finished:
    """A render that is done and kept as a take.

    Attributes:
        path: the take's main file.
        files: every stem: name, path, sample_rate_hz, channels, length_samples.
    """

    take: str
    path: Path
    files: list[dict[str, Any]]
    report: Mapping[str, Any]
    recipe: Mapping[str, Any]


def for_each_take(options: argparse.Namespace, count: int) -> list[argparse.Namespace]:
    """The options of each of several takes, whose files are numbered: `mix-1.wav`, `mix-2.wav`."""
    if count == 1:
        return [options]
    return [
        argparse.Namespace(**{**vars(options), **_numbered(options, number)})
        for number in range(1, count + 1)
    ]


def _numbered(options: argparse.Namespace, number: int) -> dict[str, Path]:
    named = {flag: getattr(options, flag) for flag in _ENDINGS}
    return {
        flag: path.with_name(f"{path.stem}-{number}{path.suffix}")
        for flag, path in named.items()
        if path is not None and path.name
    }


def check_outputs(options: argparse.Namespace) -> None:
    """Refuse names that cannot be written, before any work is done.

    Raises:
        BridgeError: `bad_request` for a wrong ending, a missing folder, a file that exists, or the
            musician's own file, which not even --force replaces.
    """
    for flag, endings in _ENDINGS.items():
        path: Path | None = getattr(options, flag)
        if path is None:
            continue
        try:
            _check_output(options, flag, path, endings)
            if flag == "out" and getattr(options, "stems", None):
                for role in ROLES:
                    _check_target(options, stem_path(path, role))
        except OSError as error:  # a name too long, a folder that may not be entered
            raise BridgeError(
                "bad_request", f"--{flag} is {str(path)[:200]!r}", error.strerror or ""
            ) from None


def _check_output(
    options: argparse.Namespace, flag: str, path: Path, endings: tuple[str, ...]
) -> None:
    if path.suffix.lower() not in endings:
        listed = " or ".join(endings)
        raise BridgeError("bad_request", f"--{flag} is {str(path)!r}", f"it must end in {listed}")
    if not path.parent.is_dir():
        raise BridgeError("bad_request", f"there is no folder {str(path.parent)!r}")
    _check_target(options, path)


def _check_target(options: argparse.Namespace, path: Path) -> None:
    if path.is_dir() or (path.exists() and not options.force):
        raise _exists(path)
    for name in PATH_FIELDS:
        _protect(path, getattr(options, name, None))


def stem_path(out: Path, stem: str) -> Path:
    """Where a stem goes that belongs to a file: `mix.wav` has its drums in `mix-drums.wav`."""
    return out.with_name(f"{out.stem}-{stem}{out.suffix}")


def deliver(options: argparse.Namespace, finished: Finished, draw: Draw) -> dict[str, Any]:
    """Write the files that were asked for; returns the object for `--json`.

    Raises:
        BridgeError: `bad_request` when a file has come into being meanwhile, `unavailable` when
            one cannot be written. The take is kept either way.
    """
    text = json.dumps(finished.report, indent=2, ensure_ascii=False) + "\n"
    writers: dict[str, Write] = {
        "out": _copy_of(finished.path),
        # A name that is not Unicode becomes the same escape that JSON has for it.
        "report": lambda path: path.write_text(text, "utf-8", "backslashreplace"),
        "plot": lambda path: draw(finished, path),
    }
    stems = _stem_copies(options, finished)
    for copy, _ in stems.values():
        _check_target(options, copy)  # before the first file is written
    written: dict[str, Any] = {}
    for flag, write in writers.items():
        path: Path | None = getattr(options, flag)
        if path is not None:
            _write(options, finished, path, write)
            written[flag] = str(path)
    for copy, origin in stems.values():
        _write(options, finished, copy, _copy_of(origin))
    if stems:
        written["stems"] = {name: str(copy) for name, (copy, _) in stems.items()}
    return {
        "take": finished.take,
        "path": str(finished.path),
        "files": finished.files,
        "written": written,
        "report": finished.report,
        "recipe": finished.recipe,
    }


def _stem_copies(options: argparse.Namespace, finished: Finished) -> dict[str, tuple[Path, Path]]:
    """Where the stems beside `--out` go and come from, by name."""
    if options.out is None:
        return {}
    return {
        item["name"]: (stem_path(options.out, item["name"]), Path(item["path"]))
        for item in finished.files[1:]
    }


def _copy_of(origin: Path) -> Write:
    return lambda path: shutil.copyfile(origin, path)


def _write(options: argparse.Namespace, finished: Finished, path: Path, write: Write) -> None:
    for name in PATH_FIELDS:
        _protect(path, finished.recipe.get("request", {}).get(name))
    try:
        publish(path, options.force, write)
    except OSError as error:
        raise BridgeError(
            "unavailable", f"{path}: {error.strerror}", f"the take is kept: {finished.path}"
        ) from error


def publish(target: Path, force: bool, write: Write) -> None:
    """Write beside the target and rename, so that it is whole or not there at all.

    Raises:
        BridgeError: `bad_request` when it exists and `force` is not set. OSError: as the system.
    """
    partial = target.with_name(f".{target.stem}.{secrets.token_hex(4)}{target.suffix}")
    try:
        write(partial)
        if not force:
            # Claims the name: what another program has written meanwhile is not replaced.
            try:
                target.open("xb").close()
            except FileExistsError:
                raise _exists(target) from None
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)


def _protect(path: Path, source: str | None) -> None:
    if source is not None and path.exists() and Path(source).exists() and path.samefile(source):
        raise BridgeError("bad_request", f"{str(path)!r} is the source itself", "name another file")


def _exists(path: Path) -> BridgeError:
    return BridgeError("bad_request", f"{str(path)!r} exists", "name another file, or add --force")


def as_lines(finished: Finished, result: Mapping[str, Any]) -> list[str]:
    """What people want to know of it, in a few lines."""
    report = finished.report
    written = result["written"]
    lines = [f"{written.get('out') or finished.path}"]
    stems = written.get("stems") or {item["name"]: item["path"] for item in finished.files[1:]}
    lines += [f"  {name}: {path}" for name, path in stems.items()]
    length = report.get("length_samples")
    rate_hz = report.get("sample_rate_hz")
    if length and rate_hz:
        error = report.get("length_error_samples", 0)
        exact = "exact to the sample" if error == 0 else f"off by {error} samples"
        lines.append(f"  {length / rate_hz:.2f} s, {length} samples, {exact}")
    for seam in report.get("seams", ()):
        figures = ", ".join(
            f"{name.removesuffix('_ratio')} {seam[name]:.2f}"
            for name in ("step_ratio", "flux_ratio", "timbre_ratio")
            if seam.get(name) is not None
        )
        lines.append(f"  seam at sample {seam.get('at_sample')}: {figures}")
    timings = report.get("timings_s", {})
    if timings.get("total") is not None:
        cache = f", cache {report['cache']}" if report.get("cache") else ""
        lines.append(f"  {timings['total']:.1f} s{cache}")
    return [*lines, f"  take {finished.take}"]
