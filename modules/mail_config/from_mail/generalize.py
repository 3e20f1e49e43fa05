"""Makes the text that a person wrote about one document into a template for every document.

Paragraphs that the template had made keep their source, formulas included. Elsewhere the values of this document
become fields again. What still looks like this customer is named, so that nobody stores it unseen as everyone's.
"""

from __future__ import annotations

import datetime as dt
import html
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from difflib import SequenceMatcher

from core.documents.behavior import FieldValue
from core.documents.locale import speaking
from core.documents.models import Document
from core.errors import UserError
from core.i18n import lazy_gettext as _l
from core.mail.html import clean_html
from modules.mail_config.from_mail.paragraphs import blocks_of, units_of, without_ending
from modules.mail_config.from_mail.personal_values import (
    HOUSE,
    OWN,
    SHORTEST_WORD,
    is_for_customer,
    one_blank,
    personal_values,
    still_personal,
    whole_words,
)
from modules.mail_config.mail_templates.selection import text_for
from modules.mail_config.models import MailTemplate
from modules.mail_config.template_language import render
from modules.mail_config.template_language.fields import (
    TemplateValue,
    catalogue,
    plain_values_of,
    values_of,
)
from modules.mail_config.template_language.linter import find_problems, used_fields
from modules.mail_config.template_language.sandbox import MAX_SOURCE
from modules.mail_config.template_language.tags import tags_of
from modules.mail_config.template_language.tree import VOID, Element, Formula, Node, start_tag
from modules.mail_config.template_language.values import DATE_STYLES, Amount, shown

_GENERAL = {"title", "currency", "language", "country", "line_count"}
"""Last parts of fields whose values are ordinary words."""
_MOST_COMPARISONS = 40_000  # paragraphs times paragraphs; comparing takes their product in time
_SHORTEST = 2  # characters of a value that is looked for: a single letter stands everywhere
_SHORTEST_NUMBER = 4  # digits: "30" may be days as well as a quantity
_DELIMITER = re.compile(r"\{\{|\{%|\{#|\}\}|%\}|#\}")  # typed braces, which would otherwise begin a formula
_FIGURE = re.compile(r"<figure\b", re.IGNORECASE)
_FIGURE_END = re.compile(r"</figure>", re.IGNORECASE)


@dataclass(slots=True)
class General:
    """A text for every document.

    Attributes:
        subject: The subject, with fields.
        body: The body, with fields and formulas.
        replaced: Values that became fields, each with its field, in the order of the text.
        kept_blocks: How many paragraphs kept the source of the template.
        left: What still looks personal, as it stands in the text.
        also: By value, other fields that have the same value in this document.
        for_customer: True when the template that it was made from is for the customer of the document alone. What
            the template had made may name them then, in `body` as well, and `left` does not: the text must stay
            theirs.
    """

    subject: str
    body: str
    replaced: list[tuple[str, str]] = field(default_factory=list)
    kept_blocks: int = 0
    left: list[str] = field(default_factory=list)
    also: dict[str, list[str]] = field(default_factory=dict)
    for_customer: bool = False


def generalize(
    document: Document,
    template: MailTemplate | None,
    language: str,
    subject: str,
    body_html: str,
    *,
    ending: str = "",
) -> General:
    """Return the text that a person wrote about a document as the text of a template.

    Pictures are left out: they belong to the mail.

    Args:
        document: The document that the text is about.
        template: The template that it was made from, or None.
        language: Language of the text.
        subject: The subject, plain text.
        body_html: The body as the editor gives it.
        ending: HTML that is left out where the body ends with it, however the editor writes it: the signature of
            the person.

    Raises:
        UserError: The module of the document is not enabled, or the text is longer than a template may be.
    """
    body_html = _without_pictures(body_html)
    if len(body_html) > MAX_SOURCE + len(ending) or len(subject) > MAX_SOURCE:
        raise UserError(_l("The text is too long for a template."))
    body_html = clean_html(without_ending(body_html, ending))
    text = text_for(template, document, language=language) if template is not None else None
    if text is not None and text.language != language:
        text = None
    with speaking(document, language):
        values, seen = plain_values_of(document), values_of(document)
        preferred = used_fields(text.subject) | used_fields(text.body) if text else set()
        fields = _Fields(document, values, preferred)
        general = General("", "", for_customer=template is not None and is_for_customer(template, document))
        general.subject = _subject(document, text.subject if text else "", seen, subject, fields)
        general.body = _body(document, text.body if text else "", seen, body_html, fields, general)
        general.replaced = list(dict.fromkeys(fields.replaced))
        general.also = {
            value: others for value, name in general.replaced if (others := fields.others(value, name))
        }
        general.left = still_personal(
            document,
            values,
            f"<p>{html.escape(general.subject)}</p>{general.body}",
            for_customer=general.for_customer,
        )
    return general


