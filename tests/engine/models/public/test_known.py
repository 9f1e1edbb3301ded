"""The table of known models agrees with itself and with the code that runs them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from engine.models.public.folder import INDEX, ModelFolder
from engine.models.public.known import (
    KNOWN,
    KNOWN_BY_HUB,
    KNOWN_BY_NAME,
    STABILITY_LICENCE,
    Known,
    meant,
)
from engine.models.public.opening import ARCHITECTURES, architecture_of
from engine.models.public.registry import Registry, slug

every = pytest.mark.parametrize("known", KNOWN, ids=lambda known: known.name)
# Tiny checkpoints that are sampled as the known ones are.
ALIKE = {
    "StableAudio3Pipeline": ("sa3", "sa3-base"),
    "StableAudioPipeline": ("sao", "sao"),
    "stable-audio-tools": ("small", "small"),
    "AceStepPipeline": ("ace", "ace-base"),
    "AudioLDM2Pipeline": ("ldm2", "ldm2"),
    "MusicLDMPipeline": ("mldm", "mldm"),
}


def test_names_and_repositories_are_told_apart() -> None:
    assert len(KNOWN_BY_NAME) == len(KNOWN_BY_HUB) == len(KNOWN)
    assert {known.pipeline for known in KNOWN} == set(ARCHITECTURES)


@every
def test_a_name_is_one_that_the_registry_takes(known: Known, tmp_path: Path) -> None:
    assert slug(known.name) == known.name
    Registry(tmp_path / "models.json").check_name(known.name, tmp_path)


@every
def test_it_is_meant_by_its_name_and_by_its_repository(known: Known) -> None:
    assert meant(known.name) is meant(known.hub) is meant(known.hub.upper()) is known
    assert meant(f"{known.name}-2") is None


@every
def test_it_is_sampled_as_its_row_says(known: Known, library: Path) -> None:
    turbo, base = ALIKE[known.pipeline]
    folder = ModelFolder.open(library / (base if known.name.endswith("-base") else turbo))
    architecture = architecture_of(folder)
    usage = architecture.usage_of(folder)
    assert (usage.steps, usage.guidance) == (known.steps, known.guidance)
    assert architecture.edits == bool(known.edits)


@every
def test_figures_are_in_their_units(known: Known) -> None:
    assert known.sample_rate_hz in (16_000, 44_100, 48_000)
    assert 5.0 < known.sample_rate_hz / known.step_samples < 30.0
    assert 10.0 <= known.longest_s <= 600.0
    for size_bytes in (known.weights_bytes, known.memory_bytes):
        assert size_bytes is None or 10**9 < size_bytes < 10**11
    assert (known.weights_bytes is None) or known.stored_bytes or known.memory_bytes


@every
def test_a_licence_that_must_be_accepted_is_in_the_way(known: Known) -> None:
    ways = known.ways()
    assert any("accept the licence" in way for way in ways) == bool(known.gated)
    assert ways[-1].startswith("`daw-bridge models add ")
    if STABILITY_LICENCE in known.licence:
        assert known.commercial not in ("yes", "no")
    if "NC" in known.licence:
        assert known.commercial == "no"


def test_a_card_needs_the_published_peak_or_the_rule_of_thumb() -> None:
    assert KNOWN_BY_NAME["stable-audio-3-medium"].card_bytes == 6_500_000_000
    # 1.32 billion weights of two bytes, and half as much again
    assert KNOWN_BY_NAME["stable-audio-open-1.0"].card_bytes == 3_975_000_000
    assert KNOWN_BY_NAME["musicldm"].card_bytes is None


def test_a_folder_tells_its_rate(library: Path, tmp_path: Path) -> None:
    rates = {name: ModelFolder.open(library / name).sample_rate_hz() for name in ("ace", "mldm")}
    assert rates == {"ace": 800, "mldm": 16_000}
    (tmp_path / INDEX).write_text(json.dumps({"_class_name": "A"}))
    assert ModelFolder.open(tmp_path).sample_rate_hz() is None


def test_the_table_needs_nothing_heavy() -> None:
    script = (
        "import sys, engine.models.public.known;"
        "sys.exit(bool({'torch', 'numpy', 'diffusers', 'huggingface_hub'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
