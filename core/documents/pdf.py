"""The PDF of a document, made by xhtml2pdf."""

from __future__ import annotations

import gc
import hashlib
import io
import logging
import re
import threading
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

from cachetools import TTLCache
from flask import current_app
from pypdf import PdfReader, PdfWriter
from reportlab import rl_config
from reportlab.lib.fonts import addMapping
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from xhtml2pdf import pisa
from xhtml2pdf.default import DEFAULT_FONT

from core.documents import pdf_engine
from core.documents.behavior import RollHtml
from core.documents.checked import BehaviorError, html_of
from core.documents.locale import speaking
from core.documents.models import Document
from core.errors import EnvoiError, UserError
from core.i18n import lazy_gettext as _l
from core.timings import timed

logger = logging.getLogger(__name__)

# A PDF is sent as base64 already: writing its streams in letters as well costs time and a quarter of its size.
rl_config.useA85 = 0
pdf_engine.stand_in()

# xhtml2pdf keeps state in its module and in reportlab's: one document at a time in a process.
_one_at_a_time = threading.Lock()

# What Windows has in the place of controls, as old imports have it: an apostrophe, a dash, the euro.
_WINDOWS = str.maketrans(
    {code: letter for code in range(0x80, 0xA0) if (letter := bytes([code]).decode("cp1252", "ignore"))}
)
_CONTROLS = re.compile("[\x80-\x9f]")


BELOW_THE_LAST_LINE = 17.0
"""Points (1/72 inch) of paper below the last line of a receipt: 6 mm."""
PATIENCE_SECONDS = 5.0
"""A request that waits for the PDF of another keeps a thread from everybody else."""


KEPT_SECONDS = 600.0
"""How long a PDF is at hand for whoever asks for the same page again: preview, composer, other mails about it."""
KEPT_BYTES = 16_000_000
"""So much memory may these take in a process; what was not asked for longest goes first."""
# By the hash of the page, which says more than a revision: company, customer and language are printed as well.
_kept: TTLCache[bytes, bytes] = TTLCache(KEPT_BYTES, KEPT_SECONDS, getsizeof=len)
_kept_lock = threading.Lock()


class RenderError(EnvoiError):
    """The PDF could not be made."""


class EngineBusyError(RenderError):
    """Another PDF is being made at this moment."""


@contextmanager
def _held(lock: threading.Lock) -> Iterator[None]:
    """Let go of a lock that was acquired before, whatever happens."""
    try:
        yield
    finally:
        lock.release()


FONT = "DejaVu"
"""The family that documents are printed in: in the PDF itself, so that everybody reads the same letters."""


@cache
def _register_fonts(folder: Path) -> None:
    """Make `FONT` known to the PDF engine.

    Done once in a process: an `@font-face` would read and parse the fonts again for every document, and the
    documents would have to be allowed to read files.
    """
    for bold, italic, file in ((0, 0, ""), (1, 0, "-Bold"), (0, 1, "-Oblique"), (1, 1, "-Bold")):
        face = f"{FONT}{file}"
        pdfmetrics.registerFont(TTFont(face, folder / f"DejaVuSans{file}.ttf"))
        addMapping(FONT, bold, italic, face)
    DEFAULT_FONT[FONT.lower()] = FONT
    # Both engines name Helvetica, which no PDF may leave out, for blanks and at the head of each page.
    rl_config.canvas_basefontname = FONT
    for style, face in (("", ""), ("-Bold", "-Bold"), ("-Oblique", "-Oblique"), ("-BoldOblique", "-Bold")):
        pdfmetrics._fonts[f"Helvetica{style}"] = pdfmetrics.getFont(f"{FONT}{face}")


def text_width(text: str, size: float) -> float:
    """Return how wide a line is in bold letters, which are the wider ones, in points.

    Args:
        text: The line.
        size: In points.
    """
    return float(_bold().stringWidth(text.replace("\u202f", "\xa0"), size))


@cache
def _bold() -> TTFont:
    _register_fonts(_font_folder())
    return pdfmetrics.getFont(f"{FONT}-Bold")


def has_glyph(letter: str) -> bool:
    """Return whether a letter can be printed: in its shape, and in its place where it is read from the right."""
    if letter.isspace() or unicodedata.category(letter) in _WITHOUT_GLYPH:
        return True
    return ord(letter) in _glyphs() and unicodedata.bidirectional(letter) not in _FROM_THE_RIGHT


_WITHOUT_GLYPH = frozenset(("Cc", "Cf"))  # marks that nobody sees
_FROM_THE_RIGHT = frozenset(("R", "AL"))


@cache
def _glyphs() -> frozenset[int]:
    _register_fonts(_font_folder())
    faces = [pdfmetrics.getFont(name).face for name in (FONT, f"{FONT}-Bold")]
    return frozenset(faces[0].charToGlyph) & frozenset(faces[1].charToGlyph)


