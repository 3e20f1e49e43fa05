"""Where somebody is sent, which is never to another site: an address from elsewhere would make us a redirector."""

from __future__ import annotations

from urllib.parse import urlsplit

from flask import redirect, request
from flask.typing import ResponseReturnValue


def local_path(url: str | None) -> str | None:
    """Return path and query of an address of this site, or None for any other."""
    try:
        parts = urlsplit(url or "")
    except ValueError:
        return None
    if (parts.netloc and parts.netloc != request.host) or parts.scheme not in {"", "http", "https"}:
        return None
    path = parts.path
    if not path.startswith("/") or path.startswith(("//", "/\\")):
        return None
    return f"{path}?{parts.query}" if parts.query else path


def back_where_pressed(otherwise: str) -> ResponseReturnValue:
    """Lead back to the page on which a button was pressed, or to another one where the browser does not say it."""
    return redirect(local_path(request.referrer) or otherwise)
