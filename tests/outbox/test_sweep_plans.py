"""What looks for mails that wait reads those, not every mail that was ever sent: it runs every fifteen seconds."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import event, update

from core import clock
from core.db import db
from modules.mail_config.models import MailServer
from modules.outbox import standstill
from modules.outbox.delivery.sweep import release_waiting, sweep
from modules.outbox.models import OutgoingMail

pytestmark = pytest.mark.both_databases


@contextmanager
def _statements() -> Iterator[list[tuple[str, Any]]]:
    """Collect what the database is really asked, parameters and all."""
    seen: list[tuple[str, Any]] = []

    def note(_c: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, many: bool) -> None:
        if "outbox_mail" in statement and not statement.startswith("INSERT"):
            seen.append((statement, parameters[0] if many else parameters))

    event.listen(db.engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(db.engine, "before_cursor_execute", note)


def _plan(statement: str, parameters: Any) -> str:
    with db.engine.connect() as connection:
        if db.engine.dialect.name == "sqlite":
            rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
            return "\n".join(str(row[3]) for row in rows)
        # A table of a test is so small that reading all of it would be right.
        for way in ("seqscan", "bitmapscan", "sort", "incremental_sort"):
            connection.exec_driver_sql(f"SET LOCAL enable_{way} = off")
        return "\n".join(
            str(row[0]) for row in connection.exec_driver_sql(f"EXPLAIN {statement}", parameters)
        )


FEW = ("ix_outbox_mail_due", "ix_outbox_mail_waiting", "ix_outbox_mail_next_try")
"""The indexes that hold nothing but mails that wait."""


def _reads_few(plan: str) -> bool:
    """Return True when every way into the table of mails is an index of the few that wait, or the key of a row."""
    return all(
        any(index in line for index in FEW)
        or "PRIMARY KEY" in line
        or "outbox_mail_pkey" in line
        or "pk_" in line
        for line in plan.splitlines()
        if "outbox_mail" in line and ("SCAN" in line.upper() or "SEARCH" in line)
    )


@pytest.mark.parametrize("due", [False, True])
def test_a_sweep_reads_only_mails_that_wait(
    app: Flask, server: MailServer, send: Callable[..., OutgoingMail], due: bool
) -> None:
    if due:
        send("a@example.com")
        db.session.execute(update(OutgoingMail).values(next_attempt_at=clock.now() - dt.timedelta(minutes=2)))
        db.session.commit()
    with _statements() as seen:
        sweep()
        release_waiting(app, server.id)
        standstill._find()
    # Both kinds of leases, three of releases, the question for what is queued, that of the server, the late ones.
    assert len(seen) >= 7
    for statement, parameters in seen:
        plan = _plan(statement, parameters)
        assert _reads_few(plan), f"{statement}\n{plan}"
