"""The page behind the counter, and what it asks the server: what is sold, who sells, each ticket."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from babel.numbers import get_currency_precision, get_currency_symbol
from flask import (
    Response,
    abort,
    jsonify,
    render_template,
    request,
    url_for,
)
from flask.typing import ResponseReturnValue
from flask_babel import get_locale, ngettext
from flask_wtf.csrf import generate_csrf
from sqlalchemy import Select, select

from core import clock
from core.auth.permissions import public, requires, signed_in_user
from core.db import db
from core.documents.models import Document
from core.errors import UserError
from core.i18n import lazy_gettext as _l
from core.mail.mistyped import TRUE_NEIGHBORS, USUAL_DOMAINS, USUAL_ENDINGS
from core.numbers import marks_of
from core.partners.models import MailConsent, Partner
from core.partners.reach import reachable
from core.partners.search_index import matching_partners
from core.products.models import Product, Tax
from core.products.service import find_products, of_company
from core.totals import gross_price
from core.web.slots import slot
from modules.pos import queries
from modules.pos.models import Register, Session, Ticket
from modules.pos.service.cashiers import (
    cashier_of,
    cashiers_of,
    has_pin,
    seller_of,
    seller_token,
    take_over,
)
from modules.pos.service.receipts import usual_of_all
from modules.pos.service.registers import methods_of, open_session_of, paper_of, settings_of
from modules.pos.service.tickets import ring_up
from modules.pos.states import FORMAT_TITLES, SessionState
from modules.pos.views.blueprint import blueprint
from modules.pos.views.sale import read_sale, token_of
from modules.pos.views.shift import remember_cashier

# Served by a view of its own: a script under /static/ may not act on the pages of the till.
WORKER = Path(__file__).resolve().parents[1] / "static" / "till" / "worker.js"

MAX_PRODUCTS = 10_000  # that the till keeps to work while the server is away; more are found by asking it
MAX_CUSTOMERS = 5_000  # likewise
MAX_ASKED = 50  # sales the till asks about in one request
MAX_FOUND = 60  # results of a search on the till


def _register(register_id: int) -> Register:
    return queries.register_for(signed_in_user(), register_id) or abort(404)


@blueprint.get("/till/<int:register_id>")
@requires(queries.USE)
def till(register_id: int) -> ResponseReturnValue:
    """Show the till of a register; everything else comes as data, and stays in the browser."""
    row = _register(register_id)
    return render_template(
        "pos/till.html",
        register=row,
        session=open_session_of(row.id),
        formats=FORMAT_TITLES,
        marks=marks_of(get_locale()),
    )


@blueprint.get("/till/worker.js")
@public
def till_worker() -> ResponseReturnValue:
    """Return the script that shows the till while the server is away; it may act on the till's pages only."""
    response = Response(WORKER.read_bytes(), mimetype="text/javascript")
    response.headers["Service-Worker-Allowed"] = url_for("pos.registers").removesuffix("registers") + "till/"
    response.headers["Cache-Control"] = "no-cache"
    return response


def _session_data(session: Session | None) -> dict[str, Any] | None:
    if session is None:
        return None
    company = session.register.company
    opened_on = company.day_of(session.opened_at)
    return {
        "id": session.id,
        "opened_on": opened_on.isoformat(),
        "of_another_day": opened_on != company.today,
        "opened_by": session.opened_by.name if session.opened_by is not None else "",
        "url": url_for("pos.session", session_id=session.id),
        "rescue": session.rescue,
    }


