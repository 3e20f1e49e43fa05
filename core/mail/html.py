"""HTML that people write, made safe, and its plain-text twin."""

from __future__ import annotations

import html as entities
import re
from collections.abc import Callable
from itertools import islice

import nh3

from core.mail.text import plain_text

__all__ = [
    "ATTRIBUTES",
    "TAGS",
    "bounded",
    "clean_html",
    "drop_captions",
    "plain_text",
    "replace_pictures",
    "shown_size",
]

TAGS = {
    "a", "b", "blockquote", "br", "code", "div", "del", "em", "h1", "h2", "h3", "hr", "i", "li", "ol", "p", "pre",
    "s", "span", "strong", "sub", "sup", "table", "tbody", "td", "th", "thead", "tr", "u", "ul",
}  # fmt: skip
"""The elements that the text of a mail may have."""
ATTRIBUTES = {
    "a": {"href", "title"},
    "td": {"align", "colspan", "rowspan"},
    "th": {"align", "colspan", "rowspan"},
}
"""By element, the attributes that it may have."""
_SCHEMES = {"http", "https", "mailto", "tel"}  # where a link may lead; `javascript:` and `data:` run code
_PICTURE_ATTRIBUTES = {"src", "alt", "width", "height"}  # no `style`, no `srcset`, no handlers
# What nh3 writes: names in lower case, values in double quotes without a bare one inside.
_PICTURE = re.compile(r'<img((?: [a-z-]+="[^"]*")*)>')
_ATTRIBUTE = re.compile(r' ([a-z-]+)="([^"]*)"')
_CID = re.compile(r"cid:[A-Za-z0-9.!#$%&'*+/=?^_{|}~@-]{1,120}")
MAX_PICTURE_WIDTH = 600
"""Pixels of a picture in a text: as wide as mail programs show a text beside their lists."""
_LENGTH = re.compile(r"[0-9]{1,4}")  # pixels; percent and the like differ from reader to reader
MAX_ELEMENTS = 5_000
"""That may stand inside each other. Nobody writes so many, and the cleaner takes its time for deep nests."""
# Elements of form that are not closed are opened anew in every paragraph that follows, unless they are alike (HTML
# §13.2.4.3): with an attribute that differs in each, 200 kB would become a gigabyte. None of theirs is kept anyway.
_FORM = re.compile(r"<(b|big|code|em|font|i|nobr|s|small|strike|strong|tt|u)[\s/][^<>]*>?", re.IGNORECASE)
MAX_ESCAPED = 20_000
"""Characters that are written as references. nh3 moves the rest of the text for each, so their number is bounded."""
# The editor's formulas are figures with attributes full of references, which the cleaner drops: they cost nothing.
_ESCAPED = re.compile("<figure\\b[^<>]*>|([&\u00a0]|<(?![a-zA-Z/!?]))", re.IGNORECASE)
# Elements that hold no others of their own name, or are closed by the next: they make no depth.
_FLAT = "area|base|br|col|hr|img|input|li|link|meta|p|param|source|tbody|td|tfoot|th|thead|tr|track|wbr"
_NESTING = re.compile(rf"<(?!(?:{_FLAT})[\s/>])[a-z]", re.IGNORECASE)
_ANY_TAG = re.compile(r"<[^<>]*>?")  # also one without its end, at the end of the text
# The editor puts the name and the size of a file below it; only an edited caption is a person's words.
_CAPTION = re.compile(r'<figcaption(?: class="([^"]*)")?>(.*?)</figcaption>', re.DOTALL)


def clean_html(html: str, *, pictures: bool = False) -> str:
    """Return the HTML with nothing but text, its form, and links; no script, style or remote picture.

    Args:
        html: What somebody has written or pasted.
        pictures: True to keep pictures that travel with the mail (`cid:`, RFC 2392).
    """
    if not pictures:
        return nh3.clean(
            bounded(html),
            tags=TAGS,
            attributes=ATTRIBUTES,
            url_schemes=_SCHEMES,
            link_rel="noopener noreferrer",
        )
    cleaned = nh3.clean(
        bounded(html),
        tags=TAGS | {"img"},
        attributes={**ATTRIBUTES, "img": _PICTURE_ATTRIBUTES},
        attribute_filter=_only_own_pictures,
        url_schemes=_SCHEMES | {"cid"},
        link_rel="noopener noreferrer",
    )
    return _PICTURE.sub(lambda found: found[0] if ' src="' in found[1] else "", cleaned)


