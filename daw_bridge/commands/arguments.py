"""The command line's grammar, built from the tables of requests and settings."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NoReturn

from daw_bridge import __version__
from daw_bridge.commands.live_arguments import add_capture, add_play, add_watch
from daw_bridge.commands.progress_file import PROGRESS_FILE, new_progress_file
from daw_bridge.commands.result_file import RESULT_FILE, new_result_file
from daw_bridge.config import Config, Setting, settings_table
from daw_bridge.protocol.table import COMMAND_BY_NAME, COMMANDS, PLACEMENT
from daw_bridge.sources import CONFIG_FILE, nearest
from engine.models.public.installed import AUTO, DEVICES, DTYPES, TEXT_ENCODERS
from engine.spec import FIELDS, TASKS, BridgeError, Field

RERENDER = "rerender"
ESTIMATE = "estimate"
RENDER_COMMANDS = (*TASKS, RERENDER)
# How many results, and where the request stands among others.
PLACEMENT_FIELDS = tuple(
    item for item in COMMAND_BY_NAME[RERENDER].fields if item.name in PLACEMENT
)
LISTINGS = ("models", "takes", "jobs")
ON_A_TAKE = ("rate", "export", "remove", "restore")

_ABOUT = {command.name: command.doc for command in COMMANDS}
_FILE = {
    "source": "IN.wav",
    "melody": "IN.mid",
    "context": "IN.wav",
    "tempo_from": "SONG.mid",
    "intensity_from": "LANE.json|IN.wav",
    "structure_from": "IN.wav",
}


class _Parser(argparse.ArgumentParser):
    """Refuses with the project's own error, so that bad flags look like every other mistake."""

    def error(self, message: str) -> NoReturn:
        unknown = re.match(r"unrecognized arguments: (--[\w-]+)", message)
        meant = nearest(unknown[1], _known_flags()) if unknown else ""
        raise BridgeError("bad_request", message, meant or f"see {self.prog} --help")


def _known_flags() -> list[str]:
    fields = (*FIELDS, *PLACEMENT_FIELDS)
    names = [setting.name for setting in settings_table()] + [item.name for item in fields]
    return [flag_name(name) for name in names]


def flag_name(name: str) -> str:
    """The flag of a field or setting: `crossfade_ms` is `--crossfade-ms`."""
    return "--" + name.replace("_", "-")


