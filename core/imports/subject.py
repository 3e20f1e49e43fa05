"""What is imported: the columns that its files may have, how rows are matched and judged, and what becomes of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Protocol, cast

from sqlalchemy import select

from core.auth.models import User
from core.db import db
from core.errors import UserError
from core.i18n import gettext
from core.i18n import lazy_gettext as _l
from core.imports.models import Import, ImportRow, Verdict
from core.matching import folded
from core.registry import resolve

NEW_LABELS = "new_labels"
"""Beside the columns that a row changes: names of labels that will be made."""

_SUBJECTS = {
    "partners": "core.partners.imports.subject:SUBJECT",
    "products": "core.products.imports.subject:SUBJECT",
}


@dataclass(frozen=True, slots=True)
class FileColumn:
    """A column that a file may have.

    Attributes:
        name: Of the column of a row of ours, or of what stands for it.
        title: English, marked with `N_`; the head of an export.
        heads: Other heads that mean it, folded.
        write: Returns what an export says of a row of ours.
        read: Returns the value of a cell that is not empty.
        longest: Characters that it holds, or None.
    """

    name: str
    title: str
    heads: tuple[str, ...]
    write: Callable[[Any], Any]
    read: Callable[[str], Any] = str
    longest: int | None = None


@dataclass(slots=True)
class Judgement:
    """What becomes of a row.

    Attributes:
        verdict: The verdict.
        key: What it is matched by, "" for nothing.
        name: The name in small letters.
        number: The number.
        entity: The row of ours that it is, or None.
        values: What is saved.
        before: Of the columns that change, what they were.
        after: And what they become, as JSON has it.
        field: The column that is the trouble.
        problem: Why it cannot be.
    """

    verdict: Verdict = Verdict.NEW
    key: str = ""
    name: str = ""
    number: str = ""
    entity: Any = None
    values: dict[str, Any] = field(default_factory=dict)
    before: dict[str, Any] = field(default_factory=dict)
    after: dict[str, Any] = field(default_factory=dict)
    field: str = ""
    problem: object = ""


class Subject(Protocol):
    """What is imported; one for customers, one for products.

    Attributes:
        name: `partners`, `products`.
        permission: What somebody needs to import them.
        model: Their table.
        row_column: The column of `ImportRow` that names one.
        columns: All columns, in the order of an export.
        ways: Names of columns that rows can be matched by, the usual one first.
    """

    name: str
    permission: str
    model: Any
    row_column: str
    columns: Sequence[FileColumn]
    ways: Sequence[str]

    def judge(self, row: ImportRow, of: Import, user: User) -> Judgement:
        """Return what becomes of a row."""

    def save(self, entity: Any, values: dict[str, Any]) -> Any:
        """Create or change one, inside the running transaction."""

    def stored(self, entity: Any, names: Sequence[str]) -> dict[str, Any]:
        """Return what columns of one say, as JSON has it."""

    def is_gone(self, entity: Any) -> bool:
        """Return True for one that another stands for by now."""

    def is_used(self, entity: Any) -> bool:
        """Return True when anything names it, so that it cannot be taken away."""

    def restore(self, entity: Any, before: dict[str, Any]) -> None:
        """Put former values back as they were, also those that nobody could enter today."""

    def acting(self, user: User) -> AbstractContextManager[None]:
        """Let what is changed be written down as changed by whoever imports."""


def subject_of(name: str) -> Subject:
    """Return a subject by its name."""
    return cast("Subject", resolve(_SUBJECTS[name]))


def by_name(subject: Subject) -> Mapping[str, FileColumn]:
    """Return the columns of a subject by their names."""
    return {column.name: column for column in subject.columns}


def guess(subject: Subject, header: Sequence[str]) -> list[str]:
    """Return what the columns of a file are by their heads, in English or French; "" where nobody knows.

    Of two that could be one column, the first is.
    """
    heads: dict[str, str] = {}
    for column in subject.columns:
        for head in (column.title, gettext(column.title), *column.heads):
            heads.setdefault(folded_head(head), column.name)
        heads.setdefault(folded_head(column.name), column.name)
    found: list[str] = []
    for head in header:
        name = heads.get(folded_head(head), "")
        found.append("" if name in found else name)
    return found


def folded_head(text: str) -> str:
    """Return the head of a column without what people write differently."""
    # Decomposed, a hyphen that does not break is the one that says no more than that it is none of the keyboard.
    return " ".join(re.sub(r"[_*:]+", " ", folded(text)).replace("\N{HYPHEN}", "-").split())


def read_cells(columns: Iterable[FileColumn], cells: Sequence[str], mapping: Iterable[str]) -> dict[str, Any]:
    """Return the values of a row by the names of their columns; an empty cell is left out.

    Raises:
        UserError: A cell makes no sense, or is too long; `field` is the name of its column.
    """
    known = {column.name: column for column in columns}
    values: dict[str, Any] = {}
    for name, cell in zip(mapping, cells, strict=False):
        if not name or not cell:
            continue
        value = known[name].read(cell.replace("\0", ""))
        longest = known[name].longest
        if isinstance(value, str) and longest is not None and len(value) > longest:
            raise UserError(_l("At most %(max)d characters.", max=longest), name)
        values[name] = value
    return values


def refuse_twice(key: str, row: ImportRow, of: Import) -> None:
    """Refuse a row that is about the same as one further up.

    Raises:
        UserError: There is one.
    """
    line = db.session.scalar(
        select(ImportRow.line)
        .where(
            ImportRow.import_id == of.id,
            ImportRow.key == key[:300],
            ImportRow.id < row.id,
            ImportRow.verdict != Verdict.REFUSED,
        )
        .limit(1)
    )
    if line is not None:
        raise UserError(_l("Line %(line)s is about the same.", line=line), of.match_by)


def one_line(text: str) -> str:
    """Return a text without line breaks and blanks that nobody means."""
    return " ".join(text.split())


YES = {"1", "yes", "y", "true", "x", "oui", "o", "vrai"}
NO = {"0", "no", "n", "false", "non", "faux"}


def yes_or_no(text: str, name: str) -> bool:
    """Return what a cell says.

    Raises:
        UserError: Neither.
    """
    if folded(text) in YES:
        return True
    if folded(text) in NO:
        return False
    raise UserError(_l("Write yes or no."), name)
