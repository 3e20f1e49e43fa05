"""The problems of a template: their place, and a sentence for a person."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from difflib import get_close_matches

from flask_babel import gettext

from modules.mail_config.template_language.tags import Tag, place_of


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that keeps a template from being used.

    Attributes:
        field: The form field it is in, such as `subject_en`, `body_fr` or `attachment_name`.
        message: What is wrong, a sentence.
        line: From 1; 0 where it concerns the whole text.
        column: From 1; 0 where it concerns the whole text.
        excerpt: The formula it is in, or "".
    """

    field: str
    message: str
    line: int = 0
    column: int = 0
    excerpt: str = ""

    @property
    def sentence(self) -> str:
        """The message with its place."""
        if not self.line:
            return self.message
        return str(
            gettext(
                "%(excerpt)s (line %(line)s, column %(column)s): %(message)s",
                excerpt=self.excerpt,
                line=self.line,
                column=self.column,
                message=self.message,
            )
        )


def problem_at(source: str, tag: Tag, message: object, *, field: str, word: str = "") -> Problem:
    """Return a problem of a formula; where it is about one word of it, at that word."""
    offset = max(tag.text.find(word), 0) if word else 0
    place = place_of(source, tag.start + offset)
    return Problem(field, str(message), place.line, place.column, tag.excerpt)


def unknown_field(name: str, known: Iterable[str]) -> str:
    """Return the sentence for a field that does not exist, with the one that may be meant."""
    names = list(known)
    if any(other.startswith(f"{name}.") for other in names):
        return str(gettext("“%(name)s” is a group of fields: choose one of them.", name=name))
    close = get_close_matches(name[:80], names, n=1, cutoff=0.75)
    if close:
        return str(
            gettext("There is no field “%(name)s”. Is “%(other)s” meant?", name=name[:80], other=close[0])
        )
    return str(gettext("There is no field “%(name)s”.", name=name[:80]))


_SAID: list[tuple[re.Pattern[str], Callable[[re.Match[str]], str]]] = [
    (
        re.compile(r"unexpected char (['\"].+['\"]) at"),
        lambda found: gettext("“%(char)s” may not stand here.", char=found[1][1:-1][:10]),
    ),
    (
        re.compile(
            r"Expected an expression|expected token 'name', got 'end of|unexpected 'end of|got 'end of"
        ),
        lambda _found: gettext("Something is missing at the end of this formula."),
    ),
    (
        re.compile(r"(?:unexpected|got) '(?!integer'|float'|string')(.+?)'"),
        lambda found: gettext("“%(word)s” is not expected here.", word=found[1][:40]),
    ),
]


def in_words(message: str) -> str:
    """Return what Jinja says of a formula in the language of the person."""
    for pattern, words in _SAID:
        found = pattern.search(message)
        if found is not None:
            return str(words(found))
    return str(gettext("This formula cannot be read."))