def _without_pictures(markup: str) -> str:
    """Return markup without pictures and their captions."""
    parts: list[str] = []
    position = 0
    while figure := _FIGURE.search(markup, position):
        end = _FIGURE_END.search(markup, figure.end())
        if end is None:
            break
        parts.append(markup[position : figure.start()])
        position = end.end()
    return "".join([*parts, markup[position:]])


# -------------------------------------------------------------------------------------------- values to fields


class _Fields:
    """The values of a document, as they may stand in a text about it."""

    def __init__(self, document: Document, values: Mapping[str, FieldValue], preferred: set[str]) -> None:
        self.replaced: list[tuple[str, str]] = []
        self.known = [spec.name for spec in catalogue(document.kind, document.company_id)]
        self._forms: dict[str, list[tuple[str, str]]] = {}
        for name in sorted(values, key=lambda name: _rank(name, preferred)):
            for form, formula in _forms(name, values[name]):
                self._forms.setdefault(one_blank(form), []).append((name, formula))
        longest_first = sorted(self._forms, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(whole_words, longest_first))) if longest_first else None

    def put(self, text: str, *, is_html: bool) -> str:
        """Return a run of plain text with fields for values; typed braces mean nothing, unless they are a formula."""
        parts: list[str] = []
        position = 0
        for tag in tags_of(text):
            if tag.closed and not find_problems(tag.text, self.known, field="subject"):
                parts += self._put(text[position : tag.start], is_html=is_html), tag.text
                position = tag.end
        return "".join([*parts, self._put(text[position:], is_html=is_html)])

    def _put(self, text: str, *, is_html: bool) -> str:
        """Put fields for the values in a text that holds no formulas, and note which."""
        parts: list[str] = []
        position = 0
        for found in self._pattern.finditer(text) if self._pattern else ():
            value = one_blank(found[0])
            name, formula = self._forms[value][0]
            parts += _literal(text[position : found.start()], is_html=is_html), formula
            position = found.end()
            self.replaced.append((value, name))
        return "".join([*parts, _literal(text[position:], is_html=is_html)])

    def others(self, value: str, name: str) -> list[str]:
        """Return the other fields that have a value."""
        return list(dict.fromkeys(other for other, _ in self._forms.get(value, []) if other != name))


def _rank(name: str, preferred: set[str]) -> tuple[bool, int, str]:
    """The order in which fields with equal values are taken: those of the template, then the customer's."""
    group = name.partition(".")[0]
    place = OWN.index(group) if group in OWN else 3 if group in HOUSE else 2
    return name not in preferred, place, name


def _forms(name: str, value: FieldValue) -> Iterator[tuple[str, str]]:
    """Return the forms that a value may have in a text, each with the formula that gives it."""
    if name.rpartition(".")[2] in _GENERAL:
        return
    if isinstance(value, dt.date):
        for style in ("long", *(style for style in DATE_STYLES if style != "long")):
            call = "" if style == "long" else f' | date("{style}")'
            yield _rendered(f"{{{{ v.v{call} }}}}", value), f"{{{{ {name}{call} }}}}"
    elif isinstance(value, Amount):
        yield shown(value), f"{{{{ {name} }}}}"
        yield _rendered("{{ v.v | number(2) }}", value), f"{{{{ {name} | number(2) }}}}"
    elif isinstance(value, Decimal | int):
        if len(shown(value)) >= _SHORTEST_NUMBER:
            yield shown(value), f"{{{{ {name} }}}}"
    elif len(one_blank(value)) >= _SHORTEST and not (value.isdigit() and len(value) < _SHORTEST_NUMBER):
        yield value, f"{{{{ {name} }}}}"


