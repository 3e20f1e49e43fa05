"""Customers and contacts, as what is imported."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

from core.auth.models import User
from core.db import db
from core.imports.models import Import, ImportRow
from core.imports.subject import Judgement
from core.partners.history import on_behalf_of
from core.partners.imports import judging
from core.partners.imports.columns import COLUMNS
from core.partners.imports.judging import MatchBy
from core.partners.models import Partner
from core.partners.reach import EDIT
from core.partners.references import is_named
from core.partners.service import save_partner


class Partners:
    """See `core.imports.subject.Subject`."""

    name = "partners"
    permission = EDIT
    model = Partner
    row_column = "partner_id"
    columns = COLUMNS
    ways = tuple(way.value for way in MatchBy)

    def judge(self, row: ImportRow, of: Import, user: User) -> Judgement:
        """Return what becomes of a row; labels that are not there are made where the import says so."""
        return judging.judge(row, of, user)

    def save(self, entity: Partner | None, values: dict[str, Any]) -> Partner:
        """Create or change a customer."""
        return save_partner(entity, values)

    def stored(self, entity: Partner, names: Sequence[str]) -> dict[str, Any]:
        """Return what columns say."""
        return judging.stored(entity, names)

    def is_gone(self, entity: Partner) -> bool:
        """Return True for one that was merged into another."""
        return entity.merged_into_id is not None

    def is_used(self, entity: Partner) -> bool:
        """Return True when a document, an email or a contact names it."""
        return is_named(entity)

    def restore(self, entity: Partner, before: dict[str, Any]) -> None:
        """Put former values back."""
        from_json = dict(before)
        labels = from_json.pop("label_ids", None)
        if from_json.get("consent_at"):
            from_json["consent_at"] = dt.datetime.fromisoformat(from_json["consent_at"])
        for name, value in from_json.items():
            column = Partner.__table__.c[name].type
            setattr(entity, name, column.enum(value) if hasattr(column, "enum") else value)
        db.session.flush()
        if labels is not None:
            save_partner(entity, {"label_ids": labels})

    def acting(self, user: User) -> AbstractContextManager[None]:
        """Let the history of addresses know who imports."""
        return on_behalf_of(user.id)


SUBJECT = Partners()
