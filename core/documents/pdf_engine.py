"""What is the same in many documents is worked out once, beside xhtml2pdf, which stays as it is.

Each function below stands in for one of the engine's own, and answers what that would: from what was kept, or by what
costs less. What it relies on inside of the engine is said beside it, and was looked through in the versions of
`LOOKED_THROUGH`. With any other nothing stands in for anything: documents look the same and take longer, and
`tests/core/test_pdf_engine.py` fails until somebody has looked.

One document is made at a time in a process (`core/documents/pdf.py`), so nothing here has locks.
"""

from __future__ import annotations

import copy
import hashlib
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version
from types import SimpleNamespace
from typing import Any
from xml.dom import minidom
from xml.parsers import expat

from cachetools import LRUCache
from reportlab.pdfbase import pdfdoc
from reportlab.platypus import flowables
from xhtml2pdf import context, document, parser, util, xhtml2pdf_reportlab

LOOKED_THROUGH = {"xhtml2pdf": "0.2.28", "reportlab": "5.1.0"}

XHTML = b'<html xmlns="http://www.w3.org/1999/xhtml">'
"""A page that begins so is well-formed XML: it closes every element, and says `tbody` where it means one."""

SHEETS = 64
"""How many style sheets are kept; each color of a company and each size of letters makes another."""
SHAPES = 2000
"""How many shapes of elements are kept with them; a document of ours has some forty."""
WORDS = 5000
"""How many widths of words are kept from one document to the next."""
PICTURE_BYTES = 8_000_000
"""How much of pictures is kept, as they stand in a PDF."""


# Pages

_html5lib: Any = parser.html5lib


class _Reader:
    """Stands for html5lib's parser, which takes a page of HTML letter by letter."""

    def __init__(self, tree: Any) -> None:
        self._tree = tree

    def parse(self, page: Any, **how: Any) -> Any:
        """Return a page as a tree of `xml.dom.minidom`.

        Relies on: the engine walks a document of minidom, by what is public of that.
        """
        data: bytes = page.read() if hasattr(page, "read") else page
        if data.lstrip().startswith(XHTML):
            # Else somebody has typed a control character, which XML does not know.
            with suppress(expat.ExpatError):
                return _Tree().read(data)
        return _html5lib.HTMLParser(tree=self._tree).parse(data, **how)


_BLOCKS = frozenset(("html", "head", "body", "title", "style", "table", "tbody", "tr", "td", "p", "div"))
_BLANKS = " \t\n\r\f"


class _Tree:
    """Makes a tree of a page, without the blanks at the start of a block and behind one, of which nothing is seen."""

    def __init__(self) -> None:
        self._document = minidom.Document()
        self._open: Any = self._document
        self._text: list[str] = []

    def read(self, data: bytes) -> minidom.Document:
        reader = expat.ParserCreate("utf-8")
        reader.StartElementHandler = self._start
        reader.EndElementHandler = self._end
        reader.CharacterDataHandler = self._text.append
        reader.buffer_text = True
        reader.Parse(data, True)
        return self._document

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        self._put_text()
        element = self._document.createElement(tag)
        for name, value in attributes.items():
            element.setAttribute(name, value)
        self._open.appendChild(element)
        self._open = element

    def _end(self, _tag: str) -> None:
        self._put_text()
        self._open = self._open.parentNode

    def _put_text(self) -> None:
        if not self._text:
            return
        text = "".join(self._text)
        self._text.clear()
        words = text.lstrip(_BLANKS)
        beside = self._open.lastChild or self._open
        # Elsewhere by itself, as the engine has it from its parser, lest it takes the letters of the word before.
        if words != text and beside.nodeName not in _BLOCKS:
            self._open.appendChild(self._document.createTextNode(" "))
        if words:
            self._open.appendChild(self._document.createTextNode(words))


# Style sheets

_parse_source: Callable[..., Any] = context.pisaContext._parseCSSSource
_parse_sheets: Callable[..., None] = context.pisaContext.parseCSS
_key_of: Callable[..., Any] = parser.getCSSAttrCacheKey


def _rules_of(self: Any, text: str, source: str) -> Any:
    """Return the rules of a style sheet, parsed once.

    Relies on: rules are merged into new sets of rules and never changed; `@` says something about its document, whose
    pages and frames the engine makes while it parses, and `--` notes a variable, so these are parsed each time.
    """
    if "@" in text or "--" in text:
        return _parse_source(self, text, source)
    key = (text, self.cssParser.rootPath)
    rules = _rules.get(key)
    if rules is None:
        rules = _rules[key] = _parse_source(self, text, source)
    return rules


