"""From the rich-text editor to the source of a template.

An empty line in the editor is the end of a paragraph there. A condition that stands at the beginning of one paragraph
and at the end of the same or of another goes around them.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from modules.mail_config.template_language.tree import (
    BLOCKS,
    INLINE,
    LINES,
    SAME,
    Element,
    Formula,
    Node,
    attribute_value,
    elements_of,
    is_blank,
    read_editor,
)

_LINKS = ("http://", "https://", "mailto:", "tel:", "{{")  # how an address may begin; a field is one as well
_EMPTY = "<p><br></p>"  # a paragraph that holds an empty line
_NO_BREAK = "\u00a0"
_SIGNS_AFTER = (":", ";", "!", "?", "»", "%", "€")  # before which French sets a no-break space


def from_editor(html: str) -> str:
    """Return the source of what stands in the rich-text editor; nothing but its text, form, links and formulas."""
    out: list[str] = []
    run: list[Node] = []
    for node in _flat(read_editor(html).children):
        if isinstance(node, Element) and node.tag in BLOCKS:
            out += _paragraphs(run)
            run = []
            if node.tag in LINES:
                out += _paragraphs(_without_breaks_at_end(node.children)) or [_paragraph([])]
            else:
                out.append(f"<{node.tag}>{_source(node.children, node.tag)}</{node.tag}>")
        else:
            run.append(node)
    out += _paragraphs(run)
    while out and out[-1] == _EMPTY:
        out.pop()
    return "".join(out)


def _without_breaks_at_end(nodes: Sequence[Node]) -> list[Node]:
    """Take away the breaks by which the editor shows the space below a paragraph that was pasted."""
    kept = list(nodes)
    while kept and (is_blank(kept[-1]) or _is_break(kept, len(kept) - 1)):
        kept.pop()
    return kept


def _flat(nodes: Sequence[Node]) -> list[Node]:
    """Return the nodes without boxes around paragraphs, but with what is in them."""
    found: list[Node] = []
    for node in nodes:
        if isinstance(node, Element) and node.tag in LINES and _has_block(node):
            found += _flat(node.children)
        else:
            found.append(node)
    return found


def _has_block(node: Element) -> bool:
    return any(child.tag in BLOCKS or _has_block(child) for child in elements_of(node))


def _paragraphs(nodes: Sequence[Node]) -> list[str]:
    """Divide lines into paragraphs at empty lines, and put conditions outside where they are about all of one."""
    pieces: list[list[Node]] = [[]]
    flat = _without_br_in_inline(_flat(nodes))
    at = 0
    while at < len(flat):
        if _is_break(flat, at) and _is_break(flat, at + 1):
            pieces.append([])
            at += 2
            continue
        pieces[-1].append(flat[at])
        at += 1
    if len(pieces) == 1 and all(is_blank(node) for node in pieces[0]):
        return []
    return [_paragraph(piece) for piece in pieces]


def _is_break(nodes: Sequence[Node], at: int) -> bool:
    node = nodes[at] if at < len(nodes) else None
    return isinstance(node, Element) and node.tag == "br"


def _without_br_in_inline(nodes: Sequence[Node]) -> list[Node]:
    """Take breaks at the ends of bold and other inline text out of it, so that empty lines are seen."""
    found: list[Node] = []
    for node in nodes:
        if not isinstance(node, Element) or node.tag not in INLINE:
            found.append(node)
            continue
        part: list[Node] = []
        for child in [*_without_br_in_inline(node.children), None]:
            if child is not None and not (isinstance(child, Element) and child.tag == "br"):
                part.append(child)
                continue
            if part:
                found.append(Element(node.tag, node.attributes, part))
                part = []
            if child is not None:
                found.append(child)
    return found


def _paragraph(nodes: list[Node]) -> str:
    before, inner, after = _hoist(nodes)
    if not inner and (before or after):
        return before + after
    text = _source(inner)
    return f"{before}<p>{text.strip(' ') or '<br>'}</p>{after}"


def _hoist(nodes: list[Node]) -> tuple[str, list[Node], str]:
    """Return the conditions around a paragraph, and what is inside.

    A condition at its beginning goes out unless it ends, or has its "otherwise", in the middle of the paragraph.
    """
    start = 0
    while start < len(nodes) and (is_blank(nodes[start]) or _is_statement(nodes[start])):
        start += 1
    end = len(nodes)
    while end > start and (is_blank(nodes[end - 1]) or _is_statement(nodes[end - 1])):
        end -= 1
    lead = [node for node in nodes[:start] if isinstance(node, Formula)]
    trail = [node for node in nodes[end:] if isinstance(node, Formula)]
    inner = list(nodes[start:end])
    kept_lead, ends_inside = _closed_inside(lead, inner)
    lead, inner = lead[: len(lead) - kept_lead], [*lead[len(lead) - kept_lead :], *inner]
    kept_trail = max(0, _open_in(inner) - max(0, ends_inside))
    while kept_trail and trail:
        node = trail.pop(0)
        inner.append(node)
        kept_trail -= node.closes
    return "".join(n.source for n in lead), inner, "".join(n.source for n in trail)


def _is_statement(node: Node) -> bool:
    return isinstance(node, Formula) and not node.is_expression


def _closed_inside(lead: Sequence[Formula], inner: Sequence[Node]) -> tuple[int, int]:
    """Return how many of the leading conditions must stay inside, since the middle speaks about them."""
    depth = touched = 0
    for node in _formulas(inner):
        if node.opens:
            depth += 1
        elif node.continues and depth == 0:
            touched = max(touched, 1)
        elif node.closes and depth == 0:
            touched += 1
        elif node.closes:
            depth -= 1
    keep = wanted = 0
    for node in reversed(lead):
        if touched <= wanted:
            break
        keep += 1
        wanted += node.opens - node.closes
    return (keep, 0) if touched else (0, 0)


def _open_in(inner: Sequence[Node]) -> int:
    depth = 0
    for node in _formulas(inner):
        depth += node.opens
        if node.closes and depth:
            depth -= 1
    return depth


def _formulas(nodes: Sequence[Node]) -> list[Formula]:
    found: list[Formula] = []
    for node in nodes:
        if isinstance(node, Formula):
            found.append(node)
        elif isinstance(node, Element):
            found += _formulas(node.children)
    return found


def _source(nodes: Sequence[Node], within: str = "") -> str:
    """Return the source of nodes, without elements that a template's text may not have; `within` as for `_inline`."""
    out = []
    for node in nodes:
        if isinstance(node, Formula):
            out.append(node.source)
        elif isinstance(node, str):
            text = node if within == "pre" else _plain_ends(node)
            out.append(escape(text, quote=False).replace("\u00a0", "&nbsp;"))
        elif node.tag == "br":
            out.append("\n" if within == "pre" else "<br>")
        elif node.tag == "a" and not node.attributes.get("href", "").strip().lower().startswith(_LINKS):
            out.append(_source(node.children, within))
        elif node.tag == "a":
            href = attribute_value(node.attributes["href"])
            out.append(f'<a href="{href}">{_source(node.children, within)}</a>')
        elif node.tag in INLINE | {"ul", "ol", "li"}:
            tag = SAME.get(node.tag, node.tag)
            out.append(f"<{tag}>{_source(node.children, within)}</{tag}>")
        else:
            out.append(_source(node.children, within))
    return "".join(out)


def _plain_ends(text: str) -> str:
    """Return a text with plain spaces at its ends, where the editor has made them no-break for its own sake.

    Those that French typography wants before a sign or behind a quotation mark stay.
    """
    if text.startswith(_NO_BREAK) and not text[1:2].strip(_NO_BREAK).startswith(_SIGNS_AFTER):
        text = " " + text[1:]
    if text.endswith(_NO_BREAK) and not text[:-1].endswith("«"):
        text = text[:-1] + " "
    return text
