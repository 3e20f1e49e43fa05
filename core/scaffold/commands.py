"""`envoi module …`: making modules, and looking at those that there are."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory

import click
from flask import Flask, current_app

from core import loader
from core.app import create_app
from core.config import read_settings
from core.i18n import gettext
from core.registry import current_registry
from core.scaffold.make import NewModule, make


def house_in(folder: str) -> Flask:
    """Return the application with a data folder that is thrown away: whoever begins a module needs none yet."""
    return create_app(read_settings({**os.environ, "ENVOI_DATA_DIR": folder}))


@click.group()
def module() -> None:
    """Make modules."""


@module.command()
@click.argument("name")
@click.option("--title", help="What a document is called, in English; from the name without it.")
@click.option("--titles", help="The same for several; the title with an s without it.")
@click.option("--french-title", help="What a document is called in French; the English title without it.")
@click.option(
    "--french-titles", help="The same for several; the title with an s on its first word without it."
)
@click.option(
    "--into",
    type=click.Path(path_type=Path),
    default=Path(),
    show_default=True,
    help="The folder in which the new one is made.",
)
def new(
    name: str,
    title: str | None,
    titles: str | None,
    french_title: str | None,
    french_titles: str | None,
    into: Path,
) -> None:
    """Make a folder with a whole module: a kind of document that is written, listed, printed and sent."""
    title = title or name.replace("_", " ").capitalize()
    french_title = french_title or title
    first, space, rest = french_title.partition(" ")  # bons de livraison
    french_titles = french_titles or f"{first}s{space}{rest}"
    made = NewModule(name, title, titles or f"{title}s", french_title, french_titles)
    with TemporaryDirectory(prefix="envoi-") as nowhere, house_in(nowhere).app_context():
        taken = {rule.rule.split("/")[1] for rule in current_app.url_map.iter_rules()} - {""}
        taken |= {*loader.discover(), *(one.name for one in current_registry().modules), "core"}
        folder = make(made, into, taken)
        click.echo(gettext("%(folder)s was made. Go on with:", folder=str(folder)))
        click.echo(f"  pip install -e {folder}\n  envoi db upgrade\n  envoi up")
