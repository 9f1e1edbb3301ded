"""What a dropped file asks for: the grammar of names, and the files beside.

    groove.extend-4bars-97.5bpm-seed=7.wav
    |name| |task| words: a number with its unit, or field=value

Values come from `daw-bridge.toml` of the folder, over it from `groove.json` or `groove.toml` beside
`groove.wav`, over that from the name. Fields are those of a request; `engine/fields.py` casts them.
Who can put files into the folder gets at no others by it: links and paths elsewhere are refused.
"""

from __future__ import annotations

import json
import os
import re
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.spec import FIELD_BY_NAME, FIELDS, PATH_FIELDS, TASKS, BridgeError, RenderRequest

FOLDER_RECIPE = "daw-bridge.toml"
SIDE_ENDINGS = (".json", ".toml")
AUDIO_ENDINGS = (".wav", ".flac", ".aif", ".aiff", ".ogg", ".mp3")
MIDI_ENDINGS = (".mid", ".midi")
PROMPT_ENDING = ".txt"  # its text is the prompt of `generate`
MAX_RECIPE_BYTES = 65_536
# Where the system can: what became a link meanwhile is not followed, a pipe not waited for.
_OPEN_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_BINARY", 0)
)

_NAMED = re.compile(rf"^(?P<name>.+)\.(?P<task>{'|'.join(TASKS)})(?P<words>(?:-.*)?)$")
_MEASURE = re.compile(r"^(?P<number>\d+(?:\.\d+)?)(?P<unit>bars?|bpm|s)$")
_FIELD_OF_UNIT = {"bar": "bars", "bars": "bars", "bpm": "bpm", "s": "seconds"}
_RESULT = re.compile(r"\.take(?:-[\w-]+)?$|\.error$")
_GRAMMAR = "write it like groove.extend-4bars-120bpm-seed=7.wav"


@dataclass(frozen=True, slots=True)
class Named:
    """A file name taken apart: `groove`, `extend` and `{"bars": "4"}`; no task without a recipe."""

    name: str
    task: str | None
    words: tuple[str, ...] = ()


def is_candidate(file_name: str) -> bool:
    """Whether a file may ask for something: by its ending, and not as a result of ours."""
    path = Path(file_name)
    if file_name.startswith(".") or _RESULT.search(path.stem):
        return False
    ending = path.suffix.lower()
    if ending == PROMPT_ENDING:
        return take_apart(file_name).task == "generate"
    return ending in AUDIO_ENDINGS + MIDI_ENDINGS


def take_apart(file_name: str) -> Named:
    """The parts of a file name.

    >>> take_apart("groove.extend-4bars-97.5bpm.wav")
    Named(name='groove', task='extend', words=('4bars', '97.5bpm'))
    >>> take_apart("groove.wav").task is None
    True
    """
    stem = Path(file_name).stem
    found = _NAMED.match(stem)
    if found is None:
        return Named(stem, None)
    words = tuple(word for word in found["words"].split("-") if word)
    return Named(found["name"], found["task"], words)


def fields_of(words: tuple[str, ...]) -> dict[str, Any]:
    """The fields that the words of a name give.

    Raises:
        BridgeError: `bad_request` for a word that is none.
    """
    fields: dict[str, Any] = {}
    for word in words:
        measure = _MEASURE.match(word)
        field, equals, value = word.partition("=")
        if measure:
            name, given = _FIELD_OF_UNIT[measure["unit"]], measure["number"]
        elif equals and field in FIELD_BY_NAME:
            name, given = field, value
        else:
            raise BridgeError("bad_request", f"the name has the word {word[:80]!r}", _GRAMMAR)
        if name in fields:
            raise BridgeError("bad_request", f"the name gives {name} twice", _GRAMMAR)
        fields[name] = _flag(given) if FIELD_BY_NAME[name].kind == "flag" else given
    return fields


def _flag(text: str) -> Any:
    return {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}.get(
        text.lower(), text
    )


def recipe_files(file: Path) -> list[Path]:
    """The files that say more about a dropped one, where they are: the folder's, then its own.

    Links are among them: they are refused when they are read.
    """
    named = take_apart(file.name)
    stems = dict.fromkeys((named.name, file.stem))
    beside = [file.with_name(stem + ending) for stem in stems for ending in SIDE_ENDINGS]
    return [path for path in (file.with_name(FOLDER_RECIPE), *beside) if _is_file_or_link(path)]


