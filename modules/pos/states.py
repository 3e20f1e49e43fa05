"""The words of the till."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from core.i18n import N_

TICKET = "pos.ticket"


class ReceiptFormat(StrEnum):
    """The paper of a receipt."""

    ROLL_80 = "roll80"  # the usual roll of a receipt printer
    ROLL_58 = "roll58"  # the narrow roll of a small or mobile one
    A4 = "a4"  # a sheet, for those who print at an office printer


FORMAT_TITLES: Mapping[ReceiptFormat, str] = {
    ReceiptFormat.ROLL_80: N_("Roll, 80 mm"),
    ReceiptFormat.ROLL_58: N_("Roll, 58 mm"),
    ReceiptFormat.A4: N_("A4"),
}


class PaymentKind(StrEnum):
    """The kind of a payment method; change is given in cash only."""

    CASH = "cash"  # counts for the drawer
    CARD = "card"  # goes through a terminal; no change
    OTHER = "other"  # vouchers and the like; no change


PAYMENT_TITLES: Mapping[PaymentKind, str] = {
    PaymentKind.CASH: N_("Cash"),
    PaymentKind.CARD: N_("Card"),
    PaymentKind.OTHER: N_("Other"),
}


class SessionState(StrEnum):
    """Whether a register sells."""

    OPEN = "open"  # tickets go into it
    CLOSED = "closed"  # counted, final
