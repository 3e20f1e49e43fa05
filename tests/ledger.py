"""The fixtures with which invoices are posted and tickets are rung up, for tests of other parts that need both.

To be imported with a star: a test that asks for `make_invoice` needs all that stands behind it, by these names.
"""

from tests.pos.conftest import cashier, register, sale, sell, session
from tests.sales.conftest import _today, customer, line, make_invoice, make_quotation, salesperson, vat

__all__ = [
    "_today",
    "cashier",
    "customer",
    "line",
    "make_invoice",
    "make_quotation",
    "register",
    "sale",
    "salesperson",
    "sell",
    "session",
    "vat",
]
