"""`envoi send` and `envoi outbox …`."""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import click
from sqlalchemy import func, select
from sqlalchemy.orm import joinedload, selectinload

from core.cli import echo_json, echo_rows, with_app
from core.db import db
from core.documents.service import find_by_number
from core.errors import EnvoiError
from core.files import FileMissingError
from core.mail.addresses import parse_addresses
from core.mail.draft import DraftRecipient
from core.mail.outcomes import EXPLANATIONS, printable
from modules.mail_config.models import MailServer
from modules.outbox import service
from modules.outbox.cli_data import outbox_personal, outbox_retention
from modules.outbox.cli_selection import CHUNK, read_selection, selection_options
from modules.outbox.composer import draft_for
from modules.outbox.mime import build_message
from modules.outbox.models import OutgoingMail
from modules.outbox.reasons import actor_title, reason_of
from modules.outbox.states import CANCELABLE, FAILED, MailState
from modules.outbox.story import Step, story_of
from modules.outbox.transitions import acting_as
from modules.outbox.waiting import waits_for

RETRIED = frozenset({MailState.FAILED, MailState.PARTIAL, MailState.DEFERRED})
"""States that `retry` takes where none is given: never uncertain or canceled mails, nor those meant for later."""


_LONG = ("diagnostic", "sha256", "words", "transcript")
"""Columns that no table can hold."""


