"""Keep the catalogues of core and of every module in step with their source.

`compile` makes the .mo files, `update` merges new strings into the .po files and drops those that are gone,
`check` fails when a string has no finished translation. Each module has a catalogue of its own, so that it
can be added or removed with everything it says.
"""

from __future__ import annotations

import argparse
import io
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from babel.messages.catalog import Catalog, Message, TranslationError
from babel.messages.extract import extract_from_file
from babel.messages.frontend import parse_keywords
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

ROOT = Path(__file__).resolve().parent.parent
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


@dataclass(frozen=True)
class Part:
    """Core or one module: where its strings are and where its catalogues are.

    Args:
        name: How reports call it.
        sources: The folders to search.
        translations: The folder of its catalogues.
    """

    name: str
    sources: tuple[Path, ...]
    translations: Path

    def catalogue(self, locale: str) -> Path:
        """The path of one language's catalogue."""
        return self.translations / locale / "LC_MESSAGES" / "messages.po"


def parts() -> Iterator[Part]:
    """Core, then every module, in order of name."""
    core = ROOT / "core"
    # The shell's templates stand outside the package, but core is who shows them.
    yield Part("core", (core, ROOT / "templates"), core / "translations")
    for folder in sorted((ROOT / "modules").iterdir()):
        if (folder / "__init__.py").exists():
            yield Part(folder.name, (folder,), folder / "translations")


def source_files(part: Part) -> Iterator[tuple[Path, str]]:
    """Every file of a part that may hold strings, with the extraction method it needs."""
    for source in part.sources:
        for path in sorted(source.rglob("*")):
            folders = path.relative_to(ROOT).parts[:-1]
            if SKIPPED_FOLDERS.intersection(folders):
                continue
            if path.suffix == ".py":
                yield path, "python"
            elif "templates" in folders and path.suffix in TEMPLATE_SUFFIXES:
                yield path, "jinja2"


def key(message: Message) -> MessageKey:
    """What tells messages apart, as gettext does: the context and the singular."""
    return message.context, message.id if isinstance(message.id, str) else message.id[0]


def extract(part: Part) -> dict[MessageKey, Message]:
    """Every string of a part, in order of its text."""
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
    """True when every form of the message is translated and no longer in doubt."""
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


def update() -> int:
    """Merge new strings into every catalogue and drop those that are gone."""
    for part in parts():
        wanted = extract(part)
        for locale in LOCALES:
            path = part.catalogue(locale)
            if not wanted and not path.exists():
                continue
            old = {key(message): message for message in load(path, locale) if message.id}
            fresh = Catalog(locale=locale, project="Envoi", version="1", header_comment="", fuzzy=False)
            for identity, message in wanted.items():
                known = old.get(identity)
                same_shape = known is not None and isinstance(known.id, str) == isinstance(message.id, str)
                fresh.add(
                    message.id,
                    known.string if known is not None and same_shape else None,
                    flags=(known.flags & {"fuzzy"}) if known is not None else (),
                    auto_comments=message.auto_comments,
                    user_comments=known.user_comments if known is not None else (),
                    context=message.context,
                )
            buffer = io.BytesIO()
            write_po(buffer, fresh, no_location=True, width=0)
            lines = [
                line for line in buffer.getvalue().splitlines(keepends=True) if not line.startswith(NOISE)
            ]
            # Babel heads the file with an empty comment when it is given none.
            kept = b"".join(line for line in lines if not line.startswith(NOISE)).removeprefix(b"#\n")
            if replace(path, kept.strip() + b"\n"):
                todo = sum(1 for message in fresh if message.id and not finished(message))
                print(f"{path.relative_to(ROOT)}: {len(wanted)} strings, {todo} to translate")
    return 0


def problems(part: Part, locale: str) -> Iterator[str]:
    """What keeps a catalogue from being finished, one sentence each."""
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
    gone = [identity for identity in have if identity not in wanted]
    yield from (f"obsolete: {text!r}" for _context, text in [*gone, *map(key, catalog.obsolete.values())])


def check() -> int:
    """Report every string without a finished translation, and every translation without a string."""
    count = 0
    for part in parts():
        for locale in LOCALES:
            for problem in problems(part, locale):
                count += 1
                print(f"{part.name} ({locale}): {problem}")
    if count:
        print(f"{count} to mend; `make translations` merges what is new and drops what is gone.")
        return 1
    return 0


def compile_all() -> int:
    """Make the .mo file beside every .po file; doubtful translations stay out."""
    for part in parts():
        for path in sorted(part.translations.glob("*/LC_MESSAGES/*.po")):
            locale = path.parent.parent.name
            buffer = io.BytesIO()
            write_mo(buffer, load(path, locale))
            replace(path.with_suffix(".mo"), buffer.getvalue())
    return 0


COMMANDS: dict[str, Callable[[], int]] = {"compile": compile_all, "check": check, "update": update}


def main() -> int:
    """Run one of the three commands."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=sorted(COMMANDS))
    return COMMANDS[parser.parse_args().command]()


if __name__ == "__main__":
    sys.exit(main())
