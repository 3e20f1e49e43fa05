"""The languages and sizes of the screen in which a journey is driven.

A journey has up to four variants. The main jobs are driven in both languages. Of the others a run drives one, drawn by
the name of the test, or where the size matters as well two: French, whose words are longer, on the small screen, and
English on the large one. `make test JOURNEYS=all` drives every variant, which takes about twice as long.
"""

from __future__ import annotations

import itertools
import os
import zlib
from collections.abc import Callable
from typing import Any, TypeVar

import pytest

from tests.journeys.words import OLIVER, SOPHIE

EVERY = os.environ.get("ENVOI_JOURNEYS") == "all"
WIDE = {"width": 1280, "height": 900}
NARROW = {"width": 360, "height": 740}

_Test = TypeVar("_Test", bound=Callable[..., object])


def _name(value: Any) -> str:
    if isinstance(value, dict):
        return "wide" if value == WIDE else "360px"
    return str(getattr(value, "language", value))


def either(argument: str, values: list[Any]) -> Callable[[_Test], _Test]:
    """Drive a journey with one of the values, the same one in every run."""

    def decorate(test: _Test) -> _Test:
        drawn = values[zlib.crc32(test.__name__.encode()) % len(values)]
        chosen = values if EVERY else [drawn]
        return pytest.mark.parametrize(argument, chosen, ids=_name)(test)

    return decorate


def opposite_corners(argument: str, firsts: list[Any], seconds: list[Any]) -> pytest.MarkDecorator:
    """Drive a journey with two pairs of values, so that each of the four values comes once.

    Args:
        argument: The names of both, with a comma between.
        firsts: Two values of the one.
        seconds: Those of the other that they meet.
    """
    pairs = itertools.product(firsts, seconds) if EVERY else zip(firsts, seconds, strict=True)
    return pytest.mark.parametrize(argument, list(pairs), ids=_name)


READERS = [SOPHIE, OLIVER]
BOTH = pytest.mark.parametrize("reader", READERS, ids=_name)
SIZES = pytest.mark.parametrize("viewport", [WIDE, NARROW], ids=_name)
EITHER = either("reader", READERS)
EITHER_LANGUAGE = either("language", ["en", "fr"])
READERS_AND_SIZES = opposite_corners("reader, viewport", READERS, [NARROW, WIDE])
