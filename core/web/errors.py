"""Pages for what went wrong."""

from __future__ import annotations

import contextlib
import logging
import secrets
from http import HTTPStatus

from flask import Flask, current_app, flash, g, make_response, redirect, render_template, request
from flask.typing import ResponseReturnValue
from flask_babel import gettext
from flask_login import current_user
from flask_wtf.csrf import CSRFError
from sqlalchemy.exc import IntegrityError, OperationalError
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge, SecurityError

from core import logs
from core.db import db
from core.db.conflicts import is_conflict
from core.errors import UserError
from core.files import StoreAwayError
from core.i18n import lazy_gettext as _l
from core.web.formats import file_size
from core.web.redirects import local_path

logger = logging.getLogger(__name__)

SESSION_ENDED = _l(
    "Your session has ended. Sign in again in another window, then go on here: what you typed is not lost."
)
"""What to do about a form in place whose session has ended; the page stays."""


def _page(code: int, title: str, text: str) -> ResponseReturnValue:
    if request.headers.get("HX-Request"):
        # The page stays as it is; the shell's script shows the sentence in a corner.
        return text, code, {"Content-Type": "text/plain; charset=utf-8"}
    above = _page_above() if code == HTTPStatus.METHOD_NOT_ALLOWED else None
    return render_template("core/error.html", title=title, text=text, above=above), code


def _page_above() -> str | None:
    """Return where the page is whose button was pressed; a reload of what that has shown leads here."""
    adapter = current_app.create_url_adapter(request)
    path = request.path
    while adapter is not None and (path := path.rpartition("/")[0]):
        with contextlib.suppress(HTTPException):
            adapter.match(path, method="GET")
            return request.script_root + path
    return None


def _http(error: HTTPException) -> ResponseReturnValue:
    """Answer an HTTP error with a page, or for htmx with a sentence."""
    code = error.code or 500
    # A page for a host that is not ours would hold its address.
    if code < 400 or isinstance(error, SecurityError):
        return error
    # The others speak of the browser or of an attack; one sentence for all of them is enough.
    titles = {
        403: gettext("Not allowed"),
        404: gettext("Not found"),
        405: gettext("Not available here"),
        413: gettext("Too large"),
    }
    texts = {
        403: gettext("Your roles do not allow this. An administrator can give you the permission."),
        404: gettext("There is no such page or record, or it is not yours to see."),
        405: gettext("Go back and use the button of the page."),
    }
    return _page(
        code,
        titles.get(code, gettext("Something is wrong")),
        texts.get(
            code,
            gettext("The request was not understood; nothing was changed. Reload the page and try again."),
        ),
    )


def _too_large(_error: RequestEntityTooLarge) -> ResponseReturnValue:
    limit = file_size(request.max_content_length or 0)
    return _page(413, gettext("Too large"), gettext("What you sent is larger than %(limit)s.", limit=limit))


def _csrf(_error: CSRFError) -> ResponseReturnValue:
    """Answer a form without a valid token: what was typed is offered again where it can be."""
    if request.headers.get("HX-Request"):
        if not current_user.is_authenticated:
            # Without a session there is no token: that it ended is what the person should know.
            return _page(401, "", str(SESSION_ENDED))
        # The page takes the token of the new session before it asks again (envoi.js).
        again = gettext("You have signed in again since this page was opened. Press again; nothing was lost.")
        return _page(400, "", again)
    if request.method == "POST" and _is_from_here():
        # What was typed comes back: it goes out again once there is a session, by the press of a button.
        return render_template(
            "core/go_on.html",
            fields=[(name, value) for name, value in request.form.items(multi=True) if name != "csrf_token"],
            files=[file.filename for file in request.files.values() if file.filename],
            signed_in=current_user.is_authenticated,
        ), 400
    return _page(
        400,
        gettext("The page was open for too long"),
        gettext("Go back, reload the page and try again; nothing was changed."),
    )


