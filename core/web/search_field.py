"""A choice out of many rows: the page holds the one that is chosen, and asks the server for others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from wtforms import SelectField
from wtforms.fields.choices import Choice
from wtforms.validators import ValidationError

MAX_DIGITS = 9  # what a column of ids holds


class SearchField(SelectField):  # type: ignore[misc]
    """A field whose data is the id of a row, or None; a subclass says what it searches.

    A chosen row that cannot be taken stays shown, with a sentence beside the field. The row that the form was opened
    with may always stay.
    """

    def __init__(self, label: Any = None, validators: Any = None, **kwargs: Any) -> None:
        super().__init__(label, validators, coerce=_number, validate_choice=False, **kwargs)
        self.type = "SelectField"  # how the macros show it

    @property
    def row(self) -> Any:
        """The row that is chosen, or None: nothing is chosen, it is gone, or it is not in reach."""
        return self.find(self.data) if isinstance(self.data, int) else None

    def find(self, number: int) -> Any:
        """Return the row of an id, or None where there is none in the reach of who uses the form."""
        raise NotImplementedError

    def label_of(self, row: Any) -> str:
        """Return what a row is called."""
        raise NotImplementedError

    def address(self) -> str:
        """Return where the page asks for rows: JSON with `value`, `text` and `detail` of those that fit `q`."""
        raise NotImplementedError

    def missing(self) -> str:
        """Return the sentence about a row that is not there."""
        raise NotImplementedError

    def why_not(self, row: Any) -> str:  # noqa: ARG002 (for subclasses)
        """Return why a row cannot be chosen newly, or ""."""
        return ""

    def __call__(self, **kwargs: Any) -> Any:
        """Return the HTML of the field, which the scripts of the shell make searchable."""
        return super().__call__(**{"data-search": "", "data-people": self.address(), **kwargs})

    def iter_choices(self) -> Iterator[Choice]:
        """Yield the empty choice and the one that is chosen."""
        row = self.row
        yield Choice("", "", row is None, {})
        if row is not None:
            yield Choice(str(self.data), self.label_of(row), True, {})

    def process_formdata(self, valuelist: list[str]) -> None:
        """Read the id that was posted; whatever is none is a row that is not there."""
        text = valuelist[0].strip() if valuelist else ""
        self.data = _number(text)
        if text and self.data is None:
            raise ValueError(self.missing())

    def pre_validate(self, form: Any) -> None:  # noqa: ARG002 (signature of WTForms)
        """Refuse a row that is not there, or cannot be chosen.

        Raises:
            ValidationError: With a sentence for the person.
        """
        if self.data is None:
            return
        row = self.row
        if row is None:
            raise ValidationError(self.missing())
        problem = self.why_not(row) if self.data != self.object_data else ""
        if problem:
            raise ValidationError(problem)


def _number(value: Any) -> int | None:
    text = str(value).strip() if value is not None else ""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS else None
