"""What the pages say, in the language of who reads them.

The journeys name things by their English words; `Words` says what stands there for a reader of another
language, from the catalogues that the application itself loads.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from babel.support import Translations

ROOT = Path(__file__).resolve().parents[2]
# In the order in which the application merges them: the later one wins.
PARTS = (
    "core",
    "modules/mail_config",
    "modules/playground",
    "modules/pos",
    "modules/sales",
    "modules/outbox",
    "modules/distribution",
)


@dataclass(frozen=True)
class Reader:
    """Somebody of the demonstration who drives the browser.

    Args:
        login: The part before the `@`.
        language: Of their pages.
        customer: A customer of their company, who reads the same language and takes mail.
        company: Where they work.
    """

    login: str
    language: str
    customer: str = ""
    company: str = ""


SOPHIE = Reader("sophie", "fr", "Cabinet Roussel Architectes", "Atelier Lumen")
OLIVER = Reader("oliver", "en", "Kestrel Engineering Ltd", "Harbour & Finch")
ADMIN = Reader("admin", "en", company="Harbour & Finch")
SUPPORT = Reader("support", "fr")


class Words:
    """Turns the English words of a page into those of a language."""

    def __init__(self, language: str) -> None:
        self.language = language
        self._catalogue = Translations()
        if language != "en":
            for part in PARTS:
                self._catalogue.merge(Translations.load(ROOT / part / "translations", [language]))

    def __call__(self, message: str, **values: object) -> str:
        text = str(self._catalogue.gettext(message))
        return text % values if values else text

    def meant(self, context: str, message: str) -> str:
        """Return a word that is another one in other places."""
        return str(self._catalogue.pgettext(context, message)) if self.language != "en" else message