def _is_from_here() -> bool:
    """Return True when a browser says that a form of our own pages was posted, and it holds no password."""
    own = request.host_url.rstrip("/")
    return request.headers.get("Origin") == own and not any("password" in name for name in request.form)


def tell(error: UserError) -> ResponseReturnValue:
    """Answer with the sentence of an error: on the page where something was pressed, or on one of its own."""
    db.session.rollback()
    if request.headers.get("HX-Request"):
        return str(error.message), 409, {"Content-Type": "text/plain; charset=utf-8"}
    if request.method == "POST" and (pressed_on := local_path(request.referrer)):
        flash(str(error.message), "danger")
        return redirect(pressed_on)
    return _page(409, gettext("This cannot be done"), str(error.message))


def _conflict(error: IntegrityError) -> ResponseReturnValue:
    """Answer whoever was slower than somebody else, and again after each further try (409)."""
    if not is_conflict(error):
        if current_app.testing:
            raise error  # a test must see the error itself
        return _unexpected(error)
    db.session.rollback()
    logger.warning("Given up after a conflict at %s: %s", request.path, type(error.orig).__name__)
    return _page(
        409,
        gettext("Somebody else was faster"),
        gettext(
            "Somebody else was changing the same in that moment. Look at it as it is now, and try again if need be."
        ),
    )


def _database(error: OperationalError) -> ResponseReturnValue:
    """Answer while the database is locked or away (503)."""
    db.session.rollback()
    logger.error("The database did not answer: %s", error.orig)
    try:
        return _busy_page()
    except OperationalError:
        # Not even who asks can be read now, on whom language and menu depend: a page for anybody.
        db.session.rollback()
        g._login_user = current_app.login_manager.anonymous_user()  # type: ignore[attr-defined]
        return _busy_page()


def _busy_page() -> ResponseReturnValue:
    return _page(
        503,
        gettext("The database is busy or unavailable"),
        gettext("Nothing was changed. Wait a moment, go back and try again."),
    )


def _files_away(error: StoreAwayError) -> ResponseReturnValue:
    """Answer while the store of files cannot be reached (503)."""
    db.session.rollback()
    logger.error("%s", error)
    return _page(
        503,
        gettext("Files cannot be reached"),
        gettext("The file store is unavailable. Nothing was changed. Wait a moment, go back and try again."),
    )


def upgraded() -> ResponseReturnValue:
    """Answer everything once the tables were migrated under this process (503)."""
    # Nobody is asked for: the tables of users may have changed as well.
    g._login_user = current_app.login_manager.anonymous_user()  # type: ignore[attr-defined]
    response = make_response(
        _page(
            503,
            gettext("Envoi was upgraded"),
            gettext(
                "It has to be started again by whoever looks after it. Nothing is lost; come back in a moment."
            ),
        )
    )
    response.headers["Retry-After"] = "30"
    return response


def _unexpected(error: Exception) -> ResponseReturnValue:
    """Answer a fault of ours with a reference that the log holds as well (500)."""
    db.session.rollback()
    # Leads from what the person reads to the line of the log, and tells nothing about the inside.
    reference = logs.known("request") or secrets.token_hex(4)
    logger.error("Unexpected error %s at %s", reference, request.url_rule, exc_info=error)
    return _page(
        500,
        gettext("Something went wrong"),
        gettext(
            "Nothing was changed. Tell your administrator the reference %(reference)s.", reference=reference
        ),
    )


def register(app: Flask) -> None:
    """Show these pages."""
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(RequestEntityTooLarge, _too_large)
    app.register_error_handler(CSRFError, _csrf)
    app.register_error_handler(UserError, tell)
    app.register_error_handler(OperationalError, _database)
    app.register_error_handler(IntegrityError, _conflict)
    app.register_error_handler(StoreAwayError, _files_away)
    # A test must see the error itself.
    if not app.testing:
        app.register_error_handler(Exception, _unexpected)
