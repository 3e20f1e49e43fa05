"""The commands of the outbox: `envoi send` and the group `envoi outbox`."""

from __future__ import annotations

import click

from core.cli import echo_json, with_app
from core.documents.service import find_by_number
from core.errors import EnvoiError
from core.mail.addresses import parse_addresses
from core.mail.draft import DraftRecipient
from core.mail.outcomes import printable
from modules.outbox import service
from modules.outbox.cli import acting, looking, restored
from modules.outbox.cli.group import by_command_line, outbox, row_of
from modules.outbox.cli.retention import outbox_personal, outbox_retention
from modules.outbox.compose.draft import draft_for


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
        echo_json(row_of(mail))
    else:
        names = ", ".join(recipient.addr_spec for recipient in mail.recipients)
        click.echo(f"Email {mail.id} to {printable(names)} is on the queue.")


__all__ = ["acting", "commands", "looking", "restored"]

outbox.add_command(outbox_retention)
outbox.add_command(outbox_personal)
commands = {"send": send, "outbox": outbox}
