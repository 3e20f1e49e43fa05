"""Many mails at once, as rows: for the list, its counts and its plans."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

from sqlalchemy import func, insert, select, text

from core import clock
from core.companies.models import Company
from core.db import db, end_reading, transaction
from core.matching import fold
from modules.outbox.models import MAIL_SEARCH, MAILS, RECIPIENTS
from modules.outbox.states import MailState


def write(company: Company, mails: Sequence[dict[str, Any]]) -> list[int]:
    """Write mails with some values; the others are those of a mail that was sent a minute after the one before."""
    first = (db.session.scalar(select(func.max(MAILS.c.id))) or 0) + 1
    begin = clock.now() - dt.timedelta(minutes=len(mails))
    rows = []
    for number, values in enumerate(mails, start=first):
        at = begin + dt.timedelta(minutes=number - first)
        rows.append(
            {
                "id": number,
                "state": MailState.SENT,
                "message_id": f"<{number}@maison.example.com>",
                "subject": f"Mail {number}",
                "body_html": "",
                "body_text": "",
                "language": "en",
                "company_id": company.id,
                "submitted_by_id": None,
                "submitted_at": at,
                "next_attempt_at": at,
                "attempts": 1,
                "recipient_count": 1,
                "server_id": None,
                "document_kind": "",
                "failure_kind": None,
                "failure_reason": "",
                **values,
            }
        )
    ids = [row["id"] for row in rows]
    with transaction() as session:
        session.execute(insert(MAILS), rows)
        session.execute(
            insert(RECIPIENTS), [{"mail_id": n, "addr_spec": f"client{n}@example.com"} for n in ids]
        )
        session.execute(
            insert(MAIL_SEARCH),
            [
                {"mail_id": r["id"], "text": fold(f"{r['subject']}\nclient{r['id']}@example.com")}
                for r in rows
            ],
        )
        if db.engine.dialect.name == "postgresql":
            # The rows have ids that the sequence has not given.
            session.execute(text("SELECT setval('outbox_mail_id_seq', (SELECT max(id) FROM outbox_mail))"))
    end_reading()
    return ids
