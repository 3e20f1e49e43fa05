"""Answers that are kept for a moment: every page asks for them, and they change rarely."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from flask import current_app

Answer = TypeVar("Answer")


def kept(name: str, find: Callable[[Answer | None], tuple[Answer, float]]) -> Answer:
    """Return the answer of a moment ago, or find it anew; each process keeps its own.

    Args:
        name: Of the answer, among all of the application.
        find: Takes the answer before, where there is one; returns the new one, and for how many seconds it is kept.
    """
    extensions = current_app.extensions
    known: tuple[float, Answer] | None = extensions.get(_key(name))
    if known is not None and time.monotonic() < known[0]:
        return known[1]
    answer, seconds = find(known[1] if known is not None else None)
    extensions[_key(name)] = (time.monotonic() + seconds, answer)
    return answer


def forget(name: str) -> None:
    """Let an answer be found anew, since this process has just changed what it says."""
    current_app.extensions.pop(_key(name), None)


def _key(name: str) -> str:
    return f"envoi_kept_{name}"
