"""JSON that others have written: what no text of ours may hold, or nests without end, is no JSON."""

from __future__ import annotations

import json
import re
from typing import Any

from flask.json.provider import DefaultJSONProvider

_ESCAPED = re.compile(rb"\\u(?:d[89a-f]|0000)", re.IGNORECASE)
UNKEEPABLE = re.compile("[\0\ud800-\udfff]")
"""NUL, which PostgreSQL cannot keep, and lone surrogates, which no octets stand for."""


def read_json(text: str | bytes) -> Any:
    """Return what a JSON text says.

    Raises:
        ValueError: It is none, nests too deeply, or holds a NUL or a lone surrogate.
    """
    try:
        value = json.loads(text)
    except RecursionError as error:
        raise ValueError("The JSON nests too deeply.") from error
    octets = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    # By escapes only, for octets that are no UTF-8 are refused: most texts need no second look.
    if _ESCAPED.search(octets) and UNKEEPABLE.search(
        json.dumps(value, ensure_ascii=False).replace("\\u0000", "\0")
    ):
        raise ValueError("The JSON holds a NUL or half of a character.")
    return value


class StrictJson(DefaultJSONProvider):
    """What Flask reads the bodies of requests with."""

    def loads(self, s: str | bytes, **_kwargs: Any) -> Any:
        """Return what a JSON text says."""
        return read_json(s)
