"""Fixtures for tests of core and of modules: `pytest_plugins = ["core.testing.fixtures"]`.

Tests get real parts: a migrated database of their own, a Redis server, a PostgreSQL server. Talking SMTP
is forbidden to a test that does not ask for it with `@pytest.mark.smtp`.
"""

from __future__ import annotations

import dataclasses
import fcntl
import os
import secrets
import shutil
import smtplib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from argon2 import PasswordHasher
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Connection, Dialect, Engine, NullPool, create_engine, event, text
from sqlalchemy.util import LRUCache
from werkzeug.routing import Rule

from core import jobs, migrate
from core.app import create_app
from core.auth import service as auth_service
from core.auth.models import User
from core.auth.service import save_user
from core.companies.models import Company
from core.companies.service import save_company
from core.config import Settings, read_settings
from core.db import db, end_reading
from core.testing.applications import compile_builder, compiled_templates, running_app
from core.testing.databases import Databases
from core.testing.services import create_database, postgres_server, redis_server

PASSWORD = "correct horse battery"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let a module be tried in a smaller house."""
    parser.addini(
        "envoi_modules",
        "The modules of the house in which the conformance suite tries pages; every installed one without it.",
        type="args",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marks."""
    config.addinivalue_line("markers", "both_databases: runs on SQLite and on PostgreSQL")
    config.addinivalue_line("markers", "on_database(name): runs on this database only")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run what is marked so on both databases, everything else on SQLite."""
    if "backend" in metafunc.fixturenames:
        both = metafunc.definition.get_closest_marker("both_databases") is not None
        one = metafunc.definition.get_closest_marker("on_database")
        databases = [one.args[0]] if one else ["sqlite", "postgresql"] if both else ["sqlite"]
        metafunc.parametrize("backend", databases, indirect=False, scope="function")


@pytest.fixture(autouse=True)
def _no_smtp(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Forbid SMTP to a test that has not asked for it."""
    if request.node.get_closest_marker("smtp") is None:

        def refuse(*_args: Any, **_kwargs: Any) -> None:
            pytest.fail("This test must not talk SMTP; mark it with @pytest.mark.smtp.")

        monkeypatch.setattr(smtplib.SMTP, "connect", refuse)


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real Redis server for the session."""
    with redis_server(tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A real PostgreSQL server for the session."""
    with postgres_server(tmp_path_factory.mktemp("postgres")) as url:
        yield url


def test_settings(data_dir: Path, **changes: Any) -> Settings:
    """Return settings for a test, with a Redis that is away unless one is named."""
    data_dir.mkdir(parents=True, exist_ok=True)
    environ = {
        "ENVOI_DATA_DIR": str(data_dir),
        "ENVOI_REDIS_URL": "redis://127.0.0.1:1/0",
        # The mail servers of tests are on this machine.
        "ENVOI_MAIL_CONFIG_ALLOW_LOCAL_SERVERS": "1",
        # What the world's DNS says, or whether it answers, is nothing that a test may depend on.
        "ENVOI_MAIL_CONFIG_DNS_SERVERS": "none",
    }
    return dataclasses.replace(read_settings(environ), **changes)


test_settings.__test__ = False  # type: ignore[attr-defined]  # not a test of pytest


def _migrated(settings: Settings) -> None:
    app = create_app(settings, testing=True)
    with app.app_context():
        migrate.upgrade(app)
        db.session.remove()
        db.engine.dispose()


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Path:
    """A folder that all processes of the run share."""
    own = tmp_path_factory.getbasetemp()
    # That of a process of pytest-xdist lies in that of the run.
    return own.parent if hasattr(pytestconfig, "workerinput") else own


