"""A document's revision grows by itself when what it says changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal

import pytest
from sqlalchemy import Column, ForeignKey, Integer, String, Table, delete, insert, select, text, update
from sqlalchemy.orm import registry

from core import clock
from core.auth.models import User
from core.companies.models import Company
from core.db import Base, db, transaction
from core.documents import revisions
from core.documents.models import Document
from core.documents.service import create_document, lock, touch
from core.errors import ConcurrentChangeError
from core.followers.service import follow
from core.partners.models import Partner
from core.partners.service import save_partner
from modules.outbox.models import OutgoingMail
from modules.pos.models import Ticket
from modules.sales.models import Invoice, Line, Order
from modules.sales.service import invoices, orders
from modules.sales.service.lines import LineValues

both = pytest.mark.both_databases


@pytest.fixture
def customer(company: Company) -> Partner:
    return save_partner(None, {"name": "Client SA", "email": "client@example.com", "language": "fr"})


@pytest.fixture
def make_order(company: Company, customer: Partner, make_user: Callable[..., User]) -> Callable[[], Order]:
    seller = make_user()

    def make() -> Order:
        lines = [LineValues("Lamp", Decimal(2), Decimal(50)), LineValues("Cable", Decimal(1), Decimal(5))]
        values = orders.QuotationValues(customer.id, clock.day_in("UTC"), lines)
        return orders.create_quotation(company, values, seller)

    return make


@pytest.fixture
def order(make_order: Callable[[], Order]) -> Order:
    return make_order()


def line_of(order: Order) -> Line:
    return db.session.scalars(
        select(Line).where(Line.document_id == order.document_id).order_by(Line.id)
    ).first()  # type: ignore[return-value]


def in_table(document_id: int) -> int:
    return db.session.connection().scalar(select(Document.revision).where(Document.id == document_id)) or 0


@both
@pytest.mark.parametrize(
    "change",
    [
        lambda order: setattr(order, "note", "Other"),
        lambda order: setattr(line_of(order), "quantity", Decimal(9)),
        lambda order: db.session.delete(line_of(order)),
        lambda order: db.session.add(
            Line(
                document_id=order.document_id,
                position=9,
                description="New",
                quantity=1,
                unit_price=1,
                subtotal=1,
            )
        ),
        lambda order: setattr(order.document, "total", Decimal(9)),
        lambda order: setattr(order.document, "owner_id", None),
        lambda _order: db.session.execute(update(Order).values(note="Other")),
        lambda _order: db.session.execute(update(Line).where(Line.quantity == 2).values(quantity=3)),
        lambda _order: db.session.execute(update(Line.__table__).values(quantity=3)),  # type: ignore[arg-type]
        lambda order: db.session.execute(update(Line), [{"id": line_of(order).id, "quantity": 3}]),
        lambda _order: db.session.execute(delete(Line).where(Line.quantity == 2)),
        lambda _order: db.session.execute(update(Document).values(language="en")),
        lambda order: db.session.execute(insert(Line), [new_line(order)]),
        lambda order: db.session.execute(insert(Line).values(new_line(order))),
        lambda order: db.session.execute(
            insert(Line).values([new_line(order), {**new_line(order), "position": 10}])
        ),
    ],
)
def test_a_change_of_what_a_document_says_raises_its_revision(
    order: Order, change: Callable[[Order], object]
) -> None:
    assert order.document.revision == 1
    before = order.document.updated_at
    with transaction():
        change(order)
    assert in_table(order.document_id) == 2
    assert order.document.revision == 2
    assert order.document.updated_at > before


def new_line(order: Order) -> dict[str, object]:
    return {
        "document_id": order.document_id,
        "position": 9,
        "description": "New",
        "quantity": Decimal(1),
        "unit_price": Decimal(1),
        "subtotal": Decimal(1),
    }


def test_a_transaction_counts_once_and_the_next_one_again(order: Order) -> None:
    with transaction() as session:
        order.note = "One"
        session.flush()
        order.note = "Two"
        line_of(order).quantity = Decimal(7)
        session.flush()
        touch(order.document)
        assert order.document.revision == 2, "known at once, without reading it again"
    assert in_table(order.document_id) == 2
    with transaction():
        order.note = "Three"
    assert in_table(order.document_id) == 3


def test_a_document_that_is_made_begins_at_one(order: Order) -> None:
    assert in_table(order.document_id) == 1


def test_what_is_taken_back_is_not_counted(order: Order) -> None:
    def fails() -> None:
        with transaction() as session:
            order.note = "One"
            session.flush()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fails()
    assert in_table(order.document_id) == 1
    with transaction() as session:
        nested = session.begin_nested()
        order.note = "Two"
        session.flush()
        nested.rollback()
        order.note = "Three"
    assert in_table(order.document_id) == 2


@pytest.mark.parametrize(
    "change",
    [
        lambda order, _user: setattr(order, "note", order.note),
        lambda order, user: follow(order.document_id, user_id=user.id),
        lambda _order, _user: db.session.execute(update(Line).where(Line.quantity == 99).values(quantity=3)),
        lambda order, _user: setattr(order.document.partner, "phone", "1"),
        lambda order, _user: lock(order.document),
        lambda _order, _user: db.session.execute(text("UPDATE sales_order SET note = 'unseen'")),
    ],
)
def test_nothing_is_counted_where_the_document_says_the_same(
    order: Order, make_user: Callable[..., User], change: Callable[[Order, User], object]
) -> None:
    user = make_user("support")
    with transaction():
        change(order, user)
    assert in_table(order.document_id) == 1


def test_a_row_that_moves_counts_for_both_documents(make_order: Callable[[], Order]) -> None:
    here, there, third = make_order(), make_order(), make_order()
    with transaction():
        line = line_of(here)
        line.document_id, line.position = there.document_id, 9
    assert [in_table(order.document_id) for order in (here, there, third)] == [2, 2, 1]


def test_a_document_that_only_refers_to_another_leaves_it_alone(order: Order) -> None:
    orders.confirm(order)
    before = in_table(order.document_id)
    invoice = invoices.invoice_order(order, None)
    with transaction():
        invoice.note = "About the order"
    assert in_table(order.document_id) == before
    assert in_table(invoice.document_id) == 2


@pytest.fixture
def parts() -> Iterator[Table]:
    """A table below the lines: three steps from the header."""
    table = Table(
        "sales_part",
        Base.metadata,
        Column("id", Integer, primary_key=True),
        Column("line_id", ForeignKey("sales_line.id", ondelete="CASCADE"), nullable=False),
        Column("color", String(20), nullable=False),
        Column("printed", Integer, info={"content": False}),
    )
    yield table
    Base.metadata.remove(table)
    revisions.paths.cache_clear()


def test_a_grandchild_counts_for_its_document_alone(make_order: Callable[[], Order], parts: Table) -> None:
    class Part:
        color: str
        printed: int | None

    registry().map_imperatively(Part, parts)
    order, other = make_order(), make_order()
    part = Part()
    part.color, part.line_id = "red", line_of(order).id  # type: ignore[attr-defined]
    with transaction() as session:
        parts.create(session.connection())
        session.add(part)
    assert in_table(order.document_id) == 2
    with transaction():
        part.color = "blue"
    assert in_table(order.document_id) == 3
    with transaction():
        part.printed = 1
    assert in_table(order.document_id) == 3, "marked as no content"
    with transaction() as session:
        session.execute(update(Part).where(parts.c.color == "blue").values(color="green"))
    assert in_table(order.document_id) == 4
    with transaction() as session:
        session.execute(insert(Part), [{"line_id": line_of(order).id, "color": "pink"}])
    assert in_table(order.document_id) == 5
    with transaction() as session:
        session.delete(part)
    assert in_table(order.document_id) == 6
    assert in_table(other.document_id) == 1


def test_rows_of_a_module_count_for_its_own_kinds_alone(
    company: Company, customer: Partner, order: Order
) -> None:
    with transaction():
        foreign = create_document(
            "pos.ticket",
            company_id=company.id,
            partner_id=customer.id,
            owner=None,
            language="fr",
            currency="EUR",
        )
    with transaction() as session:
        session.add(Line(**new_line(order) | {"document_id": foreign.id}))
    assert in_table(foreign.id) == 1


def test_what_owns_a_row_is_read_from_its_keys() -> None:
    def ways(model: type[Base]) -> list[str]:
        return [path.column.name for path in revisions.paths(model.__table__)]  # type: ignore[arg-type]

    assert ways(Line) == ["document_id"]
    assert ways(Invoice) == ["document_id"], "neither its order nor what it takes back own an invoice"
    assert ways(Ticket) == ["document_id"]
    assert ways(Partner) == []
    assert ways(OutgoingMail) == []


@both
def test_who_saw_another_revision_is_told(order: Order) -> None:
    with transaction():
        order.note = "Changed by somebody"
    with pytest.raises(ConcurrentChangeError), transaction():
        lock(order.document, seen_revision=1)
    with transaction() as session:
        order.note = "Mine"
        session.flush()
        lock(order.document, seen_revision=2)  # what I have changed just now is not somebody else's
    assert in_table(order.document_id) == 3