def _font_folder() -> Path:
    return Path(current_app.static_folder or "static") / "vendor" / "fonts"


def _resolve_uri(uri: str, _relative_to: str | None) -> str:
    """Let a document show the pictures that it carries itself, and read nothing else."""
    if uri.startswith("data:image/"):
        return uri
    scheme = urlsplit(uri).scheme if uri.isprintable() else ""
    raise RenderError(f"A document may show no picture but its own ({scheme or 'a file'}).")


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Rendering makes many small objects and few cycles: collecting meanwhile costs 4 % and frees nothing."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def html_to_pdf(html: str, *, patience: float = -1) -> bytes:
    """Return the PDF of an HTML page.

    Args:
        html: The page.
        patience: Seconds to wait for another PDF of this process; -1 for as long as it takes.

    Raises:
        EngineBusyError: Another PDF is being made, and patience has ended.
        RenderError: The engine could not make it, or the page wanted to read something that is not its own.
    """
    out = io.BytesIO()
    _register_fonts(_font_folder())
    if not _one_at_a_time.acquire(timeout=patience):
        raise EngineBusyError("Another PDF is being made.")
    with _held(_one_at_a_time), _no_garbage_collection():
        try:
            # Not as a text: one of more than 100 kB would be written to the disk, into a file that nobody closes.
            page = io.BytesIO((html.translate(_WINDOWS) if _CONTROLS.search(html) else html).encode())
            status = pisa.CreatePDF(page, dest=out, link_callback=_resolve_uri, encoding="utf-8")
        except RenderError:
            raise
        except Exception as error:
            logger.warning("The PDF engine failed.", exc_info=True)
            # Not what it says: that may quote the text of a customer.
            raise RenderError(f"The PDF could not be made ({type(error).__name__}).") from error
    data = out.getvalue()
    # The engine may count errors and return something all the same; half a document must not leave.
    if status.err or not data.startswith(b"%PDF-"):
        raise RenderError("The PDF could not be made.")
    return _cut(data) if isinstance(html, RollHtml) else data


def _cut(data: bytes) -> bytes:
    """Return a PDF whose pages end below the last text on them, as a roll of paper is cut.

    The engine wants to know the height of a page before it knows what comes onto it, so the page is laid out long.
    """
    writer = PdfWriter()
    for page in PdfReader(io.BytesIO(data)).pages:
        ends: list[float] = [float(page.mediabox.top)]

        def note(
            text: str, outer: list[float], matrix: list[float], *_font: object, ends: list[float] = ends
        ) -> None:
            if text.strip():
                ends.append(matrix[4] * outer[1] + matrix[5] * outer[3] + outer[5])

        page.extract_text(visitor_text=note)
        bottom = max(0.0, min(ends) - BELOW_THE_LAST_LINE)
        for box in (page.mediabox, page.cropbox, page.trimbox, page.artbox, page.bleedbox):
            box.lower_left = (float(page.mediabox.left), bottom)
        writer.add_page(page)
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def render_document(document: Document, *, language: str | None = None, patience: float = -1) -> bytes:
    """Return the PDF of a document, in the document's language.

    Whoever asks again before anything that it prints has changed gets the same octets, for some minutes at least.

    Args:
        document: The document.
        language: Another language, to see what it would look like in it; what people have typed stays as it is.
        patience: As for `html_to_pdf`.

    Raises:
        EngineBusyError: Another PDF is being made, and patience has ended.
        RenderError: It could not be made.
        UserError: The module of the document is not enabled.
    """
    with speaking(document, language):
        try:
            html = html_of(document)
        except BehaviorError as error:
            # The mail that waits for this PDF must learn why.
            logger.exception("The module of document %s could not lay it out.", document.id)
            # Not yet in words: who reads it need not speak the language of the document.
            raise RenderError(error.message) from error
    page = hashlib.sha256(f"{type(html).__name__} {html}".encode(errors="surrogatepass")).digest()
    with _kept_lock:
        data = _kept.get(page)
    if data is None:
        with timed("pdf"):
            data = html_to_pdf(html, patience=patience)
        # One that alone is larger than all may be is not kept.
        with _kept_lock, suppress(ValueError):
            _kept[page] = data
    return data


def render_for_reader(document: Document, language: str | None = None) -> bytes:
    """Return the PDF of a document for somebody who waits for it, who is told in words why there is none.

    Args:
        document: The document.
        language: As for `render_document`.

    Raises:
        UserError: Other PDFs are being made, it could not be made, or the module is not enabled.
    """
    try:
        return render_document(document, language=language, patience=PATIENCE_SECONDS)
    except EngineBusyError as error:
        raise UserError(_l("Other PDFs are being made at this moment. Try again in a moment.")) from error
    except RenderError as error:
        raise UserError(
            _l("The PDF could not be made. An administrator finds the reason in the log.")
        ) from error
