"""A behavior asked with suspicion: what a module by others answers wrongly is told in words, with its names."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal

from jinja2 import Environment, TemplateSyntaxError, nodes

from core.documents.behavior import DocumentBehavior, FieldValue, ShippedTemplate
from core.documents.models import Document
from core.documents.service import behavior_of
from core.errors import UserError
from core.i18n import lazy_gettext as _l

_PLAIN: tuple[type[object], ...] = (str, Decimal, dt.date, int)


class BehaviorError(UserError):
    """A behavior does not keep what `DocumentBehavior` asks; only the module's developer can change that.

    Args:
        document: The document that it was asked about.
        faults: What is wrong, one English sentence each.
    """

    def __init__(self, document: Document, faults: Sequence[str]) -> None:
        super().__init__(
            _l(
                "The module %(module)s has a fault (%(kind)s %(number)s): %(faults)s",
                module=module_of(document.kind),
                kind=document.kind,
                number=document.number or f"#{document.id}",
                faults=" ".join(faults),
            )
        )
        self.faults = tuple(faults)


def module_of(kind: str) -> str:
    """Return the name of the module that declares a kind."""
    return kind.partition(".")[0]


def fields_of(document: Document) -> Mapping[str, FieldValue]:
    """Return the fields of a document in the current language, exactly those of its catalogue.

    Raises:
        BehaviorError: A field is missing, not in the catalogue or of another type, or `fields()` raises.
        UserError: The module of the document is not enabled, or its behavior refuses.
    """
    behavior = behavior_of(document)
    try:
        values = behavior.fields(document)
    except UserError:
        raise
    except Exception as error:
        raise BehaviorError(document, [f"fields() raises {type(error).__name__}: {error}."]) from error
    faults = list(field_faults(behavior, values))
    if faults:
        raise BehaviorError(document, faults)
    return values


def field_faults(behavior: DocumentBehavior, values: object) -> Iterator[str]:
    """Return a sentence for each way in which values are not what the catalogue of a behavior promises."""
    if not isinstance(values, Mapping):
        yield f"fields() returns a {type(values).__name__}, not a mapping of names to values."
        return
    names = {field.name for field in behavior.catalogue}
    yield from (f"fields() gives no value for {name}." for name in sorted(names - values.keys()))
    yield from (
        f"fields() gives {name}, which is not in the catalogue." for name in values if name not in names
    )
    for field in behavior.catalogue:
        if field.name not in values:
            continue
        value = values[field.name]
        if not isinstance(value, _PLAIN):
            yield f"The field {field.name} is a {type(value).__name__}, not text, number or date."
        elif not field.fits(value):
            yield f"The field {field.name} is declared as {field.type}, but its value is {value!r}."


def html_of(document: Document) -> str:
    """Return the HTML of a document's PDF, in the current language.

    Raises:
        BehaviorError: `pdf_html()` raises, or returns no text.
        UserError: The module of the document is not enabled, or its behavior refuses.
    """
    behavior = behavior_of(document)
    try:
        html: object = behavior.pdf_html(document)
    except UserError:
        raise
    except Exception as error:
        raise BehaviorError(document, [f"pdf_html() raises {type(error).__name__}: {error}."]) from error
    if not isinstance(html, str):
        raise BehaviorError(document, [f"pdf_html() returns a {type(html).__name__}, not text."])
    return html


def unknown_fields(behavior: DocumentBehavior, shipped: ShippedTemplate) -> Iterator[str]:
    """Return a sentence for each name in a shipped mail template that is in no catalogue."""
    known = {field.name for field in behavior.catalogue}
    texts = [("attachment_name", shipped.attachment_name)]
    for language, (subject, body) in shipped.texts.items():
        texts += [(f"subject ({language})", subject), (f"body ({language})", body)]
    for place, text in texts:
        try:
            names = _names(text)
        except TemplateSyntaxError as error:
            yield f"“{shipped.name}”, {place}: {str(error.message).rstrip('.')}."
            continue
        for name in sorted(names - known):
            yield f"“{shipped.name}”, {place}: there is no field {name}."


def _names(text: str) -> set[str]:
    """Return the dotted names that a template reads."""
    tree = Environment(autoescape=True).parse(text)
    inner = {id(node.node) for node in tree.find_all(nodes.Getattr)}
    found = {_dotted(node) for node in tree.find_all((nodes.Getattr, nodes.Name)) if id(node) not in inner}
    return {name for name in found if name}


def _dotted(node: nodes.Node) -> str:
    if isinstance(node, nodes.Name):
        return node.name
    if isinstance(node, nodes.Getattr):
        outer = _dotted(node.node)
        return f"{outer}.{node.attr}" if outer else ""
    return ""
