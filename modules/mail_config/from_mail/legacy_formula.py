"""Texts of older systems that are one formula: `formule="Ticket " + [NUMTICKET]`, read into our language.

What can be said here is said; the rest is refused with the place, and nothing is changed.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NoReturn

from flask_babel import gettext

from core.errors import EnvoiError
from modules.mail_config.from_mail import legacy_fields
from modules.mail_config.template_language.fields import with_variables
from modules.mail_config.template_language.own_variables import Variable

_BEGINNING = re.compile(r"\s*formule\s*[=:]\s*", re.IGNORECASE)
_TAG = re.compile(r"<(/?)([a-z][a-z0-9]*)\b[^<>]*>", re.IGNORECASE)
_BLOCKS = {"p", "div", "br", "li", "h1", "pre"}
_TOKEN = re.compile(
    r"""\s*(?:
      (?P<text>"(?:[^"]|"")*"|'(?:[^']|'')*'|“[^”]*”|«[^»]*»)
    | (?P<code>\[[^\[\]]{1,60}\])
    | (?P<number>\d+(?:[.,]\d+)?)
    | (?P<name>[A-Za-zÀ-ÿ_][\wÀ-ÿ.]*)
    | (?P<sign><>|<=|>=|!=|[-+*/&=<>();,])
    )""",
    re.VERBOSE,
)
_COMPARISONS = {"=": "==", "<>": "!=", "!=": "!=", "<": "<", ">": ">", "<=": "<=", ">=": ">="}
_FILTERS = {
    **dict.fromkeys(("MAJUSCULE", "MAJUSCULES", "MAJ", "UPPER"), "upper"),
    **dict.fromkeys(("MINUSCULE", "MINUSCULES", "LOWER"), "lower"),
    **dict.fromkeys(("ARRONDI", "ROUND"), "round"),
    **dict.fromkeys(("SANSESPACE", "TRIM"), "trim"),
    "ABS": "abs",
}
_IF = {"SI", "IF"}
_DEEPEST = 30
_LONGEST = 4000


class FormulaUnreadableError(EnvoiError):
    """A formula of an older system cannot be said here; `position` is where, in the formula, from 0."""

    def __init__(self, message: str, position: int, excerpt: str) -> None:
        super().__init__(message)
        self.message = message
        self.position = position
        self.excerpt = excerpt


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    position: int


@dataclass(frozen=True, slots=True)
class _Piece:
    """A part of a formula: a text as it stands, or an expression of ours; `binds` when it needs no parentheses."""

    source: str
    is_text: bool = False
    binds: bool = True

    @property
    def expression(self) -> str:
        return _quoted(self.source) if self.is_text else self.source

    @property
    def operand(self) -> str:
        return self.expression if self.binds else f"({self.expression})"


def is_formula(text: str) -> bool:
    """Return True when a text, HTML or plain, begins with `formule=` or `formule:`."""
    return "formule" in text[:2000].lower() and _BEGINNING.match(_plain(text)) is not None


def read_formula(kind: str, text: str, *, is_html: bool, own: Sequence[Variable] = ()) -> str:
    """Return the text of a template that says what a formula of an older system said.

    Args:
        kind: The kind of the template, whose catalogue says which fields there are.
        text: It begins with `formule=` or `formule:`.
        is_html: True for a body.
        own: Variables of one's own, which it may name as well.

    Raises:
        FormulaUnreadableError: It cannot be said here.
    """
    formula = _BEGINNING.sub("", _plain(text), count=1).strip()
    pieces = _Reader(kind, formula, own).pieces()
    if not is_html:
        return "".join(
            piece.source if piece.is_text else f"{{{{ {piece.source} }}}}" for piece in pieces
        ).strip()
    made = "".join(
        html.escape(piece.source, quote=False) if piece.is_text else f"{{{{ {piece.source} }}}}"
        for piece in pieces
    )
    return f"<p>{made.strip().replace(chr(10), '<br>')}</p>"


def _plain(text: str) -> str:
    """Return the words of a text, with the ends of its lines."""
    marked = _TAG.sub(
        lambda tag: "\n" if tag[2].lower() in _BLOCKS and (tag[1] or tag[2].lower() == "br") else "", text
    )
    return html.unescape(marked).replace("\u00a0", " ").strip()


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n")
    return f"'{escaped}'"


class _Reader:
    """Reads a formula from left to right, as it binds: choice, comparison, sum, product, value."""

    def __init__(self, kind: str, formula: str, own: Sequence[Variable]) -> None:
        self._kind = kind
        self._formula = formula
        self._own = own
        self._known = {spec.name for spec in with_variables(kind, own)}
        self._tokens = list(self._split())
        self._at = 0
        self._depth = 0

    def pieces(self) -> list[_Piece]:
        """Return the parts that are shown one after the other."""
        if not self._tokens:
            raise FormulaUnreadableError(gettext("Nothing stands in this formula."), 0, "")
        pieces = self._joined()
        if self._next() is not None:
            self._refuse(gettext("“%(word)s” is not expected here.", word=self._tokens[self._at].text[:40]))
        return pieces

    def _split(self) -> Iterator[_Token]:
        if len(self._formula) > _LONGEST:
            raise FormulaUnreadableError(gettext("This formula is too long."), 0, self._formula[:40])
        position, text = 0, self._formula
        while position < len(text):
            found = _TOKEN.match(text, position)
            if found is None:
                if not text[position:].strip():
                    return
                position += len(text[position:]) - len(text[position:].lstrip())
                raise FormulaUnreadableError(
                    gettext("“%(char)s” may not stand here.", char=text[position]),
                    position,
                    text[position : position + 40],
                )
            kind = str(found.lastgroup)
            yield _Token(kind, found[kind], found.start(kind))
            position = found.end()

    def _next(self) -> _Token | None:
        return self._tokens[self._at] if self._at < len(self._tokens) else None

    def _takes(self, *signs: str) -> str:
        token = self._next()
        if token is not None and token.kind in {"sign", "name"} and token.text.upper() in signs:
            self._at += 1
            return token.text.upper()
        return ""

    def _refuse(self, message: str, at: int | None = None) -> NoReturn:
        index = self._at if at is None else at
        if index < len(self._tokens):
            token = self._tokens[index]
            raise FormulaUnreadableError(message, token.position, token.text[:40])
        raise FormulaUnreadableError(
            gettext("Something is missing at the end of this formula."), len(self._formula), ""
        )

    def _joined(self) -> list[_Piece]:
        """Return what `+` and `&` join; a sum of numbers is one part."""
        parts = [self._comparison()]
        signs: list[str] = []
        while sign := self._takes("+", "&"):
            signs.append(sign)
            parts.append(self._comparison())
        if "&" in signs or any(part.is_text for part in parts):
            return parts
        if len(parts) == 1:
            return parts
        return [_Piece(" + ".join(part.operand for part in parts), binds=False)]

    def _whole(self) -> _Piece:
        """Return an expression of one value."""
        self._depth += 1
        if self._depth > _DEEPEST:
            self._refuse(gettext("This formula is too long."))
        pieces = self._joined()
        self._depth -= 1
        if len(pieces) == 1:
            return pieces[0]
        return _Piece(" ~ ".join(piece.operand for piece in pieces), binds=False)

    def _condition(self) -> str:
        parts = [self._whole().operand]
        while word := self._takes("ET", "OU", "AND", "OR"):
            parts += "and" if word in {"ET", "AND"} else "or", self._whole().operand
        return " ".join(parts)

    def _comparison(self) -> _Piece:
        left = self._difference()
        if sign := self._takes(*_COMPARISONS):
            right = self._difference()
            return _Piece(f"{left.operand} {_COMPARISONS[sign]} {right.operand}", binds=False)
        return left

    def _difference(self) -> _Piece:
        left = self._product()
        while self._takes("-"):
            left = _Piece(f"{left.operand} - {self._product().operand}", binds=False)
        return left

    def _product(self) -> _Piece:
        left = self._value()
        while sign := self._takes("*", "/"):
            right = self._value()
            left = _Piece(f"{left.operand} {sign} {right.operand}", binds=False)
        return left

    def _value(self) -> _Piece:
        token = self._next()
        if token is None:
            self._refuse("")
        self._at += 1
        if token.kind == "text":
            mark = token.text[0]
            return _Piece(token.text[1:-1].replace(mark * 2, mark), is_text=True)
        if token.kind == "number":
            return _Piece(token.text.replace(",", "."))
        if token.kind == "code" or (token.kind == "name" and not self._opens()):
            return self._field(token)
        if token.kind == "name":
            return self._function(token)
        if token.text == "(":
            inner = self._whole()
            self._expect(")")
            return _Piece(inner.expression, binds=False)
        if token.text != "-":
            self._refuse(gettext("“%(word)s” is not expected here.", word=token.text[:40]), self._at - 1)
        return _Piece(f"-{self._value().operand}", binds=False)

    def _opens(self) -> bool:
        token = self._next()
        return token is not None and token.text == "("

    def _expect(self, *signs: str) -> str:
        sign = self._takes(*signs)
        if not sign:
            self._refuse(gettext("“%(char)s” is missing here.", char=signs[0]))
        return sign

    def _field(self, token: _Token) -> _Piece:
        if token.text in self._known:
            return _Piece(token.text)
        written = token.text if token.kind == "code" else f"[{token.text}]"
        found = legacy_fields.find(self._kind, written.upper(), self._own)
        if len(found) != 1 or not found[0].field:
            why = (
                found[0].meaning if found else gettext("There is no field “%(name)s”.", name=token.text[:80])
            )
            self._refuse(why, self._at - 1)
        return _Piece(str(found[0].field))

    def _function(self, token: _Token) -> _Piece:
        at, name = self._at - 1, token.text.upper()
        self._expect("(")
        if name in _IF:
            condition = self._condition()
            self._expect(";", ",")
            then = self._whole()
            otherwise = self._whole() if self._takes(";", ",") else _Piece("", is_text=True)
            self._expect(")")
            return _Piece(f"{then.operand} if {condition} else {otherwise.operand}", binds=False)
        if name not in _FILTERS:
            self._refuse(gettext("There is no function “%(name)s” here.", name=token.text[:40]), at)
        inner = self._whole()
        second = f"({self._whole().expression})" if self._takes(";", ",") else ""
        self._expect(")")
        return _Piece(f"{inner.operand} | {_FILTERS[name]}{second}", binds=False)
