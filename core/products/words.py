"""Words in several languages: what is said of a product, a tax, a way of payment, and how it is known again.

A row says something in one language, its house's own, and knows it in others beside. Documents copy both, so that each
of them is printed in its own language and stays as it was agreed. What a person sees while writing is said in the
language of the document; what comes back from the form is therefore looked for in every language.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sqlalchemy import JSON, text
from sqlalchemy.orm import Mapped, mapped_column

Translations = dict[str, dict[str, str]]
"""By language, by the name of a column, its words in that language; what is missing is said as in the column."""

OWN = ""
"""The language in which a row says something itself; nobody has named it."""

Wording = Mapping[str, str]
"""A text by language, its own words by `OWN`."""


class Spoken:
    """A row whose words are known in other languages as well."""

    translations: Mapped[Translations] = mapped_column(JSON, default=dict, server_default=text("'{}'"))
    """What its columns say in other languages."""

    def said(self, name: str, language: str) -> str:
        """Return what a column says in a language, as it is where the row does not know it."""
        return self.translations.get(language, {}).get(name) or str(getattr(self, name))

    def say(self, name: str, wording: Wording) -> None:
        """Let a column say something, in every language that the wording knows."""
        kept = {
            language: {key: text for key, text in words.items() if key != name}
            for language, words in (self.translations or {}).items()
        }
        for language, words in translations_of({name: wording}).items():
            kept[language] = kept.get(language, {}) | words
        setattr(self, name, wording[OWN])
        self.translations = {language: words for language, words in kept.items() if words}

    def wording(self, name: str) -> Wording:
        """Return what a column says in every language that the row knows."""
        others = {language: words[name] for language, words in self.translations.items() if words.get(name)}
        return {OWN: str(getattr(self, name)), **others}


def recognize(said: str, wordings: Iterable[Wording]) -> Wording:
    """Return the wording that a text is of, in whatever language it stands there.

    Args:
        said: The text.
        wordings: Those that it may be of, the likeliest first.

    Returns:
        The first that says it; what a person has typed is a wording of its own, in no other language.
    """
    known = (wording for wording in wordings if said and said in wording.values())
    return next(known, {OWN: said})


def translations_of(wordings: Mapping[str, Wording]) -> Translations:
    """Return what a row keeps of the wordings of its columns, by the name of the column."""
    found: Translations = {}
    for name, wording in wordings.items():
        for language, words in wording.items():
            if language != OWN:
                found.setdefault(language, {})[name] = words
    return found
