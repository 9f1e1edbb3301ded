"""The AsyncAPI document: every row of the table is in it, and every reference leads somewhere."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from daw_bridge.protocol.asyncapi import ASYNCAPI_PATH, asyncapi_json
from daw_bridge.protocol.table import COMMANDS, REPLIES

ROOT = Path(__file__).resolve().parents[2]


def references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if "$ref" in part:
            yield part["$ref"]
        for item in part.values():
            yield from references(item)
    elif isinstance(part, list):
        for item in part:
            yield from references(item)


def test_document_is_up_to_date() -> None:
    text = (ROOT / ASYNCAPI_PATH).read_text(encoding="utf-8")
    assert text == asyncapi_json(), "run scripts/generate_protocol"


def test_every_row_is_there_and_every_reference_leads_somewhere() -> None:
    document = json.loads(asyncapi_json())
    messages = set(document["components"]["messages"])
    assert {f"command-{command.name}" for command in COMMANDS} <= messages
    assert {f"reply-{reply.name}" for reply in REPLIES} <= messages
    operations = {f"{c.name}-{transport}" for c in COMMANDS for transport in c.transports}
    assert set(document["operations"]) == operations
    for reference in references(document):
        place = document
        for name in reference.removeprefix("#/").split("/"):
            place = place[name]
