"""The text of a mail: HTML made safe, and its plain-text twin."""

from __future__ import annotations

import nh3
from inscriptis import get_text
from inscriptis.css_profiles import CSS_PROFILES
from inscriptis.model.config import ParserConfig

_TAGS = {
    "a", "b", "blockquote", "br", "code", "div", "del", "em", "h1", "h2", "h3", "hr", "i", "li", "ol", "p", "pre",
    "s", "span", "strong", "sub", "sup", "table", "tbody", "td", "th", "thead", "tr", "u", "ul",
}  # fmt: skip
_ATTRIBUTES = {
    "a": {"href", "title"},
    "td": {"align", "colspan", "rowspan"},
    "th": {"align", "colspan", "rowspan"},
}
_SCHEMES = {"http", "https", "mailto", "tel"}
_PLAIN = ParserConfig(css=CSS_PROFILES["relaxed"], display_links=True, display_anchors=False)

_PAGE = (
    '<!doctype html>\n<html lang="{language}">\n<head><meta charset="utf-8"></head>\n'
    '<body style="font-family:Arial,Helvetica,sans-serif;font-size:14px;line-height:1.5;color:#1d2733">\n'
    "{body}\n</body>\n</html>\n"
)


def clean_html(html: str) -> str:
    """Return the HTML with nothing but text, its form, and links; no script, style or remote picture."""
    return nh3.clean(
        html, tags=_TAGS, attributes=_ATTRIBUTES, url_schemes=_SCHEMES, link_rel="noopener noreferrer"
    )


def plain_text(html: str) -> str:
    """Return the plain-text twin of clean HTML."""
    text = get_text(f"<body>{html}</body>", _PLAIN) if html.strip() else ""
    lines = [line.rstrip() for line in text.replace("\u00a0", " ").splitlines()]
    return "\n".join(lines).strip() + "\n"


def page(html: str, language: str) -> str:
    """Return the HTML part of the message around a clean body."""
    return _PAGE.format(language=nh3.clean_text(language), body=html)
