"""What several goals ask about one latent, worked out once.

Melody, intensity and structure all look at the decoded spectrum. Where a model's decoder is large,
decoding is most of what a goal costs, and its way back even more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import ParamSpec

from torch import Tensor

Asked = ParamSpec("Asked")
_Answers = dict[tuple[object, ...], tuple[object, Tensor]]
_answers: ContextVar[_Answers | None] = ContextVar("answers", default=None)


@contextmanager
def one_evaluation() -> Iterator[None]:
    """Inside, functions made by `once` give what they gave before for the same latent.

    Nothing is remembered beyond: a latent may then change in place, and a graph that was gone
    through backwards is of no use any more.
    """
    token = _answers.set({})
    try:
        yield
    finally:
        _answers.reset(token)


def once(function: Callable[Asked, Tensor]) -> Callable[Asked, Tensor]:
    """The function of a latent (and of plain values after it), worked out once an evaluation.

    Latents are told apart by identity, not by value.
    """

    @wraps(function)
    def remembering(*asked: Asked.args, **named: Asked.kwargs) -> Tensor:
        answers = _answers.get()
        if answers is None:
            return function(*asked, **named)
        latent, *others = asked
        key = (remembering, id(latent), *others, *sorted(named.items()))
        if key not in answers:
            # The latent is held too, or its identity might be given to another one.
            answers[key] = (latent, function(*asked, **named))
        return answers[key][1]

    return remembering
