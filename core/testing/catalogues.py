"""Keep a module's catalogues of translations in step with its source.

Each module has catalogues of its own, so that it can be added or removed with everything it says. For a
module by others: `python -m core.testing.catalogues update|check|compile FOLDER`, where FOLDER is that of
the module's package.
"""

from __future__ import annotations

import io
import re
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import click
from babel.messages.catalog import Catalog, Message, TranslationError
from babel.messages.extract import extract_from_file
from babel.messages.frontend import parse_keywords
from babel.messages.mofile import read_mo, write_mo
from babel.messages.pofile import read_po, write_po

# The languages that every part must speak besides English, the language of the source.
LOCALES = ("fr",)
KEYWORDS = parse_keywords(
    [
        "_",
        "_l",
        "N_",
        "gettext",
        "lazy_gettext",
        "ngettext:1,2",
        "lazy_ngettext:1,2",
        "pgettext:1c,2",
        "lazy_pgettext:1c,2",
        "npgettext:1c,2,3",
    ]
)
# Where a line must not end: French puts a no-break space (U+00A0) there, and a no-break hyphen (U+2011) into “e‑mail”.
LOOSE = {"fr": re.compile(r"\S [:;?!»](?![\w-])|« |\b[Ee]-mails?\b")}
TEMPLATE_SUFFIXES = {".html", ".txt"}
SKIPPED_FOLDERS = {"__pycache__", "migrations", "translations"}
# Lines of a .po file's head that differ from run to run and say nothing.
NOISE = (
    b'"POT-Creation-Date:',
    b'"PO-Revision-Date:',
    b'"Generated-By:',
    b'"Last-Translator:',
    b'"Language-Team:',
    b'"Report-Msgid-Bugs-To:',
)

MessageKey = tuple[str | None, str]


@dataclass(frozen=True, slots=True)
class Part:
    """Core or one module: where its strings are and where its catalogues are.

    Attributes:
        name: How reports call it.
        sources: The folders to search.
        translations: The folder of its catalogues.
    """

    name: str
    sources: tuple[Path, ...]
    translations: Path

    def catalogue(self, locale: str) -> Path:
        """Return the path of one language's catalogue."""
        return self.translations / locale / "LC_MESSAGES" / "messages.po"


def part_of_package(name: str, folder: Path, *more_sources: Path) -> Part:
    """Return the part of a package that keeps its catalogues in its own folder `translations`."""
    return Part(name, (folder, *more_sources), folder / "translations")


def source_files(part: Part) -> Iterator[tuple[Path, str]]:
    """Return every file of a part that may hold strings, with the extraction method it needs."""
    for source in part.sources:
        for path in sorted(source.rglob("*")):
            folders = (source.name, *path.relative_to(source).parts[:-1])
            if SKIPPED_FOLDERS.intersection(folders):
                continue
            if path.suffix == ".py":
                yield path, "python"
            elif "templates" in folders and path.suffix in TEMPLATE_SUFFIXES:
                yield path, "jinja2"


def key(message: Message) -> MessageKey:
    """Return what tells messages apart, as gettext does: the context and the singular."""
    context: object = message.context
    # Babel leaves the contexts of compiled catalogues as octets.
    known = context.decode() if isinstance(context, bytes) else message.context
    return known, message.id if isinstance(message.id, str) else message.id[0]


def extract(part: Part) -> dict[MessageKey, Message]:
    """Return every string of a part, in order of its text."""
    found = Catalog()
    for path, method in source_files(part):
        # Babel swallows errors in templates unless told otherwise, and their strings with them.
        options = {"silent": "false"} if method == "jinja2" else {}
        rows = extract_from_file(
            method,
            path,
            keywords=KEYWORDS,
            comment_tags=("Translators:",),
            options=options,
            strip_comment_tags=True,
        )
        for _line, identifier, comments, context in rows:
            found.add(identifier, auto_comments=comments, context=context)
    messages = {key(message): message for message in found if message.id}
    return dict(sorted(messages.items(), key=lambda item: (item[0][1], item[0][0] or "")))


def load(path: Path, locale: str) -> Catalog:
    """Read a catalogue, or begin an empty one."""
    if not path.exists():
        return Catalog(locale=locale)
    with path.open("rb") as file:
        return read_po(file, locale=locale)


def finished(message: Message) -> bool:
    """Return True when every form of the message is translated and no longer in doubt."""
    strings = (message.string,) if isinstance(message.string, str) else tuple(message.string or ("",))
    return all(strings) and not message.fuzzy


def replace(path: Path, data: bytes) -> bool:
    """Write a file as a whole or not at all; return whether it changed."""
    if path.exists() and path.read_bytes() == data:
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        file.write(data)
    Path(file.name).chmod(0o644)
    Path(file.name).replace(path)
    return True


def problems(part: Part, locale: str) -> Iterator[str]:
    """Return what keeps a catalogue from being finished, one line each."""
    wanted = extract(part)
    catalog = load(part.catalogue(locale), locale)
    have = {key(message): message for message in catalog if message.id}
    for identity in wanted:
        message = have.get(identity)
        if message is None:
            yield f"missing: {identity[1]!r}"
        elif message.fuzzy:
            yield f"fuzzy: {identity[1]!r}"
        elif not finished(message):
            yield f"untranslated: {identity[1]!r}"
        elif isinstance(message.id, str) != isinstance(wanted[identity].id, str):
            yield f"plural in one place only: {identity[1]!r}"
        else:
            errors: list[TranslationError] = message.check(catalog)
            yield from (f"{error}: {identity[1]!r}" for error in errors)
            if locale in LOOSE and LOOSE[locale].search(str(message.string)):
                yield f"a line may end where it must not (U+00A0, U+2011): {identity[1]!r}"
    gone = [identity for identity in have if identity not in wanted]
    yield from (f"obsolete: {text!r}" for _context, text in [*gone, *map(key, catalog.obsolete.values())])


