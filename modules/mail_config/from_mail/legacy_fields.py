"""Fields of older systems in texts that people paste: found, explained, and made into fields of ours.

What an older system meant by a word is known for many words. What it meant by `#1` or by `[CODE]` only the person
knows: such a mark is found, and nothing is done about it until the person has chosen.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from flask_babel import gettext

from core.documents.behavior import FieldSpec
from core.errors import UserError
from core.i18n import N_
from core.i18n import lazy_gettext as _l
from modules.mail_config.template_language.fields import with_variables
from modules.mail_config.template_language.own_variables import GROUP, Variable

MAX_TEXT = 60_000
"""Characters that are looked through; what follows is left as it is."""


@dataclass(frozen=True, slots=True)
class Legacy:
    """A field of an older system in a text.

    Attributes:
        start: Where it begins.
        end: Where it ends.
        found: As it stands there, marks included: `NUMFACT`, `<NOMSOC>`, `#1`.
        field: The field of ours that says the same, or None when the person must choose.
        meaning: What it means, for the person.
    """

    start: int
    end: int
    found: str
    field: str | None
    meaning: str


@dataclass(frozen=True, slots=True)
class _Word:
    """The meaning of a field of older systems, and the fields of ours for it, the best first; `*.x` for any group."""

    meaning: str
    fields: tuple[str, ...]


_NUMBER = ("document.number", "*.number")
_ORDER_NUMBER = ("document.order_number", "document.number")
_DATE = ("document.date", "*.date")
_TOTAL = ("document.total", "*.amount", "*.total")


def _words(meaning: str, fields: Iterable[str], *spellings: str) -> dict[str, _Word]:
    return dict.fromkeys(spellings, _Word(meaning, tuple(fields)))


_WORDS: Mapping[str, _Word] = {
    **_words(N_("Number of the document"), _NUMBER, "NUMDOC", "NUMPIECE", "NODOC", "REFDOC"),
    **_words(N_("Number of the receipt"), _NUMBER, "NUMTICKET", "NOTICKET", "NUMEROTICKET"),
    **_words(N_("Number of the invoice"), _NUMBER, "NUMFACT", "NUMFACTURE", "NOFACT", "NUMFAC", "NUMAVOIR"),
    # A quotation keeps its number when it becomes an order, and an invoice names that.
    **_words(N_("Number of the quotation"), _ORDER_NUMBER, "NUMDEV", "NUMDEVIS", "NODEVIS"),
    **_words(N_("Number of the order"), _ORDER_NUMBER, "NUMCDE", "NUMCOMMANDE", "NUMCOM", "NUMCMD", "NOCDE"),
    **_words(N_("Number of the delivery note"), (), "NUMBL"),
    **_words(
        N_("Date"),
        _DATE,
        "DATETICKET",
        "DATEDOC",
        "DATEFACT",
        "DATEFACTURE",
        "DATECOMMANDE",
        "DATEDEV",
        "DATEDEVIS",
        "DATECDE",
        "DATEPIECE",
    ),
    **_words(N_("Due date"), ("document.due_date", "*.expires_on"), "DATEECH", "ECHEANCE"),
    **_words(N_("Valid until"), ("document.validity", "*.expires_on"), "DATEVAL", "DATEVALID"),
    **_words(N_("Delivery date"), ("document.delivery_date",), "DATELIV", "DATELIVR"),
    **_words(N_("Total"), _TOTAL, "MTTTC", "TOTALTTC", "TOTTTC", "NETAPAYER", "TOTALTICKET", "MONTANTTICKET"),
    **_words(N_("Total without tax"), ("document.untaxed",), "MTHT", "TOTALHT", "TOTHT"),
    **_words(N_("Tax"), ("document.tax",), "MTTVA", "TOTALTVA", "TOTTVA"),
    **_words(N_("Currency"), ("document.currency", "*.currency"), "DEVISE", "CODEDEVISE"),
    **_words(N_("Payment terms"), ("document.payment_terms",), "MODEREGL", "MODEREGLEMENT", "CONDREGL"),
    **_words(N_("Kind of document"), ("document.title",), "TYPEDOC", "TYPEPIECE", "LIBDOC"),
    **_words(N_("Name of the customer"), ("customer.name",), "NOMCLIENT", "NOMCLI", "RAISONSOCIALE"),
    **_words(N_("Code of the customer"), ("customer.code",), "CODECLIENT", "CODECLI", "NUMCLIENT"),
    **_words(N_("Street of the customer"), ("customer.street",), "ADRCLIENT", "ADRCLI", "ADRESSECLIENT"),
    **_words(N_("Postal code of the customer"), ("customer.zip_code",), "CPCLIENT", "CPCLI"),
    **_words(N_("City of the customer"), ("customer.city",), "VILLECLIENT", "VILLECLI"),
    **_words(
        N_("Email address of the customer"), ("customer.email",), "MAILCLIENT", "EMAILCLIENT", "MAILCLI"
    ),
    **_words(N_("Phone of the customer"), ("customer.phone",), "TELCLIENT", "TELCLI"),
    **_words(N_("VAT number of the customer"), ("customer.vat",), "TVACLIENT", "TVACLI"),
    **_words(N_("Name of the contact"), ("contact.name",), "NOMCONTACT", "CONTACTCLIENT", "INTERLOCUTEUR"),
    **_words(N_("Name of the company"), ("company.name",), "NOMSOC", "NOMSOCIETE", "RSSOC"),
    **_words(N_("Street of the company"), ("company.street",), "ADRSOC", "ADRESSESOC"),
    **_words(N_("Postal code of the company"), ("company.zip_code",), "CPSOC"),
    **_words(N_("City of the company"), ("company.city",), "VILLESOC"),
    **_words(N_("Phone of the company"), ("company.phone",), "TELSOC"),
    **_words(N_("Email address of the company"), ("company.email",), "MAILSOC", "EMAILSOC"),
    **_words(N_("Website of the company"), ("company.website",), "SITESOC", "WEBSOC"),
    **_words(N_("VAT number of the company"), ("company.vat",), "TVASOC"),
    **_words(N_("Bank details of the company"), ("company.bank_line",), "RIBSOC", "IBANSOC"),
    **_words(
        N_("Name of the salesperson"), ("owner.name", "cashier.name"), "NOMVENDEUR", "NOMCOMMERCIAL", "NOMREP"
    ),
    **_words(
        N_("Email address of the salesperson"),
        ("owner.email",),
        "MAILVENDEUR",
        "EMAILVENDEUR",
        "MAILCOMMERCIAL",
    ),
    **_words(
        N_("Name of the cashier"), ("cashier.name", "owner.name"), "NOMCAISSIER", "NOMCAISSIERE", "CAISSIER"
    ),
    **_words(N_("Name of the till"), ("register.name",), "NOMCAISSE"),
    **_words(N_("Code of the till"), ("register.code",), "CODECAISSE", "NUMCAISSE"),
}
"""Words of French and other systems in use before; they are written in capitals."""

_MARKED_WORDS: Mapping[str, _Word] = {
    **_words(N_("Number of the document"), _NUMBER, "NUMERO", "NUM"),
    **_words(N_("Date"), _DATE, "DATE"),
    **_words(N_("Total"), _TOTAL, "TOTAL", "MONTANT"),
    **_words(N_("Name of the customer"), ("customer.name",), "CLIENT"),
    **_words(N_("Name of the company"), ("company.name",), "SOCIETE", "MAGASIN"),
    **_words(N_("Name of the till"), ("register.name",), "CAISSE"),
    **_words(N_("Name of the salesperson"), ("owner.name", "cashier.name"), "VENDEUR"),
}
"""Those that are ordinary words as well: fields only between marks."""

# Whatever a match of one of these covers is no text: formulas, markup, addresses, entities, colors. What opens again
# before it is closed begins there: a text of nothing but openings is not looked through from each of them.
_PROTECTED = (
    r"\{\{(?:(?!\{\{).){0,2000}?\}\}|\{%(?:(?!\{%).){0,2000}?%\}|\{\#(?:(?!\{\#).){0,2000}?\#\}"
    r"|<!--(?:(?!<!--).){0,2000}?-->|</?[a-z][^<>]*>|</?(?i:a|abbr|b|blockquote|body|br|code|del|div|em|font|h[1-6]|head|hr|html|i|img|"
    r"ins|li|meta|ol|p|pre|s|small|span|strong|style|sub|sup|table|tbody|td|tfoot|th|thead|title|tr|u|ul)"
    r"(?:\s[^<>]*)?/?>"
    r"|(?:https?|ftp|mailto|tel):[^\s<>\"]+|\bwww\.[^\s<>\"]+"
    r"|(?<![\w.+-])[\w.+-]{1,64}@[\w-]+(?:\.[\w-]+)+"
    r"|&(?:amp;)?#?\w+;(?<!&lt;)(?<!&gt;)"
    r"|\#[0-9A-Fa-f]{6}\b|\#[0-9A-Fa-f]{3}\b"
)
_NAME = r"[A-Z][A-Z0-9_]{1,39}"
# Between brackets a name has several words, accents and signs: [NOM CAISSIER], [N° TICKET]. A blank of a page may be
# one that does not break.
_CAPITAL = "A-ZÀ-ÖØ-Þ"
_PHRASE = (
    rf"[{_CAPITAL}](?:[{_CAPITAL}0-9_°'’./-]|(?:[ \u00a0\u202f]|&nbsp;){{1,3}}(?=[{_CAPITAL}0-9])){{1,39}}"
)
_FOUND = (
    rf"(?P<marked>&lt;(?P<entity>{_PHRASE})&gt;|<(?P<angle>{_PHRASE})>|\[(?P<square>{_PHRASE})\]"
    rf"|%(?P<percent>{_NAME})%|\$(?P<dollar>{_NAME})\$|\#(?P<hash>{_NAME})\#|(?<!\{{)\{{(?P<curly>{_PHRASE})\}}(?!\}}))"
    r"|(?<![\w&\#/])\#(?P<index>\d{1,2})(?![\w\#])"
    rf"|(?<![\w@.\-/])(?P<bare>{_NAME})(?![\w@\-/])"
)
_TOKEN = re.compile(rf"(?P<protected>{_PROTECTED})|{_FOUND}", re.DOTALL)
_MARKS = ("entity", "angle", "square", "percent", "dollar", "hash", "curly")


def find(kind: str, text: str, own: Sequence[Variable] = ()) -> list[Legacy]:
    """Return the fields of older systems in a text, in their order.

    Formulas, markup, addresses and colors are left alone.

    Args:
        kind: Document kind of the template, whose catalogue says which fields there are.
        text: HTML or plain text.
        own: Variables of one's own, which a code may be called as.
    """
    specs = {spec.name: spec for spec in with_variables(kind, own)}
    return list(_find(specs, text[:MAX_TEXT]))


def _find(specs: Mapping[str, FieldSpec], text: str) -> Iterator[Legacy]:
    for found in _TOKEN.finditer(text):
        if found["protected"] is not None:
            continue
        index, bare = found["index"], found["bare"]
        word = bare or next((found[mark] for mark in _MARKS if found[mark]), "")
        known = _WORDS.get(_key(word)) or (_MARKED_WORDS.get(_key(word)) if bare is None else None)
        if bare is not None and known is None:
            continue  # an ordinary word in capitals
        if bare is None and (own := _own(word, specs)) is not None:
            # Somebody has made this variable under the name that it had there.
            field, meaning = own.name, own.title
        elif index is not None or known is None:
            field, meaning = None, gettext("Only you know what it stood for: choose a field.")
        else:
            field = _field_of(known, specs)
            meaning = gettext(specs[field].title) if field else _no_field(known)
        yield Legacy(found.start(), found.end(), found[0], field, str(meaning))


def _key(word: str) -> str:
    """Return a name without blanks, signs and accents, as the words above are written."""
    plain = unicodedata.normalize("NFKD", word.replace("&nbsp;", "").replace("N°", "NUM"))
    return "".join(letter for letter in plain if letter.isascii() and letter.isalnum())


def _own(word: str, specs: Mapping[str, FieldSpec]) -> FieldSpec | None:
    """Return the variable of one's own that is called as a field of an older system was."""
    code = _key(word).lower()
    return next(
        (spec for spec in specs.values() if spec.group == GROUP and _code(spec).replace("_", "") == code),
        None,
    )