def build_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line. Values stay text: the tables cast them."""
    parser = _Parser(prog="daw-bridge", description="A companion for your DAW.", allow_abbrev=False)
    parser.add_argument("--version", action="version", version=f"daw-bridge {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    _add_serve(commands)
    _add_config(commands)
    _add_service(commands)
    _add_doctor(commands)
    _add_panel(commands)
    for task in TASKS:
        command = commands.add_parser(task, help=_ABOUT[task], allow_abbrev=False)
        _add_fields(command, [i for i in FIELDS if i.applies_to(task)] + [*PLACEMENT_FIELDS])
        _add_outputs(command)
        _add_connection(command)
    rerender = commands.add_parser(RERENDER, help=_ABOUT[RERENDER], allow_abbrev=False)
    rerender.add_argument("take", metavar="TAKE", help="take to start from")
    _add_fields(rerender, [i for i in FIELDS if i.kind != "path"] + [*PLACEMENT_FIELDS])
    _add_outputs(rerender)
    _add_connection(rerender)
    _add_estimate(commands)
    for name in LISTINGS:
        listing = commands.add_parser(name, help=_ABOUT[name], allow_abbrev=False)
        _add_fields(listing, COMMAND_BY_NAME[name].fields)
        if name == "takes":
            listing.add_argument(
                "--verify",
                action="store_true",
                help="check the files of all takes, or of --take, against their checksums",
            )
        _add_connection(listing)
        if name == "models":
            _add_models(listing)
    for name in ON_A_TAKE:
        command = commands.add_parser(name, help=_ABOUT[name], allow_abbrev=False)
        command.add_argument("take", metavar="TAKE", help=f"take to {name}")
        fields = COMMAND_BY_NAME[name].fields
        _add_fields(command, [item for item in fields if item.name != "take"])
        _add_connection(command)
    _add_live(commands)
    _add_watch(commands)
    _add_hosts(commands)
    cancel = commands.add_parser("cancel", help=_ABOUT["cancel"], allow_abbrev=False)
    cancel.add_argument("job", metavar="JOB", help="job to stop")
    _add_connection(cancel)
    return parser


def _add_estimate(commands: argparse._SubParsersAction[_Parser]) -> None:
    estimate = commands.add_parser(ESTIMATE, help=_ABOUT[ESTIMATE], allow_abbrev=False)
    tasks = estimate.add_subparsers(dest="task", metavar="TASK", required=True)
    for task in TASKS:
        command = tasks.add_parser(task, help=_ABOUT[task], allow_abbrev=False)
        _add_fields(command, [item for item in FIELDS if item.applies_to(task)])
        _add_connection(command)


def _add_models(models: argparse.ArgumentParser) -> None:
    actions = models.add_subparsers(dest="action", metavar="ACTION")
    add = actions.add_parser(
        "add", help="add a folder, or fetch a known model or a repository", allow_abbrev=False
    )
    add.add_argument("source", metavar="PATH_OR_ID", help="folder, owner/name, or a known name")
    add.add_argument("--name", metavar="NAME", help="what to call it; else what it is called there")
    add.add_argument(
        "--token-file", metavar="FILE", help="token of the hub; else the account logged in"
    )
    add.add_argument("--device", choices=DEVICES, help="where it runs; else where the engine does")
    add.add_argument("--dtype", choices=DTYPES, help="of its weights; else what suits the device")
    add.add_argument(
        "--text-encoder",
        choices=TEXT_ENCODERS,
        default=AUTO,
        help="where prompts are read; else on the CPU where the device is short of memory",
    )
    adapt = actions.add_parser(
        "adapt", help="another model of the same weights with an adapter (LoRA)", allow_abbrev=False
    )
    adapt.add_argument("name", metavar="NAME", help="model to begin with; it stays as it is")
    adapt.add_argument("adapter", metavar="LORA", help=".safetensors file, or the folder with one")
    adapt.add_argument("--scale", type=float, default=1.0, help="how much of it; 1 when absent")
    adapt.add_argument("--as", dest="adapted", metavar="NAME", help="what to call the result")
    remove = actions.add_parser(
        "remove", help="forget a model; a folder of yours stays", allow_abbrev=False
    )
    remove.add_argument("name", metavar="NAME", help="as `daw-bridge models` lists it")
    for command in (add, adapt, remove):
        _add_again(command)


def _add_again(action: argparse.ArgumentParser) -> None:
    """Flags that count before an action and after it: absence here does not undo them there."""
    action.add_argument("--data-dir", metavar="DIR", default=argparse.SUPPRESS)
    action.add_argument("--json", action="store_true", default=argparse.SUPPRESS)


def _add_live(commands: argparse._SubParsersAction[_Parser]) -> None:
    capture = commands.add_parser(
        "capture", help="record a melody from a MIDI port", allow_abbrev=False
    )
    add_capture(capture)
    _add_json(capture)
    play = commands.add_parser("play", help="play a take or an audio file", allow_abbrev=False)
    add_play(play)
    _add_data_dir(play)
    _add_json(play)


def _add_watch(commands: argparse._SubParsersAction[_Parser]) -> None:
    watch = commands.add_parser(
        "watch", help="work on what is dropped into a folder", allow_abbrev=False
    )
    add_watch(watch)
    _add_connection(watch)


def _add_hosts(commands: argparse._SubParsersAction[_Parser]) -> None:
    hosts = commands.add_parser(
        "hosts", help="list the hosts here, and put our part where they look", allow_abbrev=False
    )
    actions = hosts.add_subparsers(dest="action", metavar="ACTION")
    _add_data_dir(hosts)
    _add_json(hosts)
    for action, about in (
        ("install", "put our script or plugin where the host looks for it"),
        ("uninstall", "remove exactly what was installed"),
    ):
        command = actions.add_parser(action, help=about, allow_abbrev=False)
        command.add_argument("name", metavar="NAME", help="as `daw-bridge hosts` lists it")
        _add_again(command)


def _add_serve(commands: argparse._SubParsersAction[_Parser]) -> None:
    serve = commands.add_parser("serve", help="run the daemon", allow_abbrev=False)
    _add_settings(serve)


def _add_config(commands: argparse._SubParsersAction[_Parser]) -> None:
    config = commands.add_parser(
        "config", help="list the settings and where each comes from", allow_abbrev=False
    )
    _add_settings(config)


def _add_service(commands: argparse._SubParsersAction[_Parser]) -> None:
    service = commands.add_parser(
        "service", help="run the daemon with your session, without root", allow_abbrev=False
    )
    service.add_argument("action", choices=("install", "remove", "print"))
    _add_config_file(service)
    _add_data_dir(service)
    _add_json(service)


def _add_settings(command: argparse.ArgumentParser) -> None:
    _add_json(command)
    _add_config_file(command)
    for setting in settings_table():
        command.add_argument(
            flag_name(setting.name), metavar=_setting_metavar(setting), help=_setting_help(setting)
        )


def _add_config_file(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--config",
        metavar="FILE",
        help=f"TOML file of settings; else {CONFIG_FILE} in the data folder, where there is one",
    )


def _add_doctor(commands: argparse._SubParsersAction[_Parser]) -> None:
    doctor = commands.add_parser(
        "doctor", help="look at the installation and say what to mend", allow_abbrev=False
    )
    _add_json(doctor)
    _add_data_dir(doctor)


def _add_panel(commands: argparse._SubParsersAction[_Parser]) -> None:
    panel = commands.add_parser(
        "panel", help="open the panel of the daemon in the browser", allow_abbrev=False
    )
    panel.add_argument("--no-open", action="store_true", help="only print its address")
    panel.set_defaults(token=None)  # the page's is that of the daemon that runs
    _add_json(panel)
    _add_data_dir(panel)


def _add_fields(command: argparse.ArgumentParser, items: Iterable[Field]) -> None:
    for item in items:
        if item.kind == "path" and item.required:
            command.add_argument(item.name, metavar=_FILE[item.name], help=item.doc)
        elif item.kind == "flag":
            command.add_argument(
                flag_name(item.name),
                action=argparse.BooleanOptionalAction,  # a take may be rendered again without
                help=_escaped(item.doc),
            )
        else:
            command.add_argument(
                flag_name(item.name), metavar=_field_metavar(item), help=_field_help(item)
            )


def _add_outputs(command: argparse.ArgumentParser) -> None:
    outputs = command.add_argument_group("results")
    outputs.add_argument(
        "--out",
        type=Path,
        metavar="OUT.wav",
        help="copy of the finished audio; stems go beside it, as OUT-drums.wav, and several takes "
        "are OUT-1.wav, OUT-2.wav and so on",
    )
    outputs.add_argument("--report", type=Path, metavar="R.json", help="write the report here")
    outputs.add_argument("--plot", type=Path, metavar="R.png", help="draw the result here")
    outputs.add_argument("--force", action="store_true", help="replace files that exist")
    outputs.add_argument(
        RESULT_FILE,
        type=new_result_file,
        metavar="R.json",
        help="write the object of --json to this new file, errors too; it appears whole",
    )
    outputs.add_argument(
        PROGRESS_FILE,
        type=new_progress_file,
        metavar="P.json",
        help="keep the job's name and how far it is in this new file, as one line of JSON",
    )


def _add_connection(command: argparse.ArgumentParser) -> None:
    connection = command.add_argument_group("where to work")
    connection.add_argument(
        "--server", metavar="URL", help="daemon to use; else the one running, else this process"
    )
    _add_data_dir(connection)
    connection.add_argument(
        "--token", metavar="TOKEN", help="token of the daemon; else the one in the data folder"
    )
    _add_json(connection)


def _add_data_dir(group: argparse._ActionsContainer) -> None:
    group.add_argument(
        "--data-dir", metavar="DIR", help=f"{_data_dir_setting().doc} ({Config().data_dir})"
    )


def _add_json(group: argparse._ActionsContainer) -> None:
    group.add_argument(
        "--json", action="store_true", help="one machine-readable object on standard output"
    )


def _data_dir_setting() -> Setting:
    return next(setting for setting in settings_table() if setting.name == "data_dir")


def _setting_metavar(setting: Setting) -> str:
    return setting.unit.upper() or {"int": "N", "float": "N"}.get(
        type(setting.default).__name__, "VALUE"
    )


def _setting_help(setting: Setting) -> str:
    default = setting.default
    if isinstance(default, tuple):
        default = ", ".join(map(str, default))
    unit = f" {setting.unit}" if setting.unit else ""
    shown = "" if default is None else f" [{default}{unit}]"
    return _escaped(f"{setting.doc}{shown}")


def _field_metavar(item: Field) -> str:
    match item.kind:
        case "path":
            return _FILE[item.name]
        case "choice":
            return "{" + ",".join(item.choices) + "}"
        case "tempo":
            return "BEAT:B,…"
        case "metre":
            return "4/4"
        case "roles":
            return "A,B"
        case "lane":
            return "S:DB,…"
        case "form":
            return "FORM"
        case "text":
            return "TEXT"
        case _:
            return {"s": "S", "ms": "MS", "bpm": "B"}.get(item.unit, "N")


def _field_help(item: Field) -> str:
    parts = [item.doc]
    if item.low is not None and item.high is not None:
        unit = f" {item.unit}" if item.unit else ""
        parts.append(f"{item.low:.16g} to {item.high:.16g}{unit}")
    if item.default not in (None, ""):
        parts.append(f"default {_default_text(item.default)}")
    return _escaped("; ".join(parts))


def _default_text(default: Any) -> str:
    if isinstance(default, tuple):
        return ",".join(default)
    return f"{default:g}" if isinstance(default, float) else str(default)


def _escaped(text: str) -> str:
    return text.replace("%", "%%")  # argparse reads % as a format


def given_values(options: argparse.Namespace, items: Iterable[Field] = FIELDS) -> dict[str, Any]:
    """The fields that were given, as typed."""
    given = vars(options)
    return {item.name: given[item.name] for item in items if given.get(item.name) is not None}
