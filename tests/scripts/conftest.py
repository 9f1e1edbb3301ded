"""Makes the scripts' own modules importable, and undoes what they set for their whole process."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "scripts"))


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    """A script's own number of threads; with another, later renders differ in their last bits."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)
