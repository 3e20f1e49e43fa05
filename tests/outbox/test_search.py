"""Searching mails: what is found, what is only a sign, and which plan finds it."""

from __future__ import annotations

import pytest
from alembic import command
from sqlalchemy import delete, select, text

from core import migrate
from core.db import db, transaction
from core.documents.service import create_document
from modules.outbox import search_index
from modules.outbox.models import MAIL_SEARCH, MAILS, OutgoingMail
from modules.outbox.search_index import forget, index_mail, matching, only_newest

pytestmark = pytest.mark.both_databases


def found(words):
    condition = matching(words)
    assert condition is not None
    return sorted(db.session.scalars(select(OutgoingMail.id).where(condition)))


@pytest.fixture(params=["walked", "looked up"])
def way(request, monkeypatch):
    """Both ways to search must find the same, whichever would be the quicker."""
    if request.param == "walked":
        monkeypatch.setattr(search_index, "COMMON", 1)
    return request.param


def test_any_three_characters_of_what_a_mail_shows_are_found(send, way):
    mail = send("Ann Lee <ann.lee@north.example.com>", subject="Quote for a roof")
    other = send("bob@south.example.com", subject="Nothing")
    for words in ("ann.lee@north", "nn.l", "Ann Lee", "roof", "oof", "QUOTE", mail.message_id, "lee roof"):
        assert found(words) == [mail.id], words
    assert found("example.com") == [mail.id, other.id]
    assert found("absent") == []
    assert found("roof south") == []  # all words must occur, in one mail


def test_the_number_of_the_document_is_found(company, customer, make_user, send, way):
    with transaction():
        document = create_document(
            "sales.quotation",
            company_id=company.id,
            partner_id=customer.id,
            owner=make_user(),
            language="fr",
            currency="EUR",
        )
        document.number = "Q-4711"
    mail = send("a@example.com", document=document)
    send("b@example.com")
    assert found("q-4711") == [mail.id]


def test_case_and_accents_do_not_matter(send, way):
    mail = send("Zoë Müller <zoe@example.com>", subject="Straße, ÉLÈVE, Ωμέγα")
    for words in ("muller", "MÜLLER", "strasse", "élève", "eleve", "ωμεγα", "ΩΜΈΓΑ"):
        assert found(words) == [mail.id], words


def test_what_other_searches_take_for_syntax_is_plain_text(send, way):
    odd = send("a@example.com", subject='50 % off_now "today" * NEAR(x) AND OR NOT {col}: -b ^c')
    plain = send("b@example.com", subject="50 percent offers")
    for words in ("% off", "off_now", '"today"', "NEAR(x)", "AND OR NOT", "{col}:", "* near", "^c today"):
        assert found(words) == [odd.id], words
    for words in ("%%%", "___", '"""', "***", "text:50", "off*", "subject:percent", "percent OR"):
        assert plain.id not in found(words), words


def test_no_word_is_found_across_two_fields(send, way):
    send("xyz@example.com", subject="abc")
    assert found("abcxyz") == []


def test_words_without_three_characters_are_looked_for_in_the_newest_mails(send, monkeypatch):
    old = send("a@example.com", subject="Éa xy")
    new = send("b@example.com", subject="ÉA zy")
    assert only_newest("ea")
    assert not only_newest("ea 123")
    assert not only_newest("  ")
    assert found("ea") == [old.id, new.id]
    assert found("ea zy") == [new.id]
    monkeypatch.setattr(search_index, "WINDOW", 1)
    assert found("ea") == [new.id]


def test_a_short_word_beside_a_long_one_counts(send, way):
    mail = send("a@example.com", subject="roof xy")
    send("b@example.com", subject="roof zy")
    assert found("roof xy") == [mail.id]


def test_blanks_are_no_search_and_ten_thousand_characters_are_one(send):
    mail = send("a@example.com", subject="roof")
    assert matching("  \0 ") is None
    assert found("x" * 10_000) == []
    assert found(" ".join(["roof"] * 2000)) == [mail.id]
    assert found('"' * 5000 + " roof") == []


def test_a_corrected_text_replaces_the_former_one_and_a_forgotten_one_is_gone(send, way):
    mail = send("former@example.com")
    with transaction():
        mail.recipients[0].addr_spec = "latter@example.com"
        index_mail(mail)
    assert (found("former"), found("latter")) == ([], [mail.id])
    with transaction():
        forget([mail.id])
    assert found("latter") == []


def test_the_text_goes_with_its_mail(send, way):
    mail = send("gone@example.com")
    with transaction() as session:
        session.execute(delete(MAILS).where(MAILS.c.id == mail.id))
    assert db.session.scalar(select(MAIL_SEARCH.c.mail_id)) is None
    assert found("gone") == []
    if db.engine.dialect.name == "sqlite":
        check = "INSERT INTO outbox_search_index (outbox_search_index, rank) VALUES ('integrity-check', 1)"
        with transaction() as session:
            session.execute(text(check))


def test_thousands_of_hits_are_the_newest_ones(send, monkeypatch):
    ids = [send(f"n{n}@example.com", subject="rare").id for n in range(4)]
    monkeypatch.setattr(search_index, "FEW", 3)
    # More than a few: the list is walked instead, and misses none.
    assert found("rare") == ids


@pytest.mark.parametrize("words", ["roof", "roof garden"])
def test_a_rare_word_is_found_by_the_trigram_index(send, words):
    send("a@example.com", subject="roof")
    db.session.commit()
    statement = search_index._from_index(search_index.words_of(words))
    sql = str(statement.compile(db.engine, compile_kwargs={"literal_binds": True})).replace("%%", "%")
    if db.engine.dialect.name == "sqlite":
        plan = "\n".join(str(row[3]) for row in db.session.execute(text(f"EXPLAIN QUERY PLAN {sql}")))
        assert "VIRTUAL TABLE INDEX" in plan, plan
        assert "TEMP B-TREE" not in plan, plan  # FTS5 itself goes from the newest mail to the oldest
    else:
        db.session.execute(text("SET LOCAL enable_seqscan = off"))  # the table of a test is small
        with db.engine.connect() as connection:
            connection.exec_driver_sql("SET enable_seqscan = off")
            rows = connection.exec_driver_sql(f"EXPLAIN {sql.replace('%', '%%')}")
            plan = "\n".join(str(row[0]) for row in rows)
        assert "ix_outbox_search_text" in plan, plan


def test_the_migration_fills_the_index_for_mails_that_exist(app, send):
    mail_id = send("Zoë <zoe@example.com>", subject="Élan").id
    module = next(module for module in migrate.migrated_modules() if module.name == "outbox")
    db.session.remove()
    command.downgrade(migrate.alembic_config(module), "1a65af0174da")
    command.upgrade(migrate.alembic_config(module), "head")
    assert migrate.differences(module) == []
    assert found("elan zoe") == [mail_id]
    before = db.session.scalar(select(MAIL_SEARCH.c.text))
    with transaction():
        index_mail(db.session.get_one(OutgoingMail, mail_id))
    assert db.session.scalar(select(MAIL_SEARCH.c.text)) == before  # as if it had been submitted today
