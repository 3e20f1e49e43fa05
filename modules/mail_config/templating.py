"""Fields in mail templates: a sandboxed Jinja that sees plain values of the catalogue and nothing else."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from flask_babel import format_date, gettext
from jinja2 import StrictUndefined, TemplateError, TemplateSyntaxError, nodes, pass_context
from jinja2.exceptions import SecurityError
from jinja2.meta import find_undeclared_variables
from jinja2.sandbox import ImmutableSandboxedEnvironment

from core.documents.behavior import FieldValue
from core.errors import UserError
from core.i18n import lazy_gettext as _l
from core.mail.addresses import one_line
from core.web.formats import money as format_money
from core.web.formats import number as format_number

MAX_OUTPUT = 500_000
MAX_SOURCE = 50_000
_DATE_STYLES = ("short", "medium", "long", "full")
_LARGEST_FACTOR = 10**12


class BadTemplateError(UserError):
    """A template cannot be used; `field` is `subject` or `body`."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """What a template says about one document."""

    subject: str
    body_html: str


def _money(value: Any, currency: str = "EUR") -> str:
    return format_money(Decimal(value), str(currency))


def _date(value: Any, style: str = "long") -> str:
    if style not in _DATE_STYLES:
        raise ValueError(f"date takes one of {', '.join(_DATE_STYLES)}, not “{str(style)[:40]}”")
    return str(format_date(value, style)) if isinstance(value, dt.date) else str(value)


@pass_context
def _finalize(_context: Any, value: Any) -> Any:
    """Show numbers and dates by locale, unless a filter has said how."""
    if isinstance(value, Decimal):
        return format_number(value)
    if isinstance(value, dt.date):
        return _date(value)
    return value


class _Sandbox(ImmutableSandboxedEnvironment):
    """Jinja's sandbox, with arithmetic that cannot take the machine down.

    Jinja computes constants while it compiles: intercepted operators are left to the rendering, where they are
    checked. A finalizer that takes the context keeps it from computing the rest.
    """

    intercepted_binops = frozenset({"*", "**", "%"})

    def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
        """Multiply and divide numbers of a sensible size; nothing else."""
        numbers = all(isinstance(side, int | float | Decimal) for side in (left, right))
        if operator == "**" or not numbers or max(abs(left), abs(right)) > _LARGEST_FACTOR:
            raise SecurityError(f"“{operator}” cannot be used so")
        return super().call_binop(context, operator, left, right)


def _environment(*, autoescape: bool) -> ImmutableSandboxedEnvironment:
    environment = _Sandbox(
        autoescape=autoescape, undefined=StrictUndefined, finalize=_finalize, extensions=[], optimized=False
    )
    environment.globals.clear()
    kept = ("upper", "lower", "title", "capitalize", "default", "d", "trim", "abs")
    environment.filters = {name: environment.filters[name] for name in kept}
    environment.filters |= {
        "money": _money,
        "date": _date,
        "number": lambda value: format_number(Decimal(value)),
    }
    return environment


_HTML = _environment(autoescape=True)
_PLAIN = _environment(autoescape=False)


def nested(fields: Mapping[str, FieldValue]) -> dict[str, Any]:
    """Return `{"customer": {"name": …}}` for `{"customer.name": …}`."""
    tree: dict[str, Any] = {}
    for name, value in fields.items():
        *path, last = name.split(".")
        branch = tree
        for part in path:
            branch = branch.setdefault(part, {})
        branch[last] = value
    return tree


def check(source: str, known: Iterable[str], *, field: str) -> list[str]:
    """Return what is wrong with a template, one sentence each, without running it.

    Args:
        source: The template.
        known: Names of the catalogue.
        field: `body` escapes HTML, everything else is plain.
    """
    environment = _HTML if field == "body" else _PLAIN
    if len(source) > MAX_SOURCE:
        return [gettext("The text is too long.")]
    try:
        tree = environment.parse(source)
        environment.from_string(source)
    except (RecursionError, SyntaxError, MemoryError, OverflowError):
        return [gettext("The template is nested too deeply.")]
    except TemplateSyntaxError as error:
        return [gettext("Line %(line)s: %(message)s", line=error.lineno, message=error.message or "")]
    except TemplateError as error:
        return [str(error)]
    forbidden = [
        gettext(
            "Line %(line)s: “%(word)s” may not be used here.",
            line=node.lineno,
            word=type(node).__name__.lower(),
        )
        for node in tree.find_all(_FORBIDDEN)
    ]
    forbidden += [
        gettext(
            "Line %(line)s: “date” takes one of %(styles)s.", line=node.lineno, styles=", ".join(_DATE_STYLES)
        )
        for node in tree.find_all(nodes.Filter)
        if node.name == "date" and not all(_is_style(argument) for argument in node.args)
    ]
    undeclared = find_undeclared_variables(tree)
    names = set(known)
    branches = {name.rpartition(".")[0] for name in names}
    return forbidden + [
        gettext("Line %(line)s: there is no field “%(name)s”.", line=line, name=name)
        for name, line in _used_fields(tree)
        if name.partition(".")[0] in undeclared and name not in names and name not in branches
    ]


def _is_style(argument: nodes.Expr) -> bool:
    return isinstance(argument, nodes.Const) and argument.value in _DATE_STYLES


_FORBIDDEN = (
    nodes.For,
    nodes.Macro,
    nodes.CallBlock,
    nodes.Include,
    nodes.Import,
    nodes.FromImport,
    nodes.Call,
    nodes.Extends,
    nodes.Block,
    nodes.Getitem,
    nodes.Assign,
    nodes.AssignBlock,
    nodes.FilterBlock,
    nodes.Pow,
)


def _used_fields(tree: nodes.Template) -> list[tuple[str, int]]:
    inner = {id(node.node) for node in tree.find_all(nodes.Getattr)}
    used: list[tuple[str, int]] = []
    for node in tree.find_all((nodes.Getattr, nodes.Name)):
        if id(node) in inner:
            continue
        parts: list[str] = []
        current: nodes.Node = node
        while isinstance(current, nodes.Getattr):
            parts.append(current.attr)
            current = current.node
        if isinstance(current, nodes.Name):
            used.append((".".join([current.name, *reversed(parts)]), node.lineno))
    return used


def _render(
    environment: ImmutableSandboxedEnvironment, source: str, values: dict[str, Any], field: str
) -> str:
    try:
        text = environment.from_string(source).render(values)
    except Exception as error:
        # A template is a program of a stranger over plain values: whatever it raises is its own doing.
        raise BadTemplateError(_l("The template cannot be used: %(why)s", why=str(error)), field) from error
    if len(text) > MAX_OUTPUT:
        raise BadTemplateError(_l("The template makes a text that is too long."), field)
    return text


def render(subject: str, body: str, fields: Mapping[str, FieldValue]) -> Rendered:
    """Return subject and body of a template for the fields of one document, in the current locale.

    Raises:
        BadTemplateError: A field is unknown, or a filter cannot work on its value.
    """
    values = nested(fields)
    return Rendered(
        subject=one_line(_render(_PLAIN, subject, values, "subject"))[:500],
        body_html=_render(_HTML, body, values, "body"),
    )


def render_line(pattern: str, fields: Mapping[str, FieldValue]) -> str:
    """Return one line of plain text, such as a file name.

    Raises:
        BadTemplateError: As for `render`.
    """
    return one_line(_render(_PLAIN, pattern, nested(fields), "attachment_name"))
