"""Full-text search over mails: any three characters of a subject, an address, a name, a number, a Message-ID.

The text of each mail stands folded in `outbox_search`: without case, without accents. SQLite keeps a trigram
index over it (FTS5), PostgreSQL one of pg_trgm. Neither is good at everything: a trigram index finds rare words
at once but counts through a million rows for a common one, and walking the list from its top finds common words at
once but rare ones never. So a look at the newest mails decides which of the two is asked.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Integer,
    Select,
    and_,
    any_,
    bindparam,
    delete,
    false,
    func,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from core.db import db
from core.matching import fold
from core.trigrams import TRIGRAM, contain, hits
from modules.outbox.about import numbers_of
from modules.outbox.models import MAIL_SEARCH, OutgoingMail

WINDOW = 5000
"""How many of the newest mails decide whether a word is common, and where words without a trigram are looked for."""

COMMON = 50
"""A word that this many of the newest mails hold fills a page soon by walking the list."""

FEW = WINDOW * 2
"""So many mails found by the index are handed to the list one by one; what is not common finds hardly more."""

MAX_WORDS = 12  # each is looked up by itself


def searchable_text(mail: OutgoingMail, numbers: Sequence[str]) -> str:
    """Return what a mail can be found by. Fields are lines, so that no word is found across two of them."""
    fields = [mail.subject, *numbers, mail.message_id]
    for recipient in mail.recipients:
        fields += [recipient.addr_spec, recipient.display_name]
    return fold("\n".join(" ".join(field.split()) for field in fields if field))


def index_mail(mail: OutgoingMail) -> None:
    """Write what a mail can be found by, or write it anew, inside the running transaction.

    Args:
        mail: A mail that was flushed, with its recipients.
    """
    session = db.session()
    ids = [mail.document_id, *(row.document_id for row in mail.further_documents)]
    wanted = [number for number in ids if number is not None]
    numbers = numbers_of(wanted) if wanted else []
    # Without the text of the mail: it would make the index many times as large, for what people remember by
    # subject.
    values = {"mail_id": mail.id, "text": searchable_text(mail, numbers)}
    insert = postgresql.insert if _is_postgresql(session) else sqlite.insert
    statement = insert(MAIL_SEARCH).values(values)
    session.execute(
        statement.on_conflict_do_update(
            index_elements=[MAIL_SEARCH.c.mail_id], set_={"text": statement.excluded.text}
        )
    )


def forget(mail_ids: Sequence[int]) -> None:
    """Let mails no longer be found, inside the running transaction."""
    db.session.execute(delete(MAIL_SEARCH).where(MAIL_SEARCH.c.mail_id.in_(mail_ids)))


def words_of(typed: str) -> list[str]:
    """Return the words that must all occur; every sign is only a sign."""
    return list(dict.fromkeys(fold(typed.replace("\0", "")).split()))[:MAX_WORDS]


def only_newest(typed: str) -> bool:
    """Return True when a search has no word of three characters, so that only the newest mails are searched."""
    words = words_of(typed)
    return bool(words) and all(len(word) < TRIGRAM for word in words)


def matching(typed: str) -> ColumnElement[bool] | None:
    """Return the condition that keeps a query to the mails in which all words of a search occur.

    It asks the database how common the words are, and builds the condition that is quicker.

    Args:
        typed: What a person has typed.

    Returns:
        The condition, or None when nothing but blanks was typed.
    """
    ids, condition = narrowing(typed)
    return among(ids) if ids is not None else condition


def among(mail_ids: Sequence[int]) -> ColumnElement[bool]:
    """Return the condition that a mail is one of those, be they thousands: they are one parameter."""
    if _is_postgresql(db.session()):
        return OutgoingMail.id == any_(bindparam(None, list(mail_ids), type_=ARRAY(Integer)))
    each = func.json_each(json.dumps(list(mail_ids))).table_valued("value")
    return OutgoingMail.id.in_(select(each.c.value))


def narrowing(typed: str) -> tuple[list[int] | None, ColumnElement[bool] | None]:
    """Return either the ids of the few mails that match a search, or a condition for the many.

    Returns:
        The ids and None; None and the condition; or twice None when nothing but blanks was typed.
    """
    words = words_of(typed)
    if not words:
        return None, None
    session = db.session()
    newest = select(MAIL_SEARCH).order_by(MAIL_SEARCH.c.mail_id.desc()).limit(WINDOW).subquery()
    seen = select(newest.c.mail_id).where(*contain(newest.c.text, words))
    # Rare words by the index, common ones by walking the list: each way is slow for the other.
    if len(session.scalars(seen.limit(COMMON)).all()) < COMMON:
        found = seen if only_newest(typed) else _from_index(words)
        ids: list[int] = list(session.scalars(found))
        if len(ids) <= FEW:
            return ids, None
    # A scalar subquery, since a join would tempt the planner to read all texts before the first page is full.
    own_text = select(MAIL_SEARCH.c.text).where(MAIL_SEARCH.c.mail_id == OutgoingMail.id).scalar_subquery()
    # PostgreSQL takes such a comparison for rare and would sort all mails; of this it knows nothing.
    return None, func.coalesce(and_(*contain(own_text, words)), false())


def _from_index(words: Sequence[str]) -> Select[int]:
    return hits(MAIL_SEARCH.c.mail_id, MAIL_SEARCH.c.text, "outbox_search_index", words, FEW + 1)


def _is_postgresql(session: Session) -> bool:
    return session.get_bind().dialect.name == "postgresql"
