"""Make the folder of a new module from the files in `template/`."""

from __future__ import annotations

import importlib.util
import keyword
import re
import secrets
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from babel.messages.pofile import read_po, write_po

from core.errors import UserError
from core.i18n import lazy_gettext as _l

TEMPLATE = Path(__file__).parent / "template"
SUFFIX = ".tmpl"
_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_NAME_LENGTH = range(2, 31)
# What would need quoting in Python, HTML, TOML or a catalogue.
_NOT_IN_TITLES = re.compile(r"[\"'\\{}<>%&\x00-\x1f\x7f]")
_TITLE_LENGTH = range(1, 41)
_CLASS = re.compile(r"\b[A-Z]\w+")
_PLACEHOLDER = re.compile(r"@@(\w+?)@@")


@dataclass(frozen=True, slots=True)
class NewModule:
    """What a new module is called.

    Attributes:
        name: The word that begins its tables, addresses, permissions and kinds.
        title: What a document is called, in English.
        titles: The same for several.
        title_fr: What a document is called in French.
        titles_fr: The same for several.
    """

    name: str
    title: str
    titles: str
    title_fr: str
    titles_fr: str

    @property
    def project(self) -> str:
        """The name of the distribution, and of the folder."""
        return f"envoi-{self.name.replace('_', '-')}"

    @property
    def package(self) -> str:
        """The name of the import package."""
        return f"envoi_{self.name}"

    @property
    def model(self) -> str:
        """The name of its model; one that the files use for something else already, such as Document, gets a Row."""
        word = "".join(part.title() for part in self.name.split("_"))
        used = {
            name
            for source in TEMPLATE.rglob(f"*.py{SUFFIX}")
            for name in _CLASS.findall(source.read_text("utf-8"))
        }
        return f"{word}Row" if word in used else word

    def values(self) -> Mapping[str, str]:
        """Return what stands for each placeholder of the template."""
        return {
            "name": self.name,
            "project": self.project,
            "package": self.package,
            "Class": self.model,
            "prefix": self.name.replace("_", "")[:3].upper(),
            "title": self.title,
            "titles": self.titles,
            "title_fr": self.title_fr,
            "titles_fr": self.titles_fr,
            "revision": secrets.token_hex(6),
        }


def check_new(new: NewModule, taken: Collection[str]) -> None:
    """Refuse names that a module cannot have.

    Args:
        new: What it would be called.
        taken: Words that begin addresses, or are modules, already.

    Raises:
        UserError: With a sentence that says what to choose instead.
    """
    if not _NAME.fullmatch(new.name) or len(new.name) not in _NAME_LENGTH or keyword.iskeyword(new.name):
        raise UserError(
            _l(
                "“%(name)s” cannot be the name of a module: take 2 to 30 letters a–z, digits and single underscores, "
                "beginning with a letter, such as delivery_note.",
                name=new.name,
            )
        )
    if new.name in taken:
        raise UserError(
            _l("The name %(name)s is taken by a module or a page of Envoi. Choose another.", name=new.name)
        )
    if importlib.util.find_spec(new.package) is not None:
        raise UserError(
            _l("A package named %(package)s is installed already. Choose another name.", package=new.package)
        )
    for title in (new.title, new.titles, new.title_fr, new.titles_fr):
        if len(title) not in _TITLE_LENGTH or _NOT_IN_TITLES.search(title):
            raise UserError(
                _l(
                    "“%(title)s” cannot be a title: take 1 to 40 letters, digits and spaces, no quotes and brackets.",
                    title=title,
                )
            )


def make(new: NewModule, into: Path, taken: Collection[str]) -> Path:
    """Write the folder of a new module, and return its path; nothing is left where it cannot be written.

    Args:
        new: What it is called.
        into: The folder in which the new one is made.
        taken: As for `check_new`.

    Raises:
        UserError: A name is not possible, or the folder exists already.
    """
    check_new(new, taken)
    folder = into / new.project
    if not into.is_dir():
        raise UserError(_l("There is no folder %(path)s.", path=str(into)))
    try:
        folder.mkdir()
    except FileExistsError as error:
        raise UserError(
            _l("The folder %(path)s exists already; nothing was changed.", path=str(folder))
        ) from error
    except OSError as error:
        raise UserError(
            _l("The folder %(path)s cannot be made (%(why)s).", path=str(folder), why=error.strerror)
        ) from error
    values = new.values()
    for source in sorted(TEMPLATE.rglob(f"*{SUFFIX}")):
        target = folder / filled(str(source.relative_to(TEMPLATE)).removesuffix(SUFFIX), values)
        target.parent.mkdir(parents=True, exist_ok=True)
        text = filled(source.read_text(encoding="utf-8"), values)
        target.write_bytes(_catalogue(text) if target.suffix == ".po" else text.encode())
    return folder


def filled(text: str, values: Mapping[str, str]) -> str:
    """Return a text with its placeholders, such as `@@name@@`, filled in."""
    return _PLACEHOLDER.sub(lambda found: values[found[1]], text)


def _catalogue(text: str) -> bytes:
    """Return a catalogue in order, in which each string stands once: a title may be a word that is there already."""
    out = BytesIO()
    write_po(
        out, read_po(BytesIO(text.encode()), locale="fr"), sort_output=True, omit_header=False, width=110
    )
    return out.getvalue()
