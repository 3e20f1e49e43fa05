"""What processes write into their logs: kinds and places, never what people have written or are called.

Logs are copied, shipped and kept by others, and no erasure reaches them. The message of an exception may quote
anything – an address, a line of an invoice, the row that a database refused – so a traceback names the classes, the
files and the lines of the program. Messages of our own name ids.
"""

from __future__ import annotations

import logging
import traceback
from typing import Any

from sqlalchemy.exc import DBAPIError

QUOTING = ("xhtml2pdf", "reportlab", "svglib", "html5lib", "pypdf")
"""Libraries whose warnings quote what they read: the texts of customers. What fails is told by an exception."""

_make_record = logging.getLogRecordFactory()


def told(error: BaseException) -> str:
    """Return a traceback with its causes, without the messages of the exceptions."""
    parts: list[str] = []
    seen: set[int] = set()
    link: BaseException | None = error
    while link is not None and id(link) not in seen:
        seen.add(id(link))
        frames = "".join(traceback.format_tb(link.__traceback__))
        parts.append(f"Traceback (most recent call last):\n{frames}{kind_of(link)}")
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
    return "\n\nwhich led to:\n\n".join(reversed(parts))


def kind_of(error: BaseException) -> str:
    """Return what an exception is, as far as that quotes nobody."""
    name = f"{type(error).__module__}.{type(error).__qualname__}".removeprefix("builtins.")
    if isinstance(error, DBAPIError):
        return f"{name} ({getattr(error.orig, 'sqlstate', None) or type(error.orig).__name__})"
    if isinstance(error, OSError) and error.strerror:
        return f"{name}: {error.strerror}"  # of the system; the name of a file is left out
    return name


def _record(*args: Any, **keywords: Any) -> logging.LogRecord:
    record = _make_record(*args, **keywords)
    if record.exc_info and record.exc_info[1] is not None:
        # Every formatter takes this text where it is there.
        record.exc_text = told(record.exc_info[1])
    return record


def install() -> None:
    """Let every log of this process keep to it, also those of libraries."""
    logging.setLogRecordFactory(_record)
    for name in QUOTING:
        logging.getLogger(name).setLevel(logging.CRITICAL)