def bounded(html: str) -> str:
    """Return the HTML as nh3 can bear it; no honest text is changed.

    Beyond `MAX_ELEMENTS` elements, what follows is only text; beyond `MAX_ESCAPED` characters that are escaped,
    further ones are blanks. Lone surrogates, which no octets stand for, become "?".
    """
    html = _FORM.sub(r"<\1>", html.encode("utf-8", "replace").decode())
    beyond = next(islice(_NESTING.finditer(html), MAX_ELEMENTS, None), None)
    if beyond is not None:
        html = html[: beyond.start()] + _ANY_TAG.sub(" ", html[beyond.start() :])
    escaped = (found for found in _ESCAPED.finditer(html) if found.group(1))
    beyond = next(islice(escaped, MAX_ESCAPED, None), None)
    if beyond is None:
        return html
    return html[: beyond.start()] + _ESCAPED.sub(
        lambda found: " " if found.group(1) else found.group(), html[beyond.start() :]
    )


def _only_own_pictures(tag: str, name: str, value: str) -> str | None:
    if tag != "img":
        return None if name == "href" and value.casefold().startswith("cid:") else value
    if name == "src":
        return value if _CID.fullmatch(value) else None
    return value if name == "alt" or _LENGTH.fullmatch(value) else None


def shown_size(size: tuple[int, int], wanted: int | None = None) -> tuple[int, int]:
    """Return the width and height that a mail gives a picture: not distorted, no wider than a mail is read.

    Outlook shows a picture as wide as its attribute says, whatever a style says.

    Args:
        size: Of the file, in pixels.
        wanted: The width that the text asks for, or None.
    """
    width = max(1, min(wanted or size[0], size[0], MAX_PICTURE_WIDTH))
    return width, max(1, round(width * size[1] / size[0]))


def _fit(values: dict[str, str], size: tuple[int, int] | None) -> None:
    """Set width and height of a picture; of an unknown one, only what is too wide is cut."""
    given = int(values["width"]) if _LENGTH.fullmatch(values.get("width", "")) else None
    if size is not None:
        values["width"], values["height"] = map(str, shown_size(size, given))
    elif given is not None and given > MAX_PICTURE_WIDTH:
        values["width"] = str(MAX_PICTURE_WIDTH)
        values.pop("height", None)


def replace_pictures(
    html: str, source: Callable[[str], tuple[str, str, tuple[int, int] | None] | None]
) -> str:
    """Return the HTML, not safe yet, with the address of each picture replaced, and none too wide.

    Args:
        html: What somebody has written.
        source: Returns for an address the new one, the words for those who do not see the picture, and its
            width and height, or None where they are unknown; None removes it. Words that are there already stay.
    """

    def replaced(found: re.Match[str]) -> str:
        values = {name: entities.unescape(value) for name, value in _ATTRIBUTE.findall(found[1])}
        new = source(values.get("src", ""))
        if new is None:
            return ""
        values["src"], words, size = new
        _fit(values, size)
        values["alt"] = values.get("alt") or words
        written = [f'{name}="{entities.escape(value)}"' for name, value in values.items()]
        return f"<img {' '.join(written)}>"

    normalized = nh3.clean(
        bounded(html),
        tags=TAGS | {"img"},
        attributes={**ATTRIBUTES, "img": _PICTURE_ATTRIBUTES},
        url_schemes=_SCHEMES | {"cid", "data"},
    )
    return _PICTURE.sub(replaced, normalized)


def drop_captions(html: str) -> str:
    """Return the HTML of the editor without the names and sizes below pictures; captions that were typed stay."""
    if "<figcaption" not in html.casefold():
        return html
    normalized = nh3.clean(
        bounded(html),
        tags=TAGS | {"img", "figure", "figcaption"},
        attributes={**ATTRIBUTES, "img": _PICTURE_ATTRIBUTES, "figcaption": {"class"}},
        url_schemes=_SCHEMES | {"cid", "data"},
    )
    return _CAPTION.sub(lambda found: f"<br>{found[2]}" if "--edited" in (found[1] or "") else "", normalized)
