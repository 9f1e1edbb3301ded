"""The page of the models is what its script writes, and its commands are commands."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from daw_bridge.commands.arguments import build_parser
from engine.models.public.known import KNOWN, Known

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "models.md"


@pytest.fixture(scope="module")
def text() -> str:
    return PAGE.read_text(encoding="utf-8")


def test_the_page_is_up_to_date() -> None:
    command = [sys.executable, str(ROOT / "scripts" / "make_models_page.py"), "--check"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")


@pytest.mark.parametrize("known", KNOWN, ids=lambda known: known.name)
def test_every_model_has_its_part(text: str, known: Known) -> None:
    (part,) = re.findall(rf"^## {re.escape(known.name)}\n(.*?)^## ", text, re.MULTILINE | re.DOTALL)
    for told in (known.page, known.licence, known.commercial, known.good_at, known.limits):
        assert told in part
    for way in known.ways():
        assert way in part


def test_its_commands_are_commands(text: str) -> None:
    block = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    lines = [line.partition("#")[0] for part in block for line in part.splitlines()]
    typed = [line for line in lines if line.startswith("daw-bridge")]
    typed += re.findall(r"`(daw-bridge [^`]+)`", text)
    assert len(typed) > len(KNOWN)
    for command in typed:
        build_parser().parse_args(shlex.split(command)[1:])


def test_its_parts_can_be_reached(text: str) -> None:
    headings = re.findall(r"^## (.+)$", text, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    assert set(re.findall(r"\]\(#([^)]+)\)", text)) <= anchors


def test_the_readme_leads_to_it() -> None:
    assert "(docs/models.md)" in (ROOT / "README.md").read_text(encoding="utf-8")