def _rendered(formula: str, value: FieldValue) -> str:
    return render.render_line(formula, {"v.v": value})


def _literal(text: str, *, is_html: bool) -> str:
    """Return text that stands for itself in a template."""
    escaped = html.escape(text, quote=False) if is_html else text
    return _DELIMITER.sub(lambda found: f'{{{{ "{found[0]}" }}}}', escaped)


# --------------------------------------------------------------------------------------------- subject and body


def _subject(
    document: Document, source: str, values: Mapping[str, TemplateValue], subject: str, fields: _Fields
) -> str:
    """Return the template's subject where it says the same about this document, else the typed one with fields."""
    try:
        rendered = render.render_line(source, values, currency=document.currency, field="subject")
    except UserError:
        rendered = ""
    if source and one_blank(rendered) == one_blank(subject):
        return source
    return fields.put(subject, is_html=False)


def _body(
    document: Document,
    source: str,
    values: Mapping[str, TemplateValue],
    body_html: str,
    fields: _Fields,
    general: General,
) -> str:
    """Return the body: paragraphs of the template where they say the same, the others with fields in their text."""
    blocks = blocks_of(body_html)
    units = [(unit, _keys(unit, values, document.currency)) for unit in units_of(source)]
    matched = _matched([block.key for block in blocks], units)
    marks = [mark.casefold() for mark in personal_values(document, {}) if len(mark) >= SHORTEST_WORD]
    parts: list[str] = []
    position, last = 0, -1
    while position < len(blocks):
        number = matched.get(position)
        if number is None:
            parts.append(_general_markup(blocks[position].element, fields, marks))
            position += 1
            continue
        # A condition that is false for this document shows nothing, and so nobody has taken it away.
        parts += [unit for unit, keys in units[last + 1 : number] if keys == []]
        parts.append(units[number][0])
        general.kept_blocks += len(units[number][1] or [])
        position += len(units[number][1] or [])
        last = number
    if last >= 0:
        parts += [unit for unit, keys in units[last + 1 :] if keys == []]
    return "".join(part.strip() for part in parts)


def _keys(unit: str, values: Mapping[str, TemplateValue], currency: str) -> list[str] | None:
    """Return the paragraphs that a piece of the template makes of this document; None where it fails."""
    if not _DELIMITER.search(unit):
        return [block.key for block in blocks_of(clean_html(unit))]
    try:
        rendered = render.render("", unit, values, currency=currency)
    except UserError:
        return None
    return [block.key for block in blocks_of(clean_html(rendered.body_html))]


def _matched(keys: list[str], units: list[tuple[str, list[str] | None]]) -> dict[int, int]:
    """Return which paragraph of the text is the first of which piece of the template."""
    of_template = [
        (key, number, place) for number, (_, made) in enumerate(units) for place, key in enumerate(made or [])
    ]
    if len(keys) * len(of_template) > _MOST_COMPARISONS:
        return {}
    matcher = SequenceMatcher(None, keys, [key for key, _, _ in of_template], autojunk=False)
    matched: dict[int, int] = {}
    for match in matcher.get_matching_blocks():
        for offset in range(match.size):
            _, number, place = of_template[match.b + offset]
            made = units[number][1] or []
            if place == 0 and offset + len(made) <= match.size:
                matched[match.a + offset] = number
    return matched


def _general_markup(node: Node, fields: _Fields, marks: list[str]) -> str:
    """Return a paragraph with fields in its text; links that lead to the customer lose their address."""
    if not isinstance(node, Element):
        return fields.put(node.source if isinstance(node, Formula) else node, is_html=True)
    inner = "".join([_general_markup(child, fields, marks) for child in node.children])
    href = node.attributes.get("href", "")
    if node.tag == "a" and any(mark in href.casefold() for mark in marks):
        return inner
    attributes = {"href": href} if node.tag == "a" else node.attributes
    start = start_tag(
        Element(node.tag, {name: _DELIMITER.sub("", value) for name, value in attributes.items()})
    )
    return f"{start}{inner}" if node.tag in VOID else f"{start}{inner}</{node.tag}>"
