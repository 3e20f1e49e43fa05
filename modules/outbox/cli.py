"""`envoi send` and `envoi outbox …`."""

from __future__ import annotations

import json
from typing import Any

import click
from sqlalchemy import select

from core.cli import echo_rows, with_app
from core.db import db
from core.documents.service import find_by_number
from core.errors import EnvoiError
from core.mail.addresses import parse_addresses
from core.mail.draft import DraftRecipient
from core.mail.outcomes import EXPLANATIONS, printable
from modules.outbox import service
from modules.outbox.composer import draft_for
from modules.outbox.models import OutgoingMail
from modules.outbox.states import FAILED, WAITING, MailState


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
    mail = service.submit(draft, None)
    if as_json:
        click.echo(json.dumps(_row(mail), default=str, ensure_ascii=False))
    else:
        names = ", ".join(recipient.addr_spec for recipient in mail.recipients)
        click.echo(f"Mail {mail.id} to {printable(names)} is on the queue.")


@click.group()
def outbox() -> None:
    """Look after the mails that leave."""


_FILTERS = {
    "failed": FAILED,
    "waiting": WAITING,
    "sent": {MailState.SENT},
    "uncertain": {MailState.UNCERTAIN},
}


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
@click.option("--state", type=click.Choice(sorted(_FILTERS)), help="Only these.")
@click.option("--limit", default=50, type=click.IntRange(1, 10_000), help="How many, newest first.")
@click.option("--json", "as_json", is_flag=True)
@with_app
def outbox_list(state: str | None, limit: int, as_json: bool) -> None:
    """List mails, newest first."""
    query = select(OutgoingMail).order_by(OutgoingMail.id.desc()).limit(limit)
    if state:
        query = query.where(OutgoingMail.state.in_(sorted(_FILTERS[state])))
    echo_rows([_row(mail) for mail in db.session.scalars(query)], as_json)


def _get(mail_id: int) -> OutgoingMail:
    mail = db.session.get(OutgoingMail, mail_id)
    if mail is None:
        raise EnvoiError(f"There is no mail {mail_id}.")
    return mail


@outbox.command("show")
@click.argument("mail_id", type=int)
@click.option("--json", "as_json", is_flag=True)
@with_app
def outbox_show(mail_id: int, as_json: bool) -> None:
    """Show one mail with its recipients, the reason of its failure and its attempts."""
    mail = _get(mail_id)
    data = _row(mail) | {
        "message_id": mail.message_id,
        "next_attempt_at": mail.next_attempt_at if mail.state in WAITING else None,
        "reason": str(EXPLANATIONS[mail.failure_kind].text) if mail.failure_kind else "",
        "words": mail.failure_reason,
        "recipients": [
            {
                "field": r.field.value,
                "address": r.addr_spec,
                "state": r.state.value,
                "code": r.reply_code,
                "enhanced": r.enhanced_code,
                "diagnostic": r.diagnostic,
            }
            for r in mail.recipients
        ],
        "attempts": [
            {
                "started_at": a.started_at,
                "server": a.server_name,
                "outcome": a.outcome.value,
                "words": a.summary,
            }
            for a in mail.attempt_rows
        ],
    }
    if as_json:
        click.echo(json.dumps(data, default=str, ensure_ascii=False, indent=2))
        return
    for name, value in data.items():
        if isinstance(value, list):
            click.echo(f"\n{name}:")
            echo_rows(value, as_json=False)
        elif value not in ("", None):
            click.echo(f"{name.replace('_', ' ')}: {printable(str(value))}")


@outbox.command("resend")
@click.argument("mail_ids", type=int, nargs=-1)
@click.option(
    "--failed", "all_failed", is_flag=True, help="Every mail that has failed, the uncertain ones excepted."
)
@with_app
def outbox_resend(mail_ids: tuple[int, ...], all_failed: bool) -> None:
    """Put mails on the queue again; each goes only to those who did not get it."""
    ids = list(mail_ids)
    if all_failed:
        states = [MailState.FAILED, MailState.PARTIAL]
        ids += db.session.scalars(select(OutgoingMail.id).where(OutgoingMail.state.in_(states)))
    if not ids:
        raise EnvoiError("Give the ids of mails, or --failed.")
    done = service.resend(ids) + service.retry_now(ids)
    click.echo(f"{len(done)} of {len(set(ids))} on the queue again.")


@outbox.command("cancel")
@click.argument("mail_ids", type=int, nargs=-1, required=True)
@with_app
def outbox_cancel(mail_ids: tuple[int, ...]) -> None:
    """Cancel mails that have not left."""
    done = service.cancel(list(mail_ids))
    click.echo(f"{len(done)} of {len(set(mail_ids))} canceled.")


commands = {"send": send, "outbox": outbox}