class _Styles(dict[Any, Any]):
    """The styles of elements by the number of their shape, for all documents with the same style sheets."""

    def __init__(self) -> None:
        super().__init__()
        self.shapes: dict[tuple[Any, ...], int] = {}

    def clear(self) -> None:
        """Keep them: the engine only means that this document has no more elements."""


class _Asked(frozenset[str]):
    """The attributes that selectors ask for, and the styles of those who have them."""

    styles: _Styles


_rules: LRUCache[Any, Any] = LRUCache(SHEETS)
_styles: LRUCache[Any, _Styles] = LRUCache(SHEETS)


def _parse_sheets_and_know_styles(self: Any) -> None:
    """Parse the style sheets of a document, and have at hand what elements looked like in documents with the same.

    Relies on: the engine looks a style up in `cssAttrCache` by `getCSSAttrCacheKey`, before it asks the rules.
    """
    _parse_sheets(self)
    if not _follow_from_shapes(self.cssCascade):
        return
    sheets = (self.cssDefaultText, *(text for text, _name in self.cssSources))
    styles = _styles.get(sheets)
    if styles is None or len(styles.shapes) > SHAPES:
        styles = _styles[sheets] = _Styles()
    self.cssAttrCache = styles
    self.cssAttributeNames = asked = _Asked(self.cssAttributeNames)
    asked.styles = styles


def _follow_from_shapes(cascade: Any) -> bool:
    """Return whether no selector asks for more than an element and those around it are by themselves.

    Relies on: an element's style follows from the rules, its tag, class, id and own style, and from the same of the
    elements around it, unless a selector asks for an attribute, a neighbor or a state.
    """
    return all(_asks_for_shape(selector) for rules in cascade.iterCSSRulesets() for selector in rules)


def _asks_for_shape(selector: Any) -> bool:
    return all(
        (qualifier.op in (" ", ">") and _asks_for_shape(qualifier.selector))
        if qualifier.isCombiner()
        # The engine's own sheet asks how a list is written; what has `dir` has no shape.
        else qualifier.isClass() or qualifier.isHash() or (qualifier.isPseudo() and qualifier.name == "dir")
        for qualifier in selector.qualifiers
    )


def _shape_of(node: Any, positional: Any = frozenset(), asked: Any = frozenset()) -> Any:
    """Return the number of the shape of an element, where the engine would name its parent.

    Relies on: the engine asks for an element after those around it.
    """
    if not isinstance(asked, _Asked):
        return _key_of(node, positional, asked)
    around = node.parentNode
    shapes = asked.styles.shapes
    shape = (
        getattr(around, "envoi_shape", 0),
        node.tagName.lower(),
        *(node.getAttribute(name) for name in ("class", "id", "style", "dir")),
    )
    number = shapes.setdefault(shape, len(shapes) + 1)
    node.envoi_shape = number
    return number


# Layout

_deepcopy: Callable[[Any], Any] = flowables.deepcopy
_wrap: Callable[..., tuple[float, float]] = xhtml2pdf_reportlab.PmlParagraph.wrap


def _copied(thing: Any) -> Any:
    """Return a copy of a frame that may be filled by way of trial; the engine makes one for each cell, each time.

    Relies on: a trial changes numbers of a frame and its lists, and nothing inside of them.
    """
    if type(thing) is not xhtml2pdf_reportlab.PmlFrame:
        return _deepcopy(thing)
    frame = thing.__class__.__new__(thing.__class__)
    frame.__dict__.update(
        {name: value.copy() if type(value) is list else value for name, value in thing.__dict__.items()}
    )
    return frame


def _wrapped(self: Any, width: float, height: float) -> tuple[float, float]:
    """Lay out a paragraph, once for each width: a table asks when it measures, is split and draws.

    Relies on: the height of plain text follows from its width, and `wrap` leaves nothing in the paragraph that follows
    from it but its size and `blPara`, its lines, which `split` may take out.
    """
    known = self.__dict__.get("envoi_sizes")
    if known is not None and width in known:
        self.setMaxHeight(height)
        self.width, self.height, self.blPara = known[width]
        return self.width, self.height
    _wrap(self, width, height)
    if not hasattr(self, "_splitpara") and all(map(_is_plain, self.frags)):
        if known is None:
            known = self.envoi_sizes = {}
        known[width] = self.width, self.height, self.blPara
    return self.width, self.height


