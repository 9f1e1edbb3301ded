"""The panel's files by the address that they are served under.

The table is fixed: an address is looked up and never becomes a path.
"""

from __future__ import annotations

import functools
from importlib import resources

from daw_bridge.protocol.document import protocol_json

_HTML = "text/html; charset=utf-8"
_CSS = "text/css; charset=utf-8"
_SCRIPT = "text/javascript; charset=utf-8"
_SVG = "image/svg+xml"
_JSON = "application/json"

TABLE_ADDRESS = "/protocol.json"
_SCRIPTS = (
    "binary", "blocks", "client", "clip", "colours", "curve", "dom", "editors", "fields", "form",
    "given", "home", "jobs", "keys", "lane", "list", "listen", "loudness", "main", "marks", "midi",
    "piano", "pictures", "player", "proof", "rating", "recent", "report", "save", "span",
    "spectrum", "state", "take", "wav", "wave",
)  # fmt: skip
_STYLES = ("frame", "parts", "rows", "stage")
FILES: dict[str, tuple[str, str]] = {
    "/": ("index.html", _HTML),
    "/panel/icon.svg": ("icon.svg", _SVG),
    **{f"/panel/{name}.css": (f"{name}.css", _CSS) for name in _STYLES},
    **{f"/panel/{name}.js": (f"{name}.js", _SCRIPT) for name in _SCRIPTS},
}


def page(address: str) -> tuple[str, bytes] | None:
    """Content type and body of an address, None for one that is not in the table."""
    if address == TABLE_ADDRESS:
        return _JSON, _table()
    if address not in FILES:
        return None
    name, content_type = FILES[address]
    return content_type, _body(name)


@functools.cache
def _body(name: str) -> bytes:
    return resources.files(__package__).joinpath(name).read_bytes()


@functools.cache
def _table() -> bytes:
    return protocol_json().encode()
