"""`envoi outbox restored`: what waited when the data were restored, and which of it leaves."""

from __future__ import annotations

import click

from core.cli import echo_json, echo_rows, with_app
from core.errors import EnvoiError
from core.installation import service as installation
from core.installation.service import SIGNS
from modules.outbox.cli.group import by_command_line, outbox, row_of
from modules.outbox.restored import service


@outbox.command("restored")
@click.option(
    "--send", "going", type=int, multiple=True, help="Let the email of this id go; may be repeated."
)
@click.option("--send-all", is_flag=True, help="Let all of them go: some customers may get an email twice.")
@click.option("--send-none", is_flag=True, help="Set all of them aside as uncertain.")
@click.option("--hold", "held", is_flag=True, help="Let nothing leave: the whole machine was restored.")
@click.option("--json", "as_json", is_flag=True)
@with_app
def outbox_restored(
    going: tuple[int, ...], send_all: bool, send_none: bool, held: bool, as_json: bool
) -> None:
    """Show what waited when the data were restored, or decide which of it leaves.

    With --send, the others are set aside as uncertain.
    """
    if sum([bool(going), send_all, send_none, held]) > 1:
        raise EnvoiError("Give one of --send, --send-all, --send-none and --hold.")
    if held:
        service.hold_back()
    hold = installation.hold()
    if hold is None:
        if going or send_all or send_none:
            raise EnvoiError("Nothing is held: emails leave.")
        if as_json:
            echo_json({"held_since": "", "mails": []})
        else:
            click.echo("Nothing is held: emails leave.")
        return
    if not (going or send_all or send_none):
        rows = [row_of(mail) for mail in service.listed(hold, limit=10_000)]
        if as_json:
            echo_json({"held_since": hold.since, "sign": hold.sign.value, "mails": rows})
            return
        click.echo(f"Nothing leaves since {hold.since:%Y-%m-%d %H:%M} UTC: {SIGNS[hold.sign]}.")
        click.echo(f"Waiting then: {service.count(hold)}.")
        echo_rows(rows, as_json=False)
        return
    waiting = {mail.id for mail in service.listed(hold, limit=10_000)}
    if strange := [mail_id for mail_id in going if mail_id not in waiting]:
        raise EnvoiError(f"Email {strange[0]} is none of those that waited.")
    with by_command_line():
        done = service.decide(None if send_all else set(going), None)
    if done is not None:
        click.echo(f"{done.going} leave, {done.aside} were set aside as uncertain.")
