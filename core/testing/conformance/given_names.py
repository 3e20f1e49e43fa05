"""Names that templates read and nobody gives: Jinja takes them for nothing, and a part of a page is gone."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from typing import Any

from flask import Flask
from jinja2 import Undefined
from jinja2.utils import missing

_EXTENSION = "envoi_names_not_given"
_COMMENT = re.compile(r"\{#.*?#\}", re.DOTALL)


def watch_names(app: Flask) -> None:
    """Note from now on which names the templates of an application read that nobody gives."""
    found: set[tuple[str, str]] = set()

    class NotGiven(Undefined):
        """What Jinja has for a name that is not there; asking whether it is defined is no reading."""

        def _read(self) -> None:
            if self._undefined_obj is missing and self._undefined_name is not None:
                found.add((_template(), self._undefined_name))

        def __bool__(self) -> bool:
            self._read()
            return False

        def __len__(self) -> int:
            self._read()
            return 0

        def __iter__(self) -> Iterator[Any]:
            self._read()
            return iter(())

        def __str__(self) -> str:
            self._read()
            return ""

        def __eq__(self, other: object) -> bool:
            self._read()
            return type(self) is type(other)

        __hash__ = Undefined.__hash__

    app.jinja_env.undefined = NotGiven
    app.extensions[_EXTENSION] = found


def names_not_given(app: Flask) -> set[tuple[str, str]]:
    """Return the paths of templates, each with a name that it has read in vain."""
    found: set[tuple[str, str]] = app.extensions[_EXTENSION]
    return found


def says_may_be_absent(source: str, name: str) -> bool:
    """Return True when a comment of a template speaks of a name, as of one that may be absent."""
    return any(f"`{name}`" in comment for comment in _COMMENT.findall(source))


def _template() -> str:
    """Return the path of the template that is being rendered."""
    frame = sys._getframe(2)
    while not frame.f_code.co_filename.endswith(".html") and frame.f_back is not None:
        frame = frame.f_back
    return frame.f_code.co_filename
