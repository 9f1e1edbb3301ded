"""How the suite is shared out where several processes run it: `pytest -n 2`."""

from __future__ import annotations

from typing import Any

import pytest
from xdist.scheduler import LoadFileScheduling

HOSTS = "tests/plugins/"


class FilesAndHosts(LoadFileScheduling):
    """A file stays with one process, for what it sets up once, and all hosts with another: their
    builds are made once, and they want the machine's one screen and sound server."""

    def _split_scope(self, nodeid: str) -> str:
        return HOSTS if nodeid.startswith(HOSTS) else super()._split_scope(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> FilesAndHosts:
    return FilesAndHosts(config, log)
