"""Finds the problems of a template, formula by formula, so that all are told at once, each at its place."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from difflib import get_close_matches
from itertools import islice
from typing import Any

from flask_babel import force_locale, gettext
from jinja2 import TemplateError, TemplateSyntaxError, nodes

from core.documents.behavior import FieldValue
from core.i18n import lazy_gettext as _l
from modules.mail_config.template_language.problems import Problem, in_words, problem_at, unknown_field
from modules.mail_config.template_language.render import is_html, reason, values_for
from modules.mail_config.template_language.sandbox import (
    ALLOWED,
    MAX_DEPTH,
    MAX_FORMULA,
    MAX_NODES,
    MAX_OPEN,
    MAX_SOURCE,
    TESTS,
    BadTemplateError,
    compiled,
    compiled_formula,
    nodes_of,
    read_formula,
    word_of,
)
from modules.mail_config.template_language.tags import (
    CLOSING,
    MAX_TAGS,
    Tag,
    TagKind,
    stray_delimiters,
    tags_of,
)
from modules.mail_config.template_language.values import DATE_STYLES, FILTERS, FormulaError, LazyGroup

_TRUTHS = (nodes.Compare, nodes.Not, nodes.Test)
_STATEMENTS = {"if", "elif", "else", "endif", "raw", "endraw"}
_ALONE = {"else", "endif", "raw", "endraw"}


def find_problems(source: str, known: Iterable[str], *, field: str) -> list[Problem]:
    """Return what is wrong with how a template is written, without running it.

    Args:
        source: The template.
        known: Names of the catalogue.
        field: `body`, or a name that begins with `body_`, escapes HTML; everything else is plain.
    """
    if len(source) > MAX_SOURCE:
        return [Problem(field, gettext("The text is too long."))]
    tags = list(islice(tags_of(source), MAX_TAGS + 1))
    if len(tags) > MAX_TAGS:
        return [Problem(field, gettext("The text has too many formulas."))]
    names = set(known)
    problems = [
        problem_at(source, tag, message, field=field) for tag, message in _structure_complaints(source, tags)
    ]
    for tag in tags:
        if tag.closed and _has_formula(tag):
            problems += [
                problem_at(source, tag, message, field=field, word=word)
                for message, word in _formula_complaints(tag, names)
            ]
    # Compiled at the end only: Jinja tells of one mistake, and in words for programmers.
    if not problems:
        try:
            compiled(source, is_html(field))
        except BadTemplateError as error:
            problems.append(Problem(field, str(error)))
    return sorted(problems, key=lambda problem: (problem.line, problem.column))


def used_fields(source: str) -> set[str]:
    """Return the names of the fields that the formulas of a template use; what cannot be read is left out."""
    used: set[str] = set()
    for tag in islice(tags_of(source), MAX_TAGS):
        tree = _syntax(tag) if tag.closed and _has_formula(tag) else ""
        if not isinstance(tree, str):
            used |= {name for name, _ in _names(tree)}
    return used


# ---------------------------------------------------------------------------------------------------- structure


def _structure_complaints(source: str, tags: list[Tag]) -> Iterator[tuple[Tag, str]]:
    """Return what is wrong with how the formulas follow each other."""
    opened: list[tuple[Tag, bool]] = []
    for tag in tags:
        if not tag.closed:
            yield tag, gettext("This formula is not closed: “%(end)s” is missing.", end=CLOSING[tag.kind])
        elif tag.kind is TagKind.STATEMENT:
            yield from ((tag, message) for message in _statement_complaints(tag, opened))
    for tag, _ in opened:
        yield tag, gettext("This condition has no end: %(tag)s is missing.", tag="{% endif %}")
    if tags and tags[-1].word == "raw":
        yield tags[-1], gettext("This part has no end: %(tag)s is missing.", tag="{% endraw %}")
    for position in stray_delimiters(source):
        stray = Tag(position, position + 2, TagKind.OUTPUT, source[position : position + 2])
        yield stray, gettext("“%(end)s” closes nothing: its beginning is missing.", end=stray.text)


def _statement_complaints(tag: Tag, opened: list[tuple[Tag, bool]]) -> Iterator[str]:
    """Return what is wrong with the place of a statement, and keep the conditions that are open with their else."""
    word = tag.word
    if word not in _STATEMENTS:
        yield gettext("“%(word)s” may not be used in a template.", word=word or tag.inner[:20])
    # What people write who know another language; Jinja would speak of an unexpected `if`.
    elif word == "else" and tag.inner.split()[1:2] == ["if"]:
        yield gettext("Write “elif” instead of “else if”.")
    elif word in _ALONE and tag.inner != word:
        yield gettext("Nothing may follow “%(word)s” here.", word=word)
    if word == "if":
        opened.append((tag, False))
        if len(opened) == MAX_OPEN + 1:
            yield gettext("Conditions are nested too deeply.")
    elif word in {"elif", "else", "endif"}:
        if not opened:
            yield gettext("There is no %(tag)s before this “%(word)s”.", tag="{% if … %}", word=word)
        elif word == "endif":
            opened.pop()
        elif opened[-1][1]:
            yield gettext("Nothing but %(tag)s may follow after “else”.", tag="{% endif %}")
        else:
            opened[-1] = (opened[-1][0], word == "else")


# ----------------------------------------------------------------------------------------------------- formulas


def _has_formula(tag: Tag) -> bool:
    return tag.kind is TagKind.OUTPUT or tag.word in {"if", "elif"}


def _inner(tag: Tag) -> str:
    return tag.inner.removeprefix(tag.word).strip()


def _syntax(tag: Tag) -> nodes.Template | str:
    """Return a formula read, or what is wrong with how it is written."""
    if not _inner(tag):
        return str(gettext("Nothing stands in this formula."))
    if len(tag.inner) > MAX_FORMULA:
        return str(gettext("This formula is too long."))
    try:
        return read_formula(_inner(tag), is_condition=bool(tag.word))
    except TemplateSyntaxError as error:
        return in_words(error.message or "")
    except (RecursionError, MemoryError):
        return str(gettext("This formula is too long."))
    except (TemplateError, ValueError, OverflowError, SyntaxError):
        return str(gettext("This formula cannot be read."))


def _formula_complaints(tag: Tag, known: set[str]) -> list[tuple[str, str]]:
    """Return what is wrong with a formula, each with the word that it is about."""
    tree = _syntax(tag)
    if isinstance(tree, str):
        return [(tree, "")]
    for count, (node, depth) in enumerate(nodes_of(tree)):
        if count > MAX_NODES or depth > MAX_DEPTH:
            return [(gettext("This formula is too long."), "")]
        if not isinstance(node, ALLOWED):
            return [(gettext("“%(word)s” may not be used in a template.", word=word_of(node)), "")]
    return [
        *((unknown_field(name, known), name) for name, _ in _names(tree) if name not in known),
        *_misplaced(tree),
    ]


def _misplaced(tree: nodes.Template) -> Iterator[tuple[str, str]]:
    """Return what is known to the language but cannot stand where it stands."""
    # By identity: two lists that say the same stand in different places.
    listed: set[int] = set()
    for node, _depth in nodes_of(tree):
        if isinstance(node, nodes.Compare):
            listed |= {id(operand.expr) for operand in node.ops if operand.op in {"in", "notin"}}
        elif isinstance(node, nodes.List | nodes.Tuple) and id(node) not in listed:
            yield gettext("A list can stand only behind “in”."), ""
        elif isinstance(node, nodes.Output) and any(isinstance(child, _TRUTHS) for child in node.nodes):
            yield gettext("A comparison belongs into %(tag)s.", tag="{% if … %}"), ""
        elif isinstance(node, nodes.Test) and node.name not in TESTS:
            yield gettext("There is no test “%(name)s”.", name=node.name[:40]), node.name
        elif isinstance(node, nodes.Filter):
            yield from ((message, node.name) for message in _filter_complaints(node))


def _filter_complaints(node: nodes.Filter) -> Iterator[str]:
    """Return what is wrong with a filter: its name, or what it is given."""
    if node.name not in FILTERS:
        close = get_close_matches(node.name[:40], FILTERS, n=1, cutoff=0.75)
        yield (
            gettext(
                "There is no filter “%(name)s”. Is “%(other)s” meant?", name=node.name[:40], other=close[0]
            )
            if close
            else gettext("There is no filter “%(name)s”.", name=node.name[:40])
        )
    if node.dyn_args is not None or node.dyn_kwargs is not None:
        yield gettext("“%(word)s” may not be used in a template.", word="*")
    if node.name == "date":
        styles = [style for style in node.args[:1] if isinstance(style, nodes.Const)]
        if any(style.value not in DATE_STYLES for style in styles):
            yield gettext("“date” takes one of %(styles)s.", styles=", ".join(DATE_STYLES))


def _names(tree: nodes.Template) -> Iterator[tuple[str, nodes.Node]]:
    """Return the fields that a formula uses, as they are written, each with its node."""
    inner: set[int] = set()
    for node, _depth in nodes_of(tree):
        if id(node) in inner or not isinstance(node, nodes.Getattr | nodes.Name):
            continue
        parts: list[str] = []
        current: nodes.Node = node
        while isinstance(current, nodes.Getattr):
            parts.append(current.attr)
            current = current.node
            inner.add(id(current))
        parts.append(current.name if isinstance(current, nodes.Name) else "…")
        yield ".".join(reversed(parts)), node


# -------------------------------------------------------------------------------------------------------- trial


def try_out(
    source: str,
    filled: Mapping[str, FieldValue | LazyGroup],
    empty: Mapping[str, FieldValue | LazyGroup],
    *,
    currency: str,
    field: str,
    language: str,
) -> list[Problem]:
    """Return what goes wrong when the formulas of a template without other problems are computed.

    Args:
        source: The template.
        filled: A value for each field; with these every formula is tried, also where its condition is false.
        empty: The fields of a document that says nothing; with these the conditions are obeyed.
        currency: That of the document.
        field: As for `find_problems`.
        language: In which the mail would be.
    """
    tags = [tag for tag in islice(tags_of(source), MAX_TAGS) if tag.kind is not TagKind.COMMENT]
    with force_locale(language):
        values = values_for(filled, currency)
        # Every formula, whatever the conditions say: a branch that the sample does not take fails later, at a
        # customer's.
        failures = [(tag, why) for tag in tags if _has_formula(tag) and (why := _failure(tag, values))]
        if not failures:
            failures = [
                (tag, _l("When fields are empty: %(why)s", why=why))
                for tag, why in _failures_in_order(tags, values_for(empty, currency))
            ]
    return [problem_at(source, tag, why, field=field) for tag, why in failures]


def _failures_in_order(tags: list[Tag], values: dict[str, Any]) -> Iterator[tuple[Tag, object]]:
    """Compute the formulas that a document reaches, and return what fails."""
    # One entry for each open condition: whether its branch is taken, and whether one was taken already.
    branches: list[tuple[bool, bool]] = []
    for tag in tags:
        if tag.word == "endif":
            branches.pop()
            continue
        done = False
        if tag.word in {"elif", "else"}:
            done = branches.pop()[1]
        reached = all(taken for taken, _ in branches) and not done
        if reached and _has_formula(tag):
            why = _failure(tag, values)
            if why:
                yield tag, why
        if tag.word in {"if", "elif", "else"}:
            taken = reached and (tag.word == "else" or _holds(tag, values))
            branches.append((taken, done or taken))


def _holds(tag: Tag, values: dict[str, Any]) -> bool:
    try:
        return bool(compiled_formula(_inner(tag), is_condition=True).render(values))
    except Exception:  # noqa: BLE001 (`_failure` has told it)
        return False


def _failure(tag: Tag, values: dict[str, Any]) -> object:
    """Return why a formula cannot be computed, or ""."""
    try:
        compiled_formula(_inner(tag), is_condition=bool(tag.word)).render(values)
    except (FormulaError, BadTemplateError) as error:
        return error.message
    except Exception as error:  # noqa: BLE001 (a template is the program of a stranger)
        return reason(error)
    return ""
