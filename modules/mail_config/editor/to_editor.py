"""From the source of a template to the rich-text editor, in which its formulas are chips.

The editor knows blocks whose lines are divided by `<br>`; a template has paragraphs. An empty line in the editor is
the end of a paragraph, and a condition around paragraphs stands inside them there: at the beginning of the first
and at the end of the last.
"""

from __future__ import annotations

import json
import re
from collections.abc import Container, Mapping, Sequence
from functools import cached_property
from html import escape

from flask_babel import gettext
from markupsafe import Markup

from modules.mail_config.template_language.fields import plain_catalogue
from modules.mail_config.template_language.own_variables import GROUP, stored
from modules.mail_config.template_language.tree import (
    BLOCKS,
    INLINE,
    KNOWN,
    LINES,
    SAME,
    Element,
    Formula,
    Node,
    elements_of,
    is_blank,
    read_source,
)

CONTENT_TYPE = "application/vnd.envoi.formula"  # tells our chips from files in the editor
_WORD = re.compile(r"[a-z_][a-z0-9_]*(?:\.[a-z0-9_]+)*")
_QUOTED = re.compile(r"(\"[^\"]*\"|'[^']*')")
_FIELD = re.compile(r"\{\{-?\s*([a-z_][a-z0-9_.]*)\s*((?:\|[^{}]*)?)-?\}\}", re.DOTALL)
_USUAL = ("money", "date", "default", "d(")
"""Filters that say how a field is shown anyway, or what stands in for it; a chip does not name them."""
_LONGEST_LABEL = 80  # characters of a chip; the formula itself is never cut


def obstacles(source: str) -> list[str]:
    """Return what the rich-text editor would lose of a text, such as `<table>`; [] when it loses nothing."""
    root, found = read_source(source)
    for node in _walk(root):
        if node.tag not in KNOWN | {""}:
            found.append(f"<{node.tag}>")
        found += [f"{name}=" for name in node.attributes if (node.tag, name) != ("a", "href")]
        if node.tag in {"ul", "ol"} and not all(
            isinstance(child, Element) or (isinstance(child, str) and not child.strip())
            for child in node.children
        ):
            found.append(f"<{node.tag}>")
        found += [f"<{child.tag}>" for child in elements_of(node) if not _fits_into(child.tag, node.tag)]
    return list(dict.fromkeys(found))


def _fits_into(tag: str, parent: str) -> bool:
    """Return True when the editor can show an element inside another."""
    if tag == "li":
        return parent in {"ul", "ol"}
    if parent in {"ul", "ol"}:
        return False
    if tag in {"ul", "ol"}:
        return parent in {"", "li"}
    if tag in LINES:
        return parent == ""
    return tag not in BLOCKS or parent == ""


def _walk(root: Element) -> list[Element]:
    found = [root]
    for node in found:
        found += elements_of(node)
    return found


# -- to the editor ---------------------------------------------------------------------------------------


class _Chips:
    """Shows the formulas of one kind of document as chips.

    Args:
        kind: Of the documents.
        samples: Each field as it would be shown.
        wrong: Formulas that cannot be used.
    """

    def __init__(self, kind: str, samples: Mapping[str, str], wrong: Container[str] = ()) -> None:
        self.wrong = wrong
        self.titles = {field.name: str(gettext(field.title)) for field in plain_catalogue(kind)}
        self.samples = samples
        self._kind = kind

    @cached_property
    def _labels(self) -> dict[str, str]:
        """The variables of one's own; asked for once a text names one."""
        return {variable.name: variable.label for variable in stored(self._kind)}

    def _title_of(self, name: str) -> str | None:
        return self._labels.get(name) if name.startswith(f"{GROUP}.") else self.titles.get(name)

    def label(self, formula: Formula) -> str:
        """Return a formula as a person reads it."""
        word, _, rest = formula.inside.partition(" ")
        if formula.is_expression:
            match = _FIELD.fullmatch(formula.source)
            title = self._title_of(match.group(1)) if match else None
            if title is None or match is None:
                return self._readable(formula.inside)
            more = [part.strip() for part in match.group(2).split("|")[1:]]
            return " | ".join([title, *(part for part in more if not part.startswith(_USUAL))])
        if formula.source.startswith("{#"):
            return str(gettext("note: %(text)s", text=formula.inside))
        if word == "if":
            return str(gettext("if %(condition)s", condition=self._readable(rest)))
        if word == "elif":
            return str(gettext("otherwise, if %(condition)s", condition=self._readable(rest)))
        return {"else": str(gettext("otherwise")), "endif": str(gettext("end of “if”"))}.get(
            formula.inside, formula.inside
        )

    def _readable(self, code: str) -> str:
        """Put the titles of fields in the place of their names, but not into quoted words."""
        pieces = _QUOTED.split(code)
        pieces[::2] = [
            _WORD.sub(lambda match: self._title_of(match.group()) or match.group(), piece)
            for piece in pieces[::2]
        ]
        text = " ".join("".join(pieces).split())
        return text if len(text) <= _LONGEST_LABEL else f"{text[: _LONGEST_LABEL - 1]}…"

    def attachment(self, formula: Formula) -> dict[str, str]:
        """Return what the editor needs to show a formula."""
        match = _FIELD.fullmatch(formula.source)
        sample = self.samples.get(match.group(1), "") if match else ""
        kind = "field" if formula.is_expression else "condition"
        if formula.source in self.wrong or " ".join(formula.source.split()) in self.wrong:
            kind = "wrong"
        content = Markup('<span class="formula formula-{}">{}</span>').format(kind, self.label(formula))
        return {
            "content": str(content),
            "contentType": CONTENT_TYPE,
            "formula": formula.source,
            "sample": sample,
        }

    def figure(self, formula: Formula) -> str:
        """Return a formula as the editor's attachment."""
        return f'<figure data-trix-attachment="{escape(json.dumps(self.attachment(formula)))}"></figure>'


