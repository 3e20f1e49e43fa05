"""The command line: `envoi …`."""

from __future__ import annotations

import errno
import json
import logging
import os
import re
import sys
from collections.abc import Callable, Sequence
from functools import partial, wraps
from typing import Any

import click
from flask import Flask
from sqlalchemy import select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError

from core import __version__, demonstration, loader, logs, memory, worker
from core.app import create_app
from core.auth.models import Role, User
from core.auth.service import save_user, set_password
from core.begin import administrator
from core.checks import checks, database_problem
from core.companies.models import Company
from core.config import PRIVATE_UMASK, Settings
from core.db import again, db
from core.errors import EnvoiError
from core.inbound import inbound
from core.mail.outcomes import printable
from core.registry import current_registry, resolve
from core.scaffold.commands import module
from core.signals import inbound_message
from core.supervisor import prepare, run_all
from core.web_server import serve_web

logger = logging.getLogger(__name__)

_OF_THE_DISK = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EIO})
_NOT_ASCII = re.compile(r"[^\x0a\x20-\x7e]")


def echo_rows(rows: list[dict[str, Any]], as_json: bool) -> None:
    """Print rows as a table, or as JSON for scripts; control characters are made harmless."""
    if as_json:
        echo_json(rows)
        return
    if not rows:
        click.echo("Nothing.")
        return
    cells = [[printable(str(value)).replace("\n", " ") for value in row.values()] for row in rows]
    head = [name.replace("_", " ").upper() for name in rows[0]]
    widths = [min(60, max(len(line[i]) for line in [head, *cells])) for i in range(len(head))]
    for line in [head, *cells]:
        click.echo(
            "  ".join(cell[:width].ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        )


def echo_json(value: Any) -> None:
    """Print JSON for scripts; what a terminal might obey is escaped, so the value stays exactly the same."""

    def escaped(match: re.Match[str]) -> str:
        letter = match.group()
        return letter if printable(letter) == letter else json.dumps(letter)[1:-1]

    click.echo(_NOT_ASCII.sub(escaped, json.dumps(value, default=str, ensure_ascii=False, indent=2)))


class EnvoiGroup(click.Group):
    """The commands of core and, once the application is loaded, those of the modules."""

    def _modules(self) -> dict[str, click.Command]:
        app = application()
        with app.app_context():
            commands = [resolve(m.cli) for m in current_registry().modules if m.cli is not None]
        found: dict[str, click.Command] = {}
        for command in commands:
            # A module brings one command, or several in a plain dictionary.
            found.update(command if isinstance(command, dict) else {command.name: command})
        return found

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        return sorted({*super().list_commands(ctx), *self._modules()})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command by name; those of core need no module to load."""
        return super().get_command(ctx, cmd_name) or self._modules().get(cmd_name)


_application: list[Flask] = []


def application() -> Flask:
    """Return the application of this process, made once."""
    if not _application:
        _application.append(create_app())
        memory.keep_what_is_loaded()
    return _application[0]


def long_running(what: str) -> Flask:
    """Return the application for a command that goes on running, which writes a log as it is set."""
    app = application()
    settings: Settings = app.extensions["envoi_settings"]
    logs.write(settings.log_format, settings.log_level)
    database = make_url(settings.database_url).get_backend_name()
    names = ", ".join(one.name for one in app.extensions["envoi_registry"].modules)
    logger.info("Envoi %s: %s starts; %s; modules: %s.", __version__, what, database, names)
    return app


def with_app(function: Callable[..., Any]) -> Callable[..., Any]:
    """Run a command inside the application, and anew where somebody else was faster."""

    @wraps(function)
    def inside(*args: Any, **kwargs: Any) -> Any:
        with application().app_context():
            return again(partial(function, *args, **kwargs))

    return inside


@click.group(cls=EnvoiGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.pass_context
def cli(context: click.Context) -> None:
    """Send business documents by e-mail, and know what became of them."""
    context.obj = take_in


@with_app
def take_in(octets: bytes) -> list[str]:
    """Hand a message that came in to the module that takes such, and return what was made of it."""
    answers = inbound_message.send(application(), octets=octets)
    if not answers:
        raise EnvoiError("No enabled module takes messages in.")
    return [str(sentence) for _receiver, sentence in answers]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; an expected error is a sentence, not a traceback.

    Args:
        arguments: What follows `envoi`; None for those of this process.
    """
    os.umask(PRIVATE_UMASK)
    memory.allocate_from_one_heap()
    try:
        cli(arguments)
    except EnvoiError as error:
        click.echo(f"envoi: {printable(str(error))}", err=True)
        sys.exit(1)
    except DBAPIError as error:
        click.echo(f"envoi: {database_problem(error)}", err=True)
        sys.exit(1)
    except OSError as error:
        if error.errno not in _OF_THE_DISK:
            raise
        where = f" ({printable(str(error.filename))})" if error.filename else ""
        click.echo(f"envoi: Nothing can be written{where}: {error.strerror}.", err=True)
        sys.exit(1)


@cli.command()
@click.option("--demo/--no-demo", default=True, help="Load demonstration data into an empty database.")
def up(demo: bool) -> None:
    """Start everything: database, queue, worker, mailbox, web."""
    app = application()
    for sentence in loader.unknown_settings(app.extensions["envoi_settings"]):
        click.echo(f"envoi: {sentence}", err=True)
    run_all(app, main, demo=demo)


@cli.command()
@with_app
def begin() -> None:
    """Print the link by which the first administrator begins."""
    if not administrator.nobody_yet():
        raise EnvoiError(
            "There are users already: sign in. `envoi user password LOGIN` gives a new password, `envoi user list` "
            "shows who there is."
        )
    click.echo(f"The first administrator begins here:\n\n  {administrator.link()}\n")


@cli.command("prepare", hidden=True)
@click.option("--demo/--no-demo", default=True)
def prepare_command(demo: bool) -> None:
    """Do what `up` does before it starts everything."""
    prepare(application(), demo=demo)


@cli.command()
def web() -> None:
    """Start the web server."""
    app = long_running("web")
    app.extensions["envoi_schema_problem"] = worker.get_ready(app, sends=False).problem
    serve_web(app, app.extensions.get("envoi_web_socket"))


@cli.command("worker")
@click.option("--burst", is_flag=True, help="End when the queue is empty.")
def worker_command(burst: bool) -> None:
    """Start a worker; start as many as you like, on as many hosts."""
    worker.work(long_running("worker"), burst=burst)


@cli.command()
def scheduler() -> None:
    """Start the scheduler of periodic jobs; one is enough."""
    worker.schedule(long_running("scheduler"))


@cli.command()
@click.option("--stopped", is_flag=True, help="Miss no worker and no scheduler: nothing is to run now.")
@with_app
def check(stopped: bool) -> None:
    """Check settings, modules, database, queue and processes; say everything that is wrong, and end with 1."""
    problems = checks(application(), stopped=stopped)
    for problem in problems:
        click.echo(f"- {problem}", err=True)
    if problems:
        sys.exit(1)
    names = ", ".join(module.name for module in current_registry().modules)
    click.echo(f"All is well. Modules: {names}.")


@cli.command()
@with_app
def demo() -> None:
    """Load demonstration data into an empty database."""
    loaded = demonstration.load_demo(application())
    if loaded is None:
        raise EnvoiError("The database is not empty; demonstration data would mix with yours.")
    if loaded.faults:
        raise EnvoiError("\n".join([*loaded.faults.values(), "Everything else was loaded."]))


cli.add_command(module)
cli.add_command(inbound)


@cli.group()
def user() -> None:
    """Manage users."""


@user.command("list")
@click.option("--json", "as_json", is_flag=True)
@with_app
def user_list(as_json: bool) -> None:
    """List users with their roles."""
    rows = [
        {"login": u.login, "name": u.name, "roles": ", ".join(r.code for r in u.roles), "active": u.active}
        for u in db.session.scalars(select(User).order_by(User.login))
    ]
    echo_rows(rows, as_json)


@user.command("add")
@click.argument("login")
@click.option("--name", default="")
@click.option("--role", "roles", multiple=True, required=True)
@click.option("--password", prompt=True, hide_input=True, confirmation_prompt=True)
@with_app
def user_add(login: str, name: str, roles: tuple[str, ...], password: str) -> None:
    """Add a user for all companies."""
    known = set(db.session.scalars(select(Role.code)))
    unknown = set(roles) - known
    if unknown:
        raise EnvoiError(f"There is no role {', '.join(sorted(unknown))}. Roles: {', '.join(sorted(known))}.")
    companies = list(db.session.scalars(select(Company.id).order_by(Company.id)))
    save_user(None, login=login, name=name or login, roles=roles, company_ids=companies, password=password)
    click.echo(f"{login} may sign in.")


@user.command("password")
@click.argument("login")
@click.option("--password", prompt=True, hide_input=True, confirmation_prompt=True)
@with_app
def user_password(login: str, password: str) -> None:
    """Give a user a new password; every session of theirs ends."""
    set_password(login, password)
    click.echo(f"{login} has a new password.")
