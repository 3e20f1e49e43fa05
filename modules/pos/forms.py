"""The forms of the tills: registers, payment methods, settings, cash, PINs."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from flask_wtf import FlaskForm
from wtforms import (
    BooleanField,
    PasswordField,
    SelectChoice,
    SelectField,
    StringField,
    TextAreaField,
)
from wtforms.validators import NumberRange, Optional

from core.i18n import lazy_gettext as _l
from core.pickers import CompanyField
from core.web.forms import MoneyField, WholeNumberField, at_most, required
from core.web.record_form import RecordForm
from modules.pos.models import FILE_PATTERN
from modules.pos.states import FORMAT_TITLES, PAYMENT_TITLES


def _titled(titles: Iterable[tuple[str, str]]) -> list[SelectChoice]:
    return [SelectChoice(value, _l(title)) for value, title in titles]


def format_choices() -> list[SelectChoice]:
    """Return the papers to choose from."""
    return _titled((value.value, title) for value, title in FORMAT_TITLES.items())


class RegisterForm(RecordForm):
    """A register."""

    code = StringField(_l("Code"), [*required(), at_most(8)], description=_l("Begins its numbers: C9-000123"))
    name = StringField(_l("Name"), [*required(), at_most(60)])
    company_id = CompanyField(_l("Company"), everybody=False)
    receipt_format = SelectField(_l("Paper of receipts"))
    file_pattern = StringField(
        _l("File name of receipts"),
        [*required(), at_most(120)],
        default=FILE_PATTERN,
        description=_l("May use {register}, {number}, {company} and {date}"),
    )
    active = BooleanField(_l("Active"), default=True)


class MethodForm(RecordForm):
    """A payment method."""

    name = StringField(_l("Name"), [*required(), at_most(60)])
    kind = SelectField(
        _l("Kind"), choices=_titled((value.value, title) for value, title in PAYMENT_TITLES.items())
    )
    company_id = CompanyField(_l("Company"))
    position = WholeNumberField(_l("Position"), [NumberRange(0, 9999)], default=10)
    active = BooleanField(_l("Active"), default=True)


class SettingsForm(RecordForm):
    """The settings of the tills of a company."""

    propose_mail = BooleanField(
        _l("Offer to email the receipt"),
        description=_l("The payment screen is filled in with the customer's address"),
    )
    to_customer = BooleanField(_l("Receipts of known customers go to the customer's address"))
    to_main_contact = BooleanField(_l("… and to the main contact"))
    fixed_addresses = TextAreaField(
        _l("… and to these addresses"),
        [at_most(2000)],
        description=_l("Separated by ; – of a walk-in's receipt they get a copy"),
    )
    template_id = SelectField(_l("Email template of receipts"))
    receipt_format = SelectField(
        _l("Paper of receipts"),
        choices=format_choices(),
        description=_l("Of tills that have none of their own; another one can be chosen at the sale"),
    )
    keep_days = WholeNumberField(
        _l("Keep text and files of these emails for days"),
        [Optional(), NumberRange(0, 36_500)],
        description=_l(
            "Empty: as the installation says; 0: until everybody has it. A walk-in's always goes at once."
        ),
    )
    footer = TextAreaField(
        _l("Below the receipt"), [at_most(1000)], description=_l("Terms of exchange, a greeting")
    )


class CashForm(FlaskForm):  # type: ignore[misc]
    """The cash that was counted when a session is closed."""

    counted_cash = MoneyField(_l("Cash counted"), required(), minimum=Decimal(0))
    note = StringField(_l("Note"), [at_most(300)])


class OpeningForm(FlaskForm):  # type: ignore[misc]
    """The cash in the drawer when a register is opened."""

    opening_cash = MoneyField(
        _l("Cash in the drawer"), required(), minimum=Decimal(0), render_kw={"autofocus": True}
    )


class PinForm(FlaskForm):  # type: ignore[misc]
    """A new PIN."""

    password = PasswordField(_l("Your password"), required())
    pin = PasswordField(_l("New PIN"), required(), description=_l("4 to 8 digits"))
