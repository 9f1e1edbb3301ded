"""What `hello` says: version, commands, formats, addresses and limits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from daw_bridge import __version__
from daw_bridge.config import Config
from daw_bridge.protocol.table import AUDIO_FORMATS, COMMANDS, MAX_OSC_PACKET_BYTES, VERSION
from daw_bridge.stream.flac import has_flac
from daw_bridge.transfers import MAX_STREAMS_PER_CLIENT, MAX_UPLOADS_PER_CLIENT
from daw_bridge.transport.osc_tcp import MAX_PACKET_BYTES

_CONFIGURED = (
    "max_clients",
    "max_frame_bytes",
    "max_new_audio_s",
    "max_outbox_bytes",
    "max_queued_jobs",
    "max_source_bytes",
    "max_upload_bytes",
    "unfinished_upload_s",
)


def capabilities(config: Config, addresses: Mapping[str, str | int]) -> dict[str, Any]:
    """The fields of the reply `hello`.

    Args:
        addresses: where each transport listens, by its name.
    """
    return {
        "version": __version__,
        "protocol": VERSION,
        "commands": [command.name for command in COMMANDS],
        "formats": [name for name in AUDIO_FORMATS if name != "flac" or has_flac()],
        "transports": dict(addresses),
        "limits": {
            **{name: getattr(config, name) for name in _CONFIGURED},
            "max_osc_packet_bytes": MAX_OSC_PACKET_BYTES,
            "max_osc_tcp_packet_bytes": MAX_PACKET_BYTES,
            "max_streams_per_client": MAX_STREAMS_PER_CLIENT,
            "max_uploads_per_client": MAX_UPLOADS_PER_CLIENT,
        },
    }