@pytest.fixture(scope="session")
def migrated_file(run_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Return a migrated SQLite file for some modules, to be copied: migrating costs more than most tests.

    Whichever process of the run asks for it first makes it; the others wait for it.
    """

    @cache
    def make(*modules: str) -> Path:
        made = run_folder / f"migrated-{'-'.join(modules)}.db"
        # Let go when the file is closed, also by a process that was killed: what it has left undone, another one does.
        with made.with_suffix(".lock").open("w") as turn:
            fcntl.flock(turn, fcntl.LOCK_EX)
            if not made.exists():
                folder = tmp_path_factory.mktemp("template")
                _migrated(test_settings(folder, modules=modules or None))
                engine = create_engine(f"sqlite:///{folder / 'envoi.db'}")
                with engine.connect() as connection:
                    connection.execute(text("PRAGMA wal_checkpoint(TRUNCATE)"))
                engine.dispose()
                (folder / "envoi.db").rename(made)
        return made

    return make


@pytest.fixture(scope="session")
def _sqlite_template(migrated_file: Callable[..., Path]) -> Path:
    """The migrated SQLite file that each test copies."""
    return migrated_file()


@pytest.fixture(scope="session")
def _postgres_template(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The name of a migrated PostgreSQL database that each test clones."""
    name = f"template_{secrets.token_hex(4)}"
    url = create_database(postgres_url, name)
    _migrated(test_settings(tmp_path_factory.mktemp("template"), database_url=url))
    return name


@pytest.fixture(scope="session")
def _postgres_keeper(postgres_url: str) -> Iterator[Connection]:
    """A connection that makes and removes the databases of tests."""
    engine = create_engine(postgres_url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        yield connection


@pytest.fixture(scope="session")
def _postgres_databases(_postgres_keeper: Connection, _postgres_template: str) -> Iterator[Databases]:
    """The databases that are lent to one test after the other."""
    databases = Databases(_postgres_keeper, _postgres_template)
    yield databases
    databases.close()


@pytest.fixture
def _postgres_database(_postgres_databases: Databases) -> Iterator[str]:
    """The URL of a migrated PostgreSQL database that a test has for itself."""
    with _postgres_databases.lend() as url:
        yield url


@pytest.fixture
def settings(backend: str, tmp_path: Path, request: pytest.FixtureRequest) -> Settings:
    """Settings with an empty, migrated database of its own."""
    data_dir = tmp_path / "data"
    if backend == "sqlite":
        settings = test_settings(data_dir)
        shutil.copy(request.getfixturevalue("_sqlite_template"), data_dir / "envoi.db")
        return settings
    return test_settings(data_dir, database_url=request.getfixturevalue("_postgres_database"))


@pytest.fixture
def app(settings: Settings) -> Iterator[Flask]:
    """The application on a database of its own, with a context pushed and CSRF off; no queue."""
    yield from running_app(settings)


@pytest.fixture
def app_with_queue(settings: Settings, redis_url: str) -> Iterator[Flask]:
    """The application with a queue of its own on a real Redis."""
    yield from running_app(
        dataclasses.replace(settings, redis_url=redis_url, queue=f"envoi-{secrets.token_hex(6)}")
    )


@pytest.fixture(scope="session", autouse=True)
def _cheap_password_hashes() -> Iterator[None]:
    """Let tests hash passwords as Argon2 does, without the cost that is meant for those who guess."""
    with pytest.MonkeyPatch.context() as patch:
        hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
        patch.setattr(auth_service, "_hasher", hasher)
        auth_service._nobodys_hash.cache_clear()
        yield


@pytest.fixture(scope="session", autouse=True)
def _urls_compiled_once() -> Iterator[None]:
    """Let Werkzeug compile the builder of each URL once, not again for the application of every test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Rule, "_compile_builder", compile_builder)
        yield


@pytest.fixture(scope="session", autouse=True)
def _templates_compiled_once(run_folder: Path) -> Iterator[None]:
    """Let Jinja compile each template once in all processes of the run."""
    folder = run_folder / "templates"
    folder.mkdir(exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compiled_templates, "folder", folder)
        yield


_must_reach_the_disk: list[bool] = []


@pytest.fixture
def durable() -> Iterator[None]:
    """A disk as people have it; ask for it before the application.

    For other tests a commit does not wait for the disk. What a process has committed is there for every other one, also
    when it is killed; only a machine that loses its power would lose it.
    """
    _must_reach_the_disk.append(True)
    yield
    _must_reach_the_disk.clear()


@pytest.fixture(scope="session", autouse=True)
def _disk_not_waited_for() -> Iterator[None]:
    """Let the files and SQLite databases of tests be written without waiting for the disk; see `durable`."""
    make_engine = db._make_engine

    def unless_durable(wait: Callable[[int], None]) -> Callable[[int], None]:
        return lambda descriptor: wait(descriptor) if _must_reach_the_disk else None

    def hurry(dbapi_connection: Any, _record: Any) -> None:
        dbapi_connection.execute("PRAGMA synchronous=OFF")

    def make(bind_key: str | None, options: dict[str, Any], app: Flask) -> Engine:
        engine = make_engine(bind_key, options, app)
        if engine.dialect.name == "sqlite" and not _must_reach_the_disk:
            event.listen(engine, "connect", hurry)
        return engine

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(db, "_make_engine", make)
        for name in ("fsync", "fdatasync"):
            patch.setattr(os, name, unless_durable(getattr(os, name)))
        yield


@pytest.fixture(scope="session", autouse=True)
def _statements_compiled_once() -> Iterator[None]:
    """Let SQLAlchemy compile each statement once for a kind of database, not again for the engine of every test."""
    known: dict[str, tuple[Dialect, LRUCache[Any, Any]]] = {}
    make_engine = db._make_engine

    def make(bind_key: str | None, options: dict[str, Any], app: Flask) -> Engine:
        engine = make_engine(bind_key, options, app)
        # The dialect is part of the keys of the cache, so it is shared as well, once an engine has connected by it:
        # it then knows the database it speaks to. Many tests make an application and never ask the database.
        dialect, cache = known.get(engine.dialect.name, (engine.dialect, LRUCache(3000)))
        if dialect.server_version_info is None:
            dialect = engine.dialect
        known[dialect.name] = dialect, cache
        engine.dialect = engine.pool._dialect = dialect
        engine._compiled_cache = cache
        return engine

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(db, "_make_engine", make)
        yield


@pytest.fixture
def company(app: Flask) -> Company:  # noqa: ARG001 (the context)
    """A company that sends from sales@maison.example.com."""
    return save_company(
        None,
        {
            "name": "Maison Test",
            "email": "sales@maison.example.com",
            "street": "1 rue Neuve",
            "zip_code": "75001",
            "city": "Paris",
            "currency": "EUR",
            "language": "fr",
        },
    )


@pytest.fixture
def make_user(company: Company) -> Callable[..., User]:
    """Make users of a role."""

    def make(
        role: str = "salesperson", login: str | None = None, language: str = "en", **values: Any
    ) -> User:
        return save_user(
            None,
            login=login or f"{role}@maison.example.com",
            name=values.pop("name", role.title()),
            roles=[role],
            company_ids=values.pop("company_ids", [company.id]),
            language=language,
            password=PASSWORD,
        )

    return make


@pytest.fixture
def sign_in(app: Flask) -> Callable[[User], FlaskClient]:
    """Return a client in which a user is signed in."""

    def enter(user: User) -> FlaskClient:
        client = app.test_client()
        response = client.post("/sign-in", data={"login": user.login, "password": PASSWORD})
        assert response.status_code == 302, response.text
        return client

    return enter


@pytest.fixture
def run_jobs(app: Flask) -> Callable[[str], None]:
    """Run a job in this process, as a worker would."""

    def run(name: str, *args: Any) -> None:
        end_reading()  # the job sees what there is now
        jobs.run(name, *args)
        db.session.expire_all()

    _ = app
    return run
