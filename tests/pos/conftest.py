from __future__ import annotations

import uuid
from collections.abc import Callable
from decimal import Decimal

import pytest

from core.auth.models import User
from core.companies.models import Company
from core.products.models import Product
from core.products.service import save_product, save_tax
from modules.pos.models import PaymentMethod, Register, Session, Ticket
from modules.pos.service.registers import open_session, save_method, save_register
from modules.pos.service.sale import Sale, SaleLine, SalePayment
from modules.pos.service.tickets import ring_up
from modules.pos.states import PaymentKind
from tests.outbox.conftest import lab, server  # noqa: F401 (a real SMTP server, and the row that leads to it)


@pytest.fixture
def cashier(make_user: Callable[..., User]) -> User:
    return make_user("cashier")


@pytest.fixture
def register(company: Company) -> Register:
    return save_register(None, {"company_id": company.id, "code": "C1", "name": "Main till"})


@pytest.fixture
def session(register: Register, cashier: User) -> Session:
    return open_session(register, Decimal(100), cashier)


@pytest.fixture
def cash(company: Company) -> PaymentMethod:
    return save_method(None, {"name": "Cash", "kind": PaymentKind.CASH, "company_id": company.id})


@pytest.fixture
def card(company: Company) -> PaymentMethod:
    return save_method(
        None, {"name": "Card", "kind": PaymentKind.CARD, "company_id": company.id, "position": 20}
    )


@pytest.fixture
def lamp(company: Company) -> Product:
    tax = save_tax(None, {"name": "TVA 20 %", "rate": Decimal(20), "company_id": company.id})
    return save_product(
        None,
        {
            "name": "Lamp", "code": "L1", "barcode": "376000000", "unit_price": Decimal("10.4167"),
            "tax_id": tax.id, "company_id": company.id, "category": "Lamps",
        },
    )  # fmt: skip


def line(quantity: str = "1", price: str = "12.50", **more: object) -> SaleLine:
    values = {"tax_name": "TVA 20 %", "tax_rate": Decimal(20), **more}
    return SaleLine("Lamp", Decimal(quantity), Decimal(price), **values)  # type: ignore[arg-type]


def paid(amount: str, kind: PaymentKind = PaymentKind.CASH) -> SalePayment:
    return SalePayment(kind, kind.value.title(), Decimal(amount))


def sale(*lines: SaleLine, **more: object) -> Sale:
    lines = lines or (line(),)
    total = sum((one.quantity * one.unit_price for one in lines), Decimal(0))
    values = {"payments": [paid(str(total))], "client_id": str(uuid.uuid4()), **more}
    return Sale(lines=list(lines), **values)  # type: ignore[arg-type]


@pytest.fixture
def sell(register: Register, session: Session, cashier: User) -> Callable[..., Ticket]:
    """Ring up a sale in the open session."""

    def ring(*lines: SaleLine, **more: object) -> Ticket:
        return ring_up(register, sale(*lines, **more), cashier)

    return ring
