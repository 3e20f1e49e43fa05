"""`envoi db …`."""

from __future__ import annotations

import sys

import click
from sqlalchemy.exc import DBAPIError

from core import migrate
from core.backup import service
from core.checks import unusable_database
from core.cli import application, echo_rows, with_app
from core.errors import EnvoiError
from core.manifest import CORE
from core.registry import current_registry


@click.group("db")
def database() -> None:
    """Migrate the database, and copy it."""


@database.command()
@click.option("--plan", is_flag=True, help="Say what would be done, and do nothing.")
@click.option(
    "--lock-timeout",
    type=click.IntRange(0, 86400),
    default=migrate.LOCK_SECONDS,
    show_default=True,
    help="Seconds that migrations wait for tables somebody else uses, in all (PostgreSQL); 0: for ever.",
)
@with_app
def upgrade(plan: bool, lock_timeout: int) -> None:
    """Apply every migration of every enabled module. Of several hosts at once one does it, and the others wait."""
    try:
        if plan:
            _tell(migrate.plan())
            return
        migrate.upgrade(application(), lock_timeout)
    except DBAPIError as error:
        # Without the advice to run what was just run.
        raise EnvoiError(unusable_database(error)) from error


def _tell(steps: list[migrate.Step]) -> None:
    rows = [
        {
            "module": step.module,
            "migration": step.migration,
            "does": step.words,
            "former_processes": "stop" if step.contract else "go on",
        }
        for step in steps
    ]
    echo_rows(rows, as_json=False)
    if migrate.present_version(CORE) is None:
        return  # nobody works here yet
    if any(step.contract for step in steps):
        click.echo(
            "Stop workers, scheduler and web servers of the former release first, then call it without --plan."
        )
    elif steps:
        click.echo(
            "Processes of the former release go on: start the new ones beside them, then stop the former ones."
        )


@database.command()
@click.argument("module_name")
@click.option("-m", "--message", required=True)
@with_app
def revision(module_name: str, message: str) -> None:
    """Write a migration for what changed in a module's models."""
    module = next((m for m in current_registry().modules if m.name == module_name), None)
    if module is None:
        raise EnvoiError(f"No enabled module is named {module_name}.")
    click.echo(migrate.revision(module, message))


@database.command("check")
@with_app
def db_check() -> None:
    """Fail when models and migrations disagree."""
    found = [
        f"{m.name}: {difference}" for m in migrate.migrated_modules() for difference in migrate.differences(m)
    ]
    for line in found:
        click.echo(line, err=True)
    if found:
        sys.exit(1)
    click.echo("Models and migrations agree.")


@database.command("copy")
@click.argument("url")
@with_app
def copy(url: str) -> None:
    """Copy everything into the empty database at URL, SQLite or PostgreSQL, and prove that it is the same there."""
    echo_rows(service.as_rows(service.copy_database(url, click.echo)), as_json=False)
    click.echo(
        "Set ENVOI_DATABASE_URL to it and start Envoi. The former database is as it was: keep it, and start nothing "
        "on it."
    )
