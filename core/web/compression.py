"""Answers travel compressed, by Flask-Compress."""

from __future__ import annotations

from collections.abc import Container
from functools import lru_cache

import brotli  # type: ignore[import-untyped]
from flask import Flask, Response, request
from flask_compress import Compress

from core.web.static import is_static

TRUSTED_SITES = frozenset({"same-origin", "none"})
"""Whose requests for a page are answered compressed (Fetch Metadata, `Sec-Fetch-Site`)."""


LEAST_OCTETS = 500
BEST_LEVEL = 11
"""Of static files, which a process compresses once: a seventh less on the wire than at the quick level of pages."""
MOST_FILES = 500
MOST_OCTETS = 500_000  # of a file; the best level takes 1 ms for 1,000


@lru_cache(MOST_FILES)
def _at_its_best(content: bytes) -> bytes:
    return bytes(brotli.compress(content, quality=BEST_LEVEL))


def _shorten_file(response: Response, texts: Container[str]) -> None:
    """Compress a whole file as far as it goes, where it is text and the browser takes that."""
    if (
        request.accept_encodings.find("br") < 0
        or response.mimetype not in texts
        or response.status_code != 200
    ):
        return
    response.direct_passthrough = False
    content = response.get_data()
    if not LEAST_OCTETS <= len(content) <= MOST_OCTETS:
        return
    response.set_data(_at_its_best(content))
    response.headers["Content-Encoding"] = "br"
    etag, weak = response.get_etag()
    if etag is not None:
        response.set_etag(f"{etag}:br", weak=bool(weak))
        response.make_conditional(request)


def register(app: Flask) -> None:
    """Compress what is text, and large enough to be worth it; to be called before whatever sets headers."""
    app.config.update(
        COMPRESS_REGISTER=False,
        COMPRESS_MIN_SIZE=LEAST_OCTETS,
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
        if is_static(request.endpoint):
            _shorten_file(response, compress.compress_mimetypes_set)
        return compress.after_request(response)

    app.after_request(shorten)