def chip(kind: str, source: str, samples: Mapping[str, str]) -> dict[str, str]:
    """Return what the editor needs to show one formula: `content`, `contentType`, `formula`, `sample`."""
    return _Chips(kind, samples).attachment(Formula(source))


def to_editor(source: str, kind: str, samples: Mapping[str, str], wrong: Container[str] = ()) -> str:
    """Return a text for the rich-text editor, with its formulas as chips.

    Args:
        source: The text with formulas; see `obstacles` for what would be lost.
        kind: Document kind, for the titles of fields.
        samples: Each field as it would be shown.
        wrong: Formulas that cannot be used; their chips say so.
    """
    return _ToEditor(_Chips(kind, samples, wrong)).render(read_source(source)[0])


class _ToEditor:
    """Writes a tree as the editor's HTML: blocks, their lines divided by `<br>`, formulas as chips."""

    def __init__(self, chips: _Chips) -> None:
        self.chips = chips
        self.blocks: list[str] = []
        self.paragraphs: list[str] = []
        self.leading = ""

    def render(self, root: Element) -> str:
        """Return the blocks of the editor."""
        run: list[Node] = []
        for node in root.children:
            if isinstance(node, Element) and node.tag in BLOCKS:
                self._end_run(run)
                run = []
                self._block(node)
            elif run or not self._outside(node):
                run.append(node)
        self._end_run(run)
        self._end_paragraphs()
        return "".join(self.blocks)

    def _outside(self, node: Node) -> bool:
        """Take what stands between blocks: spaces, and conditions around them."""
        if isinstance(node, Formula) and not node.is_expression:
            if node.closes and self.paragraphs and not self.leading:
                self.paragraphs[-1] += self.chips.figure(node)
            else:
                self.leading += self.chips.figure(node)
            return True
        return isinstance(node, str) and not node.strip()

    def _end_run(self, run: list[Node]) -> None:
        """Make a paragraph of text that stands outside any; a condition at its end is about what follows."""
        following: list[Node] = []
        while run and (is_blank(run[-1]) or (isinstance(run[-1], Formula) and run[-1].opens)):
            following.insert(0, run.pop())
        if run:
            self._paragraph(self._inline(run))
        for node in following:
            self._outside(node)

    def _paragraph(self, html: str) -> None:
        self.paragraphs.append(self.leading + html)
        self.leading = ""

    def _block(self, node: Element) -> None:
        if node.tag in LINES:
            self._paragraph(_without_last_break(self._inline(node.children)))
            return
        self._end_paragraphs()
        inner = self._list(node) if node.tag in {"ul", "ol"} else self._inline(node.children, node.tag)
        self.blocks.append(f"<{node.tag}>{inner}</{node.tag}>")

    def _end_paragraphs(self) -> None:
        if self.leading:
            self._paragraph("")
        if self.paragraphs:
            self.blocks.append(f"<div>{'<br><br>'.join(self.paragraphs)}</div>")
            self.paragraphs = []

    def _list(self, node: Element) -> str:
        return "".join(f"<li>{self._inline(item.children)}</li>" for item in elements_of(node))

    def _inline(self, nodes: Sequence[Node], within: str = "") -> str:
        """Return the editor's HTML of what stands in a line; `within` is "pre" where blanks count."""
        out = []
        for node in nodes:
            if isinstance(node, Formula):
                out.append(escape(node.source) if within == "pre" else self.chips.figure(node))
            elif isinstance(node, str):
                out.append(escape(node if within == "pre" else re.sub(r"[ \t\r\n\f]+", " ", node)))
            elif node.tag == "br":
                out.append("<br>")
            elif node.tag in {"ul", "ol"}:
                out.append(f"<{node.tag}>{self._list(node)}</{node.tag}>")
            elif node.tag in INLINE:
                tag = SAME.get(node.tag, node.tag)
                href = f' href="{escape(node.attributes.get("href", ""))}"' if tag == "a" else ""
                out.append(f"<{tag}{href}>{self._inline(node.children, within)}</{tag}>")
            else:
                out.append(self._inline(node.children, within))
        return "".join(out)


def _without_last_break(html: str) -> str:
    return html[: -len("<br>")] if html.endswith("<br>") and html != "<br>" else html.removesuffix("<br>")
