"""What document kinds keep to."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, cast

from flask import Flask
from flask_babel import force_locale
from sqlalchemy import Boolean, Column, Integer, String, Table, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import object_mapper

from core.auth.permissions import declared_permission
from core.config import SUPPORTED_LANGUAGES
from core.contract import DocumentKind, Module
from core.db import Base, ExactDecimal, StrEnumType, db, mappers, transaction
from core.documents import revisions
from core.documents.behavior import DocumentBehavior
from core.documents.checked import fields_of, unknown_fields
from core.documents.models import Document
from core.documents.pdf import render_document
from core.errors import EnvoiError, UserError
from core.testing.conformance.house import (
    accepts,
    changes_of_the_database,
    demonstration_fault,
    fail_if,
    inside,
    kinds_of,
    tables_of,
)
from core.testing.conformance.templates import pages_of

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

    def test_shipped_templates_name_fields_that_exist(self, module: Module) -> None:
        """A shipped mail template reads fields of its kind's catalogue alone."""
        fail_if(
            [
                f"{kind.name}: {sentence}"
                for kind, behavior in kinds_of(module)
                for template in behavior.templates
                for sentence in unknown_fields(behavior, template)
            ]
        )

    def test_the_demonstration_loads(self, module: Module, demonstration: Flask) -> None:
        """The demonstration of the module was loaded, and its documents could say their fields."""
        fault = demonstration_fault(demonstration, module)
        fail_if([fault] if fault else [])

    def test_a_document_says_what_its_catalogue_promises(self, module: Module, demonstration: Flask) -> None:
        """The fields of real documents are those of the catalogue, plain and of their types, in every language."""
        problems = []
        for _kind, _behavior, document in self._documents(module, demonstration):
            for language in SUPPORTED_LANGUAGES:
                with force_locale(language):
                    try:
                        fields_of(document)
                    except UserError as error:
                        problems.append(str(error))
        fail_if(list(dict.fromkeys(problems)))

    def test_rows_of_documents_are_owned(self, module: Module) -> None:
        """A table that refers to documents says by its key that its rows belong to them, or that they do not."""
        if not module.document_kinds:
            return  # its rows are part of no document
        tables = [Base.metadata.tables[name] for name in sorted(tables_of(module))]
        fail_if(
            [
                f"{table.name}.{key.parent.name} leads to a document without owning: let the key say ON DELETE "
                'CASCADE, or the column info={"content": False} where the row says nothing of the document.'
                for table in tables
                if not revisions.paths(table)
                for key in table.foreign_keys
                if key.parent.info.get("content", True)
                and (key.column.table is Document.__table__ or revisions.paths(key.column.table))
            ]
        )

    def test_a_change_of_its_rows_is_a_change_of_the_document(
        self, module: Module, demonstration: Flask
    ) -> None:
        """Whatever row of the module a document consists of: when it changes, the document's revision rises."""
        problems: list[str] = []
        proven: set[tuple[str, type[Base]]] = set()
        for kind, _behavior, document in self._documents(module, demonstration):
            for row in list(_rows_of(module, document)):
                found = None if (kind.name, type(row)) in proven else _unnoticed(kind, document, row)
                if found is not None:
                    proven.add((kind.name, type(row)))
                    problems += found
        fail_if(problems)

    def test_a_document_becomes_a_pdf(self, module: Module, demonstration: Flask) -> None:
        """One document of each kind can be rendered, and asking whether it can be sent changes nothing."""
        seen: set[str] = set()
        for kind, behavior, document in self._documents(module, demonstration):
            if kind.name in seen:
                continue
            seen.add(kind.name)
            with changes_of_the_database() as changes, force_locale("en"):
                try:
                    assert render_document(document).startswith(b"%PDF-")
                    behavior.why_not_sendable(document)
                except EnvoiError as error:
                    fail_if([str(error)])
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
        if missing:
            fault = demonstration_fault(app, module)
            fail_if([fault or f"The demonstration data must hold a document of {', '.join(missing)} to try."])


def _rows_of(module: Module, document: Document) -> Iterator[Base]:
    """Return one row of each model that belongs to a document, as the keys of its table say."""
    for mapper in sorted(mappers(), key=lambda mapper: mapper.class_.__name__):
        if not inside(module.package, mapper.class_.__module__):
            continue
        for path in revisions.paths(cast("Table", mapper.local_table)):
            rows = select(mapper.class_).where(path.leading_to(document.id)).limit(1)
            yield from db.session.scalars(rows).unique()


def _unnoticed(kind: DocumentKind, document: Document, row: Base) -> list[str] | None:
    """Change a row in a transaction of its own, look at the revision, and take the change back.

    Returns:
        What is wrong, or None where nothing could be tried: the module itself lets the row never change.
    """
    mapper = object_mapper(row)
    changeable = [
        attribute.key
        for attribute in mapper.column_attrs
        if isinstance(column := attribute.columns[0], Column)
        and column.info.get("content", True)
        and not column.primary_key
        and not column.foreign_keys
        and isinstance(column.type, String | Integer | Boolean | ExactDecimal)
        and not isinstance(column.type, StrEnumType)
    ]
    name = type(row).__name__
    for key in changeable:
        before, value = document.revision, getattr(row, key)
        try:
            with transaction() as session:
                setattr(row, key, _other(value))
                session.flush()
                raised = document.revision - before
                raise _TakeBackError
        except _TakeBackError:
            sentence = (
                f"{kind.name}: a change of {name}.{key} raises the revision of {document.number} by {raised}"
            )
            return [] if raised == 1 else [f"{sentence}, not by 1."]
        except (UserError, IntegrityError):
            continue
    return None


class _TakeBackError(Exception):
    """Ends a transaction that was only tried."""


def _other(value: Any) -> Any:
    """Return another value of the same type."""
    if isinstance(value, bool):
        return not value
    return f"{value}x"[-1:] if isinstance(value, str) else (value or 0) + 1
