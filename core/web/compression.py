"""Answers travel compressed, by Flask-Compress."""

from __future__ import annotations

from flask import Flask, Response, request
from flask_compress import Compress

from core.web.static import is_static

TRUSTED_SITES = frozenset({"same-origin", "none"})
"""Whose requests for a page are answered compressed (Fetch Metadata, `Sec-Fetch-Site`)."""


def register(app: Flask) -> None:
    """Compress what is text, and large enough to be worth it; to be called before whatever sets headers."""
    app.config.update(
        COMPRESS_REGISTER=False,
        COMPRESS_ALGORITHM=["br", "gzip"],
        COMPRESS_ALGORITHM_STREAMING=["br", "gzip"],
    )
    compress = Compress(app)

    def shorten(response: Response) -> Response:
        # A page holds a token and what somebody searched for. Who could make a browser ask for it from another site,
        # and sees how long the answers are, would guess the token letter by letter (BREACH).
        if not is_static(request.endpoint) and request.headers.get("Sec-Fetch-Site") not in TRUSTED_SITES:
            return response
        # The body that is replaced may be an open file, which nobody else would close.
        close = getattr(response.response, "close", None)
        if close is not None:
            response.call_on_close(close)
        return compress.after_request(response)

    app.after_request(shorten)
