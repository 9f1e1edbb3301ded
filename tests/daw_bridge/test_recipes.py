"""A take made again: what is said anew, what is kept, and which noise it begins with."""

from __future__ import annotations

from typing import Any

import pytest

from daw_bridge.takes.recipes import changed_request
from engine.spec import BridgeError

KEY = "ab" * 32
REQUEST: dict[str, Any] = {"task": "generate", "prompt": "pop", "seconds": 4.0, "seed": 3}
RECIPE: dict[str, Any] = {"request": REQUEST, "latent_key": KEY}


def test_unchanged_it_is_the_same_request() -> None:
    assert changed_request(RECIPE, {}).noise is None


@pytest.mark.parametrize("changes", [{"intensity": "0:-30,4:-12"}, {"prompt": "jazz"}])
def test_a_change_begins_with_the_noise_of_the_take(changes: dict[str, Any]) -> None:
    request = changed_request(RECIPE, changes)
    assert request.noise == KEY
    assert request.seed == 3


def test_another_seed_begins_anew() -> None:
    assert changed_request(RECIPE, {"seed": 4, "prompt": "jazz"}).noise is None
    gone_on = {"request": REQUEST | {"noise": KEY}, "latent_key": "cd" * 32}
    assert changed_request(gone_on, {"seed": 4}).noise is None
    assert changed_request(gone_on, {"prompt": "jazz"}).noise == "cd" * 32
    assert changed_request(gone_on, {}).noise == KEY


def test_a_length_in_one_unit_replaces_the_other() -> None:
    request = changed_request(RECIPE, {"bars": 2, "bpm": 120})
    assert (request.seconds, request.bars) == (None, 2.0)


@pytest.mark.parametrize("name", ["intensity", "structure"])
def test_a_drawn_curve_replaces_one_that_was_followed(name: str) -> None:
    followed = {"request": REQUEST | {f"{name}_from": "/clips/lane.json"}}
    drawn = {"intensity": "0:-30,4:-12", "structure": "A2 B2"}[name]
    request = changed_request(followed, {name: drawn})
    assert (getattr(request, name), getattr(request, f"{name}_from")) == (drawn, None)


def test_a_recipe_without_a_request_is_said_to_be_damaged() -> None:
    with pytest.raises(BridgeError, match="holds no request"):
        changed_request({}, {})