def _code(spec: FieldSpec) -> str:
    return spec.name.partition(".")[2]


def _no_field(word: _Word) -> str:
    meaning = gettext(word.meaning)
    return str(gettext("%(meaning)s: this kind of document has no such field.", meaning=meaning))


def _field_of(word: _Word, specs: Mapping[str, FieldSpec]) -> str | None:
    for wanted in word.fields:
        if wanted in specs:
            return wanted
        if wanted.startswith("*."):
            for name, spec in specs.items():
                if name.endswith(wanted[1:]) and spec.group not in {
                    GROUP,
                    "customer",
                    "company",
                    "owner",
                    "contact",
                }:
                    return name
    return None


def convert(
    kind: str, text: str, choices: Mapping[str, str] | None = None, own: Sequence[Variable] = ()
) -> str:
    """Return a text with fields of ours in the place of those of older systems.

    Args:
        kind: Document kind of the template.
        text: HTML or plain text.
        choices: By what was found, the field that the person has chosen, or "" to leave it as it stands. What has
            no choice and no field of its own is left as well.
        own: As for `find`.

    Raises:
        UserError: A choice names a field that the kind does not have.
    """
    chosen = choices or {}
    specs = {spec.name: spec for spec in with_variables(kind, own)}
    for name in chosen.values():
        if name and name not in specs:
            raise UserError(_l("There is no field “%(name)s”.", name=name[:80]))
    parts: list[str] = []
    position = 0
    for legacy in _find(specs, text[:MAX_TEXT]):
        name = chosen.get(legacy.found, legacy.field or "")
        if name:
            parts += text[position : legacy.start], f"{{{{ {name} }}}}"
            position = legacy.end
    return "".join([*parts, text[position:]])