@blueprint.get("/till/<int:register_id>/data")
@requires(queries.USE)
def till_data(register_id: int) -> ResponseReturnValue:
    """Return everything that a till needs to sell without asking again."""
    row, user = _register(register_id), signed_in_user()
    company = row.company
    currency = company.currency
    products = db.session.execute(
        _products(company.id)
        .where(Product.active, Product.over_the_counter)
        .order_by(Product.category, Product.name, Product.id)
        .limit(MAX_PRODUCTS + 1)
    ).all()
    customers = db.session.execute(_customers(company.id).limit(MAX_CUSTOMERS + 1)).all()
    locale = str(get_locale() or "en")
    settings = settings_of(company.id)
    return jsonify(
        register={
            "id": row.id,
            "code": row.code,
            "name": row.name,
            "company": company.name,
            "format": paper_of(row),
        },
        user={"id": user.id, "name": user.name, "token": seller_token(user, row)},
        session=_session_data(open_session_of(row.id)),
        currency={
            "code": currency,
            "places": get_currency_precision(currency),
            "symbol": get_currency_symbol(currency, locale=locale),
        },
        propose_mail=settings.propose_mail,
        usual_addresses={
            "domains": USUAL_DOMAINS,
            "endings": USUAL_ENDINGS,
            "true_neighbors": sorted(TRUE_NEIGHBORS),
        },
        products=_product_data(products[:MAX_PRODUCTS], currency),
        more_products=len(products) > MAX_PRODUCTS,
        customers=_customer_data(customers[:MAX_CUSTOMERS], company.id),
        more_customers=len(customers) > MAX_CUSTOMERS,
        methods=[
            {"id": method.id, "name": method.name, "kind": method.kind} for method in methods_of(company.id)
        ],
        cashiers=[{"id": cashier.id, "name": cashier.name} for cashier in cashiers_of(row)],
        csrf=generate_csrf(),
        now=clock.now().isoformat(),
    )


# Of the very many, the columns that a till shows: rows with all that belongs to them cost ten times as much.
def _products(company_id: int) -> Select[*tuple[Any, ...]]:
    return (
        select(
            Product.id,
            Product.code,
            Product.barcode,
            Product.name,
            Product.category,
            Product.unit,
            Product.unit_price,
            Tax.name.label("tax_name"),
            Tax.rate.label("tax_rate"),
        )
        .outerjoin(Tax, Tax.id == Product.tax_id)
        .where(of_company(Product, company_id))
    )


def _customers(company_id: int) -> Select[int, str, str, str, MailConsent]:
    return (
        select(Partner.id, Partner.name, Partner.city, Partner.email, Partner.consent)
        .where(
            Partner.active,
            Partner.parent_id.is_(None),
            reachable(signed_in_user(), company_id=company_id),
        )
        .order_by(Partner.name, Partner.id)
    )


def _product_data(products: Sequence[Any], currency: str) -> list[dict[str, Any]]:
    return [
        {
            "id": row.id,
            "code": row.code,
            "barcode": row.barcode,
            "name": row.name,
            "category": row.category,
            "unit": row.unit,
            "price": str(gross_price(row.unit_price, row.tax_rate, currency)),
            "tax_name": row.tax_name or "",
            "tax_rate": str(row.tax_rate) if row.tax_rate is not None else None,
        }
        for row in products
    ]


def _customer_data(customers: Sequence[Any], company_id: int) -> list[dict[str, Any]]:
    usual = usual_of_all(company_id, customers)
    return [
        {
            "id": row.id,
            "name": row.name,
            "city": row.city,
            "usual": [address.addr_spec for address in (*usual[row.id].people, *usual[row.id].copies)],
            "opted_out": row.consent is MailConsent.NONE,
        }
        for row in customers
    ]


@blueprint.post("/till/<int:register_id>/find")
@requires(queries.USE)
def till_find(register_id: int) -> ResponseReturnValue:
    """Find products or customers that a till does not have at hand: of the very many it got the first only."""
    company = _register(register_id).company
    posted = request.get_json(silent=True)
    posted = posted if isinstance(posted, dict) else {}
    wanted = posted.get("text")
    words = wanted.strip()[:80] if isinstance(wanted, str) else ""
    # PostgreSQL takes no NUL; JSON does not pass where forms are looked through for it.
    if not words or "\0" in words:
        return jsonify([])
    if posted.get("what") == "customers":
        found = db.session.execute(
            _customers(company.id).where(*matching_partners(words, Partner.name)).limit(MAX_FOUND)
        )
        return jsonify(_customer_data(found.all(), company.id))
    products = find_products(company.id, words, MAX_FOUND, over_the_counter=True)
    rows = db.session.execute(
        _products(company.id)
        .where(Product.id.in_([product.id for product in products]))
        .order_by(Product.name, Product.id)
    )
    return jsonify(_product_data(rows.all(), company.currency))