def _is_plain(fragment: Any) -> bool:
    """Return whether it is neither a picture nor a number that is known when its page is."""
    return (
        type(fragment.text) is str
        and not hasattr(fragment, "cbDefn")
        and not fragment.pageNumber
        and not fragment.pageCount
    )


# Pictures

_read_picture: Callable[[Any], Any] = xhtml2pdf_reportlab.PmlImage.getImage
_load_picture: Callable[..., None] = pdfdoc.PDFImageXObject.loadImageFromSRC
_MASK = "auto"
"""Transparent parts of a picture are so in the PDF: what the engine asks for, but for the marks of lists."""


class _Picture:
    """A picture as it stands in a PDF, decoded and compressed."""

    def __init__(self, data: bytes, reader: Any) -> None:
        self.data = data
        self.loaded = pdfdoc.PDFImageXObject("", reader, mask=_MASK).__dict__
        self.octets = len(data) + len(self.loaded["streamContent"])
        self._name = str(reader)

    def __str__(self) -> str:
        """Return the name by which a PDF knows it: the engine asks whatever it draws for it."""
        return self._name

    def getSize(self) -> tuple[int, int]:  # noqa: N802 (the engine's word)
        return self.loaded["width"], self.loaded["height"]

    def jpeg_fh(self) -> None:
        """Be taken for a picture that is open, and not for the name of a file."""


_pictures: LRUCache[bytes, _Picture] = LRUCache(PICTURE_BYTES, getsizeof=lambda picture: picture.octets)


def _picture_of(self: Any) -> Any:
    """Return what an element shows, decoded and compressed once: a logo is on each document of its company.

    Relies on: `PmlImage` has its octets, and `drawImage` makes a `PDFImageXObject` of what this returns, which takes
    what it is from the octets and the mask alone.
    """
    data: bytes = self._imgdata
    if xhtml2pdf_reportlab.looks_like_svg(data, self.mimetype):
        return _read_picture(self)
    key = hashlib.sha256(data).digest()
    picture = _pictures.get(key)
    if picture is None:
        picture = _Picture(data, _read_picture(self))
        with suppress(ValueError):  # larger than all may be
            _pictures[key] = picture
    return picture


def _load_picture_kept(self: Any, picture: Any) -> None:
    """Put a picture into a PDF.

    Relies on: transparent parts are a picture of their own, `_smask`, which gets a name in each PDF.
    """
    if not isinstance(picture, _Picture):
        _load_picture(self, picture)
    elif self.mask != _MASK:  # the mark of a list
        _load_picture(self, xhtml2pdf_reportlab.PmlImageReader(io.BytesIO(picture.data)))
    else:
        loaded = dict(picture.loaded, name=self.name)
        if "_smask" in loaded:
            loaded["_smask"] = copy.copy(loaded["_smask"])
        self.__dict__.update(loaded)


# Sizes

_forget: Callable[[], None] = document.reset_caches


def _forget_much() -> None:
    """Keep sizes, colors and widths of words for the next document, which has most of them as well.

    Relies on: what a font is called does not change (`core/documents/pdf.py` lets no page bring its own), and the
    engine bounds all but the widths by itself.
    """
    if len(util._string_widths) > WORDS:
        _forget()


_STAND_INS: tuple[tuple[Any, str, Any], ...] = (
    (parser, "html5lib", SimpleNamespace(HTMLParser=_Reader)),
    (context.pisaContext, "_parseCSSSource", _rules_of),
    (context.pisaContext, "parseCSS", _parse_sheets_and_know_styles),
    (parser, "getCSSAttrCacheKey", _shape_of),
    (flowables, "deepcopy", _copied),
    (xhtml2pdf_reportlab.PmlParagraph, "wrap", _wrapped),
    (xhtml2pdf_reportlab.PmlImage, "getImage", _picture_of),
    (pdfdoc.PDFImageXObject, "loadImageFromSRC", _load_picture_kept),
    (document, "reset_caches", _forget_much),
)
_own = tuple((owner, name, getattr(owner, name)) for owner, name, _instead in _STAND_INS)


def stand_in() -> None:
    """Let what is here stand in for the engine's own, in the versions that were looked through."""
    if all(version(name) == looked_through for name, looked_through in LOOKED_THROUGH.items()):
        _put(_STAND_INS)


@contextmanager
def engine_alone() -> Iterator[None]:
    """Let the engine do everything itself meanwhile, to compare what comes of it."""
    _put(_own)
    try:
        yield
    finally:
        stand_in()


def _put(functions: tuple[tuple[Any, str, Any], ...]) -> None:
    for owner, name, function in functions:
        setattr(owner, name, function)
