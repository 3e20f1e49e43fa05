"""One application for all tests of a process: only its database, folders, key and queue change from test to test.

Making an application costs more than most tests. What a test has changed in it does not reach the next one: settings
and extensions are put back, and an application that was given another page, function or filter is not lent again.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from flask import Flask, has_app_context
from flask.testing import FlaskClient
from jinja2.bccache import Bucket, BytecodeCache
from werkzeug.routing import Rule

from core import jobs, loader
from core.app import configure, create_app
from core.config import Settings
from core.db import db
from core.files import open_store


class _Browser(FlaskClient):
    """A client whose requests have a context of their own, as in a real server.

    Flask would use the context of the test again, and with it what an earlier request has cached: a second
    browser would act as the user of the first.
    """

    def open(self, *args: Any, **kwargs: Any) -> Any:
        """Send a request."""
        with self.application.app_context():
            response = super().open(*args, **kwargs)
        if has_app_context():
            db.session.rollback()  # the test reads what the page has written
        return response


class CompiledTemplates(BytecodeCache):
    """What Jinja has compiled, kept for the applications of all tests: compiling costs more than most tests.

    Attributes:
        folder: Where other processes of the run find it as well, and this one what they compile; None: nowhere.
    """

    def __init__(self) -> None:
        self.folder: Path | None = None
        self._code: dict[str, bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        """Fill a bucket with what was compiled before; Jinja looks whether the source is still the same."""
        if bucket.key not in self._code and self.folder is not None:
            with suppress(OSError):  # nobody has compiled it
                self._code[bucket.key] = (self.folder / bucket.key).read_bytes()
        if bucket.key in self._code:
            bucket.bytecode_from_string(self._code[bucket.key])

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Keep what was compiled."""
        self._code[bucket.key] = bucket.bytecode_to_string()
        if self.folder is not None:
            # Under a name of its own first: others read it while it is written. A test may have filled the disk.
            own = self.folder / f"{bucket.key}.{os.getpid()}"
            with suppress(OSError):
                own.write_bytes(self._code[bucket.key])
                own.replace(self.folder / bucket.key)


compiled_templates = CompiledTemplates()


_compile_builder = Rule._compile_builder
_builders: dict[tuple[object, ...], Any] = {}


def compile_builder(rule: Rule, append_unknown: bool = True) -> Any:
    """Compile the builder of a URL once, not again for each application; in place of `Rule._compile_builder`."""
    key = (rule.rule, rule.endpoint, rule.subdomain, str(rule.defaults), append_unknown)
    if key not in _builders:
        _builders[key] = _compile_builder(rule, append_unknown)
    return _builders[key]


def make_app(settings: Settings) -> Flask:
    """Return an application of a test's own, with the templates that others have compiled."""
    app = create_app(settings, testing=True)
    app.jinja_env.bytecode_cache = compiled_templates
    return app


def _make(settings: Settings) -> Flask:
    app = make_app(settings)
    app.config["WTF_CSRF_ENABLED"] = False
    app.test_client_class = _Browser
    # Made, and put in order, when they are first asked for: now, so that no test is taken for what has changed them.
    _ = app.jinja_loader
    app.url_map.update()
    return app


# Where the data of a test are; in everything else the applications of most tests are the same.
_PLACES: dict[str, Any] = {
    "data_dir": Path(),
    "files": None,
    "database_url": "",
    "redis_url": "",
    "redis_embedded": False,
    "queue": "",
    "secret_key": "",
}


class Applications:
    """Lends an application to one test after the other, and makes one where none is free that would fit."""

    def __init__(self) -> None:
        # Each with its shape, which is looked at once a test: when it comes back.
        self._free: dict[str, tuple[Flask, object]] = {}

    @contextmanager
    def lend(self, settings: Settings) -> Iterator[Flask]:
        """Lend an application with these settings; it comes back as it was, or not at all."""
        # A test may let other modules be found than there are.
        kind = f"{dataclasses.replace(settings, **_PLACES)} {loader.discover}"
        if kind in self._free:
            app, shape = self._free.pop(kind)
            _move(app, settings)
        else:
            app = _make(settings)
            shape = _shape(app)
        config, extensions = dict(app.config), dict(app.extensions)
        yield app
        app.config.clear()
        app.config.update(config)
        app.extensions.clear()
        app.extensions.update(extensions)
        app._got_first_request = False  # a test may add a page to it, as to a new one
        # What else a test has changed could not be put back. A proxy would be put before the one that is there.
        if _shape(app) == shape and not settings.trusted_proxies:
            self._free[kind] = app, shape


def _move(app: Flask, settings: Settings) -> None:
    """Give an application other places for its data, as `create_app` does for a new one."""
    # A thread that a test has left behind may have made them meanwhile, by the settings before.
    made = {"envoi_queue", "envoi_changes"}
    for name in [name for name in app.extensions if name in made or name.startswith("envoi_kept_")]:
        del app.extensions[name]
    app.extensions["envoi_settings"] = settings
    app.extensions["envoi_files"] = open_store(settings)
    configure(app, settings, testing=True)
    options = {"url": settings.database_url, "echo": False, **app.config["SQLALCHEMY_ENGINE_OPTIONS"]}
    db._apply_driver_defaults(options, app)
    db._app_engines[app][None] = db._make_engine(None, options, app)


def _shape(app: Flask) -> object:
    """Return what an application is made of, but for its settings and extensions: pages, functions, filters."""
    jinja = app.jinja_env
    # Flask gives templates the settings as well; what a test makes of those is put back.
    names = {name: value for name, value in jinja.globals.items() if value is not app.config}
    parts = [app, *(app.extensions[name] for name in ("babel", "csrf")), app.login_manager]  # type: ignore[attr-defined]
    return [
        *(
            {name: _copied(value) for name, value in vars(part).items() if name not in _PUT_BACK}
            for part in parts
        ),
        _copied([names, jinja.filters, jinja.tests, jinja.policies, jinja.loader, jinja.extensions]),
        _copied(app.url_map._rules),
    ]


_PUT_BACK = ("config", "extensions", "_got_first_request")


def _copied(value: object) -> object:
    """Copy what holds functions and settings, however deep; leave what it holds as it is."""
    if isinstance(value, dict):
        # Flask's own dictionaries gain an empty entry whenever they are asked for something.
        copies = {key: _copied(inner) for key, inner in value.items()}
        return {key: copy for key, copy in copies.items() if copy not in ({}, [])}
    if isinstance(value, list | tuple | set):
        return [_copied(inner) for inner in value]
    return value


applications = Applications()


def running_app(settings: Settings) -> Iterator[Flask]:
    """Yield an application for a test, with a context pushed and CSRF off, and clean up after it."""
    with applications.lend(settings) as app:
        jobs.bind_process(app)
        with app.app_context():
            try:
                yield app
            finally:
                db.session.remove()
                db.engine.dispose()
                if (queue := app.extensions.get("envoi_queue")) is not None:
                    queue.connection.close()
