"""A process of its own that asks the daemon and waits for the answer, as a DAW's script does.

It is apart from the clients that make the load, so that their work is not in its figures.
Takes the address, and the token on standard input; prints the round trips in milliseconds.
"""

from __future__ import annotations

import json
import sys
import time

from websockets.sync.client import connect

_PAUSE_S = 0.01


def main() -> None:
    """Ask for so many seconds."""
    url, seconds = sys.argv[1], float(sys.argv[2])
    token = sys.stdin.readline().strip()
    taken_ms: list[float] = []
    with connect(url, compression=None, proxy=None) as socket:
        socket.send(json.dumps({"id": "0", "command": "hello", "token": token}))
        socket.recv()
        ends_s = time.perf_counter() + seconds
        while time.perf_counter() < ends_s:
            begun_s = time.perf_counter()
            socket.send(json.dumps({"id": "1", "command": "ping"}))
            socket.recv()
            taken_ms.append(1e3 * (time.perf_counter() - begun_s))
            time.sleep(_PAUSE_S)
    print(json.dumps(taken_ms))


if __name__ == "__main__":
    main()
