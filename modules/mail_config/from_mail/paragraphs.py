"""Paragraphs of a mail, and the paragraphs of the template that they came from.

Editors write paragraphs in their own ways: as `<p>`, as `<div>`, as lines of one `<div>` with two `<br>` between.
Here they are the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from modules.mail_config.template_language.tree import (
    BLANKS,
    BLOCKS,
    LINES,
    SAME,
    Element,
    Formula,
    Node,
    elements_of,
    markup_of,
    read_mail,
    read_template,
)

_TELLING = {"strong", "em", "a"}
"""Markup by which paragraphs differ that have the same words."""


@dataclass(frozen=True, slots=True)
class Block:
    """A paragraph, or another block such as a list.

    Attributes:
        element: Its element, complete.
        key: What two paragraphs share that say the same.
    """

    element: Element
    key: str

    @property
    def markup(self) -> str:
        """Its HTML."""
        return markup_of([self.element])


def blocks_of(markup: str) -> list[Block]:
    """Return the paragraphs of the text of a mail; empty ones are left out."""
    found = _paragraphs(read_mail(markup).children)
    return [Block(element, key) for element in found if (key := _key_of([element]))]


def _key_of(nodes: Sequence[Node]) -> str:
    """Return what two paragraphs share that say the same: words, emphasis and links."""
    return " ".join("".join(_telling(nodes)).split())


def _telling(nodes: Sequence[Node]) -> Iterator[str]:
    """Return the words of nodes, and marks for emphasis and links; blocks and breaks are a blank."""
    for node in nodes:
        if isinstance(node, Formula):
            yield node.source
        elif isinstance(node, str):
            yield node
        else:
            name = SAME.get(node.tag, node.tag)
            mark = f"{name}:{node.attributes.get('href', '')}\x00" if name in _TELLING else ""
            edge = " " if node.tag in BLOCKS or name == "br" else ""
            yield f"\x00{mark}" if mark else edge
            yield from _telling(node.children)
            yield f"\x00/{mark}" if mark else edge


def _paragraphs(nodes: Sequence[Node]) -> Iterator[Element]:
    """Return the paragraphs and other blocks of nodes, however an editor has written them."""
    lines: list[list[Node]] = []  # of `<div>`s that follow each other: an editor's lines
    for piece in _pieces(nodes):
        if piece.tag == "div" and not _has_blocks(piece):
            *ended, lines = _runs(lines, _split_lines(piece.children))
            yield from map(_lines_as_paragraph, ended)
            if _ends_with_blank_line(piece.children) and lines:
                yield _lines_as_paragraph(lines)  # the editor ends a paragraph with a blank line inside
                lines = []
            continue
        if lines and (piece.tag or not all(map(_is_blank, piece.children))):
            yield _lines_as_paragraph(lines)
            lines = []
        if piece.tag in {"p", ""}:
            yield from (Element("p", {}, line) for line in _split_lines(piece.children))
        elif piece.tag == "div":
            yield from _paragraphs(piece.children)
        else:
            yield piece
    if lines:
        yield _lines_as_paragraph(lines)


def _lines_as_paragraph(lines: list[list[Node]]) -> Element:
    first, *others = lines
    return Element("p", {}, [*first, *(node for line in others for node in (Element("br"), *line))])


def _runs(lines: list[list[Node]], paragraphs: list[list[Node]]) -> list[list[list[Node]]]:
    """Return the runs of lines that an element goes on with or begins; the last one may go on in the next element."""
    runs = [lines]
    for number, paragraph in enumerate(paragraphs):
        key = _key_of(paragraph)
        if (number or not key) and runs[-1]:
            runs.append([])
        if key:
            runs[-1].append(paragraph)
    return runs


def _is_blank(node: Node) -> bool:
    return isinstance(node, str) and not node.strip(BLANKS)


def _is_break(node: Node) -> bool:
    return isinstance(node, Element) and node.tag == "br"


def _is_block(node: Node) -> bool:
    return isinstance(node, Element) and node.tag in BLOCKS


def _has_blocks(node: Element) -> bool:
    return any(_is_block(child) or _has_blocks(child) for child in elements_of(node))


def _ends_with_blank_line(nodes: Sequence[Node]) -> bool:
    return [_is_break(node) for node in nodes if not _is_blank(node)][-2:] == [True, True]


def _pieces(nodes: Sequence[Node]) -> Iterator[Element]:
    """Return the block elements, and what stands between them as elements without a tag."""
    for is_block, run in groupby(nodes, _is_block):
        if is_block:
            yield from (node for node in run if isinstance(node, Element))
        else:
            yield Element("", {}, list(run))


def _split_lines(nodes: Sequence[Node]) -> list[list[Node]]:
    """Return the paragraphs of a run of lines: two breaks, or more, separate them."""
    paragraphs: list[list[Node]] = [[]]
    breaks = 0
    for node in nodes:
        if _is_break(node):
            breaks += 1
            continue
        if breaks and not _is_blank(node):
            if breaks > 1:
                paragraphs.append([])
            elif paragraphs[-1]:
                paragraphs[-1].append(Element("br"))
            breaks = 0
        paragraphs[-1].append(node)
    return [_stripped(paragraph) for paragraph in paragraphs]


def _stripped(nodes: list[Node]) -> list[Node]:
    """Return nodes without the blanks that they begin and end with."""
    if nodes and isinstance(nodes[0], str):
        nodes[0] = nodes[0].lstrip(BLANKS)
    if nodes and isinstance(nodes[-1], str):
        nodes[-1] = nodes[-1].rstrip(BLANKS)
    return [node for node in nodes if node != ""]


# ------------------------------------------------------------------------------------------------------- endings


def without_ending(markup: str, ending: str) -> str:
    """Return HTML without the lines that it ends with, where they are those of another text, such as a signature."""
    text = read_mail(markup)
    lines, wanted = _lines(text), [words for words, _ in _lines(read_mail(ending))]
    if not wanted or [words for words, _ in lines[-len(wanted) :]] != wanted:
        return markup
    return markup_of(_first(text.children, iter(range(lines[-len(wanted)][1]))))


def _lines(root: Element) -> list[tuple[str, int]]:
    """Return the words of each line that has any, and how many texts and breaks stand before it."""
    lines: list[tuple[str, int]] = []
    words: list[str] = []
    start = count = 0

    def end_line() -> None:
        nonlocal start
        if line := " ".join("".join(words).split()):
            lines.append((line, start))
        words.clear()
        start = count

    def walk(nodes: Sequence[Node]) -> None:
        nonlocal count
        for node in nodes:
            if isinstance(node, Element):
                is_edge = node.tag in BLOCKS or node.tag == "br"
                if is_edge:
                    end_line()
                walk(node.children)
                count += not node.children
                if is_edge:
                    end_line()
            else:
                words.append(node if isinstance(node, str) else node.source)
                count += 1

    walk(root.children)
    end_line()
    return lines


def _first(nodes: Sequence[Node], room: Iterator[int]) -> Iterator[Node]:
    """Return nodes with no more texts and empty elements in them than there is room for."""
    for node in nodes:
        if isinstance(node, Element) and node.children:
            kept = list(_first(node.children, room))
            if not kept:
                return
            yield Element(node.tag, node.attributes, kept)
        elif next(room, None) is None:
            return
        else:
            yield node


# ----------------------------------------------------------------------------------------------------- templates


def units_of(source: str) -> list[str]:
    """Return the body of a template in pieces that each stand alone: a paragraph, or a condition with what is in it."""
    units: list[str] = []
    waiting, depth = "", 0
    for part in _parts(read_template(source).children):
        waiting += markup_of(part)
        depth += _opened(part)
        if depth == 0:
            units.append(waiting)
            waiting = ""
    return [unit for unit in [*units, waiting] if unit.strip()]


def _opened(nodes: Sequence[Node]) -> int:
    """Return by how many conditions nodes open more than they close."""
    count = 0
    for node in nodes:
        if isinstance(node, Formula):
            count += node.opens - node.closes
        elif isinstance(node, Element):
            count += _opened(node.children)
    return count


def _parts(nodes: Sequence[Node]) -> Iterator[list[Node]]:
    """Return the nodes in parts; between two of them a unit may end."""
    for piece in _pieces(nodes):
        if not piece.tag:
            # Between paragraphs, the beginning and the end of a condition each are a part of their own.
            if all(isinstance(node, Formula) or _is_blank(node) for node in piece.children):
                yield from ([node] for node in piece.children)
            else:
                yield piece.children
        elif piece.tag in LINES and not _has_blocks(piece):
            paragraphs = [paragraph for paragraph in _split_lines(piece.children) if paragraph]
            if len(paragraphs) < 2:
                yield [piece]
            for paragraph in paragraphs if len(paragraphs) > 1 else []:
                yield [Element("p", {}, paragraph)]
        else:
            yield [piece]
