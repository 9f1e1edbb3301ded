"""The HTTP side of the WebSocket port: who may connect, `/health`, `/metrics` and the panel.

A web page anywhere can make a browser connect to a local port. Three checks keep it out: the
`Origin` a browser sends must be our own page; `Sec-Fetch-Site`, which it sends even where it sends
no origin (pictures, scripts), must be our own, too, but for a link that somebody follows; and the
`Host` must be a loopback name with our port, which defeats a hostile name server that points its
own name at this machine. No header ever allows a page of another origin to read an answer.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from daw_bridge.protocol.table import WEBSOCKET_PATH
from engine.spec import BridgeError

_LOOPBACK_NAMES = ("127.0.0.1", "localhost", "[::1]")
_METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"  # that of Prometheus
_NONCE_FORM = re.compile(r"[0-9a-f]{32,128}")
# Scripts and styles come from here; markup from text is refused.
_POLICY = (
    "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self' {sockets}; object-src 'none'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; "
    "trusted-types 'none'"
)


@dataclass(frozen=True, slots=True)
class Gate:
    """Decides on each HTTP request.

    Attributes:
        port: port the daemon listens on.
        accepts: whether a token is the right one.
        health: figures for `/health`; must not block.
        metrics: the text of `/metrics`, which asks for the token; must not block.
        page: content type and body of an address of the panel, None for any other.
        prove: the answer that only a daemon with the token can give to a nonce on this port.
    """

    port: int
    accepts: Callable[[str | None], bool]
    health: Callable[[], dict[str, Any]]
    metrics: Callable[[], str]
    page: Callable[[str], tuple[str, bytes] | None]
    prove: Callable[[int, str], str]

    def answer(self, request: Request) -> Response | None:
        """A response, or None to go on with the WebSocket handshake."""
        try:
            self._check_host(request.headers)
            self._check_origin(request.headers)
            self._check_fetch(request.headers)
            path, _, query = request.path.partition("?")
            upgrade = "websocket" in ",".join(request.headers.get_all("Upgrade")).lower()
            if path == WEBSOCKET_PATH and upgrade:
                self.has_token(request.headers)
                return None
            if path == "/metrics" and not self.has_token(request.headers):
                hint = "send Authorization: Bearer and the token"
                raise BridgeError("forbidden", "the metrics ask for the token", hint)
        except BridgeError as error:
            return self._json(HTTPStatus.FORBIDDEN, error.to_mapping())
        # Old versions of the library let nothing else through and do not tell.
        if getattr(request, "method", "GET") != "GET":
            refusal = BridgeError("bad_request", "nothing but GET is answered")
            return self._json(HTTPStatus.METHOD_NOT_ALLOWED, refusal.to_mapping())
        return self._answer_get(path, query)

    def _answer_get(self, path: str, query: str) -> Response:
        match path:
            case "/health":
                return self._json(HTTPStatus.OK, self.health())
            case "/metrics":
                return self._response(HTTPStatus.OK, _METRICS_TYPE, self.metrics().encode())
            case "/proof":
                return self._proof(query)
        found = self.page(path)
        if found is None:
            missing = BridgeError("not_found", "no such page", "the WebSocket is at /ws")
            return self._json(HTTPStatus.NOT_FOUND, missing.to_mapping())
        return self._response(HTTPStatus.OK, *found)

    def _proof(self, query: str) -> Response:
        """Show that we have the token, so that the panel shows its own to nobody else."""
        name, _, nonce = query.partition("=")
        if name != "nonce" or not _NONCE_FORM.fullmatch(nonce):
            wrong = BridgeError(
                "bad_request", "no nonce", "ask for /proof?nonce= and 32 hex digits"
            )
            return self._json(HTTPStatus.BAD_REQUEST, wrong.to_mapping())
        return self._json(HTTPStatus.OK, {"proof": self.prove(self.port, nonce)})

    def has_token(self, headers: Headers) -> bool:
        """Whether the Authorization header carries the token; False without a header.

        Raises:
            BridgeError: `forbidden` when it carries another.
        """
        given = headers.get_all("Authorization")
        if not given:
            return False
        scheme, _, token = given[0].partition(" ")
        if len(given) > 1 or scheme.lower() != "bearer" or not self.accepts(token.strip()):
            raise BridgeError("forbidden", "the Authorization header does not carry the token")
        return True

    def _check_host(self, headers: Headers) -> None:
        hosts = headers.get_all("Host")
        allowed = [f"{name}:{self.port}" for name in _LOOPBACK_NAMES]
        if len(hosts) != 1 or hosts[0].lower() not in allowed:
            raise BridgeError("forbidden", "the Host is not this daemon", f"use {allowed[0]}")

    def _check_origin(self, headers: Headers) -> None:
        own = [f"http://{name}:{self.port}" for name in _LOOPBACK_NAMES]
        if any(origin.lower() not in own for origin in headers.get_all("Origin")):
            raise BridgeError("forbidden", "the page is not from this daemon", f"open {own[0]}/")

    @staticmethod
    def _check_fetch(headers: Headers) -> None:
        # A server on another port of this machine counts as the same site, but is no friend.
        sites = headers.get_all("Sec-Fetch-Site")
        strange = any(site.lower() not in ("same-origin", "none") for site in sites)
        if strange and headers.get_all("Sec-Fetch-Dest") != ["document"]:
            raise BridgeError("forbidden", "a page of another origin asks", "open the daemon's own")

    def _json(self, status: HTTPStatus, values: dict[str, Any]) -> Response:
        return self._response(status, "application/json", json.dumps(values).encode())

    def _response(self, status: HTTPStatus, content_type: str, body: bytes) -> Response:
        # Not every browser takes 'self' for a WebSocket of the same host and port.
        sockets = " ".join(f"ws://{name}:{self.port}" for name in _LOOPBACK_NAMES[:2])
        headers = Headers(
            {
                "Content-Type": content_type,
                "Content-Length": str(len(body)),
                "Cache-Control": "no-store",
                "X-Content-Type-Options": "nosniff",
                "Content-Security-Policy": _POLICY.format(sockets=sockets),
                "Cross-Origin-Resource-Policy": "same-origin",
                "Cross-Origin-Opener-Policy": "same-origin",
                "Referrer-Policy": "no-referrer",
                "Connection": "close",
            }
        )
        return Response(status.value, status.phrase, headers, body)
