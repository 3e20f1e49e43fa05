"""Values that identify a customer, and the search for them in a text that is meant for everybody."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from core.documents.behavior import FieldValue
from core.documents.models import Document
from core.partners.models import Partner
from core.partners.service import contacts_of, customer_of
from modules.mail_config.models import MailTemplate
from modules.mail_config.template_language.tree import Formula, Node, read_template, split_formulas
from modules.mail_config.template_language.values import Amount, shown

OWN = ("customer", "contact")
"""Groups of fields that tell who the customer is."""
HOUSE = ("company", "owner", "cashier")  # groups of fields about us; what they say is nobody's secret
SHORTEST_WORD = 3  # letters: shorter words of a name stand everywhere
# Looser than the grammar: better one too many than one unseen.
_ADDRESS = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@[\w-]+(?:\.[\w-]+)+")
_PHONE = re.compile(r"\+?\d[\d \u00a0\u202f.()/-]{6,24}\d")
_FIGURE = re.compile(r"\d(?:\d|[.,’']\d|[ \u00a0\u202f]\d{3}(?!\d)){0,24}")
_AMOUNT = re.compile(r"(?<![\d.,])\d+(?:[.,]\d{1,2})?(?!\d)|(?<!\d)\d+[.,]\d{2}(?!\d)")
"""A figure without thousands: what stands beside another one with nothing but a blank or a comma between."""
# With the hyphen and apostrophe of names such as Jean-Luc and O'Hara.
_WORD = re.compile(r"[^\W\d_]+(?:['’-][^\W\d_]+)*")
_BLANK = "[\\s\u00a0\u202f]+"
_TELLING_DIGITS = 8
"""Digits at the end by which two spellings of a phone number are known for the same."""
_INLINE = {"a", "b", "code", "del", "em", "i", "s", "span", "strong", "sub", "sup", "u"}
_COMMON_WORDS = frozenset(
    {
        "sarl", "sasu", "sas", "eurl", "scop", "sci", "snc", "gmbh", "ltd", "llc", "inc", "plc", "bvba", "srl", "spa",
        "company", "société", "societe", "groupe", "group", "les", "des", "the", "and", "und", "mme", "monsieur",
        "madame", "fils",
    }
)  # fmt: skip
"""Words of names that say nothing about whose name it is."""


def one_blank(text: str) -> str:
    """Return a text with one blank where it has several, or others."""
    return " ".join(text.split())


def whole_words(text: str) -> str:
    """Return the pattern of a text that stands as whole words, whatever its blanks are."""
    words = _BLANK.join(re.escape(word) for word in text.split())
    before = r"(?<!\w)" if text[:1].isalnum() or text[:1] == "_" else ""
    after = r"(?!\w)" if text[-1:].isalnum() or text[-1:] == "_" else ""
    return f"{before}{words}{after}"


def _people(document: Document) -> list[Partner]:
    if document.partner is None:
        return []
    customer = customer_of(document.partner)
    return list(
        {person.id: person for person in (document.partner, customer, *contacts_of(customer))}.values()
    )


def personal_values(document: Document, values: Mapping[str, FieldValue]) -> list[str]:
    """Return what says who the customer is: names, addresses, numbers."""
    found = [shown(value) for name, value in values.items() if name.partition(".")[0] in OWN]
    for person in _people(document):
        found += [
            getattr(person, name) for name in ("name", "email", "phone", "street", "city", "zip_code", "vat")
        ]
    lines = [line.strip() for text in found for line in text.split("\n")]
    return list(dict.fromkeys(line for line in lines if line))


def is_for_customer(template: MailTemplate, document: Document) -> bool:
    """Return True when a template is for the customer of a document alone."""
    return template.partner_id is not None and template.partner_id in {
        person.id for person in _people(document)
    }


def still_personal(
    document: Document, values: Mapping[str, FieldValue], body: str, *, for_customer: bool = False
) -> list[str]:
    """Return what still looks personal in a text, as it stands there.

    That is: values of the customer that are no fields, words of their names, their numbers written in other ways,
    amounts of the document, and addresses that are not the company's.

    Args:
        document: The document that the text is about.
        values: The values of its fields.
        body: The text.
        for_customer: True when the text stays the customer's: what says who they are does no harm then.
    """
    text, people = _visible(body), _people(document)
    house = [shown(value) for name, value in values.items() if name.partition(".")[0] in HOUSE]
    names = [person.name for person in people]
    names += [shown(values.get(f"{group}.name", "")) for group in OWN]
    known = {word.casefold() for value in house for word in _WORD.findall(value)} | _COMMON_WORDS
    words = [word for name in names for word in _WORD.findall(name)]
    own = personal_values(document, values)
    wanted = [
        *own,
        *(word for word in words if len(word) >= SHORTEST_WORD and word.casefold() not in known),
    ]
    found = [
        place
        for value in ([] if for_customer else dict.fromkeys(wanted))
        for place in re.finditer(whole_words(value), text, re.IGNORECASE)
    ]
    harmless = {value.casefold() for value in (house + own if for_customer else house)}
    found += [place for place in _ADDRESS.finditer(text) if place[0].casefold() not in harmless]
    if not for_customer:
        phones = {_digits(person.phone)[-_TELLING_DIGITS:] for person in people} - {""}
        found += [place for place in _PHONE.finditer(text) if _digits(place[0])[-_TELLING_DIGITS:] in phones]
    amounts = {f"{value:.2f}" for value in values.values() if isinstance(value, Amount) and value}
    figures = [place for pattern in (_FIGURE, _AMOUNT) for place in pattern.finditer(text)]
    found += [place for place in figures if _as_amount(place[0]) in amounts]
    return _without_parts([one_blank(place[0]) for place in sorted(found, key=lambda place: place.start())])


def _visible(body: str) -> str:
    """Return what a reader of a template sees, the addresses of its links included, without its formulas."""
    return "".join(_seen(read_template(body).children))


def _seen(nodes: Iterable[Node]) -> Iterator[str]:
    """Return what is seen of nodes: texts, addresses of links, a line end around blocks, a mark for a formula."""
    for node in nodes:
        if isinstance(node, Formula):
            yield "\ufffc"
        elif isinstance(node, str):
            yield node
        else:
            edge = "" if node.tag in _INLINE else "\n"
            yield edge
            if "href" in node.attributes:
                yield f" {''.join(_seen(split_formulas(node.attributes['href'])))} "
            yield from _seen(node.children)
            yield edge


def _digits(text: str) -> str:
    return "".join(character for character in text if character.isdigit())


def _as_amount(figure: str) -> str:
    """Return a typed figure with two decimals, `1234.50`, whatever separates its thousands."""
    found = re.fullmatch(r"(.*?)(?:[.,](\d{1,2}))?", figure.strip(" .,"))
    whole, cents = (_digits(found[1]), found[2] or "") if found else (_digits(figure), "")
    return f"{int(whole or 0)}.{cents:0<2}"


def _without_parts(words: list[str]) -> list[str]:
    """Return each word once, as it stands first, without those that are part of a longer one."""
    unique: dict[str, str] = {}
    for word in words:
        unique.setdefault(word.casefold(), word)
    whole: set[str] = set()
    text = "\n"  # of all that are whole; no word has a line break
    for key in sorted(unique, key=len, reverse=True):
        if key not in text:
            whole.add(key)
            text += f"{key}\n"
    return [word for key, word in unique.items() if key in whole]
