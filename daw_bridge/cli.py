"""The command line: `daw-bridge serve`, `daw-bridge extend clip.wav --bars 4 --out more.wav`.

Every command exits with 0 on success, 2 on bad input with one clear line on standard error, and 1
on failure. With `--json` it prints one object on standard output, `{"error": ...}` included.
"""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Sequence

from daw_bridge.commands.arguments import ESTIMATE, RENDER_COMMANDS, build_parser
from daw_bridge.commands.console import EXIT_FAILED, EXIT_OK, Console, exit_status
from daw_bridge.commands.local import EngineFactory, engine_from_package
from daw_bridge.commands.result_file import typed_result_file
from daw_bridge.config import Config
from engine.spec import BridgeError


def main(
    arguments: Sequence[str] | None = None, engine_factory: EngineFactory | None = None
) -> int:
    """Run one command; the exit status.

    Args:
        engine_factory: makes the engine for renders without a daemon; else the real one.
    """
    typed = list(sys.argv[1:] if arguments is None else arguments)
    # Known before the flags are parsed, because they may be what is wrong.
    console = Console(as_json="--json" in typed, result_file=typed_result_file(typed))
    try:
        options = build_parser().parse_args(typed)
        return _run(options, console, engine_factory or engine_from_package)
    except BridgeError as error:
        console.error(error)
        return exit_status(error)
    except BrokenPipeError:
        # Whoever read the output has gone; Python would complain once more while it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILED
    except KeyboardInterrupt:
        console.error(BridgeError("unavailable", "interrupted"))
        return EXIT_FAILED
    except Exception as error:
        # A fault of ours: the traceback is what a report needs.
        traceback.print_exc()
        console.error(BridgeError("engine_failed", f"{type(error).__name__}: {error}"))
        return EXIT_FAILED


def _run(options: argparse.Namespace, console: Console, make_engine: EngineFactory) -> int:
    # Imported by need: each command starts with no more than it uses.
    if options.command == "serve":
        from daw_bridge.commands import serve

        serve.run(options, console)
        return EXIT_OK
    if options.command == "config":
        from daw_bridge.commands import settings

        settings.run(options, console)
        return EXIT_OK
    if options.command == "capture":
        from daw_bridge.commands import capture

        def accompany(arguments: list[str]) -> None:
            typed = [*arguments, *(["--json"] if options.json else [])]
            _run(build_parser().parse_args(typed), console, make_engine)

        capture.run(options, console, accompany)
        return EXIT_OK
    if options.command == "service":
        from daw_bridge.commands import service

        service.run(options, console)
        return EXIT_OK
    if options.command == "doctor":
        from daw_bridge.commands import doctor

        checks = doctor.examine(Config.load({"data_dir": options.data_dir}))
        result = doctor.as_result(checks)
        console.result(result, doctor.as_lines(checks))
        return EXIT_OK if result["ok"] else EXIT_FAILED
    if options.command == "play":
        from daw_bridge.commands import play

        play.run(options, Config.load({"data_dir": options.data_dir}), console)
        return EXIT_OK
    if options.command == "hosts":
        from daw_bridge.commands import hosts

        return hosts.run(options, Config.load({"data_dir": options.data_dir}), console)
    return _run_beside_daemon(options, console, make_engine)


def _run_beside_daemon(
    options: argparse.Namespace, console: Console, make_engine: EngineFactory
) -> int:
    """The commands that use a daemon when one runs."""
    config = Config.load({"data_dir": options.data_dir, "token": options.token})
    if options.command == "watch":
        from daw_bridge.commands import watch

        watch.run(options, config, console, make_engine)
    elif options.command in RENDER_COMMANDS:
        from daw_bridge.commands import render

        render.run(options, config, console, make_engine)
    elif options.command == ESTIMATE:
        from daw_bridge.commands import estimate

        estimate.run(options, config, console, make_engine)
    elif options.command == "models" and options.action is not None:
        from daw_bridge.commands import models

        models.change(options, config, console)
    elif options.command == "takes" and options.verify:
        from daw_bridge.commands import verify

        return verify.run(options, config, console)
    elif options.command == "export":
        from daw_bridge.commands import export

        export.run(options, config, console)
    elif options.command == "panel":
        from daw_bridge.commands import panel

        panel.run(options, config, console)
    else:
        from daw_bridge.commands import listing

        listing.run(options, config, console, make_engine)
    return EXIT_OK
