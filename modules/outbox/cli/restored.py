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
@click.option(
    "--copy", "copy", is_flag=True, help="This is a copy beside the real one: capture what would leave."
)
@click.option("--hold", "held", is_flag=True, help="Let nothing leave: the whole machine was restored.")
@click.option("--json", "as_json", is_flag=True)
@with_app
def outbox_restored(
    going: tuple[int, ...], send_all: bool, send_none: bool, copy: bool, held: bool, as_json: bool
) -> None:
    """Show what waited when the data were restored, or decide which of it leaves.

    With --send, the others are set aside as uncertain.
    """
    if sum([bool(going), send_all, send_none, copy, held]) > 1:
        raise EnvoiError("Give one of --send, --send-all, --send-none, --copy and --hold.")
    if held:
        service.hold_back()
    hold = installation.hold()
    if hold is None:
        _tell_free(asked=bool(going or send_all or send_none or copy), as_json=as_json)
        return
    if copy:
        service.declare_copy()
        click.echo("This installation is a copy: what would leave is captured, and sent to nobody.")
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


def _tell_free(*, asked: bool, as_json: bool) -> None:
    """Say that nothing is held, whether emails leave or are captured."""
    since = installation.copy_since()
    words = (
        f"This installation is a copy since {since:%Y-%m-%d %H:%M} UTC: what would leave is captured."
        if since is not None
        else "Nothing is held: emails leave."
    )
    if asked:
        raise EnvoiError(words)
    if as_json:
        echo_json({"held_since": "", "copy_since": since or "", "mails": []})
    else:
        click.echo(words)
