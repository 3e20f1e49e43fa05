"""What processes write into their logs: kinds and places, never what people have written or are called.

Logs are copied, shipped and kept by others, and no erasure reaches them. The message of an exception may quote
anything – an address, a line of an invoice, the row that a database refused – so a traceback names the classes, the
files and the lines of the program. Messages of our own name ids.
"""

from __future__ import annotations

import datetime as dt
import json
import logging
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from sqlalchemy.exc import DBAPIError

QUOTING = ("xhtml2pdf", "reportlab", "svglib", "html5lib", "pypdf")
"""Libraries whose warnings quote what they read: the texts of customers. What fails is told by an exception."""

OWN = ("core", "modules", "envoi", "alembic.runtime.migration")
"""Whose lines are written from the level that is set; those of libraries from warnings on."""

_make_record = logging.getLogRecordFactory()
_about: ContextVar[Mapping[str, str]] = ContextVar("about", default=MappingProxyType({}))


class LogFormat(StrEnum):
    """How lines are written."""

    TEXT = "text"
    JSON = "json"


class Level(StrEnum):
    """From which kind of line on they are written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@contextmanager
def about(**ids: object) -> Iterator[None]:
    """Let each line that is written inside name what it is about: a request, a job, a mail, by its id."""
    token = _about.set({**_about.get(), **{name: str(value) for name, value in ids.items()}})
    try:
        yield
    finally:
        _about.reset(token)


def known(name: str) -> str:
    """Return an id that lines are written with at this moment, or ""."""
    return _about.get().get(name, "")


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        ids = " ".join(f"{name}={value}" for name, value in getattr(record, "about", {}).items())
        record.ids = f" [{ids}]" if ids else ""
        return super().format(record)


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        said: dict[str, Any] = {
            "time": dt.datetime.fromtimestamp(record.created, dt.UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "process": record.process,
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "about", {}),
        }
        if record.exc_text:
            said["traceback"] = record.exc_text
        return json.dumps(said, ensure_ascii=False)


_FORMATTERS = {
    LogFormat.TEXT: _Text("%(asctime)s %(levelname)s %(process)d %(name)s:%(ids)s %(message)s"),
    LogFormat.JSON: _Json(),
}


def write(form: LogFormat, level: Level) -> None:
    """Write the lines of this process to its standard error; for commands that go on running."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_FORMATTERS[form])
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(logging.getLevelName(level.upper()), logging.WARNING))
    for name in OWN:
        logging.getLogger(name).setLevel(level.upper())


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
    record.about = _about.get()
    if record.exc_info and record.exc_info[1] is not None:
        # Every formatter takes this text where it is there.
        record.exc_text = told(record.exc_info[1])
    return record


def install() -> None:
    """Let every log of this process keep to it, also those of libraries."""
    logging.setLogRecordFactory(_record)
    for name in QUOTING:
        logging.getLogger(name).setLevel(logging.CRITICAL)
