"""A model out of a hub into a folder: only what is read here, and never what could run code."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.models.public.folder import (
    INDEX,
    TOOLS_INDEX,
    TOOLS_WEIGHTS,
    is_weightless,
    parts_of,
    read_table,
    text_encoder_of,
)
from engine.models.public.known import HUB, Known
from engine.spec import BridgeError

_ENDINGS = (".json", ".safetensors", ".txt", ".model")
_PICKLES = (".bin", ".ckpt", ".pt", ".pth")
_BESIDE = re.compile(r"(license|licence|notice|readme)(\.(md|txt))?", re.IGNORECASE)
# What stable-audio-tools calls its text encoders, and where they are published.
_ENCODERS = {name: f"google-t5/{name}" for name in ("t5-small", "t5-base", "t5-large")}
_ENCODER_FILES = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")
_SPARE_BYTES = 256 << 20  # left on the disk, at least
_TIMEOUT_S = 20.0
_AGAIN = "try again: what has come already is not fetched anew"


@dataclass(frozen=True, slots=True)
class Remote:
    """A file of a repository.

    Attributes:
        sha256: as the hub says; None for small files, of which it does not say it.
    """

    name: str
    size_bytes: int
    sha256: str | None


def fetch(
    hub_id: str,
    folder: Path,
    *,
    known: Known | None,
    token: str | None,
    show_progress: bool,
    note: Callable[[str], None],
) -> None:
    """Bring a model into a folder; what has come into it before is not fetched anew.

    Args:
        hub_id: repository, `owner/name`.
        known: its row in the table, where it has one.
        token: of an account of the hub; None for the one that is logged in, if any.
        show_progress: draw bars on standard error.
        note: is told what will be done.

    Raises:
        BridgeError: `not_found` for a repository that is not there, not in the format of diffusers,
            or has weights only as pickles, and where the library is missing; `forbidden` where
            its licence is to be accepted first; `too_large` for the disk; `unavailable` where the
            hub cannot be reached or what came is not what it says.
    """
    existed = folder.exists()
    try:
        with _hub_errors(hub_id, known):
            _fetch(hub_id, folder, known, token, show_progress, note)
    except BaseException:
        if not existed and not _has_weights(folder):
            shutil.rmtree(folder, ignore_errors=True)
        raise


def _fetch(
    hub_id: str,
    folder: Path,
    known: Known | None,
    token: str | None,
    show_progress: bool,
    note: Callable[[str], None],
) -> None:
    import huggingface_hub

    endpoint = os.environ.get("HF_ENDPOINT")
    api = huggingface_hub.HfApi(endpoint=endpoint, token=token)

    def loading(repository: str, place: Path) -> _Load:
        info = api.model_info(repository, files_metadata=True, timeout=_TIMEOUT_S)
        files = {file.name: file for file in map(_remote, info.siblings or ())}
        return _Load(repository, str(info.sha), place, files, endpoint, token, show_progress)

    whole = loading(hub_id, folder)
    if INDEX in whole.files:
        whole.bring((INDEX,))
        wanted = {whole: _wanted(hub_id, read_table(folder / INDEX), whole.files)}
    elif TOOLS_INDEX in whole.files and (known is None or known.in_format):
        whole.bring((TOOLS_INDEX,))
        settings = read_table(folder / TOOLS_INDEX)
        wanted = {whole: _wanted_of_tools(hub_id, settings, whole.files)}
        name = text_encoder_of(settings)
        encoder = loading(_ENCODERS[name], folder / name)
        wanted[encoder] = [encoder.files[file] for file in _ENCODER_FILES if file in encoder.files]
    else:
        raise _not_in_format(hub_id, known)
    missing_bytes = sum(load.missing_bytes(files) for load, files in wanted.items())
    _check_disk(hub_id, folder, missing_bytes)
    count = sum(map(len, wanted.values()))
    note(f"{hub_id}: {count} files, {_shown(missing_bytes)} to come, into {folder}")
    for load, files in wanted.items():
        load.bring(tuple(file.name for file in files))
        for file in files:
            _check(load.folder, file)
        shutil.rmtree(load.folder / ".cache", ignore_errors=True)  # the library's notes


def _has_weights(folder: Path) -> bool:
    """Whether anything has come that took a while, whole or in part."""
    return any(
        file.stat().st_size > 0
        for pattern in ("*.safetensors", "*.incomplete")
        for file in folder.rglob(pattern)
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Load:
    """One state of a repository, and where its files go.

    Attributes:
        files: that it has, by their names.
    """

    hub_id: str
    revision: str
    folder: Path
    files: Mapping[str, Remote]
    endpoint: str | None
    token: str | None
    show_progress: bool

    def missing_bytes(self, wanted: Iterable[Remote]) -> int:
        """What has not come yet."""
        return sum(file.size_bytes for file in wanted if not _is_here(self.folder, file))

    def bring(self, names: tuple[str, ...]) -> None:
        """Fetch files of these names that have not come."""
        import huggingface_hub
        from huggingface_hub.utils.tqdm import (
            are_progress_bars_disabled,
            disable_progress_bars,
            enable_progress_bars,
        )

        shown = not are_progress_bars_disabled()
        if not self.show_progress:
            disable_progress_bars()
        try:
            huggingface_hub.snapshot_download(
                self.hub_id,
                revision=self.revision,
                local_dir=self.folder,
                allow_patterns=list(names),
                endpoint=self.endpoint,
                token=self.token,
            )
        finally:
            if shown and not self.show_progress:
                enable_progress_bars()


def _remote(sibling: Any) -> Remote:
    lfs = sibling.lfs
    size_bytes = (lfs.size if lfs is not None else sibling.size) or 0
    return Remote(sibling.rfilename, int(size_bytes), lfs.sha256 if lfs is not None else None)


def _wanted(hub_id: str, index: Mapping[str, Any], files: Mapping[str, Remote]) -> list[Remote]:
    """What the parts of the index need, and what there is to read about the model.

    Raises:
        BridgeError: `not_found` where a part is missing, or has its weights only as pickles; for an
            architecture not known here.
    """
    from engine.models.public.opening import check_pipeline  # brings torch

    check_pipeline(hub_id, str(index.get("_class_name")))
    wanted = [files[INDEX], *_beside(files)]
    for part, kind in parts_of(index).items():
        inside = [file for name, file in files.items() if name.startswith(f"{part}/")]
        chosen = _of_part([file for file in inside if file.name.count("/") == 1])
        weighty = not is_weightless(kind)
        if weighty and not any(file.name.endswith(".safetensors") for file in chosen):
            pickles = [file.name for file in inside if file.name.endswith(_PICKLES)]
            raise _without_weights(hub_id, part, pickles)
        wanted += chosen
    return wanted


def _wanted_of_tools(
    hub_id: str, settings: dict[str, Any], files: Mapping[str, Remote]
) -> list[Remote]:
    """A checkpoint of stable-audio-tools: its table and its weights.

    Raises:
        BridgeError: `not_found` for a design that is not known here, a text encoder that is not,
            and weights that are not there or only as a pickle.
    """
    from engine.models.public.tools_design import read_design

    read_design(settings, hub_id)
    encoder = text_encoder_of(settings)
    if encoder not in _ENCODERS:
        raise BridgeError(
            "not_found",
            f"{hub_id} needs the text encoder {encoder[:80]}, which is not known here",
            f"known are {', '.join(_ENCODERS)}",
        )
    if TOOLS_WEIGHTS not in files:
        pickles = [name for name in files if "/" not in name and name.endswith(_PICKLES)]
        raise _without_weights(hub_id, "network", pickles)
    return [files[TOOLS_INDEX], files[TOOLS_WEIGHTS], *_beside(files)]


def _beside(files: Mapping[str, Remote]) -> list[Remote]:
    """What there is to read about a model."""
    return [file for name, file in files.items() if _BESIDE.fullmatch(name)]


def _of_part(files: list[Remote]) -> list[Remote]:
    """What is read of a part's folder: of weights in several precisions the plain ones.

    `model.fp16.safetensors` is a variant of `model.safetensors`.
    """
    names = {file.name for file in files}
    chosen = []
    for file in files:
        stem, _, ending = file.name.rpartition(".")
        plain = f"{stem.rpartition('.')[0]}.{ending}"
        is_variant = ending == "safetensors" and plain in names
        if f".{ending}" in _ENDINGS and not is_variant:
            chosen.append(file)
    return chosen


def _is_here(folder: Path, file: Remote) -> bool:
    path = folder / file.name
    return path.is_file() and path.stat().st_size == file.size_bytes


def _check(folder: Path, file: Remote) -> None:
    """See that a file is the hub's.

    Raises:
        BridgeError: `unavailable` where it is not; it is removed, so that it is fetched anew.
    """
    path = folder / file.name
    whole = _is_here(folder, file)
    if whole and file.sha256 is not None:
        with path.open("rb") as content:
            whole = hashlib.file_digest(content, "sha256").hexdigest() == file.sha256
    if not whole:
        path.unlink(missing_ok=True)
        raise BridgeError("unavailable", f"{file.name} did not come as the hub has it", _AGAIN)


def _check_disk(hub_id: str, folder: Path, missing_bytes: int) -> None:
    free_bytes = shutil.disk_usage(folder).free
    if missing_bytes + _SPARE_BYTES > free_bytes:
        raise BridgeError(
            "too_large",
            f"{hub_id} needs {_shown(missing_bytes)} more, and {folder} has "
            f"{_shown(free_bytes)} left",
            "make room, or choose another place with --data-dir",
        )


def _shown(size_bytes: int) -> str:
    return f"{size_bytes / 1e9:.1f} GB" if size_bytes >= 1e8 else f"{size_bytes / 1e6:.1f} MB"


@contextmanager
def _hub_errors(hub_id: str, known: Known | None) -> Iterator[None]:
    """What can go wrong with a hub, in our words."""
    try:
        from huggingface_hub import errors
    except ImportError:
        raise BridgeError(
            "not_found",
            "the library that talks to the hub, huggingface_hub, is missing",
            'install it with pip install "daw-bridge[models]", or add a folder',
        ) from None
    page = f"{HUB}/{hub_id}"
    log_in = "log in with hf auth login, set HF_TOKEN or give --token-file"
    try:
        yield
    except BridgeError:
        raise
    except errors.GatedRepoError:
        licence = f" ({known.licence})" if known else ""
        raise BridgeError(
            "forbidden",
            f"the licence of {hub_id}{licence} must be accepted before its files can be had",
            f"open {page}, accept the licence, {log_in}, and try again",
        ) from None
    except errors.RepositoryNotFoundError:
        raise BridgeError(
            "not_found",
            f"the hub has no model {hub_id}, or shows it to its owners only",
            f"look at {page}; for a private one {log_in}",
        ) from None
    except errors.HFValidationError:
        raise BridgeError(
            "bad_request", f"{hub_id[:80]!r} is no repository", "write it as owner/name"
        ) from None
    except (errors.HTTPError, OSError) as error:  # type: ignore[attr-defined]  # of its network
        raise _hub_failure(hub_id, error, log_in) from None


def _hub_failure(hub_id: str, error: Exception, log_in: str) -> BridgeError:
    told = " ".join(str(error).split())[:200]
    if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
        return BridgeError("too_large", f"the disk is full: {told}", f"make room, and {_AGAIN}")
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status in (401, 403):
        return BridgeError("forbidden", f"the hub refuses {hub_id}: {told}", log_in)
    return BridgeError(
        "unavailable", f"{hub_id} cannot be fetched: {told}", f"look at the network, and {_AGAIN}"
    )


def _not_in_format(hub_id: str, known: Known | None) -> BridgeError:
    if known is not None and not known.in_format:
        ways = "; ".join(known.ways()).replace("`", "")
        return BridgeError(
            "not_found", f"{hub_id} is not in the format of diffusers: convert it once", ways
        )
    return BridgeError(
        "not_found",
        f"{hub_id} is not in the format of diffusers: it has no {INDEX}",
        "look for a repository of the same model whose name ends in -diffusers, or convert it",
    )


def _without_weights(hub_id: str, part: str, pickles: list[str]) -> BridgeError:
    if pickles:
        return BridgeError(
            "not_found",
            f"{hub_id} has the weights of its {part} only as {pickles[0]}, which can run code",
            "look for a repository of the same model with .safetensors files",
        )
    return BridgeError("not_found", f"{hub_id} lacks the weights of its {part}")
