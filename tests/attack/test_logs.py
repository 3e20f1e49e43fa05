"""Whoever reads the logs: what customers and users have written, or are called, has no place there."""

from __future__ import annotations

import logging

import pytest
from flask import Flask
from sqlalchemy.exc import IntegrityError

from core import jobs, logs, worker
from core.auth.models import User
from core.db import db, transaction
from core.documents import pdf
from core.errors import UserError
from core.mail.outcomes import Failure, FailureKind, Reply
from core.web import errors
from modules.mail_config.servers import circuit_breaker
from modules.outbox import service
from modules.outbox.delivery import checked_message
from modules.outbox.delivery.run import deliver
from modules.outbox.models import OutgoingMail
from tests.outbox.conftest import draft

SECRET = "Jeanne.Passage@walk-in.example.com"


def lines(caplog: pytest.LogCaptureFixture) -> str:
    """What a handler of any process writes of all that was logged."""
    handler = logging.Formatter("%(name)s %(message)s")
    return "\n".join(handler.format(record) for record in caplog.records)


@pytest.fixture
def app(app_with_queue: Flask) -> Flask:
    return app_with_queue


def test_a_fault_is_told_by_its_kind_and_place(app, caplog):
    try:
        int(SECRET)
    except ValueError:
        logging.getLogger("anything").exception("It broke.")
    assert SECRET not in lines(caplog)
    assert "ValueError" in lines(caplog)
    assert "test_logs.py" in lines(caplog)
    assert "int(SECRET)" in lines(caplog)


def test_causes_are_told_in_the_same_way(app, caplog):
    try:
        try:
            raise KeyError(SECRET)
        except KeyError as error:
            raise UserError(SECRET) from error
    except UserError:
        logging.getLogger("anything").warning("It broke.", exc_info=True)
    assert SECRET not in lines(caplog)
    assert lines(caplog).index("KeyError") < lines(caplog).index("UserError")


def test_what_the_system_says_is_told(app, caplog):
    try:
        raise OSError(28, "No space left on device", f"/{SECRET}")
    except OSError:
        logging.getLogger("anything").exception("It broke.")
    assert "No space left on device" in lines(caplog)
    assert SECRET not in lines(caplog)


@pytest.mark.both_databases
def test_a_refusal_of_the_database_names_no_values(app, make_user, caplog):
    values = {"name": SECRET, "password_hash": "", "session_key": "", "login": SECRET}
    with transaction() as session:
        session.add(User(**values))
    with pytest.raises(IntegrityError) as refused, transaction() as session:
        session.add(User(**values))
    logging.getLogger("anything").error("It broke.", exc_info=refused.value)
    assert SECRET not in lines(caplog)
    assert "IntegrityError" in lines(caplog)


def test_a_page_that_breaks(app, caplog):
    with app.test_request_context(f"/sign-in?for={SECRET}"):
        try:
            raise RuntimeError(SECRET)
        except RuntimeError as error:
            page = errors._unexpected(error)
    assert "RuntimeError" in lines(caplog)
    assert SECRET not in lines(caplog) + str(page)


def test_a_job_that_breaks_leaves_nothing_in_the_log_or_the_queue(app, caplog, monkeypatch):
    def broken(_ids: list[int]) -> None:
        raise RuntimeError(SECRET)

    monkeypatch.setattr(jobs, "resolve_function", lambda _name: broken)
    jobs.enqueue("outbox.deliver_mails", [1])
    job = jobs.queue_for(app).get_jobs()[-1]
    worker.work(app, burst=True)
    assert job.get_status(refresh=True) == "failed"
    told = job.latest_result().exc_string
    assert "RuntimeError" in told
    assert "raise RuntimeError(SECRET)" in told
    assert SECRET not in told
    assert SECRET not in lines(caplog)


@pytest.mark.parametrize(
    "html", [f"<img src='http://example.com/{SECRET}'>", f"<style>@page {{ size: {SECRET} }}</style>x"]
)
def test_a_pdf_that_cannot_be_made(app, caplog, html, monkeypatch):
    def broken(*_args: object, **_how: object) -> None:
        raise ValueError(html)

    if "style" in html:
        monkeypatch.setattr(pdf.pisa, "CreatePDF", broken)
    with pytest.raises(pdf.RenderError) as refused:
        pdf.html_to_pdf(html)
    assert SECRET not in lines(caplog)
    assert SECRET not in str(refused.value)


def test_a_server_that_names_its_recipients_is_paused(app, caplog, server):
    words = f"550 5.7.1 <{SECRET}> too many"
    failure = Failure(FailureKind.CONNECT_FAILED, True, reply=Reply(550, "5.7.1", words), detail=words)
    for _ in range(circuit_breaker.FAILURES_TO_PAUSE):
        circuit_breaker.note_failure(server.id, failure)
    assert "is paused" in lines(caplog)
    assert SECRET not in lines(caplog)


@pytest.mark.smtp
def test_a_mail_that_breaks_its_delivery(app, company, server, caplog, monkeypatch):
    mail = service.submit(draft(company, SECRET, private=True), None)

    def broken(_mail: OutgoingMail) -> bytes:
        raise ValueError(SECRET)

    monkeypatch.setattr(checked_message, "build_message", broken)
    deliver([mail.id])
    db.session.expire_all()
    assert mail.failure_kind is FailureKind.INTERNAL_ERROR
    assert SECRET not in mail.failure_reason
    assert SECRET not in lines(caplog)


def test_libraries_that_quote_what_they_read_are_not_heard(app, caplog):
    for name in logs.QUOTING:
        logging.getLogger(name).warning("unknown: %s", SECRET)
    assert SECRET not in lines(caplog)