@contextmanager
def by_command_line() -> Iterator[None]:
    """Name the command line and who runs it as what acts, for the record of every step."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # an id without an account, as in a container
        name = str(os.getuid())
    with acting_as(f"command line ({name})"):
        yield


@click.command()
@click.argument("number")
@click.option("--to", "more", default="", help="Further addresses, separated by ; or ,")
@click.option("--only", is_flag=True, help="Send to the addresses of --to alone, not to the followers.")
@click.option("--company", default="", help="Name of the company, where several have such a number.")
@click.option("--json", "as_json", is_flag=True)
@with_app
def send(number: str, more: str, only: bool, company: str, as_json: bool) -> None:
    """Send a document by its NUMBER to its followers."""
    found = [row for row in find_by_number(number) if not company or row.company.name == company]
    if not found:
        raise EnvoiError(f"No document has the number {number}.")
    if len(found) > 1:
        names = ", ".join(f"“{row.company.name}”" for row in found)
        raise EnvoiError(f"Several companies have a document {number}: give --company, one of {names}.")
    draft = draft_for(found[0], None, None)
    addresses, problems = parse_addresses(more)
    if problems:
        raise EnvoiError(" ".join(str(problem) for problem in problems))
    if only:
        draft.recipients = []
    there = {recipient.address.key for recipient in draft.recipients}
    draft.recipients += [DraftRecipient(address) for address in addresses if address.key not in there]
    with by_command_line():
        mail = service.submit(draft, None)
    if as_json:
        echo_json(_row(mail))
    else:
        names = ", ".join(recipient.addr_spec for recipient in mail.recipients)
        click.echo(f"Mail {mail.id} to {printable(names)} is on the queue.")


@click.group()
def outbox() -> None:
    """Look after the mails that leave."""


# -- looking -------------------------------------------------------------------------------------------


def _row(mail: OutgoingMail) -> dict[str, Any]:
    return {
        "id": mail.id,
        "state": mail.state.value,
        "accepted": f"{mail.accepted_count}/{mail.recipient_count}",
        "to": ", ".join(recipient.addr_spec for recipient in mail.recipients),
        "document": mail.document.number if mail.document else "",
        "subject": mail.subject,
        "failure": mail.failure_kind.value if mail.failure_kind else "",
        "submitted_at": mail.submitted_at.isoformat(timespec="seconds"),
    }


@outbox.command("list")
@selection_options
@click.option("--limit", default=50, type=click.IntRange(1, 10_000), help="How many, newest first.")
@click.option("--json", "as_json", is_flag=True)
@with_app
def outbox_list(limit: int, as_json: bool, **given: Any) -> None:
    """List mails, newest first."""
    query = (
        select(OutgoingMail)
        .where(*read_selection(given).where())
        .options(selectinload(OutgoingMail.recipients), joinedload(OutgoingMail.document))
        .order_by(OutgoingMail.id.desc())
        .limit(limit)
    )
    echo_rows([_row(mail) for mail in db.session.scalars(query)], as_json)


@outbox.command("reasons")
@selection_options
@click.option("--json", "as_json", is_flag=True)
@with_app
def outbox_reasons(as_json: bool, **given: Any) -> None:
    """Count mails by reason and server: those that have failed or wait, unless a state is given."""
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


def _get(mail_id: int) -> OutgoingMail:
    mail = db.session.get(OutgoingMail, mail_id) if 0 < mail_id < 2**31 else None
    if mail is None:
        raise EnvoiError(f"There is no mail {mail_id}.")
    return mail


@outbox.command("show")
@click.argument("mail_id", type=int)
@click.option("--transcript", is_flag=True, help="With the dialogue of each attempt.")
@click.option("--json", "as_json", is_flag=True)
@with_app
def outbox_show(mail_id: int, transcript: bool, as_json: bool) -> None:
    """Show one mail: recipients, the reason of its failure, what was done to it, its attempts."""
    mail = _get(mail_id)
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
    return _row(mail) | {
        "message_id": mail.message_id,
        "message_sha256": mail.message_sha256,
        "from": mail.sender_address,
        "server": mail.server.name if mail.server else "",
        "submitted_by": mail.submitted_by.login if mail.submitted_by else "",
        "waits_for": waits_for(mail),
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
    """Write the exact message of a mail to a file: `envoi outbox eml 5 > mail.eml`."""
    mail = _get(mail_id)
    if mail.contents_erased_at is not None:
        raise EnvoiError(f"Text and files of mail {mail.id} were erased.")
    if not mail.sender_address:
        raise EnvoiError("The message is made at the first attempt; it does not exist yet.")
    if sys.stdout.isatty():
        raise EnvoiError("A message is not for a terminal: write it to a file, with > and its name.")
    try:
        sys.stdout.buffer.write(build_message(mail))
    except FileMissingError as error:
        raise EnvoiError("A file of this mail is gone from the store.") from error


# -- acting --------------------------------------------------------------------------------------------


def _work(
    ids: Iterable[int],
    given: dict[str, Any],
    default: frozenset[MailState],
    action: Callable[[list[int]], list[int]],
    *,
    done_words: str,
    as_json: bool,
) -> None:
    """Do something to the mails that were named, or to all that match, in chunks, and tell what was changed."""
    named = list(dict.fromkeys(ids))
    selection = read_selection(given)
    if named and not selection.everything:
        raise EnvoiError("Give either the ids of mails or options that say which, not both.")
    if not named and selection.everything:
        raise EnvoiError("Give the ids of mails, or say which: for example --failed.")
    changed: list[int] = []
    seen = 0
    chunks = _named_chunks(named) if named else selection.chunks(default)
    with by_command_line():
        for chunk in chunks:
            changed += action(chunk)
            seen += len(chunk)
            if seen > CHUNK and sys.stderr.isatty():
                click.echo(f"{seen} …", err=True)
    if as_json:
        echo_json({"changed": changed, "left": seen - len(changed)})
        return
    click.echo(f"{len(changed)} of {seen} {done_words}.")


def _named_chunks(ids: list[int]) -> Iterator[list[int]]:
    for mail_id in ids:
        _get(mail_id)
    for start in range(0, len(ids), CHUNK):
        yield ids[start : start + CHUNK]


def _again(uncertain: bool, front: bool) -> Callable[[list[int]], list[int]]:
    def action(ids: list[int]) -> list[int]:
        done = service.resend(ids, uncertain=uncertain, front=front)
        return done + service.retry_now(ids, front=front)

    return action


UNCERTAIN = click.option(
    "--uncertain", is_flag=True, help="The uncertain ones too, whose recipients may have the mail already."
)


@outbox.command("retry")
@click.argument("mail_ids", type=int, nargs=-1)
@selection_options
@UNCERTAIN
@click.option("--json", "as_json", is_flag=True)
@with_app
def outbox_retry(mail_ids: tuple[int, ...], uncertain: bool, as_json: bool, **given: Any) -> None:
    """Put mails back on the queue; each goes only to those who did not get it."""
    _work(
        mail_ids,
        given,
        RETRIED,
        _again(uncertain, front=False),
        done_words="on the queue again",
        as_json=as_json,
    )


@outbox.command("send-now")
@click.argument("mail_ids", type=int, nargs=-1)
@selection_options
@UNCERTAIN
@click.option("--json", "as_json", is_flag=True)
@with_app
def outbox_send_now(mail_ids: tuple[int, ...], uncertain: bool, as_json: bool, **given: Any) -> None:
    """Put mails first on the queue; each goes only to those who did not get it."""
    _work(
        mail_ids,
        given,
        RETRIED,
        _again(uncertain, front=True),
        done_words="first on the queue",
        as_json=as_json,
    )


@outbox.command("cancel")
@click.argument("mail_ids", type=int, nargs=-1)
@selection_options
@click.option("--json", "as_json", is_flag=True)
@with_app
def outbox_cancel(mail_ids: tuple[int, ...], as_json: bool, **given: Any) -> None:
    """Cancel mails that have not left."""
    _work(mail_ids, given, CANCELABLE, service.cancel, done_words="canceled", as_json=as_json)


@outbox.command("mark")
@click.argument("mail_id", type=int)
@click.option("--sent/--not-received", "accepted", default=None, help="What the recipient has said.")
@click.option("--json", "as_json", is_flag=True)
@with_app
def outbox_mark(mail_id: int, accepted: bool | None, as_json: bool) -> None:
    """Say whether an uncertain mail has arrived."""
    if accepted is None:
        raise EnvoiError("Say what the recipient has said: --sent or --not-received.")
    mail = _get(mail_id)
    with by_command_line():
        service.mark_uncertain(mail.id, accepted=accepted)
    _tell(mail.id, as_json)


@outbox.command("correct")
@click.argument("mail_id", type=int)
@click.argument("old")
@click.argument("new")
@click.option("--resend", is_flag=True, help="Put the mail on the queue again as well.")
@click.option("--contact", is_flag=True, help="Correct it on the customer or contact as well.")
@click.option("--json", "as_json", is_flag=True)
@with_app
def outbox_correct(mail_id: int, old: str, new: str, resend: bool, contact: bool, as_json: bool) -> None:
    """Give the recipient OLD of a mail, who has not got it, the address NEW."""
    mail = _get(mail_id)
    recipient = next(
        (row for row in mail.recipients if row.addr_spec.casefold() == old.strip().casefold()), None
    )
    if recipient is None:
        raise EnvoiError(f"Mail {mail.id} has no recipient {old[:254]}.")
    with by_command_line():
        service.correct_recipient(recipient, new, also_partner=contact)
        if resend:
            _again(uncertain=False, front=False)([mail.id])
    _tell(mail.id, as_json)


def _tell(mail_id: int, as_json: bool) -> None:
    """Print what a mail is like now."""
    db.session.expire_all()
    mail = _get(mail_id)
    if as_json:
        echo_json(_row(mail))
    else:
        click.echo(f"Mail {mail.id} to {printable(_row(mail)['to'])}: {mail.state.value}.")


outbox.add_command(outbox_retention)
outbox.add_command(outbox_personal)
commands = {"send": send, "outbox": outbox}