@blueprint.post("/till/<int:register_id>/cashier")
@requires(queries.USE)
def till_cashier(register_id: int) -> ResponseReturnValue:
    """Let somebody take over the till by a PIN; whoever is signed in takes it back in the same way."""
    row, signed_in = _register(register_id), signed_in_user()
    posted = request.get_json(silent=True)
    posted = posted if isinstance(posted, dict) else {}
    user_id, pin = posted.get("user_id"), posted.get("pin")
    try:
        if user_id == signed_in.id and not has_pin(signed_in):
            raise UserError(_l("You have no PIN: choose one, or sign in again to sell in your name."), "pin")
        user, token, wrong = take_over(
            row, user_id if isinstance(user_id, int) else 0, pin if isinstance(pin, str) else ""
        )
    except UserError as error:
        return jsonify(problem=str(error.message)), 422
    if user.id == signed_in.id:
        token = ""
    remember_cashier(row, token)
    words = ngettext(
        "%(num)d wrong PIN was tried in your name since you last took over.",
        "%(num)d wrong PINs were tried in your name since you last took over.",
        wrong,
    )
    return jsonify(id=user.id, name=user.name, token=token, notice=words if wrong else "")


@blueprint.post("/till/<int:register_id>/tickets")
@requires(queries.USE)
def till_ring_up(register_id: int) -> ResponseReturnValue:
    """Write the ticket of a sale, once however often it is posted, and the mail with its receipt."""
    row = _register(register_id)
    posted = request.get_json(silent=True)
    try:
        sale = read_sale(posted)
        assert isinstance(posted, dict)  # noqa: S101 (a sale is one)
        # A sale kept while the server was away is posted by whoever is signed in later; it stays the seller's.
        seller = seller_of(token_of(posted, "seller_token"), row) or signed_in_user()
        taken_over = cashier_of(token_of(posted, "cashier_token"), row, sale.sold_at(clock.now()))
        ticket = ring_up(row, sale, taken_over or seller, signed_in=seller)
    except UserError as error:
        return jsonify(problem=str(error.message)), 422
    return jsonify(_ticket_data(ticket))


def _ticket_data(ticket: Ticket) -> dict[str, Any]:
    document = ticket.document
    return {
        "client_id": ticket.client_id,
        "id": ticket.document_id,
        "number": document.number,
        "total": str(document.total),
        "change": str(ticket.change),
        "url": url_for("pos.ticket", document_id=document.id),
        "pdf": url_for("core.document_pdf", document_id=document.id),
        "session_id": ticket.session_id,
        "mail": str(slot("document.list_status", document=document)),
        "problem": ticket.mail_problem,
        "cashier": ticket.cashier_name,
    }


@blueprint.post("/till/<int:register_id>/states")
@requires(queries.USE)
def till_states(register_id: int) -> ResponseReturnValue:
    """Tell whether the register is open, and what became of the mails of some tickets."""
    row = _register(register_id)
    posted = request.get_json(silent=True)
    asked = posted.get("tickets") if isinstance(posted, dict) else None
    ids = [one for one in asked if isinstance(one, int)][:MAX_ASKED] if isinstance(asked, list) else []
    tickets = list(
        db.session.scalars(
            select(Ticket)
            .join(Document, Document.id == Ticket.document_id)
            # Of this register only: the ids come from the page.
            .where(Ticket.document_id.in_(ids), Ticket.register_id == row.id)
        )
    )
    last = db.session.scalar(
        select(Session)
        .where(Session.register_id == row.id, Session.state == SessionState.CLOSED)
        .order_by(Session.opened_at.desc())
        .limit(1)
    )
    return jsonify(
        session=_session_data(open_session_of(row.id)),
        closed_by=last.closed_by.name if last is not None and last.closed_by is not None else "",
        tickets=[_ticket_data(ticket) for ticket in tickets],
        csrf=generate_csrf(),
    )
