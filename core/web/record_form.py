"""Forms of stored rows: nobody overwrites unseen what somebody else has saved meanwhile.

What counts is what the form shows. A form carries a mark of every value that it was opened with; when it comes back,
the row is locked, the form is built from it anew, and the marks are compared. So no column of bookkeeping and no other
form of the same row can make a conflict, rows that belong to it (roles of a user, grants of a role) count by
themselves, and no model needs a version. A post without marks, as a script sends it, is saved as it is.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import hmac
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Protocol, TypeVar

from flask import abort, current_app, request
from flask_babel import gettext
from flask_login import current_user
from flask_wtf import FlaskForm
from flask_wtf.file import FileField
from sqlalchemy import inspect
from sqlalchemy.orm import Session
from werkzeug.datastructures import FileStorage
from wtforms import BooleanField, Field, PasswordField, SelectFieldBase, SelectMultipleField

from core import clock
from core.db import Base, Sealed, transaction
from core.db.changes import last_change, note_change
from core.errors import ConcurrentChangeError
from core.i18n import lazy_gettext as _l
from core.web.formats import day

SEEN = "seen"  # the hidden field with the marks
# The hidden field of a form whose service compares a revision by itself: renewed when the marks agree, never told.
REVISION = "revision"


@dataclass(frozen=True, slots=True)
class Difference:
    """A field that somebody else has saved otherwise than the form shows it.

    Attributes:
        title: Its label.
        mine: What this person has before them.
        theirs: What is stored now.
        kept: True when this person has changed it as well, so that theirs would be gone.
    """

    title: str
    mine: str
    theirs: str
    kept: bool


@dataclass(frozen=True, slots=True)
class Conflict:
    """What somebody else has saved since a form was opened.

    Attributes:
        by: Their name, "" where nobody knows.
        own: True when it was the same person, in another window.
        at: When, or None where nobody knows.
        differences: What differs, field by field.
        retype: True when a password or a file has to be given again: neither is shown a second time.
    """

    by: str = ""
    own: bool = False
    at: dt.datetime | None = None
    differences: tuple[Difference, ...] = ()
    retype: bool = False


class Shown:
    """A row as a form reads it, with some of its values written otherwise; None for a row to be made.

    Args:
        row: The row.
        values: What stands in its place, by the name of the field.
    """

    def __init__(self, row: Base | None, **values: Any) -> None:
        self.__dict__.update(values, _row=row)

    def __getattr__(self, name: str) -> Any:
        """Return the value of the row."""
        return getattr(self.__dict__["_row"], name)


class RecordForm(FlaskForm):  # type: ignore[misc]
    """A form of a stored row; `record_form` makes it, `core.web.forms.submit` saves it."""

    record: Record | None = None

    def as_text(self, field: Field) -> str:
        """Return the value of a field as people read it, where both values are told."""
        return _as_text(field)


F = TypeVar("F", bound=RecordForm)
F_co = TypeVar("F_co", bound=RecordForm, covariant=True)


class Build(Protocol[F_co]):
    """Makes a form from its row as it is; given `formdata=None`, without what was posted."""

    def __call__(self, *, formdata: None = ...) -> F_co:
        """Return the form."""


def record_form(
    row: Base,
    build: Build[F],
    *,
    behind: Callable[[], Mapping[str, object]] = dict,
    locked: Sequence[Base] | None = None,
) -> F:
    """Return the form of a row, which tells when somebody else has changed what it shows.

    Args:
        row: The row.
        build: Makes the form from the row as it is.
        behind: What is stored behind fields that do not show it, by their names: a password, a picture. Such a field
            counts where this person has filled it in.
        locked: What is locked while the form is compared and saved, in this order: what the service locks first comes
            first, so that two who save at once do not wait for each other. The row alone without it; another one where
            the row itself may not be there yet.
    """
    form = build()
    form.record = Record(form, row, build, behind, [row] if locked is None else locked)
    return form


class Record:
    """What a form knows of its row: the marks of what it was opened with, and what has changed since."""

    def __init__(
        self,
        form: RecordForm,
        row: Base,
        build: Build[RecordForm],
        behind: Callable[[], Mapping[str, object]],
        locked: Sequence[Base],
    ) -> None:
        self.conflict: Conflict | None = None
        self._form = form
        self._row = row
        self._build = build
        self._behind = behind
        self._locked = locked
        self._seen = _read(request.form.get(SEEN, ""))

    @property
    def seen(self) -> str:
        """The hidden field: when the form was shown, and the marks of what is stored."""
        if self._seen is None:
            self._look()
        return json.dumps(self._seen, separators=(",", ":"))

    def _look(self) -> None:
        form = self._build(formdata=None) if self._form.is_submitted() else self._form
        self._seen = {"at": clock.now().timestamp(), "marks": self._marks(form)}

    def _marks(self, form: RecordForm) -> dict[str, str]:
        """Return a mark of the value of each field; it tells nothing of the value."""
        key = str(current_app.secret_key).encode()
        behind = self._behind()

        def mark(field: Field) -> str:
            name = field.short_name
            value = behind[name] if name in behind else _value(field)
            said = f"{name}\0{_canonical(value)}".encode()
            return base64.urlsafe_b64encode(hmac.digest(key, said, "sha256")[:9]).decode()

        return {field.short_name: mark(field) for field in _fields(form)}

    def save(self, action: Callable[[], object]) -> None:
        """Do what the form is for, unless somebody else has changed what it shows.

        Raises:
            ConcurrentChangeError: Somebody has; `conflict` says what, and the next try goes over it.
            NotFound: The row is gone.
        """
        with transaction() as session:
            for row in self._locked:
                _lock(session, row)
            stored = self._build(formdata=None)
            before = self._marks(stored)
            if self._seen is not None and (found := self._differences(stored, before, self._seen["marks"])):
                self._tell(found, before)
                raise ConcurrentChangeError(_l("Somebody else has changed this since you opened it."))
            try:
                action()
            except ConcurrentChangeError:
                # The service has compared a revision by itself; what was shown is not known then.
                self._tell(self._differences(stored, before, None), before)
                raise
            session.flush()
            if self._marks(self._build(formdata=None)) != before:
                note_change(self._row, current_user.id if current_user.is_authenticated else None)

    def _differences(
        self, stored: RecordForm, theirs: Mapping[str, str], shown: Mapping[str, Any] | None
    ) -> list[Difference]:
        """Return the fields that say something else than at the opening, and not what is typed.

        Those in which nothing was typed show what is stored from then on, so that saving the rest does not take it
        back; without what was shown, every field that differs counts as typed.
        """
        mine, behind = self._marks(self._form), self._behind()
        differences = []
        for field in list(_fields(self._form)):
            name = field.short_name
            was = None if shown is None else shown.get(name)
            if name == REVISION:
                self._show(name, stored)
            elif name not in theirs or (shown is not None and (was is None or was == theirs[name])):
                continue
            elif name in behind:
                if shown is not None and _filled_in(field):
                    text = gettext("changed meanwhile")
                    differences.append(
                        Difference(str(field.label.text), self._form.as_text(field), text, True)
                    )
            elif mine[name] != theirs[name]:
                typed = shown is None or mine[name] != was
                differences.append(
                    Difference(
                        str(field.label.text), self._form.as_text(field), stored.as_text(stored[name]), typed
                    )
                )
                if not typed:
                    self._show(name, stored)
        return differences

    def _show(self, name: str, stored: RecordForm) -> None:
        self._form._fields[name] = stored[name]
        setattr(self._form, name, stored[name])

    def _tell(self, differences: list[Difference], theirs: Mapping[str, str]) -> None:
        self.conflict = self._told(tuple(differences), self._seen["at"] if self._seen else 0.0)
        self._seen = {"at": clock.now().timestamp(), "marks": theirs}

    def _told(self, differences: tuple[Difference, ...], opened: float) -> Conflict:
        retype = any(
            _filled_in(field) for field in _fields(self._form) if isinstance(field, FileField | PasswordField)
        )
        change = last_change(self._row)
        # Who has saved it before the form was opened has not done this: it was a button, or the command line.
        if change is None or change.at.timestamp() < opened:
            return Conflict(differences=differences, retype=retype)
        own = change.by_user_id is not None and change.by_user_id == current_user.id
        by = change.by_user.name if change.by_user is not None else ""
        return Conflict(by, own, change.at, differences, retype)


def _lock(session: Session, row: Base) -> None:
    """Let others who save the same row wait until the transaction ends; one that is gone is not found (404)."""
    model, key = type(row), inspect(row).identity
    # Not the strongest lock: rows that name this one, such as new documents of a customer, need not wait.
    how = {"of": model, "key_share": True}
    if session.get(model, key, populate_existing=True, with_for_update=how) is None:
        abort(404)


def _fields(form: RecordForm) -> Iterator[Field]:
    return (field for field in form if field.short_name != "csrf_token")


def _filled_in(field: Field) -> bool:
    # Without an upload, the field of a file holds what is stored.
    return isinstance(field.data, FileStorage) if isinstance(field, FileField) else bool(field.data)


def _value(field: Field) -> object:
    if hasattr(field, "said"):  # a field whose data is more than what it says
        return field.said()
    if isinstance(field, SelectMultipleField):
        return sorted(map(str, field.data or []))  # the order in which they are chosen says nothing
    return field.data


def _canonical(value: object) -> str:
    """Return a value as a text that is the same for what was posted and what is stored."""
    if value is None or value is False:
        return ""
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    if isinstance(value, bytes):
        # What is encrypted says the same under another key.
        return value.identity if isinstance(value, Sealed) else hashlib.sha256(value).hexdigest()
    if isinstance(value, Mapping):
        return "\n".join(f"{name}: {_canonical(one)}" for name, one in value.items())
    if isinstance(value, list | tuple):
        return "\n".join(_canonical(one) for one in value)
    # A browser posts every end of a line as CR LF.
    return str(value).replace("\r\n", "\n").strip()


def _read(posted: str) -> dict[str, Any] | None:
    """Return the marks that a form has brought back; None where it has none, or none of ours."""
    with suppress(ValueError, TypeError, KeyError, OverflowError, RecursionError):
        seen = json.loads(posted)
        if math.isfinite(seen["at"]) and isinstance(seen["marks"], dict):
            return {"at": float(seen["at"]), "marks": seen["marks"]}
    return None


def _as_text(field: Field) -> str:
    if isinstance(field, BooleanField):
        return str(gettext("yes") if field.data else gettext("no"))
    if isinstance(field, PasswordField):
        return "••••••"
    if isinstance(field, FileField):
        return field.data.filename or "" if isinstance(field.data, FileStorage) else ""
    if isinstance(field.data, dt.date):
        return day(field.data)
    if isinstance(field, SelectFieldBase):
        chosen = [str(option.label.text) for option in field if option.checked]
        return ", ".join(chosen) or _plain(field.data)
    return _plain(field._value() if hasattr(field, "_value") else field.data)


def _plain(value: object) -> str:
    return "" if value is None else str(value)
