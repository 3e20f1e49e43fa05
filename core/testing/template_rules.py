"""What every template of a page must keep to, so that a strict content security policy can hold."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterable, Iterator
from html.parser import HTMLParser
from pathlib import Path

from jinja2 import Environment, nodes
from jinja2.meta import find_referenced_templates

# HTML for the PDF engine and for mail is never a page of ours; it may carry its style inside.
OUTSIDE_THE_BROWSER = {"pdf", "mail"}

_SHOWN = re.compile(r"\{\{.*?\}\}", re.DOTALL)
_SILENT = re.compile(r"\{%.*?%\}|\{#.*?#\}", re.DOTALL)
_FORM = re.compile(r"<form\b.*?</form>", re.DOTALL | re.IGNORECASE)
_POSTS = re.compile(r"^<form\b[^>]*?\bmethod\s*=\s*[\"']?(?:post|\{)", re.IGNORECASE)
_TOKEN = re.compile(r"\b(?:csrf_token|hidden_tag)\b")

# By function, how many of its arguments, from the first, are strings to be translated.
_TRANSLATING = {"_": 1, "gettext": 1, "ngettext": 2, "pgettext": 2, "npgettext": 3}

_VALUE = "\0"
_OPEN_TAG = re.compile(r"</?\w*$")
_WORD = re.compile(r"[^\W\d_]{2,}")
_NO_TEXT = frozenset({"script", "style"})
_SHOWN_ATTRIBUTES = frozenset({"alt", "aria-label", "label", "placeholder", "title"})


def template_files(folders: Iterable[Path]) -> dict[str, Path]:
    """Return the templates in some folders by the name under which Jinja knows them."""
    return {
        path.relative_to(folder).as_posix(): path
        for folder in folders
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


class _Tags(HTMLParser):
    """Collects what a page may not contain."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Look at one element."""
        names = {name for name, _value in attrs}
        if tag == "script" and "src" not in names:
            self.found.append("an inline <script>")
        if tag == "style":
            self.found.append("a <style> element")
        for name, value in attrs:
            if name == "style":
                self.found.append(f"style= on <{tag}>")
            elif name.startswith("on"):
                self.found.append(f"{name}= on <{tag}>")
            elif (value or "").strip().lower().startswith("javascript:"):
                self.found.append(f"javascript: in {name}= of <{tag}>")


def inline_code(source: str) -> list[str]:
    """Return the inline scripts, styles and handlers of a template, in words."""
    tags = _Tags()
    tags.feed(_SILENT.sub(" ", _SHOWN.sub("x", source)))
    tags.close()
    return tags.found


def forms_without_token(source: str) -> int:
    """Return how many forms of a template post without a CSRF token."""
    forms = (match.group() for match in _FORM.finditer(re.sub(r"\{#.*?#\}", "", source, flags=re.DOTALL)))
    return sum(1 for form in forms if _POSTS.search(form) and not _TOKEN.search(form))


def computed_translations(source: str) -> list[int]:
    """Return the lines of a template in which something else than a string that stands there is translated.

    Jinja takes what `_()` translates for a format and for HTML of ours; a name that somebody has typed is neither.
    """
    tree = Environment(autoescape=True).parse(source)
    return [
        call.lineno
        for call in tree.find_all(nodes.Call)
        if isinstance(call.node, nodes.Name) and call.node.name in _TRANSLATING
        for argument in call.args[: _TRANSLATING[call.node.name]]
        if not isinstance(argument, nodes.Const)
    ]


class _Text(HTMLParser):
    """Collects what people read, in the page itself and in the attributes that are shown or read aloud."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[str] = []
        self._inside: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Look at the attributes of one element."""
        if tag in _NO_TEXT:
            self._inside.append(tag)
        self.found += [value for name, value in attrs if name in _SHOWN_ATTRIBUTES and value]

    def handle_endtag(self, tag: str) -> None:
        """Come out of a script or style."""
        if self._inside and self._inside[-1] == tag:
            self._inside.pop()

    def handle_data(self, data: str) -> None:
        """Look at a piece of text."""
        if not self._inside:
            self.found.append(data)


def unmarked_text(source: str, names: Collection[str] = ()) -> list[str]:
    """Return what a template says in words of its own: text that nobody can translate.

    Args:
        source: The template.
        names: Words that are the same in every language.
    """
    text = _Text()
    text.feed(_without_jinja(source))
    text.close()
    return [
        " ".join(piece.split())
        for piece in (part for found in text.found for part in found.split(_VALUE))
        if set(_WORD.findall(piece)) - set(names)
    ]


def _without_jinja(source: str) -> str:
    """Return a template with a mark for each value, and nothing for statements and for what `trans` translates."""
    out, translated, before = "", False, ""
    for _line, token, value in Environment(autoescape=True).lex(source):
        if token == "data" and not translated:
            out += value
        elif token == "variable_begin" and not translated:
            # Within the name of an element a value is a part of that name.
            out += "x" if _OPEN_TAG.search(out) else _VALUE
        elif token == "block_begin":
            out += " "
        elif token == "name" and before == "block_begin":
            translated = value == "trans" or (translated and value != "endtrans")
        before = before if token == "whitespace" else token
    return out


def strings_of_python(folder: Path) -> Iterator[str]:
    """Return every string constant in the Python files of a folder."""
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


def referenced(files: Iterable[Path]) -> set[str]:
    """Return the templates that some templates extend, include or import.

    Raises:
        AssertionError: One names a template by an expression, so that nobody can tell which it uses.
    """
    environment = Environment(autoescape=True)
    names: set[str] = set()
    for path in files:
        for name in find_referenced_templates(environment.parse(path.read_text(encoding="utf-8"))):
            assert name is not None, f"The template {path} names another by an expression; write its name."
            names.add(name)
    return names
