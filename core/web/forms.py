"""Forms: fields by locale, and how errors of services come back beside their fields.

Fields that search, for customers, products and colleagues, are in `core.pickers`.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from babel.numbers import format_decimal, get_currency_precision, get_currency_symbol
from flask import Response, after_this_request, flash
from flask_babel import get_locale, gettext
from flask_wtf import FlaskForm
from wtforms import Field, IntegerField, widgets
from wtforms.validators import InputRequired, Length

from core.db.types import DECIMAL_PLACES
from core.errors import ConcurrentChangeError, UserError
from core.i18n import lazy_gettext as _l
from core.i18n import number_locale
from core.numbers import read_decimal
from core.web.record_form import RecordForm


class LocalDecimalField(Field):  # type: ignore[misc]
    """A decimal number, typed as people of the locale type it; see `core.numbers`."""

    widget = widgets.TextInput()

    def __init__(
        self,
        *args: Any,
        places: int = DECIMAL_PLACES,
        minimum: Decimal | None = None,
        maximum: Decimal | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.places = places
        self.minimum = minimum
        self.maximum = maximum
        self.typed: str | None = None

    def _value(self) -> str:
        if self.typed is not None:
            return self.typed
        if self.data is None:
            return ""
        return format_decimal(self.data, format="0.####", locale=number_locale(get_locale()))

    def process_formdata(self, valuelist: list[str]) -> None:
        """Read what was typed, and keep it as it was for showing it again."""
        if not valuelist:
            return
        self.typed = valuelist[0].strip()
        self.data = read_decimal(self.typed, self.places) if self.typed else None
        if self.data is not None and self.minimum is not None and self.data < self.minimum:
            raise ValueError(gettext("The number must not be below %(minimum)s.", minimum=self.minimum))
        if self.data is not None and self.maximum is not None and self.data > self.maximum:
            raise ValueError(gettext("The number must not be above %(maximum)s.", maximum=self.maximum))


class MoneyField(LocalDecimalField):
    """An amount; the form is made with `meta={"currency": …}` (ISO 4217), which says how many decimals there may be.

    The page shows its sign beside what is typed.
    """

    @property
    def sign(self) -> str:
        """The sign of the currency, as people write it here."""
        return get_currency_symbol(self.meta.currency, locale=str(get_locale() or "en"))

    def process_formdata(self, valuelist: list[str]) -> None:
        """Read what was typed."""
        self.places = get_currency_precision(self.meta.currency)
        super().process_formdata(valuelist)


class WholeNumberField(IntegerField):  # type: ignore[misc]
    """A whole number, read as every other number: WTForms takes 1_000 and knows no blank between thousands."""

    def process_formdata(self, valuelist: list[str]) -> None:
        """Read what was typed; nothing typed is no number."""
        self.data = int(read_decimal(valuelist[0], 0)) if valuelist and valuelist[0].strip() else None


def required() -> list[Any]:
    """Return the validators of a field that must be filled in."""
    return [InputRequired(_l("This field is required."))]


def at_most(length: int) -> Any:
    """Return the validator of the longest text a column holds."""
    return Length(max=length, message=_l("At most %(max)d characters."))


def submit(form: FlaskForm, action: Callable[[], Any]) -> bool:
    """Validate a form and do what it is for; a `UserError` is shown beside its field or on the page.

    The form of a stored row tells, instead of doing it, what somebody else has saved since it was opened; the page
    shows both by the macro `record`, and saving once more goes over it (409).

    Returns:
        True when it is done. When False, the page shows the form again with everything that was typed.
    """
    if not form.validate_on_submit():
        if form.errors:
            flash(gettext("Please correct the marked fields."), "danger")
            if "csrf_token" in form.errors:
                flash(gettext("The page was open for too long. Try again."), "danger")
        return False
    record = form.record if isinstance(form, RecordForm) else None
    try:
        if record is not None:
            record.save(action)
        else:
            action()
    except ConcurrentChangeError as error:
        if record is None or record.conflict is None:
            flash(str(error.message), "danger")
        after_this_request(_conflicting)
        return False
    except UserError as error:
        if error.field and error.field in form:
            form[error.field].errors = [*form[error.field].errors, str(error.message)]
        else:
            flash(str(error.message), "danger")
        return False
    return True


def _conflicting(response: Response) -> Response:
    if response.status_code == 200:
        response.status_code = 409
    return response