def stale(part: Part, locale: str) -> str:
    """Return a sentence where a compiled catalogue is missing or says otherwise than its source, else ""."""
    path = part.catalogue(locale)
    if not path.exists():
        return ""
    compiled = path.with_suffix(".mo")
    if compiled.exists():
        with compiled.open("rb") as file:
            if _said(read_mo(file)) == _said(load(path, locale)):
                return ""
    return (
        f"{compiled.name} {'says otherwise than' if compiled.exists() else 'is missing beside'} {path.name}, so people "
        f"read the former words: run `python -m core.testing.catalogues compile {part.translations.parent}`."
    )


def _said(catalog: Catalog) -> dict[MessageKey, object]:
    """Return what a catalogue says for each string; what is empty or in doubt, people read in English."""
    return {
        key(message): message.string if isinstance(message.string, str) else tuple(message.string or ())
        for message in catalog
        if message.id and not message.fuzzy and any(message.string or ())
    }


def update(parts: Iterable[Part]) -> int:
    """Merge new strings into every catalogue and drop those that are gone."""
    for part in parts:
        wanted = extract(part)
        for locale in LOCALES:
            path = part.catalogue(locale)
            if not wanted and not path.exists():
                continue
            fresh = _merged(wanted, load(path, locale), locale)
            buffer = io.BytesIO()
            write_po(buffer, fresh, no_location=True, width=0)
            lines = buffer.getvalue().splitlines(keepends=True)
            # Babel heads the file with an empty comment when it is given none.
            kept = b"".join(line for line in lines if not line.startswith(NOISE)).removeprefix(b"#\n")
            if replace(path, kept.strip() + b"\n"):
                todo = sum(1 for message in fresh if message.id and not finished(message))
                click.echo(f"{part.name} ({locale}): {len(wanted)} strings, {todo} to translate")
    return 0


def _merged(wanted: dict[MessageKey, Message], known: Catalog, locale: str) -> Catalog:
    """Return a catalogue of the wanted strings with the translations that are known."""
    old = {key(message): message for message in known if message.id}
    fresh = Catalog(locale=locale, project="Envoi", version="1", header_comment="", fuzzy=False)
    for identity, message in wanted.items():
        before = old.get(identity)
        same_shape = before is not None and isinstance(before.id, str) == isinstance(message.id, str)
        fresh.add(
            message.id,
            before.string if before is not None and same_shape else None,
            flags=(before.flags & {"fuzzy"}) if before is not None else (),
            auto_comments=message.auto_comments,
            user_comments=before.user_comments if before is not None else (),
            context=message.context,
        )
    return fresh


def conflicts(parts: Iterable[Part], locale: str) -> Iterator[str]:
    """Say which strings have several translations: the catalogues are merged, so one would stand for all of them."""
    found: dict[MessageKey, dict[str, list[str]]] = {}
    for part in parts:
        for message in load(part.catalogue(locale), locale):
            if message.id and message.string and not message.fuzzy:
                said = found.setdefault(key(message), {})
                said.setdefault(str(message.string), []).append(part.name)
    for (_context, text), said in sorted(found.items(), key=lambda item: item[0][1]):
        if len(said) > 1:
            which = "; ".join(f"{', '.join(names)}: {string}" for string, names in said.items())
            yield f"“{text}” is translated in several ways ({which}); say what it is by `pgettext`"


def check(parts: Iterable[Part]) -> int:
    """Report every string without a finished translation or with several, and every translation without a string."""
    parts, count = list(parts), 0
    for locale in LOCALES:
        found = [f"{part.name} ({locale}): {problem}" for part in parts for problem in problems(part, locale)]
        for problem in [*found, *(f"({locale}) {words}" for words in conflicts(parts, locale))]:
            count += 1
            click.echo(problem)
    if count:
        click.echo(f"{count} to mend; “update” merges what is new and drops what is gone.")
        return 1
    return 0


def compile_all(parts: Iterable[Part]) -> int:
    """Make the .mo file beside every .po file; doubtful translations stay out."""
    for part in parts:
        for path in sorted(part.translations.glob("*/LC_MESSAGES/*.po")):
            locale = path.parent.parent.name
            buffer = io.BytesIO()
            write_mo(buffer, load(path, locale))
            replace(path.with_suffix(".mo"), buffer.getvalue())
    return 0


COMMANDS: dict[str, Callable[[Iterable[Part]], int]] = {
    "compile": compile_all,
    "check": check,
    "update": update,
}


@click.command()
@click.argument("command", type=click.Choice(sorted(COMMANDS)))
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
def main(command: str, folder: Path) -> None:
    """Update, check or compile the catalogues of the package in FOLDER."""
    sys.exit(COMMANDS[command]([part_of_package(folder.resolve().name, folder.resolve())]))


if __name__ == "__main__":
    main()
