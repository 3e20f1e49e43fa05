"""`envoi outbox list`, `reasons`, `show` and `eml`: looking at mails, changing nothing."""

from __future__ import annotations

import sys
from typing import Any

import click
from sqlalchemy import func, select
from sqlalchemy.orm import joinedload, selectinload

from core.cli import echo_json, echo_rows, with_app
from core.db import db
from core.errors import EnvoiError
from core.files import FileMissingError
from core.mail.outcomes import EXPLANATIONS, printable
from modules.mail_config.models import MailServer
from modules.outbox.cli.group import get_mail, outbox, row_of
from modules.outbox.cli.selection import read_selection, selection_options
from modules.outbox.document_check import document_problem
from modules.outbox.mail_page.failure_text import actor_title, reason_of
from modules.outbox.mail_page.timeline import Step, story_of
from modules.outbox.mail_page.waiting_text import waits_for
from modules.outbox.message import build_message
from modules.outbox.models import OutgoingMail
from modules.outbox.states import FAILED, MailState

_LONG = ("diagnostic", "sha256", "words", "transcript")
"""Columns that no table can hold."""


@outbox.command("list")
@selection_options
@click.option("--limit", default=50, type=click.IntRange(1, 10_000), help="How many, newest first.")
@click.option("--json", "as_json", is_flag=True)
@with_app
def outbox_list(limit: int, as_json: bool, **given: Any) -> None:
    """List emails, newest first."""
    query = (
        select(OutgoingMail)
        .where(*read_selection(given).where())
        .options(selectinload(OutgoingMail.recipients), joinedload(OutgoingMail.document))
        .order_by(OutgoingMail.id.desc())
        .limit(limit)
    )
    echo_rows([row_of(mail) for mail in db.session.scalars(query)], as_json)


@outbox.command("reasons")
@selection_options
@click.option("--json", "as_json", is_flag=True)
@with_app
def outbox_reasons(as_json: bool, **given: Any) -> None:
    """Count emails by reason and server: those that have failed or wait, unless a state is given."""
    default = FAILED | {MailState.DEFERRED}
    groups = db.session.execute(
        select(
            OutgoingMail.failure_kind,
            MailServer.name,
            func.count(),
            func.min(OutgoingMail.submitted_at),
            func.max(OutgoingMail.submitted_at),
        )
        .outerjoin(MailServer, MailServer.id == OutgoingMail.server_id)
        .where(OutgoingMail.failure_kind.is_not(None), *read_selection(given).where(default))
        .group_by(OutgoingMail.failure_kind, MailServer.name)
        .order_by(func.count().desc(), OutgoingMail.failure_kind)
    )
    rows = [
        {
            "mails": count,
            "kind": kind.value,
            "reason": str(EXPLANATIONS[kind].title),
            "server": server or "",
            "who_acts": actor_title(EXPLANATIONS[kind].actor),
            "oldest": oldest.isoformat(timespec="minutes"),
            "newest": newest.isoformat(timespec="minutes"),
        }
        for kind, server, count, oldest, newest in groups
        if kind is not None
    ]
    echo_rows(rows, as_json)


@outbox.command("show")
@click.argument("mail_id", type=int)
@click.option("--transcript", is_flag=True, help="With the dialogue of each attempt.")
@click.option("--json", "as_json", is_flag=True)
@with_app
def outbox_show(mail_id: int, transcript: bool, as_json: bool) -> None:
    """Show one mail: recipients, the reason of its failure, what was done to it, its attempts."""
    mail = get_mail(mail_id)
    story = story_of(mail)
    data = _facts(mail) | {
        "recipients": [
            {
                "field": row.field.value,
                "address": row.addr_spec,
                "state": row.state.value,
                "code": row.reply_code or "",
                "enhanced": row.enhanced_code,
                "failure": row.failure_kind.value if row.failure_kind else "",
                "diagnostic": row.diagnostic,
            }
            for row in mail.recipients
        ],
        "attachments": [
            {"name": row.name, "type": row.media_type, "size": row.size, "sha256": row.sha256}
            for row in mail.attachments
        ],
        "events": [_event(step) for step in story],
        "attempts": [
            {
                "started_at": attempt.started_at,
                "ended_at": attempt.ended_at,
                "server": attempt.server_name,
                "outcome": attempt.outcome.value,
                "words": attempt.summary,
                **({"transcript": attempt.transcript} if transcript else {}),
            }
            for step in story
            for attempt in step.attempts
        ],
    }
    if as_json:
        echo_json(data)
    else:
        _print(data)


def _facts(mail: OutgoingMail) -> dict[str, Any]:
    reason = reason_of(mail)
    return row_of(mail) | {
        "message_id": mail.message_id,
        "message_sha256": mail.message_sha256,
        "from": mail.sender_address,
        "server": mail.server.name if mail.server else "",
        "submitted_by": mail.submitted_by.login if mail.submitted_by else "",
        "waits_for": waits_for(mail, outdated=document_problem(mail) is not None),
        "next_attempt_at": mail.next_attempt_at
        if mail.state in {MailState.DEFERRED, MailState.SCHEDULED}
        else "",
        "reason": f"{reason.title}: {reason.text}" if reason else "",
        "advice": reason.advice if reason else "",
        "could_also_be": reason.also if reason else "",
        "who_acts": actor_title(reason.actor) if reason else "",
        "words": mail.failure_reason,
        "contents_erased_at": mail.contents_erased_at or "",
    }


def _event(step: Step) -> dict[str, Any]:
    return {"at": step.at, "what": step.title, "who": step.who, "detail": step.detail}


def _print(data: dict[str, Any]) -> None:
    """Print facts line by line, lists as tables, and below them what is too long for a table."""
    for name, value in data.items():
        if not isinstance(value, list):
            if value not in ("", None):
                click.echo(f"{name.replace('_', ' ')}: {printable(str(value))}")
        elif value:
            click.echo(f"\n{name}:")
            echo_rows([{k: v for k, v in row.items() if k not in _LONG} for row in value], as_json=False)
            for row in value:
                _print_long(row)


def _print_long(row: dict[str, Any]) -> None:
    for name in _LONG:
        lines = str(row.get(name) or "").splitlines()
        if lines:
            of = row.get("address") or row.get("name") or row.get("started_at")
            click.echo(f"  {name} of {printable(str(of))}:")
            for line in lines:
                click.echo(f"    {printable(line)}")


@outbox.command("eml")
@click.argument("mail_id", type=int)
@with_app
def outbox_eml(mail_id: int) -> None:
    """Write the exact message of an email to a file: `envoi outbox eml 5 > mail.eml`."""
    mail = get_mail(mail_id)
    if mail.contents_erased_at is not None:
        raise EnvoiError(f"Text and files of email {mail.id} were erased.")
    if not mail.sender_address:
        raise EnvoiError("The message is made at the first attempt; it does not exist yet.")
    if sys.stdout.isatty():
        raise EnvoiError("A message is not for a terminal: write it to a file, with > and its name.")
    try:
        sys.stdout.buffer.write(build_message(mail))
    except FileMissingError as error:
        raise EnvoiError("A file of this email is gone from the store.") from error
