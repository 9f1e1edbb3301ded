"""How the daemon's process is set, in processes of their own: it is theirs for good."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

from tests.daw_bridge.served import ROOT

_COUNT_THREADS = """
import asyncio, sys, threading, time
from daw_bridge.process import settle
async def main():
    settle(asyncio.get_running_loop())
    names = await asyncio.gather(*(asyncio.to_thread(name_of_mine) for _ in range(64)))
    print(len(set(names)), sys.getswitchinterval())
def name_of_mine():
    time.sleep(0.01)
    return threading.current_thread().name
asyncio.run(main())
"""
# Eight threads that ask the C library for memory, all at once.
_COUNT_HEAPS = """
import asyncio, sys, threading
from daw_bridge.process import settle
if sys.argv[1] == "settled":
    settle(asyncio.new_event_loop())
barrier = threading.Barrier(9)
def work():
    held = [bytes(4000) for _ in range(100)]
    barrier.wait()
    barrier.wait()
threads = [threading.Thread(target=work) for _ in range(8)]
for thread in threads:
    thread.start()
barrier.wait()
heap_bytes = 64 << 20  # the address space that the GNU library sets aside for each
ends = [line.split()[0].split("-") for line in open("/proc/self/maps") if "/" not in line]
starts = {int(start, 16) for start, _ in ends}
print(sum(1 for start in starts if start % heap_bytes == 0))
barrier.wait()
"""


def _run(program: str, *arguments: str) -> list[str]:
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.run(
        command, cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.split()


def test_four_threads_serve_the_disk_and_give_way_soon() -> None:
    threads, interval_s = _run(_COUNT_THREADS)
    assert int(threads) == 4
    assert float(interval_s) == pytest.approx(0.0005)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="heaps of the GNU library")
def test_threads_share_one_heap() -> None:
    assert int(_run(_COUNT_HEAPS, "settled")[0]) == 0
    assert int(_run(_COUNT_HEAPS, "as it comes")[0]) >= 4
