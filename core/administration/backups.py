"""`envoi backup` and `envoi restore`."""

from __future__ import annotations

from pathlib import Path

import click

from core.backup import service
from core.cli import application, with_app


@click.command("backup")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--keys",
    "keys_into",
    type=click.Path(path_type=Path),
    help="Another folder, into which the keys are copied; never kept beside the backup.",
)
@with_app
def backup(folder: Path, keys_into: Path | None) -> None:
    """Copy the database and the files into the new FOLDER, while everything runs; the keys are not in it."""
    service.backup(folder, keys_into, click.echo)


@click.command("restore")
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--without-keys", is_flag=True, help="Go on where keys are missing; type the passwords again.")
@with_app
def restore(folder: Path, without_keys: bool) -> None:
    """Put the backup in FOLDER into this installation, which must be empty; nothing leaves until a person says go."""
    service.restore(application(), folder, click.echo, without_keys=without_keys)
    click.echo(
        "Nothing leaves of it yet: start Envoi, look at “After a restore” (developer mode) or `envoi outbox restored`, "
        "mark what has not left since, and let it go."
    )
