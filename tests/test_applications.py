"""One application serves one test after the other, and nothing of a test reaches the next one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask
from jinja2 import DictLoader, Environment
from sqlalchemy import Connection, select, text

from core import jobs
from core.auth.models import User
from core.auth.permissions import public
from core.auth.service import save_user
from core.config import Settings
from core.db import db
from core.testing.applications import Applications, CompiledTemplates, running_app
from core.testing.fixtures import test_settings as settings_of

SettingsFor = Callable[[str], Settings]


@pytest.fixture
def pool() -> Applications:
    return Applications()


@pytest.fixture
def settings_for(tmp_path: Path) -> SettingsFor:
    return lambda name: settings_of(tmp_path / name)


def test_the_same_application_is_lent_again_with_the_places_of_the_next_test(
    pool: Applications, settings_for: SettingsFor
) -> None:
    one, two = settings_for("one"), settings_for("two")
    with pool.lend(one) as app:
        first, url = app, app.config["SQLALCHEMY_DATABASE_URI"]
        with app.app_context():
            queue = jobs.queue_for(app)
            assert str(db.engine.url) == url
    with pool.lend(two) as app:
        assert app is first
        assert app.extensions["envoi_settings"] is two
        assert app.extensions["envoi_files"].root == two.data_dir / "files"
        assert app.config["SECRET_KEY"] == two.secret_key != one.secret_key
        assert jobs.queue_for(app) is not queue
        with app.app_context():
            assert str(db.engine.url) == two.database_url != url
    for name in ("three", "four"):
        with pool.lend(settings_for(name)) as app:
            assert app is first


def test_what_a_test_has_set_is_gone(pool: Applications, settings_for: SettingsFor) -> None:
    with pool.lend(settings_for("one")) as app:
        app.config["WTF_CSRF_ENABLED"] = True
        app.config["OUTBOX_KEEP_DAYS"] = 7
        app.config["MAIL_CONFIG_CA_FILE"] = "one.pem"
        app.extensions["one"] = object()
        first = app
    with pool.lend(settings_for("two")) as app:
        assert app is first
        assert (app.config["WTF_CSRF_ENABLED"], app.config["OUTBOX_KEEP_DAYS"]) == (False, 0)
        assert app.config["MAIL_CONFIG_CA_FILE"] == ""
        assert "one" not in app.extensions


@pytest.mark.parametrize(
    "change",
    [
        lambda app: app.add_url_rule("/more", "more", public(lambda: "more")),
        lambda app: app.before_request(lambda: None),
        lambda app: app.register_error_handler(418, str),
        lambda app: app.jinja_env.globals.update(more=1),
        lambda app: app.add_template_filter(str, "more"),
        lambda app: setattr(app.login_manager, "login_view", "more"),
        lambda app: setattr(app, "session_interface", object()),
    ],
    ids=["page", "before a request", "error page", "global of Jinja", "filter", "sign-in", "session"],
)
def test_an_application_that_was_changed_is_not_lent_again(
    pool: Applications, settings_for: SettingsFor, change: Callable[[Flask], object]
) -> None:
    with pool.lend(settings_for("one")) as app:
        with app.app_context():
            assert app.test_client().get("/nowhere").status_code == 404  # it has begun to answer
        first = app
    with pool.lend(settings_for("two")) as app:
        assert app is first
    with pool.lend(settings_for("three")) as app:
        assert app is first
        change(app)
    with pool.lend(settings_for("four")) as app:
        assert app is not first


def test_what_one_process_has_compiled_the_others_find(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def environment() -> Environment:
        compiled = CompiledTemplates()
        compiled.folder = tmp_path
        source = DictLoader({"a.html": "{{ 1 + 1 }}"})
        return Environment(loader=source, bytecode_cache=compiled, autoescape=True)

    assert environment().get_template("a.html").render() == "2"
    other = environment()
    monkeypatch.setattr(other, "compile", lambda *_args: pytest.fail("compiled again"))
    assert other.get_template("a.html").render() == "2"


def test_compiled_templates_need_no_disk(tmp_path: Path) -> None:
    compiled = CompiledTemplates()
    compiled.folder = tmp_path / "away"
    environment = Environment(
        loader=DictLoader({"a.html": "{{ 1 + 1 }}"}), bytecode_cache=compiled, autoescape=True
    )
    assert environment.get_template("a.html").render() == "2"


def test_who_needs_two_at_once_gets_two(pool: Applications, settings_for: SettingsFor) -> None:
    with pool.lend(settings_for("one")) as one, pool.lend(settings_for("two")) as two:
        assert one is not two
        assert one.extensions["envoi_settings"].data_dir.name == "one"


def test_rows_of_one_test_are_not_those_of_the_next(
    settings_for: SettingsFor, request: pytest.FixtureRequest
) -> None:
    template: Path = request.getfixturevalue("_sqlite_template")
    found = []
    for name in ("one", "two"):
        own = settings_for(name)
        (own.data_dir / "envoi.db").write_bytes(template.read_bytes())
        for _app in running_app(own):
            save_user(
                None, login="a@example.com", name=name, roles=[], company_ids=[], password="a long password"
            )
            found.append([user.name for user in db.session.scalars(select(User))])
    assert found == [["one"], ["two"]]


@pytest.mark.on_database("postgresql")
def test_databases_of_postgresql_do_not_pile_up(app: Flask, request: pytest.FixtureRequest) -> None:
    keeper: Connection = request.getfixturevalue("_postgres_keeper")
    name = db.engine.url.database
    databases = set(keeper.scalars(text("SELECT datname FROM pg_database")))
    assert name in databases
    assert [other for other in databases if other.startswith("test_")] == [name]
