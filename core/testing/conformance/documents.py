"""What document kinds keep to."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal

from flask import Flask
from flask_babel import force_locale
from sqlalchemy import select

from core.auth.permissions import declared_permission
from core.config import SUPPORTED_LANGUAGES
from core.contract import DocumentKind, Module
from core.db import db
from core.documents.behavior import DocumentBehavior
from core.documents.models import Document
from core.documents.pdf import render_document
from core.testing.conformance.house import accepts, changes_of_the_database, fail_if, kinds_of
from core.testing.conformance.templates import pages_of

# What a field of a document may be.
PLAIN_VALUES: tuple[type[object], ...] = (str, Decimal, dt.date, int)
# Slots that a page with a document offers, so that other modules can add to it.
PAGE_SLOTS = ("document.actions", "document.status", "document.aside")
_FIELD_NAME = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*")


class DocumentRules:
    """What document kinds keep to."""

    def test_behavior_has_everything(self, module: Module) -> None:
        """A behavior has the attributes and the functions of `DocumentBehavior`."""
        problems = []
        for kind, behavior in kinds_of(module):
            problems += [
                f"The behavior of {kind.name} needs a sequence {name}."
                for name in ("catalogue", "templates")
                if not isinstance(getattr(behavior, name, None), Sequence)
            ]
            for name in ("pdf_html", "fields", "why_not_sendable"):
                function = getattr(behavior, name, None)
                if not callable(function) or not accepts(function, object()):
                    problems.append(f"The behavior of {kind.name} needs a function {name}(document).")
        fail_if(problems)

    def test_fields_have_plain_names(self, module: Module) -> None:
        """Names are dotted words, each once, with a title and a sample of its type; none is a value and a group."""
        problems = []
        for kind, behavior in kinds_of(module):
            names = [field.name for field in behavior.catalogue]
            problems += [
                f"{kind.name} has the field {name} twice." for name in names if names.count(name) > 1
            ]
            for field in behavior.catalogue:
                if not _FIELD_NAME.fullmatch(field.name):
                    problems.append(f"{kind.name}: {field.name} is no name such as customer.name.")
                if not field.title.strip():
                    problems.append(f"{kind.name}: the field {field.name} has no title.")
                if any(name.startswith(f"{field.name}.") for name in names):
                    problems.append(f"{kind.name}: {field.name} is a field and a group of fields.")
                try:
                    field.sample_value()
                except ValueError:
                    problems.append(
                        f"{kind.name}: the sample of {field.name}, {field.sample!r}, is no {field.type}."
                    )
        fail_if(problems)

    def test_shipped_templates_speak_every_language(self, module: Module) -> None:
        """A shipped mail template has a subject and a body in each language, and a name of its own."""
        problems = []
        for kind, behavior in kinds_of(module):
            names = [template.name for template in behavior.templates]
            if len(set(names)) != len(names):
                problems.append(f"{kind.name} ships two mail templates of one name.")
            for template in behavior.templates:
                for language in SUPPORTED_LANGUAGES:
                    subject, body = template.texts.get(language, ("", ""))
                    if not subject.strip() or not body.strip():
                        problems.append(
                            f"{kind.name}: “{template.name}” lacks a subject or body in {language}."
                        )
        fail_if(problems)

    def test_the_page_of_a_document(self, module: Module, demonstration: Flask) -> None:
        """It takes `document_id`, needs the permission that reading needs, and is asked by GET."""
        problems = []
        with demonstration.app_context():
            for kind in module.document_kinds:
                rules = [
                    rule
                    for rule in demonstration.url_map.iter_rules(kind.endpoint)
                    if rule.arguments == {"document_id"} and "GET" in (rule.methods or ())
                ]
                if not rules:
                    problems.append(f"The page {kind.endpoint} of {kind.name} must take document_id, by GET.")
                if declared_permission(kind.endpoint) != kind.read:
                    problems.append(f"The page {kind.endpoint} of {kind.name} must need {kind.read}.")
        fail_if(problems)

    def test_the_page_offers_its_slots(self, module: Module) -> None:
        """Others can add to the page of a document: its actions, its status, panels beside it."""
        if not module.document_kinds:
            return  # no document page to offer them on
        sources = [path.read_text(encoding="utf-8") for _name, path in pages_of(module)]
        fail_if(
            [
                f"No template of {module.name} offers the slot {name}."
                for name in PAGE_SLOTS
                if not any(re.search(rf"slot\(\s*['\"]{re.escape(name)}['\"]", source) for source in sources)
            ]
        )

    def test_a_document_says_what_its_catalogue_promises(self, module: Module, demonstration: Flask) -> None:
        """The fields of real documents are those of the catalogue, plain and of their types, in every language."""
        problems = []
        for kind, behavior, document in self._documents(module, demonstration):
            names = [field.name for field in behavior.catalogue]
            for language in SUPPORTED_LANGUAGES:
                with force_locale(language):
                    fields: Mapping[str, object] = behavior.fields(document)
                problems += [f"{kind.name}: the field {n} has no value." for n in names if n not in fields]
                problems += [f"{kind.name}: {n} is not in the catalogue." for n in fields if n not in names]
                problems += [
                    f"{kind.name}: the field {name} is a {type(value).__name__}, not text, number or date."
                    for name, value in fields.items()
                    if not isinstance(value, PLAIN_VALUES)
                ]
                problems += [
                    f"{kind.name}: the field {field.name} is a {field.type}, but not in {document.number}."
                    for field in behavior.catalogue
                    if field.name in fields and not field.fits(fields[field.name])
                ]
        fail_if(list(dict.fromkeys(problems)))

    def test_a_document_becomes_a_pdf(self, module: Module, demonstration: Flask) -> None:
        """One document of each kind can be rendered, and asking whether it can be sent changes nothing."""
        seen: set[str] = set()
        for kind, behavior, document in self._documents(module, demonstration):
            if kind.name in seen:
                continue
            seen.add(kind.name)
            with changes_of_the_database() as changes:
                assert render_document(document).startswith(b"%PDF-")
                behavior.why_not_sendable(document)
            fail_if([f"Rendering a {kind.name} changes the database: {change}." for change in changes])

    def _documents(
        self, module: Module, app: Flask
    ) -> Iterator[tuple[DocumentKind, DocumentBehavior, Document]]:
        """Return the documents of the demonstration, which holds some of every kind."""
        with app.app_context():
            missing = []
            for kind, behavior in kinds_of(module):
                rows = db.session.scalars(select(Document).where(Document.kind == kind.name).limit(20)).all()
                if not rows:
                    missing.append(kind.name)
                for row in rows:
                    yield kind, behavior, row
            db.session.remove()
        assert not missing, f"The demonstration data must hold a document of {', '.join(missing)} to try."
