"""Headers that keep a page's browser safe."""

from __future__ import annotations

import secrets

from flask import Flask, Response, abort, g, request
from flask.sessions import SecureCookieSessionInterface, SessionMixin

from core.web.static import is_static
from core.web.strict_json import UNKEEPABLE, StrictJson


def csp_nonce() -> str:
    """Return the nonce of this response, for the style sheet that the text editor makes by itself."""
    if "csp_nonce" not in g:
        g.csp_nonce = secrets.token_urlsafe(16)
    return str(g.csp_nonce)


FILE_POLICY = "sandbox"
"""For static files: the page rules what they may do there, and opened by themselves they run nothing."""


def _set_headers(response: Response) -> Response:
    """Set the security headers that a response does not have yet."""
    if is_static(request.endpoint):
        # No more than counts for a file: a page loads twenty, and on a slow line each line of a head is waited for.
        response.headers.setdefault("Content-Security-Policy", FILE_POLICY)
        response.headers.setdefault("X-Content-Type-Options", "nosniff")
        return response
    nonce = f" 'nonce-{g.csp_nonce}'" if "csp_nonce" in g else ""
    response.headers.setdefault(
        "Content-Security-Policy",
        # `data:` and `blob:` for pictures that somebody has just pasted; nothing else comes from anywhere but
        # here.
        f"default-src 'none'; script-src 'self'; style-src 'self'{nonce}; img-src 'self' data: blob:; "
        "font-src 'self'; connect-src 'self'; frame-src 'self'; form-action 'self'; base-uri 'none'; "
        "frame-ancestors 'self'; object-src 'none'",
    )
    response.headers.setdefault("X-Content-Type-Options", "nosniff")
    # Not DENY: the preview of a mail stands in a frame of our own page.
    response.headers.setdefault("X-Frame-Options", "SAMEORIGIN")
    # Addresses hold ids and searches; a link in a mail must not tell them to its site.
    response.headers.setdefault("Referrer-Policy", "same-origin")
    response.headers.setdefault("Cross-Origin-Opener-Policy", "same-origin")
    response.headers.setdefault("Permissions-Policy", "camera=(), microphone=(), geolocation=()")
    if request.endpoint:
        # Pages show customers' data: a shared computer must not keep them.
        response.headers.setdefault("Cache-Control", "no-store")
    return response


FOREIGN_HTML_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; sandbox"
"""For HTML that came from elsewhere (the text of a mail): no script, no network, an origin of its own."""


def foreign_html(html: str) -> Response:
    """Return HTML that came from elsewhere as a page that can do nothing; show it in a sandboxed frame."""
    response = Response(html, mimetype="text/html")
    response.headers["Content-Security-Policy"] = FOREIGN_HTML_POLICY
    return response


def for_viewer(response: Response) -> Response:
    """Let the browser's own viewer show a file; it needs more than our pages do, and a PDF has no markup of ours."""
    response.headers["Content-Security-Policy"] = (
        "default-src 'none'; style-src 'unsafe-inline'; object-src 'self'"
    )
    return response


def _refuse_unkeepable() -> None:
    """Refuse what no text has, and no database keeps, in what was typed."""
    for values in (request.args, request.form):
        if any(UNKEEPABLE.search(value) for _name, value in values.items(multi=True)):
            abort(400)


class QuietSessions(SecureCookieSessionInterface):
    """Sessions that only somebody who is there prolongs.

    A page that refreshes by itself does not: nobody may be in front of it. An answer to a session that has ended does
    not either: its cookie could arrive after that of a sign-in in another window, and undo it.
    """

    def should_set_cookie(self, app: Flask, session: SessionMixin) -> bool:
        """Return True when the cookie is to be sent: after a change, and else to whoever is signed in and acts."""
        if session.modified:
            return True
        user = g.get("_login_user")  # who was asked for; asking now could need a database that is away
        is_there = user is not None and user.is_authenticated and not request.headers.get("X-Quiet")
        return is_there and super().should_set_cookie(app, session)

    def save_session(self, app: Flask, session: SessionMixin, response: Response) -> None:
        """Send the cookie, but with no static file: that is the same for everybody, whatever Flask-Login looks at."""
        if not is_static(request.endpoint):
            super().save_session(app, session, response)


def register(app: Flask) -> None:
    """Set the headers on every response, and refuse what no page takes."""
    app.session_interface = QuietSessions()
    app.json = StrictJson(app)
    app.before_request(_refuse_unkeepable)
    app.after_request(_set_headers)
    app.jinja_env.globals["csp_nonce"] = csp_nonce
