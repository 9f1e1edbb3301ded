"""Plays a take on JACK while the daemon streams it: `python stream_to_jack.py URL TOKEN TAKE`.

Says `UNDERRUNS n` at its end, blocks in which the stream had brought too little.
"""

from __future__ import annotations

import asyncio
import sys
import threading

import jack
import numpy as np

from daw_bridge.client import Client

INPUTS = ("ardour:Stem/audio_in 1", "ardour:Stem/audio_in 2")
_AHEAD_SAMPLES = 24_000  # what is there before the first is played
_SILENT_BLOCKS = 20  # before it, as a port hears nothing until it is connected


class _Player:
    """What has come, on its way to the ports."""

    def __init__(self) -> None:
        self.come = np.zeros((0, len(INPUTS)), np.float32)
        self.is_whole = False
        self.underruns = 0
        self.ended = threading.Event()
        self._played = -1
        self._silent = 0
        self._client = jack.Client("stream", no_start_server=True)
        self._ports = [self._client.outports.register(f"out_{n}") for n in (1, 2)]
        self._client.set_process_callback(self._process)

    def start(self) -> None:
        self._client.activate()
        for port, target in zip(self._ports, INPUTS, strict=True):
            self._client.connect(port, target)

    def stop(self) -> None:
        self._client.deactivate()
        self._client.close()

    def _process(self, block: int) -> None:
        come, whole = self.come, self.is_whole
        arrays = [port.get_array() for port in self._ports]
        for array in arrays:
            array[:] = 0
        if self._played < 0:
            self._silent += 1
            if self._silent < _SILENT_BLOCKS or (len(come) < _AHEAD_SAMPLES and not whole):
                return
            self._played = 0
        part = come[self._played : self._played + block]
        if len(part) < block and not whole:
            self.underruns += 1
        for channel, array in enumerate(arrays):
            array[: len(part)] = part[:, channel]
        self._played += len(part)
        if whole and self._played == len(come):
            self.ended.set()


async def _play(url: str, token: str, take: str) -> int:
    player = _Player()
    player.start()
    try:
        async with Client(url, token, name="to jack") as client:
            async for frame in client.stream_frames(take, audio_format="float32"):
                samples = np.frombuffer(frame.data, "<f4").reshape(-1, frame.channels)
                player.come = np.concatenate([player.come, samples])
        player.is_whole = True
        assert await asyncio.to_thread(player.ended.wait, 30.0)
    finally:
        player.stop()
    return player.underruns


if __name__ == "__main__":
    print("UNDERRUNS", asyncio.run(_play(*sys.argv[1:4])), flush=True)
