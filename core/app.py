"""The application, as a flat list of steps."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable
from datetime import timedelta
from functools import cache, partial
from pathlib import Path
from typing import Any

from flask import Flask, Response, current_app, has_request_context, request, session
from flask.globals import request_ctx
from flask.typing import ResponseReturnValue
from flask_login import LoginManager, current_user
from flask_mail import Mail
from flask_wtf.csrf import CSRFProtect
from sqlalchemy.engine import make_url
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.routing import IntegerConverter, Map

import core
from core import loader, logs
from core.auth.permissions import guard, signed_in_user, taken_from_anywhere
from core.auth.sessions import LIFETIME, user_of_cookie
from core.companies.service import companies_for, locale_of_user
from core.config import SUPPORTED_LANGUAGES, Settings, read_settings
from core.db import again, db
from core.declarations import package_folder
from core.documents.service import kind_title
from core.files import open_store
from core.i18n import TranslatedPages, locale_here, number_locale
from core.kept import kept
from core.live.watching import remember_what_is_known, watched
from core.pulse import tell_outdated
from core.registry import Registry, current_registry, current_settings
from core.selection import found_elsewhere
from core.web import compression, errors, formats, security, static
from core.web.menu import developer_mode, menu_for
from core.web.slots import slot

logger = logging.getLogger(__name__)

SCHEMA_SECONDS = 5.0
"""How often a web process looks whether its tables are still those that it was started with."""


NOTICE_SILENCE = {
    "connect_timeout": 5,
    "keepalives_idle": 15,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}
"""How PostgreSQL's client notices within half a minute that the line is dead (libpq, "Connection Parameters").

By the system's own values it would wait for a quarter of an hour for what it has sent, and two hours for an answer.
"""


def create_app(settings: Settings | None = None, *, testing: bool = False) -> Flask:
    """Return the application with every enabled module mounted.

    Args:
        settings: What to run with; read from the environment when None.
        testing: True lets errors through to the caller.

    Raises:
        ConfigError: Settings are missing or wrong.
        ModuleError: Modules cannot be loaded.
    """
    logs.install()
    settings = settings or read_settings(check_modules=loader.settings_problems)
    registry = loader.build_registry(loader.select(loader.discover(), settings.modules))
    shell = shell_folder()
    app = Envoi("envoi", root_path=str(shell), static_folder="static", template_folder="templates")
    configure(app, settings, testing=testing)
    app.url_map.converters["int"] = RecordIdConverter
    app.extensions["envoi_settings"] = settings
    app.extensions["envoi_registry"] = registry
    app.extensions["envoi_files"] = open_store(settings)
    db.init_app(app)
    Mail(app)
    csrf = CSRFProtect(app)
    init_babel(app, registry)
    init_login(app)
    formats.register(app)
    static.register(app)
    compression.register(app)
    security.register(app)
    errors.register(app)
    app.before_request(refuse_other_tables)
    app.before_request(remember_what_is_known)
    app.before_request(guard)
    app.context_processor(shell_context)
    app.jinja_env.globals["watched"] = watched
    loader.mount(app, registry)
    for view in filter(taken_from_anywhere, app.view_functions.values()):
        csrf.exempt(view)
    return app


class Envoi(Flask):
    """An application whose pages are done anew where somebody else was faster: nothing was answered yet."""

    def full_dispatch_request(self) -> Response:
        """Answer a request under an id, which its lines of the log and the head of the answer have."""
        reference = secrets.token_hex(4)
        with logs.about(request=reference):
            response = super().full_dispatch_request()
        response.headers["X-Request-Id"] = reference
        return response

    def dispatch_request(self) -> ResponseReturnValue:
        """Answer a request by its view; see `core.db.conflicts.again`."""
        flashed = list(session.get("_flashes", []))

        def put_back() -> None:
            # What the database knows nothing of: notes on the next page, changes of the answer, files that were read.
            if "_flashes" in session or flashed:
                session["_flashes"] = flashed
            request_ctx._after_request_functions.clear()
            for files in request.files.listvalues():
                for file in files:
                    file.stream.seek(0)

        return again(super().dispatch_request, put_back)


class RecordIdConverter(IntegerConverter):
    """A number in an address; one that no column could hold is no page."""

    def __init__(self, map: Map, *args: Any, **kwargs: Any) -> None:  # noqa: A002 (Werkzeug's name)
        super().__init__(map, *args, **{"max": 2**31 - 1, **kwargs})


def shell_folder() -> Path:
    """Return the folder with the shell's `templates` and `static`: the checkout's, or that of the wheel."""
    package = Path(core.__file__).parent
    installed = package / "shell"
    return installed if installed.is_dir() else package.parent


def configure(app: Flask, settings: Settings, *, testing: bool) -> None:
    """Translate the settings into those of Flask and its extensions."""
    secure = settings.base_url.startswith("https://")
    url = make_url(settings.database_url)
    # A connection to PostgreSQL dies with a restart of the server; asking first costs less than an error page.
    engine_options: dict[str, Any] = {
        "pool_pre_ping": url.get_backend_name() == "postgresql",
        # Kept open; the others only while many lanes of a worker ask at once. Each needs one, and no lane waits for it.
        "pool_size": 5,
        "max_overflow": 20,
        # What a statement was to write is nobody's business who reads about its failure.
        "hide_parameters": True,
    }
    if url.get_backend_name() == "postgresql":
        # What the URL says itself counts.
        engine_options["connect_args"] = {
            name: value for name, value in NOTICE_SILENCE.items() if name not in url.query
        }
    app.config.update(
        TESTING=testing,
        SECRET_KEY=settings.secret_key,
        TRUSTED_HOSTS=list(settings.trusted_hosts) if settings.trusted_hosts is not None else None,
        SQLALCHEMY_DATABASE_URI=settings.database_url,
        SQLALCHEMY_ENGINE_OPTIONS=engine_options,
        MAX_CONTENT_LENGTH=settings.max_upload_bytes,
        # Bytes of the fields of a form: the longest text of a mail, percent-encoded, and room beside it.
        MAX_FORM_MEMORY_SIZE=4 * 1024 * 1024,
        # Fields of a form: a list has a box for each row that is marked.
        MAX_FORM_PARTS=5000,
        # The prefix lets browsers take it over https only, and from this host only (RFC 6265bis).
        SESSION_COOKIE_NAME="__Host-envoi" if secure else "envoi",
        SESSION_COOKIE_SECURE=secure,
        SESSION_COOKIE_HTTPONLY=True,
        # Not Strict: a link in a mail must find whoever is signed in.
        SESSION_COOKIE_SAMESITE="Lax",
        PERMANENT_SESSION_LIFETIME=LIFETIME,
        # As long as the session: a form that was open over lunch must still post.
        WTF_CSRF_TIME_LIMIT=int(LIFETIME.total_seconds()),
        WTF_CSRF_SSL_STRICT=secure,
        SEND_FILE_MAX_AGE_DEFAULT=timedelta(hours=1),
        # Envoi's own transport sends; Flask-Mail builds messages and must not connect by itself.
        MAIL_SUPPRESS_SEND=True,
    )
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    if settings.trusted_proxies:
        count = settings.trusted_proxies
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=count, x_proto=count, x_host=count)  # type: ignore[method-assign]


def init_babel(app: Flask, registry: Registry) -> None:
    """Let core and every module bring their translations."""
    folders = [str(package_folder(m) / "translations") for m in registry.modules if m.translations]
    app.config["BABEL_TRANSLATION_DIRECTORIES"] = ";".join(folders)
    TranslatedPages(app, locale_selector=select_locale, timezone_selector=select_timezone)


def select_locale() -> str:
    """Return the locale of the user's pages, else the best language of those that the browser asks for."""
    if not has_request_context():
        return current_settings().default_language  # the worker, the command line
    if current_user and current_user.is_authenticated:
        return locale_of_user(signed_in_user())
    return request.accept_languages.best_match(SUPPORTED_LANGUAGES) or "en"


