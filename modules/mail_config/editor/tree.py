"""A text with formulas as a tree: elements, text, and formulas as a whole."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from html.parser import HTMLParser

from modules.mail_config.template_language.tags import tags_of

BLOCKS = frozenset({"p", "div", "h1", "blockquote", "pre", "ul", "ol"})
INLINE = frozenset({"strong", "b", "em", "i", "del", "s", "strike", "a"})
LINES = frozenset({"p", "div"})
"""Blocks that the editor shows as lines."""
KNOWN = BLOCKS | INLINE | {"br", "li"}
SAME = {"b": "strong", "i": "em", "s": "del", "strike": "del"}
"""What the editor calls otherwise."""
DEEPEST = 40
# Private characters stand for formulas while HTML is read, so that what is in them is never taken for markup.
_MARK = "\ue000{}\ue001"
_MARKED = re.compile("\ue000([0-9]+)\ue001")
_PRIVATE = re.compile("[\ue000\ue001]")
_VOID = frozenset(
    {"br", "hr", "img", "input", "meta", "link", "col", "area", "base", "wbr", "source", "embed"}
)


@dataclass(frozen=True, slots=True)
class Formula:
    """A piece of a template that is no text: `{{ … }}`, `{% … %}` or `{# … #}`."""

    source: str

    @property
    def inside(self) -> str:
        """What stands between the delimiters."""
        return " ".join(self.source[2:-2].strip("-+ \n\t").split())

    @property
    def is_expression(self) -> bool:
        """True when it shows something."""
        return self.source.startswith("{{")

    @property
    def _word(self) -> str:
        return self.inside.partition(" ")[0] if self.source.startswith("{%") else ""

    @property
    def opens(self) -> bool:
        """True when a condition begins here."""
        return self._word == "if"

    @property
    def continues(self) -> bool:
        """True for "otherwise"."""
        return self._word in {"else", "elif"}

    @property
    def closes(self) -> bool:
        """True when a condition ends here."""
        return self._word == "endif"


@dataclass(slots=True)
class Element:
    """An element of HTML; the root has no tag."""

    tag: str
    attributes: dict[str, str] = field(default_factory=dict)
    children: list[Element | Formula | str] = field(default_factory=list)


Node = Element | Formula | str


def elements_of(node: Element) -> list[Element]:
    """Return the elements in an element, not those in them."""
    return [child for child in node.children if isinstance(child, Element)]


def is_blank(node: Node) -> bool:
    """Return True for a text of nothing but spaces."""
    return isinstance(node, str) and not node.strip()


def split_formulas(text: str) -> list[Formula | str]:
    """Divide a text into formulas and what stands between them; one without an end is text."""
    pieces: list[Formula | str] = []
    rest = 0
    for tag in tags_of(text):
        if not tag.closed:
            break
        if tag.start > rest:
            pieces.append(text[rest : tag.start])
        pieces.append(Formula(tag.text))
        rest = tag.end
    if rest < len(text):
        pieces.append(text[rest:])
    return pieces


class _Reader(HTMLParser):
    """Builds the tree; what does not fit together is noted."""

    def __init__(self, formulas: list[Formula], *, keep_attachments: bool) -> None:
        super().__init__(convert_charrefs=True)
        self.formulas = formulas
        self.keep_attachments = keep_attachments
        self.root = Element("")
        self.stack = [self.root]
        self.problems: list[str] = []
        self.skipped: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Open an element; an attachment of the editor is the formula that it carries."""
        attributes = {name: self._whole(value or "") for name, value in attrs}
        if self.skipped:
            self.skipped += [tag] if tag not in _VOID else []
            return
        if tag == "figure" and "data-trix-attachment" in attributes and not self.keep_attachments:
            formula = _carried(attributes["data-trix-attachment"])
            if formula is not None:
                self.stack[-1].children.append(formula)
            self.skipped = [tag]
            return
        if tag in {"script", "style"} and not self.keep_attachments:
            self.skipped = [tag]
            self.problems.append(f"<{tag}>")
            return
        if len(self.stack) > DEEPEST:
            self.problems.append(f"<{tag}>")
            return
        node = Element(tag, attributes)
        self.stack[-1].children.append(node)
        if tag not in _VOID:
            self.stack.append(node)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """`<br/>` is `<br>`."""
        self.handle_starttag(tag, attrs)
        if tag not in _VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        """Close an element, and what was left open in it."""
        if self.skipped:
            if tag in self.skipped:
                del self.skipped[len(self.skipped) - 1 - self.skipped[::-1].index(tag) :]
            return
        names = [node.tag for node in self.stack]
        if tag in _VOID or tag not in names:
            self.problems.append(f"</{tag}>")
            return
        if names[-1] != tag:
            self.problems.append(f"<{names[-1]}>")
        while self.stack.pop().tag != tag:
            pass

    def handle_data(self, data: str) -> None:
        """Add text, and the formulas in it."""
        if self.skipped:
            return
        for number, piece in enumerate(_MARKED.split(data)):
            if number % 2:
                self.stack[-1].children.append(self.formulas[int(piece)])
            elif piece:
                self.stack[-1].children.append(piece)

    def handle_comment(self, data: str) -> None:
        """The editor loses comments."""
        self.problems.append(f"<!-- {self._whole(data)[:20].strip()} -->" if data.strip() else "<!-- -->")

    def handle_decl(self, decl: str) -> None:
        """A text has no declarations."""
        self.problems.append(f"<!{decl[:20]}>")

    def unknown_decl(self, data: str) -> None:
        """A text has no declarations."""
        self.problems.append(f"<![{data[:20]}]>")

    def handle_pi(self, data: str) -> None:
        """A text has no instructions."""
        self.problems.append(f"<?{data[:20]}>")

    def _whole(self, value: str) -> str:
        return _MARKED.sub(lambda match: self.formulas[int(match.group(1))].source, value)


