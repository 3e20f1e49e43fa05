"""Figures for whoever watches the installation, in the text format of Prometheus (exposition format 0.0.4).

All are asked of the database and the queue when somebody looks, and kept for some seconds: a process that counts for
itself would tell a part, since several answer.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

from flask import Flask, current_app
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from core import __version__
from core.db import db, end_reading
from core.installation import service as installation
from core.jobs import queue_length
from core.kept import kept
from core.pulse import Part, pulse
from core.registry import current_settings
from core.signals import metrics_asked
from core.timings import BOUNDS, Timing, timing

KEPT_SECONDS = 10.0
"""For so long an answer is given again, however often somebody asks."""

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Metric:
    """One figure, or one for each value of a label.

    Attributes:
        name: Begins with `envoi_`.
        help: What it counts, and in which unit.
        values: By the value of the label; of a figure without one, by "".
        label: Its name, or "".
        timing: How long something takes, in place of values.
    """

    name: str
    help: str
    values: Mapping[str, float] = field(default_factory=dict)
    label: str = ""
    timing: Timing | None = None


def _escaped(words: str) -> str:
    return words.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')


def _number(figure: float) -> str:
    return str(int(figure)) if float(figure).is_integer() else f"{figure:.3f}"


def written(metrics: Iterable[Metric]) -> str:
    """Return figures as Prometheus reads them."""
    lines = []
    for metric in metrics:
        kind = "gauge" if metric.timing is None else "histogram"
        lines += [f"# HELP {metric.name} {metric.help}", f"# TYPE {metric.name} {kind}"]
        if metric.timing is not None:
            lines += _histogram(metric.name, metric.timing)
        for value, figure in metric.values.items():
            of = f'{{{metric.label}="{_escaped(value)}"}}' if metric.label else ""
            lines.append(f"{metric.name}{of} {_number(figure)}")
    return "\n".join(lines) + "\n"


def _histogram(name: str, timing: Timing) -> Iterator[str]:
    count = 0
    for bound, more in zip([*(f"{one:g}" for one in BOUNDS), "+Inf"], timing.counts, strict=True):
        count += more
        yield f'{name}_bucket{{le="{bound}"}} {count}'
    yield f"{name}_sum {_number(timing.seconds)}"
    yield f"{name}_count {count}"


def page() -> str:
    """Return all figures; of a database that is away only that it is."""
    return kept("metrics", lambda _before: (written(_all()), KEPT_SECONDS))


def _all() -> list[Metric]:
    now, waiting = pulse(), queue_length()
    disk = shutil.disk_usage(current_settings().data_dir)
    found = [
        Metric("envoi_info", "The release that answers.", {__version__: 1}, "version"),
        Metric(
            "envoi_processes",
            "Processes that are alive.",
            {part: now.alive.get(part, 0) for part in Part},
            "part",
        ),
        Metric("envoi_queue_up", "1 where the queue (Redis) answers.", {"": float(waiting is not None)}),
        Metric("envoi_queue_jobs", "Jobs that wait on the queue.", {"": waiting or 0}),
        Metric("envoi_pdf_seconds", "How long it took to make a PDF.", timing=timing("pdf")),
        Metric("envoi_disk_free_bytes", "Room on the disk of the data folder.", {"": disk.free}),
        Metric("envoi_disk_size_bytes", "Size of that disk.", {"": disk.total}),
    ]
    try:
        held = installation.hold() is not None
        found += [
            Metric("envoi_database_up", "1 where the database answers.", {"": 1}),
            Metric("envoi_database_bytes", "Size of the database.", {"": _database_size()}),
            Metric(
                "envoi_held",
                "1 while nothing leaves after a restore, until a person says go.",
                {"": float(held)},
            ),
        ]
        app = cast("Flask", current_app._get_current_object())  # type: ignore[attr-defined]
        for _receiver, said in metrics_asked.send(app):
            found += cast("Sequence[Metric]", said)
        end_reading()
    except SQLAlchemyError:
        db.session.rollback()
        found.append(Metric("envoi_database_up", "1 where the database answers.", {"": 0}))
    return list({metric.name: metric for metric in found}.values())


def _database_size() -> int:
    asked = (
        "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()"
        if db.engine.dialect.name == "sqlite"
        else "SELECT pg_database_size(current_database())"
    )
    return int(db.session.scalar(text(asked)) or 0)
