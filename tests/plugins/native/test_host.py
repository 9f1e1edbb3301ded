"""The host of these tests says what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.plugins.native.clap_host import ClapHost

pytestmark = pytest.mark.daw


def test_a_plugin_that_does_not_load_is_said_in_the_loader_s_words(
    host_tools: Path, tmp_path: Path
) -> None:
    host = ClapHost(host_tools, tmp_path)
    try:
        with pytest.raises(AssertionError, match=r"nowhere\.clap: cannot open shared object file"):
            host.ask(f"open {tmp_path / 'nowhere.clap'}")
    finally:
        host.end()