def _is_file_or_link(path: Path) -> bool:
    try:
        mode = path.lstat().st_mode
    except OSError:  # not there, or the longer ending makes its name too long
        return False
    return stat.S_ISREG(mode) or stat.S_ISLNK(mode)


def request_of(file: Path) -> RenderRequest | None:
    """What a dropped file asks for; None where nothing says it.

    Raises:
        BridgeError: `bad_request` for what cannot be read or is no request, `forbidden` for a link
            and for a file elsewhere.
    """
    named = take_apart(file.name)
    files = recipe_files(file)
    general: dict[str, Any] = {}
    own: dict[str, Any] = {}
    for path in files:
        (general if path.name == FOLDER_RECIPE else own).update(_read(path))
    own |= fields_of(named.words)
    task = named.task or own.pop("task", None) or general.get("task")
    own.pop("task", None)
    if task is None:
        return None
    if task not in TASKS:
        raise BridgeError("bad_request", f"task is {task!r}", f"ask for one of {', '.join(TASKS)}")
    _refuse_link(file)
    values = {**_fitting(general, str(task)), **own}
    for name in PATH_FIELDS:
        if isinstance(values.get(name), str):
            values[name] = _inside(file.parent, name, values[name])
    return RenderRequest.from_mapping({"task": task, **values, **_input_of(file, str(task))})


def _inside(folder: Path, field: str, text: str) -> str:
    """A file that a recipe names, links resolved. A folder that is moved keeps its recipes."""
    try:
        root = folder.resolve()
        path = (root / Path(text).expanduser()).resolve()
    except (OSError, RuntimeError, ValueError) as error:
        # A loop of links, an unknown ~user, a name that the system cannot encode.
        raise BridgeError("bad_request", f"{field} is {text[:200]!r}: {error}", "") from None
    if not path.is_relative_to(root):
        raise BridgeError(
            "forbidden",
            f"{field} is {text[:200]!r}, which is not in the watched folder",
            "put that file into the folder and name it as it is called there",
        )
    return str(path)


def _refuse_link(path: Path) -> None:
    if path.is_symlink():
        raise BridgeError(
            "forbidden", f"{path.name} is a link", "put the file itself into the folder"
        )


def _fitting(general: Mapping[str, Any], task: str) -> dict[str, Any]:
    """A folder's values serve files of any task, each what it knows."""
    known = {item.name for item in FIELDS if item.applies_to(task)}
    unknown = [name for name in general if name not in FIELD_BY_NAME and name != "task"]
    if unknown:
        raise BridgeError("bad_request", f"{FOLDER_RECIPE} has no field {unknown[0]!r}", "")
    return {name: value for name, value in general.items() if name in known}


def _input_of(file: Path, task: str) -> dict[str, Any]:
    if task == "generate":
        if file.suffix.lower() != PROMPT_ENDING:
            raise BridgeError(
                "bad_request",
                "generate takes no clip",
                "put the words into a text file: intro.generate-8s.txt",
            )
        return {"prompt": _text(file).strip()}
    return {"melody" if task == "melody" else "source": str(file)}


def _read(path: Path) -> dict[str, Any]:
    text = _text(path)
    try:
        values = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        problem = f"{path.name} cannot be read: {error}"[:300]
        raise BridgeError("bad_request", problem, "mend it and drop the clip again") from None
    if not isinstance(values, dict):
        raise BridgeError("bad_request", f"{path.name} is no table of fields", "")
    return values


def _text(path: Path) -> str:
    _refuse_link(path)
    try:
        with os.fdopen(os.open(path, _OPEN_FLAGS), "rb") as file:
            data = file.read(MAX_RECIPE_BYTES + 1)
        if len(data) > MAX_RECIPE_BYTES:
            raise BridgeError("too_large", f"{path.name} has over {MAX_RECIPE_BYTES} bytes", "")
        return data.decode("utf-8-sig")
    except OSError as error:
        raise BridgeError("not_found", f"{path.name}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise BridgeError("bad_request", f"{path.name} is not UTF-8 text", "") from None
