"""The machine that mail templates run in: Jinja's sandbox, with less in it and bounds on everything.

No loops, assignments, calls, items or attributes of values: what a formula costs is bounded by its length.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import lru_cache
from itertools import islice
from typing import Any

from jinja2 import StrictUndefined, Template, nodes, pass_context
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from markupsafe import Markup, escape

from core.errors import UserError
from core.i18n import lazy_gettext as _l
from modules.mail_config.template_language.tags import MAX_TAGS, TagKind, tags_of
from modules.mail_config.template_language.values import (
    FILTERS,
    LazyGroup,
    Rows,
    compute,
    negate,
    shown,
)

MAX_SOURCE = 50_000
MAX_FORMULA = 4_000
"""Characters of one formula."""
MAX_NODES = 200
"""The most that one formula may be made of."""
MAX_DEPTH = 30
MAX_OPEN = 20
"""How many conditions may stand inside each other."""
_SHOWN = "(shown)"
"""The filter, which no template can write, through which values go that are joined with `~`."""
TESTS = ("defined", "undefined", "none", "number", "string", "odd", "even")

ALLOWED = (
    nodes.Template, nodes.Output, nodes.TemplateData, nodes.If, nodes.CondExpr,
    nodes.Name, nodes.Getattr, nodes.Const, nodes.List, nodes.Tuple, nodes.Filter, nodes.Test, nodes.Keyword,
    nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not, nodes.Concat,
    nodes.Add, nodes.Sub, nodes.Mul, nodes.Div, nodes.FloorDiv, nodes.Mod, nodes.Neg, nodes.Pos,
)  # fmt: skip
"""The nodes of Jinja that a template may have; all others are refused, whatever Jinja learns."""


class BadTemplateError(UserError):
    """A template cannot be used; `field` is `subject`, `body` or `attachment_name`."""


@pass_context
def _finalize_plain(_context: Context, value: Any) -> str:
    # It takes the context so that Jinja does not compute it while it compiles.
    return shown(value)


@pass_context
def _finalize_html(_context: Context, value: Any) -> str:
    """Show a value; one of several lines, such as an address, keeps them."""
    if isinstance(value, Rows):
        return value.html
    return Markup("<br>").join(escape(line) for line in shown(value).split("\n"))


class _Sandbox(ImmutableSandboxedEnvironment):
    """Jinja's sandbox, with arithmetic of our own and no attributes but the fields."""

    intercepted_binops = frozenset({"+", "-", "*", "/", "//", "%", "**"})
    intercepted_unops = frozenset({"+", "-"})

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:  # noqa: ARG002
        """Compute with numbers, amounts and dates of a sensible size."""
        return compute(operator, left, right)

    def call_unop(self, context: Context, operator: str, arg: Any) -> Any:  # noqa: ARG002
        """Compute with numbers of a sensible size."""
        return negate(arg) if operator == "-" else arg

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Return a field of a group; a value has no attributes."""
        if isinstance(obj, dict) and attribute in obj:
            return obj[attribute]
        if isinstance(obj, LazyGroup):
            with suppress(KeyError):
                return obj.value(attribute)
        return self.undefined(obj=None, name=attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:  # noqa: ARG002
        """Return nothing: a value has no items."""
        return self.undefined(obj=None, name=str(argument)[:80])


def _environment(*, is_html: bool) -> _Sandbox:
    """Return Jinja without globals, with our filters, a few tests, and escaping for HTML."""
    environment = _Sandbox(
        # A customer's name is text, also where it looks like HTML.
        autoescape=is_html,
        # A misspelled field must be an error here, not a gap in a customer's mail.
        undefined=StrictUndefined,
        finalize=_finalize_html if is_html else _finalize_plain,
        extensions=[],
        # Or Jinja computes constants while it compiles, outside of the bounds that are kept when it renders.
        optimized=False,
        # The caches below are bounded by what is asked for, and hold what was checked.
        cache_size=0,
        keep_trailing_newline=True,
    )
    # `range`, `lipsum` and their like make endless work of a short text.
    environment.globals.clear()
    environment.filters = {**FILTERS, _SHOWN: shown}
    environment.tests = {name: environment.tests[name] for name in TESTS}
    return environment


_HTML = _environment(is_html=True)
_PLAIN = _environment(is_html=False)


def nodes_of(tree: nodes.Node) -> Iterator[tuple[nodes.Node, int]]:
    """Return every node with its depth, without recursion: a deep one must not take the stack."""
    waiting = [(tree, 0)]
    while waiting:
        node, depth = waiting.pop()
        yield node, depth
        waiting += [(child, depth + 1) for child in node.iter_child_nodes()]


def word_of(node: nodes.Node) -> str:
    """Return how something is written that may not be used."""
    words = {"Call": "( )", "Getitem": "[ ]", "Slice": "[ : ]", "Pow": "**", "Dict": "{ }", "Pair": ":"}
    return words.get(type(node).__name__, type(node).__name__.lower())


def read_formula(inner: str, *, is_condition: bool) -> nodes.Template:
    """Return a formula without its delimiters, read by Jinja.

    Raises:
        TemplateError, RecursionError, MemoryError, SyntaxError, ValueError: It cannot be read.
    """
    return _PLAIN.parse(f"{{% if {inner} %}}x{{% endif %}}" if is_condition else f"{{{{ {inner} }}}}")


@lru_cache(maxsize=512)
def compiled_formula(inner: str, is_condition: bool) -> Template:
    """Return a formula ready to be computed; it was read before.

    Raises:
        BadTemplateError: It uses what it may not.
    """
    return _made_of(read_formula(inner, is_condition=is_condition), _PLAIN)


_RESULT = "_result"
"""The name, which no template can write, under which a formula alone leaves its value."""


def value_of_formula(inner: str, values: Mapping[str, Any]) -> object:
    """Return what a formula without its delimiters comes to: a number or date stays what it is.

    Raises:
        BadTemplateError: It is not one formula, or uses what it may not.
        FormulaError: It cannot be computed.
    """
    try:
        template = _compiled_value(inner)
    except BadTemplateError:
        raise
    except Exception as error:
        raise BadTemplateError(_l("This formula cannot be read.")) from error
    context = template.new_context(dict(values))
    for _ in template.root_render_func(context):
        pass
    return context.vars[_RESULT]


@lru_cache(maxsize=512)
def _compiled_value(inner: str) -> Template:
    if len(inner) > MAX_FORMULA:
        raise BadTemplateError(_l("This formula is too long."))
    tree = _checked(read_formula(inner, is_condition=False))
    (output,) = tree.body
    if not isinstance(output, nodes.Output) or len(output.nodes) != 1:
        raise BadTemplateError(_l("This formula cannot be read."))
    (formula,) = output.nodes
    tree.body = [nodes.Assign(nodes.Name(_RESULT, "store"), formula, lineno=1)]
    return _ready(tree, _PLAIN)


@lru_cache(maxsize=64)
def compiled(source: str, is_html: bool) -> Template:
    """Return a template ready to be rendered.

    Raises:
        BadTemplateError: It cannot be read, or uses what it may not.
    """
    environment = _HTML if is_html else _PLAIN
    try:
        tags = list(islice(tags_of(source), MAX_TAGS + 1)) if len(source) <= MAX_SOURCE else []
        if len(source) > MAX_SOURCE or len(tags) > MAX_TAGS:
            raise BadTemplateError(_l("The text is too long."))
        if any(len(tag.inner) > MAX_FORMULA for tag in tags if tag.kind is not TagKind.COMMENT):
            raise BadTemplateError(_l("This formula is too long."))
        return _made_of(environment.parse(source), environment)
    except BadTemplateError:
        raise
    except Exception as error:
        # Jinja's reader and Python's compiler have many ways to give up on a hostile text.
        raise BadTemplateError(_l("The template cannot be read.")) from error


def _made_of(tree: nodes.Template, environment: _Sandbox) -> Template:
    """Check a syntax tree, and compile it; raises `BadTemplateError`."""
    return _ready(_checked(tree), environment)


def _ready(tree: nodes.Template, environment: _Sandbox) -> Template:
    tree.set_environment(environment)
    return Template.from_code(environment, environment.compile(tree), {})


def _checked(tree: nodes.Template) -> nodes.Template:
    """Return a syntax tree, checked node by node; raises `BadTemplateError`."""
    for count, (node, depth) in enumerate(nodes_of(tree)):
        if count > MAX_NODES * MAX_TAGS or depth > MAX_DEPTH + 2 * MAX_OPEN:
            raise BadTemplateError(_l("The template is nested too deeply."))
        # What is allowed is listed, not what is forbidden: a new version of Jinja may bring new nodes.
        if not isinstance(node, ALLOWED):
            raise BadTemplateError(_l("“%(word)s” may not be used in a template.", word=word_of(node)))
        if isinstance(node, nodes.Name) and not _is_plain_name(node.name):
            raise BadTemplateError(_l("There is no field “%(name)s”.", name=node.name[:80]))
        if isinstance(node, nodes.Concat):
            if len(node.nodes) > MAX_NODES:
                raise BadTemplateError(_l("The text is too long."))
            node.nodes = [
                nodes.Filter(part, _SHOWN, [], [], None, None, lineno=part.lineno) for part in node.nodes
            ]
    return tree


def _is_plain_name(name: str) -> bool:
    # Python takes some letters for others; and `self`, `loop` and their like mean something to Jinja.
    return name.isascii() and not name.startswith("_") and name not in {"self", "super", "loop", "caller"}
