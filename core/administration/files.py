"""`envoi files …`: where files are kept."""

from __future__ import annotations

import click

from core.cli import with_app
from core.files import FileStore, open_store
from core.files.copying import clear_left, move_files
from core.files.opening import adopt, named_store
from core.registry import current_settings


@click.group("files")
def files() -> None:
    """Move the files of the installation to another store."""


def _here(text: str) -> FileStore:
    return named_store(current_settings(), text)


@files.command()
@click.argument("source")
@click.argument("target")
@with_app
def move(source: str, target: str) -> None:
    """Copy all files from SOURCE to TARGET, each proved, and make TARGET the store.

    Both are `folder:/path`, `database`, or `s3:https://host/bucket`. Everything may run meanwhile. Ended halfway, it is
    called again and goes on.
    """
    moved = move_files(_here(source), _here(target), click.echo)
    click.echo(
        f"{moved.there} files are in {target}. Now set ENVOI_FILES={target} on every host and start every process "
        "anew: until then they write no files, and wait. Then `envoi check` on every host, and "
        f"`envoi files clear {source}`."
    )


@files.command()
@click.argument("place")
@with_app
def clear(place: str) -> None:
    """Remove the files of PLACE, a store that was left by `envoi files move`."""
    click.echo(f"{clear_left(_here(place))} files are gone from {place}.")


@files.command("adopt")
@click.confirmation_option(prompt="Files that are only in another store will not be found. Go on?")
@with_app
def adopt_command() -> None:
    """Make what this host reaches by ENVOI_FILES the store of the installation, whatever it was before."""
    store = open_store(current_settings(), marked=False)
    adopt(store)
    click.echo(f"{store.name} is the file store of the installation.")
