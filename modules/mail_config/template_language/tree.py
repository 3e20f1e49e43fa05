"""HTML as a tree: elements, text, and formulas as a whole. All that looks into a text reads it here.

nh3 reads it, by the rules of HTML5, and writes it down again with every element closed; only that is taken apart here.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from html import escape
from html.parser import HTMLParser
from string import ascii_lowercase
from typing import Any

import nh3

from core.mail.html import ATTRIBUTES, TAGS, bounded
from modules.mail_config.template_language.tags import tags_of

BLOCKS = frozenset({"p", "div", "h1", "h2", "h3", "blockquote", "pre", "ul", "ol", "li", "table", "hr"})
# Elements that stand in a line of text.
INLINE = frozenset({"strong", "b", "em", "i", "del", "s", "strike", "a"})
LINES = frozenset({"p", "div"})
"""Blocks that the editor shows as lines."""
KNOWN = LINES | INLINE | {"h1", "blockquote", "pre", "ul", "ol", "li", "br"}
"""Elements that the editor can show."""
SAME = {"b": "strong", "i": "em", "s": "del", "strike": "del"}
"""Elements that the editor writes by another name."""
VOID = frozenset({"br", "hr", "img"})
"""Elements without contents and without an end tag, of those that any caller keeps."""
DEEPEST = 40
"""Elements inside each other; nobody writes more, and each is a call."""
BLANKS = " \t\r\n\f"
"""The characters that are blanks in HTML; a no-break space is none."""
_ATTACHMENT = "data-trix-attachment"  # where the editor keeps what a chip is
# Private characters stand for formulas while HTML is read, so that what is in them is never taken for markup.
_MARK = "\ue000{}\ue001"
_MARKED = re.compile("\ue000([0-9]+)\ue001")
_PRIVATE = re.compile("[\ue000\ue001]")  # taken out of what people write, so that nobody can forge a mark
_TAG = re.compile(r"<(/?[a-z][^\s/<>]*)", re.IGNORECASE)
# A comment, a declaration or an instruction by its first characters; not the comment that stands for a formula.
_COMMENT = re.compile(r"<(?!!--\ue000)([!?][^>]{0,20})")


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
    """Builds the tree of what nh3 has written: each element in it is closed, each sign that is text is escaped."""

    def __init__(self, formulas: list[Formula]) -> None:
        super().__init__()
        self.formulas = formulas
        self.root = Element("")
        self.open = [self.root]
        self.too_deep: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Open an element; one that is too deep gives what it holds to the element around it."""
        node = parent = self.open[-1]
        if len(self.open) <= DEEPEST:
            node = Element(tag, {name: self._whole(value or "") for name, value in attrs})
            parent.children.append(node)
        else:
            self.too_deep.append(f"<{tag}>")
        if tag not in VOID:
            self.open.append(node)

    def handle_endtag(self, tag: str) -> None:  # noqa: ARG002 -- it is always the last one's
        """Close the element."""
        self.open.pop()

    def handle_data(self, data: str) -> None:
        """Add text, and the formulas in it."""
        for number, piece in enumerate(_MARKED.split(data)):
            if number % 2:
                self.open[-1].children.append(self.formulas[int(piece)])
            elif piece:
                self.open[-1].children.append(piece)

    def handle_comment(self, data: str) -> None:
        """Add the formula that a comment stands for; a person's comment is nothing that anybody sees."""
        if _MARKED.fullmatch(data):
            self.handle_data(data)

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


def _read(html: str, formulas: list[Formula], **kept: Any) -> tuple[_Reader, str]:
    """Read HTML as a browser does, and as nh3 writes it down with the elements and attributes that are kept."""
    written = nh3.clean(bounded(html), link_rel=None, **kept)
    reader = _Reader(formulas)
    reader.feed(written)
    reader.close()
    return reader, written


def _masked(source: str) -> tuple[str, list[Formula]]:
    """Return a template's HTML with a mark for each formula: in a tag a word, elsewhere a comment.

    A comment may stand where text may not, such as between the rows of a table, and stays there.
    """
    formulas: list[Formula] = []
    parts: list[str] = []
    in_tag = False
    for piece in split_formulas(_PRIVATE.sub("", source)):
        if isinstance(piece, Formula):
            mark = _MARK.format(len(formulas))
            parts.append(mark if in_tag else f"<!--{mark}-->")
            formulas.append(piece)
        else:
            parts.append(piece)
            opened, closed = piece.rfind("<"), piece.rfind(">")
            in_tag = opened > closed or (in_tag and closed < 0)
    return "".join(parts), formulas


def read_mail(html: str) -> Element:
    """Return the tree of the text of a mail; what looks like a formula in it is text."""
    return _read(_PRIVATE.sub("", html), [], tags=TAGS, attributes=ATTRIBUTES)[0].root


def read_template(source: str) -> Element:
    """Return the tree of a template's text, with all that a mail may have."""
    masked, formulas = _masked(source)
    return _read(masked, formulas, tags=TAGS, attributes=ATTRIBUTES, strip_comments=False)[0].root


def read_source(source: str) -> tuple[Element, list[str]]:
    """Return the tree of a template's text as the editor knows it, and what it cannot show of it.

    That is: tags that it does not know or that do not fit together, comments, and what is nested too deep; in the
    form `<table>`, `</b>`, `<!-- note -->`.
    """
    masked, formulas = _masked(source)
    reader, written = _read(
        masked,
        formulas,
        tags=set(KNOWN),
        generic_attribute_prefixes=set(ascii_lowercase),
        strip_comments=False,
    )
    before, after = (Counter(map(str.lower, _TAG.findall(html))) for html in (masked, written))
    changed = [
        *_COMMENT.findall(masked),
        *(before - after),
        *(tag.removeprefix("/") for tag in after - before),
    ]
    return reader.root, [f"<{tag}>" for tag in changed] + reader.too_deep


def read_editor(html: str) -> Element:
    """Return the tree of what stands in the editor; formulas that were typed or pasted as text count as formulas."""
    attributes = {"a": {"href"}, "figure": {_ATTACHMENT}}
    root = _read(_PRIVATE.sub("", html), [], tags={*KNOWN, "figure"}, attributes=attributes)[0].root
    _find_typed(root)
    return root


def _find_typed(root: Element) -> None:
    """Put formulas in the place of typed ones and of attachments, which carry theirs."""
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
            elif isinstance(child, Element) and _ATTACHMENT in child.attributes:
                formula = _carried(child.attributes[_ATTACHMENT])
                children += [formula] if formula is not None else []
            else:
                children.append(child)
        node.children = children
        todo += elements_of(node)


# -- writing ---------------------------------------------------------------------------------------------


def markup_of(nodes: Iterable[Node]) -> str:
    """Return the HTML of nodes, with their formulas as they stand in the source."""
    out = []
    for node in nodes:
        if isinstance(node, Formula):
            out.append(node.source)
        elif isinstance(node, str):
            out.append(escape(node, quote=False).replace("\u00a0", "&nbsp;"))
        else:
            end = "" if node.tag in VOID else f"</{node.tag}>"
            out.append(f"{start_tag(node)}{markup_of(node.children)}{end}")
    return "".join(out)


def start_tag(node: Element) -> str:
    """Return the tag by which an element begins, with its attributes."""
    attributes = (f' {name}="{attribute_value(value)}"' for name, value in node.attributes.items())
    return f"<{node.tag}{''.join(attributes)}>"


def attribute_value(value: str) -> str:
    """Return the value of an attribute, escaped but for its formulas."""
    return "".join(
        piece.source if isinstance(piece, Formula) else escape(piece) for piece in split_formulas(value)
    )
