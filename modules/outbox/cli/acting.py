"""`envoi outbox retry`, `send-now`, `cancel`, `mark` and `correct`: deciding what becomes of mails."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import click

from core.cli import echo_json, with_app
from core.db import db
from core.errors import EnvoiError
from core.mail.outcomes import printable
from modules.outbox import queries, service
from modules.outbox.cli.group import by_command_line, get_mail, outbox, row_of
from modules.outbox.cli.retention import outbox_personal, outbox_retention
from modules.outbox.cli.selection import CHUNK, read_selection, selection_options
from modules.outbox.states import CANCELABLE, MailState

RETRIED = frozenset({MailState.FAILED, MailState.PARTIAL, MailState.DEFERRED})
"""States that `retry` takes where none is given: never uncertain or canceled mails, nor those meant for later."""


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
        raise EnvoiError("Give either the ids of emails or options that say which, not both.")
    if not named and selection.everything:
        raise EnvoiError("Give the ids of emails, or say which: for example --failed.")
    changed: list[int] = []
    outdated: list[int] = []
    seen = 0
    chunks = _named_chunks(named) if named else selection.chunks(default)
    with by_command_line():
        for chunk in chunks:
            done = action(chunk)
            changed += done
            if action is not service.cancel:
                outdated += queries.outdated(set(chunk).difference(done))
            seen += len(chunk)
            if seen > CHUNK and sys.stderr.isatty():
                click.echo(f"{seen} …", err=True)
    if as_json:
        echo_json({"changed": changed, "left": seen - len(changed), "outdated": outdated})
        return
    click.echo(f"{len(changed)} of {seen} {done_words}.")
    if outdated:
        click.echo(f"{len(outdated)} no longer say what their documents say: write those anew.")


def _named_chunks(ids: list[int]) -> Iterator[list[int]]:
    for mail_id in ids:
        get_mail(mail_id)
    for start in range(0, len(ids), CHUNK):
        yield ids[start : start + CHUNK]


def _again(uncertain: bool, front: bool) -> Callable[[list[int]], list[int]]:
    def action(ids: list[int]) -> list[int]:
        done = service.resend(ids, uncertain=uncertain, front=front)
        return done + service.retry_now(ids, front=front)

    return action


UNCERTAIN = click.option(
    "--uncertain", is_flag=True, help="The uncertain ones too, whose recipients may have the email already."
)


@outbox.command("retry")
@click.argument("mail_ids", type=int, nargs=-1)
@selection_options
@UNCERTAIN
@click.option("--json", "as_json", is_flag=True)
@with_app
def outbox_retry(mail_ids: tuple[int, ...], uncertain: bool, as_json: bool, **given: Any) -> None:
    """Put emails back on the queue; each goes only to those who did not get it."""
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
    """Put emails first on the queue; each goes only to those who did not get it."""
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
    """Cancel emails that have not left."""
    _work(mail_ids, given, CANCELABLE, service.cancel, done_words="canceled", as_json=as_json)


@outbox.command("mark")
@click.argument("mail_id", type=int)
@click.option("--sent/--not-received", "accepted", default=None, help="What the recipient has said.")
@click.option("--json", "as_json", is_flag=True)
@with_app
def outbox_mark(mail_id: int, accepted: bool | None, as_json: bool) -> None:
    """Say whether an uncertain email has arrived."""
    if accepted is None:
        raise EnvoiError("Say what the recipient has said: --sent or --not-received.")
    mail = get_mail(mail_id)
    with by_command_line():
        service.mark_uncertain(mail.id, accepted=accepted)
    _tell(mail.id, as_json)


@outbox.command("correct")
@click.argument("mail_id", type=int)
@click.argument("old")
@click.argument("new")
@click.option("--resend", is_flag=True, help="Put the email on the queue again as well.")
@click.option("--contact", is_flag=True, help="Correct it on the customer or contact as well.")
@click.option("--json", "as_json", is_flag=True)
@with_app
def outbox_correct(mail_id: int, old: str, new: str, resend: bool, contact: bool, as_json: bool) -> None:
    """Give the recipient OLD of an email, who has not got it, the address NEW."""
    mail = get_mail(mail_id)
    recipient = next(
        (row for row in mail.recipients if row.addr_spec.casefold() == old.strip().casefold()), None
    )
    if recipient is None:
        raise EnvoiError(f"Email {mail.id} has no recipient {old[:254]}.")
    with by_command_line():
        service.correct_recipient(recipient, new, also_partner=contact)
        if resend:
            _again(uncertain=False, front=False)([mail.id])
    _tell(mail.id, as_json)


def _tell(mail_id: int, as_json: bool) -> None:
    """Print what a mail is like now."""
    db.session.expire_all()
    mail = get_mail(mail_id)
    if as_json:
        echo_json(row_of(mail))
    else:
        click.echo(f"Email {mail.id} to {printable(row_of(mail)['to'])}: {mail.state.value}.")


outbox.add_command(outbox_retention)
outbox.add_command(outbox_personal)
