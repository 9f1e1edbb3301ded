from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from daw_bridge.app import App
from daw_bridge.config import Config
from tests.daw_bridge.served import served
from tests.plugins.native.clap_host import ClapHost

HERE = Path(__file__).parent
PLUGIN = HERE.parents[2] / "plugins" / "native"
FACTORY = "tests.plugins.native.echo_engine:create_engine"

OpenHost = Callable[..., ClapHost]


@pytest.fixture(scope="session")
def dpf() -> Path:
    """The plugin framework."""
    path = Path(os.environ.get("DPF_PATH", "/usr/share/dpf"))
    for tool in ("make", "g++", "patch"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    if not (path / "Makefile.plugins.mk").is_file():
        pytest.skip("dpf-source is not installed")
    return path


@pytest.fixture(scope="session")
def plugins(dpf: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the plugin in every format, built by the command of the README."""
    target = tmp_path_factory.mktemp("native")
    built = subprocess.run([PLUGIN / "build", target], capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    assert "warning" not in built.stderr
    return target


@pytest.fixture(scope="session")
def host_tools(dpf: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the CLAP host and what watches it."""
    folder = tmp_path_factory.mktemp("host")
    flags: list[str | Path] = ["g++", "-std=c++17", "-O1", "-Wall", "-Wextra", "-Werror"]
    include = f"-I{dpf}/distrho/src"
    host = [*flags, include, HERE / "host.cpp", "-o", folder / "host", "-ldl"]
    watch = [*flags, "-shared", "-fPIC", "-fno-builtin", HERE / "watch.cpp"]
    subprocess.run(host, check=True)
    subprocess.run([*watch, "-o", folder / "watch.so", "-ldl"], check=True)
    return folder


@pytest.fixture
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The data folder of daemon and plugin, named by the environment."""
    folder = tmp_path / "data"
    folder.mkdir(mode=0o700)
    monkeypatch.setenv("DAW_BRIDGE_DATA_DIR", str(folder))
    return folder


@pytest.fixture
def open_host(
    plugins: Path, host_tools: Path, data_dir: Path, tmp_path: Path
) -> Iterator[OpenHost]:
    """Opens CLAP hosts with the plugin in them. None of them may ever have broken a rule."""
    hosts: list[ClapHost] = []

    def start() -> ClapHost:
        folder = tmp_path / f"host-{len(hosts)}"
        folder.mkdir()
        host = ClapHost(host_tools, folder)
        hosts.append(host)
        host.ask(f"open {plugins / 'daw-bridge.clap'}")
        return host

    yield start
    broken = [host.watched() for host in hosts if host.is_alive]
    for host in hosts:
        host.end()
    for counts in broken:
        assert all(count <= 0 for count in counts.values()), counts


@contextmanager
def echo_daemon(data_dir: Path, **overrides: Any) -> Iterator[App]:
    """A daemon with the echo engine that may read its own folder only."""
    values: dict[str, Any] = {
        "port": 0,
        "osc_port": 0,
        "data_dir": data_dir,
        "roots": [data_dir / "nowhere"],
        "engine_factory": FACTORY,
        "restart_delay_s": 0.02,
        **overrides,
    }
    with served(Config.load(values, environment={})) as app:
        yield app


@pytest.fixture
def daemon(data_dir: Path) -> Iterator[App]:
    with echo_daemon(data_dir) as app:
        yield app
