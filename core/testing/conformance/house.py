"""What the rules share: the installed modules, what belongs to one, and the house that is tried."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from textwrap import shorten
from typing import Any, cast

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Engine, Table, event, select
from werkzeug.routing import Rule

from core import loader, migrate
from core.app import shell_folder
from core.auth.models import Role, User
from core.contract import DocumentKind, Module
from core.db import db, mappers
from core.declarations import package_folder
from core.demonstration import load_demo
from core.documents.behavior import DocumentBehavior
from core.manifest import CORE
from core.registry import resolve
from core.testing import catalogues
from core.testing.applications import make_app
from core.testing.conformance.given_names import watch_names
from core.testing.fixtures import test_settings

_CHANGE = re.compile(r"\s*(INSERT|UPDATE|DELETE|REPLACE|DROP|CREATE|ALTER)\b", re.IGNORECASE)


def installed_modules() -> dict[str, Module]:
    """Return core and every installed module by name."""
    return {CORE.name: CORE, **loader.discover()}


def with_what_it_needs(module: Module) -> list[Module]:
    """Return a module after all that it depends on, core left out."""
    if module.name == CORE.name:
        return []
    installed = loader.discover()
    names: list[str] = [module.name]
    for name in names:
        names += [needed for needed in installed[name].depends if needed not in names]
    return loader.select(installed, tuple(names))


def fail_if(problems: Sequence[str]) -> None:
    """Fail with the sentences, one to a line; a rule that holds has none."""
    if problems:
        pytest.fail("\n".join(problems), pytrace=False)


def inside(package: str, name: str) -> bool:
    """Return True when a Python module belongs to a package."""
    return name == package or name.startswith(f"{package}.")


def tables_of(module: Module) -> set[str]:
    """Return the names of the tables that a module's models define."""
    if module.models is None:
        return set()
    resolve(module.models)
    mapped = {
        cast("Table", mapper.local_table).name
        for mapper in mappers()
        if inside(module.package, mapper.class_.__module__)
    }
    held: dict[bool, set[str]] = {True: set(), False: set()}
    for name, python_module in list(sys.modules.items()):
        for value in list(vars(python_module).values()):
            if isinstance(value, Table):
                held[inside(module.package, name)].add(value.name)
    # A table that others hold as well was imported, not defined here; that they may import ours from us
    # does no harm, since its prefix is looked at when their turn comes.
    return mapped | (held[True] - held[False])


def rules_of(app: Flask, module: Module) -> list[Rule]:
    """Return the addresses of a module's pages."""
    if module.blueprint is None:
        return []
    name = resolve(module.blueprint).name
    return [
        rule
        for rule in app.url_map.iter_rules()
        if rule.endpoint.startswith(f"{name}.") and not rule.endpoint.endswith(".static")
    ]


def template_folders(module: Module) -> list[Path]:
    """Return the folders with the templates of a module; core's are those of the shell."""
    if module.name == CORE.name:
        return [shell_folder() / "templates"]
    folder = package_folder(module) / "templates"
    return [folder] if folder.is_dir() else []


def translated_part(module: Module) -> catalogues.Part:
    """Return where the strings and the catalogues of a module are."""
    folder = package_folder(module)
    more = [path for path in template_folders(module) if not path.is_relative_to(folder)]
    return catalogues.part_of_package(module.name, folder, *more)


def accepts(function: Callable[..., Any], *args: object, **keywords: object) -> bool:
    """Return True when a function can be called like this."""
    try:
        inspect.signature(function).bind(*args, **keywords)
    except TypeError:
        return False
    return True


@contextmanager
def changes_of_the_database() -> Iterator[list[str]]:
    """Collect the statements that would change the database."""
    seen: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        if _CHANGE.match(statement):
            seen.append(shorten(statement, 120, placeholder=" …"))

    event.listen(Engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        event.remove(Engine, "before_cursor_execute", note)


@pytest.fixture(scope="session")
def demonstration(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Iterator[Flask]:
    """Every module, or those that `envoi_modules` names, with its demonstration data; only read from."""
    modules = tuple(pytestconfig.getini("envoi_modules")) or None
    app = make_app(test_settings(tmp_path_factory.mktemp("demonstration"), modules=modules))
    # Whoever tries ids that may not be there gets mostly this; the page that people see costs more than asking.
    app.register_error_handler(404, lambda _error: ("", 404))
    watch_names(app)
    with app.app_context():
        migrate.upgrade(app)
        loaded = load_demo(app)
        app.extensions["envoi_demo_faults"] = loaded.faults if loaded is not None else {}
        db.session.remove()
    yield app
    with app.app_context():
        db.engine.dispose()


def demonstration_fault(app: Flask, module: Module) -> str:
    """Return why the demonstration of a module was not loaded, a sentence; "" where it was.

    Rules that try rows and documents say this first: without it, what they miss is no fault of its own.
    """
    return str(app.extensions.get("envoi_demo_faults", {}).get(module.name, ""))


def administrator_of(app: Flask) -> FlaskClient:
    """Return a browser in which an administrator of a house, in developer mode, is signed in."""
    with app.app_context():
        user = db.session.scalars(
            select(User).join(User.roles).where(Role.code == "administrator").order_by(User.id)
        ).first()
        assert user is not None, "The demonstration data holds no administrator."
        identity = user.get_id()
        db.session.remove()
    return browser_of(app, identity)


def browser_of(app: Flask, identity: str) -> FlaskClient:
    """Return a browser in which a user, in developer mode, is signed in, by what the session cookie holds."""
    client = app.test_client()
    with client.session_transaction() as session:
        session["_user_id"] = identity
        session["developer"] = True
    return client


@pytest.fixture
def administrator(demonstration: Flask) -> FlaskClient:
    """A browser in which an administrator of the demonstration, in developer mode, is signed in."""
    return administrator_of(demonstration)


def kinds_of(module: Module) -> Sequence[tuple[DocumentKind, DocumentBehavior]]:
    """Return the document kinds of a module with their behavior."""
    return [(kind, cast("DocumentBehavior", resolve(kind.behavior))) for kind in module.document_kinds]