def _carried(attachment: str) -> Formula | None:
    """Return the formula that an attachment carries, if it carries one."""
    try:
        source = json.loads(attachment).get("formula")
    except (ValueError, AttributeError, RecursionError):
        return None
    pieces = split_formulas(source) if isinstance(source, str) else []
    return pieces[0] if len(pieces) == 1 and isinstance(pieces[0], Formula) else None


def _read(pieces: list[Formula | str], *, keep_attachments: bool) -> tuple[Element, list[str]]:
    formulas: list[Formula] = []
    marked = []
    for piece in pieces:
        if isinstance(piece, Formula):
            marked.append(_MARK.format(len(formulas)))
            formulas.append(piece)
        else:
            marked.append(piece)
    reader = _Reader(formulas, keep_attachments=keep_attachments)
    reader.feed("".join(marked))
    reader.close()
    return reader.root, reader.problems + [f"<{node.tag}>" for node in reader.stack[1:]]


def read_source(source: str) -> tuple[Element, list[str]]:
    """Return the tree of a template's text, and what in its HTML does not fit together."""
    return _read(split_formulas(_PRIVATE.sub("", source)), keep_attachments=True)


def read_editor(html: str) -> Element:
    """Return the tree of what stands in the editor; formulas that were typed or pasted as text count as formulas."""
    root, _problems = _read([_PRIVATE.sub("", html)], keep_attachments=False)
    _find_typed(root)
    return root


def _find_typed(root: Element) -> None:
    todo = [root]
    while todo:
        node = todo.pop()
        children: list[Node] = []
        for child in node.children:
            if isinstance(child, str):
                children += [
                    Formula(piece.source.replace("\u00a0", " ")) if isinstance(piece, Formula) else piece
                    for piece in split_formulas(child)
                ]
            else:
                children.append(child)
        node.children = children
        todo += [child for child in children if isinstance(child, Element)]
