"""A sale as a till posts it, read from JSON; nothing in it is taken on trust."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from core.errors import UserError
from core.i18n import lazy_gettext as _l
from core.mail.addresses import Address, InvalidAddressError, normalize
from modules.pos.service.sale import MAX_LINES, Sale, SaleLine, SalePayment
from modules.pos.states import PaymentKind, ReceiptFormat

# A UUID; the till makes it, so that posting a sale again writes nothing.
_CLIENT_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
_LARGEST = Decimal(10) ** 11  # what fits into the column with four places
MAX_PAYMENTS = 20  # of one sale
MAX_TOKEN_LENGTH = 300  # characters, of who sold it


class BadSaleError(UserError):
    """The request does not have the form of a sale; our own till never sends such a one."""

    def __init__(self, name: str) -> None:
        super().__init__(_l("The till has sent something that cannot be read (%(name)s).", name=name))


def read_sale(posted: Any) -> Sale:
    """Return a sale.

    Raises:
        BadSaleError: It is none.
    """
    if not isinstance(posted, dict):
        raise BadSaleError("sale")
    client_id = posted.get("client_id")
    if not isinstance(client_id, str) or not _CLIENT_ID.fullmatch(client_id):
        raise BadSaleError("client_id")
    receipt_format = posted.get("format")
    try:
        paper = ReceiptFormat(receipt_format) if receipt_format is not None else None
    except ValueError as error:
        raise BadSaleError("format") from error
    address, wrong = _address(posted)
    return Sale(
        client_id=client_id,
        lines=[_line(row) for row in _rows(posted, "lines", MAX_LINES)],
        payments=[_payment(row) for row in _rows(posted, "payments", MAX_PAYMENTS)],
        session_id=_identifier(posted, "session_id"),
        age=_age(posted),
        partner_id=_identifier(posted, "partner_id"),
        receipt_format=paper,
        address=address,
        address_wrong=wrong,
        mail=posted.get("mail") is True,
    )


def token_of(posted: Mapping[str, Any], name: str) -> str:
    """Return a token that came with a sale, or "" for none."""
    value = posted.get(name)
    return value[:MAX_TOKEN_LENGTH] if isinstance(value, str) else ""


def _address(posted: Mapping[str, Any]) -> tuple[Address | None, bool]:
    """Return where the receipt goes, and whether what was typed is no address: the sale was made all the same."""
    text = posted.get("address") or ""
    if not isinstance(text, str):
        raise BadSaleError("address")
    try:
        return (Address(normalize(text)) if text.strip() else None), False
    except InvalidAddressError:
        return None, True


def _rows(posted: Mapping[str, Any], name: str, most: int) -> list[Mapping[str, Any]]:
    rows = posted.get(name)
    if not isinstance(rows, list) or len(rows) > most or not all(isinstance(row, dict) for row in rows):
        raise BadSaleError(name)
    return rows


def _text(row: Mapping[str, Any], name: str, longest: int) -> str:
    value = row.get(name, "")
    if not isinstance(value, str) or len(value) > longest or "\0" in value:
        raise BadSaleError(name)
    return value


def _number(row: Mapping[str, Any], name: str, places: int) -> Decimal:
    text = row.get(name)
    try:
        # A string: JSON's numbers would have gone through binary fractions.
        value = Decimal(text) if isinstance(text, str) and len(text) < 40 else None
    except InvalidOperation:
        value = None
    if value is None or not value.is_finite() or abs(value) >= _LARGEST or value != round(value, places):
        raise BadSaleError(name)
    return value


def _identifier(row: Mapping[str, Any], name: str) -> int | None:
    value = row.get(name)
    if value is None:
        return None
    # `True` is a number for Python, and would be the id 1.
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value < 2**31:
        raise BadSaleError(name)
    return value


def _age(posted: Mapping[str, Any]) -> dt.timedelta:
    """Return how long ago the sale was made, by the difference of two readings of the till's own clock."""
    value = posted.get("age_ms", 0)
    if not isinstance(value, int | float) or isinstance(value, bool) or not value == value:  # noqa: PLR0124 (NaN)
        raise BadSaleError("age_ms")
    # A clock that was put back between the readings gives a negative age; some 30 years is the most.
    return dt.timedelta(milliseconds=min(max(float(value), 0.0), 1e12))


def _line(row: Mapping[str, Any]) -> SaleLine:
    rate = row.get("tax_rate")
    return SaleLine(
        description=_text(row, "description", 200),
        quantity=_number(row, "quantity", 3),
        unit_price=_number(row, "unit_price", 4),
        discount=_number(row, "discount", 2) if row.get("discount") is not None else Decimal(0),
        tax_name=_text(row, "tax_name", 60),
        tax_rate=_number(row, "tax_rate", 4) if rate is not None else None,
        product_id=_identifier(row, "product_id"),
    )


def _payment(row: Mapping[str, Any]) -> SalePayment:
    try:
        kind = PaymentKind(_text(row, "kind", 20))
    except ValueError as error:
        raise BadSaleError("kind") from error
    return SalePayment(kind, _text(row, "name", 60), _number(row, "amount", 4), _identifier(row, "method_id"))