def select_timezone() -> str | None:
    """Return the time zone of the user, or None for UTC."""
    if not has_request_context():
        return None
    return signed_in_user().timezone if current_user and current_user.is_authenticated else None


def refuse_other_tables() -> ResponseReturnValue | None:
    """Answer nothing any more once the tables were migrated under this process; looked at every few seconds."""
    problem_of: Callable[[], str] | None = current_app.extensions.get("envoi_schema_problem")
    if problem_of is None or request.endpoint is None or request.endpoint.endswith("static"):
        return None
    if request.endpoint in {"core.live", "core.ready"}:
        return None
    return errors.upgraded() if kept("schema", partial(_look_at_tables, problem_of)) else None


def _look_at_tables(problem_of: Callable[[], str], before: str | None) -> tuple[str, float]:
    problem = problem_of()
    if problem:
        tell_outdated()
        if not before:
            logger.error("The database was migrated under this process: start it again. %s", problem)
    return problem, SCHEMA_SECONDS


def init_login(app: Flask) -> None:
    """Keep track of who is signed in."""
    manager = LoginManager(app)
    manager.session_protection = None  # addresses change on the way; the session key ends stolen sessions
    manager.user_loader(user_of_cookie)


def shell_context() -> dict[str, Any]:
    """Return what every page of the shell shows."""
    registry = current_registry()
    everybody = {
        "slot": slot,
        # Of the page: the language alone, and as browsers know it (RFC 5646), for its texts and for numbers.
        "locale": locale_here().partition("_")[0],
        "page_language": locale_here().replace("_", "-"),
        "number_language": number_locale(locale_here()).replace("_", "-"),
        "module_scripts": registry.scripts,
        "module_styles": registry.styles,
    }
    if not (current_user and current_user.is_authenticated):
        return everybody
    user = signed_in_user()
    return {
        **everybody,
        "user": user,
        # To be called: a list renders a piece a row, each with these, and only few show them.
        "menu": partial(menu_for, user),
        "developer": developer_mode(user),
        "companies_to_choose": cache(partial(companies_for, user)),
        "kind_title": kind_title,
        "found_elsewhere": partial(found_elsewhere, user),
    }
