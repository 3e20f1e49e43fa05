"""`envoi outbox retention` and `envoi outbox personal …`: what is kept, handed over and erased."""

from __future__ import annotations

import getpass
from pathlib import Path

import click

from core.cli import with_app
from modules.outbox.message import file_store
from modules.outbox.privacy import person as personal_service
from modules.outbox.privacy import person_export
from modules.outbox.privacy import retention as retention_service
from modules.outbox.transitions import acting_as

_A_LONG_TIME = 24 * 3600.0  # no request waits here, so the work may run to its end


@click.command("retention")
@click.option("--dry-run", is_flag=True, help="Only say how many emails would lose their contents now.")
@with_app
def outbox_retention(dry_run: bool) -> None:
    """Erase texts and files whose time has passed, and files that nothing refers to."""
    setting = retention_service.keep_days_setting()
    click.echo(
        f"Contents are kept {f'{setting} days' if setting else 'for ever'} unless a template says otherwise."
    )
    if dry_run:
        click.echo(f"Emails whose contents would go now: {retention_service.count_due()}.")
        return
    with acting_as(f"command line ({getpass.getuser()})"):
        report = retention_service.apply(seconds=_A_LONG_TIME, folders=file_store().folders())
    click.echo(
        f"Contents of emails erased: {report.mails}. Files removed: {report.files}. "
        f"Forgotten files removed: {report.orphans}."
    )


@click.group("personal")
def outbox_personal() -> None:
    """Export or erase what is known about an address."""


@outbox_personal.command("export")
@click.argument("address")
@click.option(
    "--to", "path", type=click.Path(dir_okay=False, path_type=Path), default=Path("personal-data.zip")
)
@with_app
def personal_export_command(address: str, path: Path) -> None:
    """Write everything about ADDRESS into a ZIP file."""
    known = personal_service.read_address(address)
    if path.exists():
        raise click.ClickException(f"{path} is there already.")
    # Nobody else on this machine may read it.
    path.touch(mode=0o600)
    try:
        with path.open("r+b") as file:
            count = person_export.write_export(known, file)
    except BaseException:
        path.unlink()
        raise
    click.echo(f"{path} holds the emails to {known}: {count}.")


@outbox_personal.command("erase")
@click.argument("address")
@click.option("--contacts", is_flag=True, help="Take it from customers and contacts as well.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@with_app
def personal_erase_command(address: str, contacts: bool, yes: bool) -> None:
    """Erase ADDRESS from all emails; their lines stay under a hash that leads nowhere."""
    known = personal_service.known(personal_service.read_address(address))
    click.echo(f"Mails: {known.received}, waiting: {known.waiting}. Contacts: {len(known.contacts)}.")
    if not yes:
        click.confirm("Erase? This cannot be undone.", abort=True)
    with acting_as(f"command line ({getpass.getuser()})"):
        done = personal_service.erase(known.address, None, also_contacts=contacts, seconds=_A_LONG_TIME)
    click.echo(f"Erased. Mails: {done.mails + done.histories}. Contacts: {done.contacts}.")
    if done.left:
        click.echo(
            f"Left: {done.sending} being sent, {done.shared} waiting for other recipients. Repeat in a few minutes."
        )
