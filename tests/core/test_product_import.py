"""Products from a file: what is read, what would become of each row, what does, and how it is undone."""

from __future__ import annotations

import io
from collections.abc import Callable
from decimal import Decimal

import openpyxl
import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select

from core.auth.models import User
from core.companies.models import Company
from core.db import db
from core.errors import UserError
from core.imports import service
from core.imports.models import Import, ImportRow, ImportState, Undone, Verdict
from core.partners.service import save_partner
from core.products.models import Product
from core.products.service import save_product, save_tax
from modules.sales.service import orders
from modules.sales.service.lines import LineValues

MakeUser = Callable[..., User]
SignIn = Callable[[User], FlaskClient]

FILE = """Référence;Désignation;Prix HT;TVA;Unité;Vendu en caisse
LUM-1;Lampe;1 249,50 €;20;pcs;non
LUM-2;Abat-jour;30;TVA 5,5 %;;
LUM-3;Étude;mille;20;h;
LUM-4;Pose;80;19,6;h;
LUM-1;Lampe bis;1;20;;
;Sans référence;12;;;
"""


@pytest.fixture
def boss(make_user: MakeUser, company: Company) -> User:
    """An administrator of a company that has two taxes, and a lamp that was dearer."""
    for name, rate in (("TVA 20 %", "20"), ("TVA 5,5 %", "5.5")):
        save_tax(None, {"name": name, "rate": Decimal(rate), "company_id": company.id})
    return make_user("administrator", language="fr")


def imported(text: str | bytes, by: User, way: str = "code") -> Import:
    data = text.encode() if isinstance(text, str) else text
    of = service.read_file("products", data, "articles.csv", by, company_id=by.company_id)
    service.check(of, of.mapping, way)
    return of


def rows_of(of: Import) -> list[ImportRow]:
    db.session.expire_all()
    return list(
        db.session.scalars(select(ImportRow).where(ImportRow.import_id == of.id).order_by(ImportRow.id))
    )


def told(of: Import) -> list[tuple[int, str, str]]:
    return [(row.line, row.verdict.value, row.field) for row in rows_of(of)]


@pytest.mark.both_databases
def test_each_row_is_told_what_becomes_of_it_becomes_it_and_is_taken_back(
    boss: User, company: Company
) -> None:
    shade = save_product(
        None, {"code": "LUM-2", "name": "Abat-jour", "unit_price": Decimal(28), "company_id": company.id}
    )
    of = imported(FILE, boss)
    assert told(of) == [
        (2, "new", ""), (3, "changes", ""), (4, "refused", "unit_price"), (5, "refused", "tax"),
        (6, "refused", "code"), (7, "new", ""),
    ]  # fmt: skip
    changed = rows_of(of)[1]
    assert (changed.before["unit_price"], changed.after["unit_price"]) == ("28", "30")
    service.start(of)
    lamp = db.session.scalars(select(Product).where(Product.code == "LUM-1")).one()
    assert (lamp.unit_price, lamp.unit, lamp.over_the_counter) == (Decimal("1249.5"), "pcs", False)
    assert lamp.tax is not None
    assert lamp.tax.rate == 20
    plain = db.session.scalars(select(Product).where(Product.name == "Sans référence")).one()
    assert plain.tax is not None, "what says nothing has the usual tax, or it would be sold without"
    assert {verdict for _line, verdict, _field in told(imported(FILE, boss))} == {"same", "refused"}

    # The lamp is sold, the shade was changed by hand: both are kept when the import is undone, and told.
    sold = LineValues("Lampe", Decimal(1), lamp.unit_price, product_id=lamp.id)
    customer = save_partner(None, {"name": "Dupont & Fils"})
    orders.create_quotation(company, orders.QuotationValues(customer.id, company.today, [sold]), boss)
    save_product(shade, {"unit_price": Decimal(31)})
    service.undo(of)
    assert of.state is ImportState.UNDONE
    undone = {row.line: (row.undone, row.problem != "") for row in rows_of(of) if row.applied}
    assert undone == {2: (Undone.KEPT, True), 3: (Undone.KEPT, True), 7: (Undone.TAKEN_BACK, False)}
    names = db.session.scalars(select(Product.name).order_by(Product.name)).all()
    assert names == ["Abat-jour", "Lampe"]


def test_a_workbook_of_a_former_software_has_its_numbers_whatever_the_language(boss: User) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    for cells in (("Ref", "Libellé", "PU HT", "Taux TVA"), ("A", "Vis", 1.234, 0.055), ("B", "Écrou", 2, 20)):
        sheet.append(cells)
    data = io.BytesIO()
    book.save(data)
    of = imported(data.getvalue(), boss)
    assert [(row.verdict, row.problem) for row in rows_of(of)] == [(Verdict.NEW, "")] * 2
    service.start(of)
    found = {product.code: product for product in db.session.scalars(select(Product))}
    assert found["A"].unit_price in {Decimal("1.234"), Decimal("1.2340")}
    assert [found[code].tax.rate for code in "AB"] == [Decimal("5.5"), Decimal(20)]  # type: ignore[union-attr]


def test_products_are_matched_within_their_company_and_never_doubled(
    boss: User, company: Company, make_user: MakeUser
) -> None:
    save_product(None, {"code": "X", "name": "One", "company_id": company.id})
    with pytest.raises(UserError):
        imported("Name;Price\nOne;5\n", boss)  # no column is the code
    assert told(imported("Name;Price\none;5\nOne;6\n", boss, "name")) == [(2, "new", ""), (3, "changes", "")]
    # By another way to match it would be a second product with one code.
    assert told(imported("Code;Name;Price\nX;Two;5\n", boss, "name")) == [(2, "refused", "code")]
    assert told(imported("Code;Name;Company\nX;One;Nowhere\n", boss)) == [(2, "refused", "company")]
    of = service.read_file("products", b"Code;Name\nX;One\n", "x.csv", boss)
    assert service.import_of(boss, of.id, "partners") is None
    assert service.import_of(make_user("salesperson"), of.id, "products") is None


@pytest.mark.parametrize("form", ["csv", "xlsx"])
def test_what_was_exported_is_imported_as_the_same(
    app: Flask, boss: User, company: Company, sign_in: SignIn, form: str
) -> None:
    tax = save_tax(None, {"name": "TVA 10 %", "rate": Decimal(10), "company_id": company.id})
    save_product(
        None,
        {
            "code": "-1", "name": "=Lampe;\"grande\"", "description": "Deux\nlignes", "unit_price": Decimal("1234.5"),
            "tax_id": tax.id, "company_id": company.id, "category": "Lampes", "barcode": "0123456789012",
        },
    )  # fmt: skip
    save_product(
        None, {"code": "ALL", "name": "Partout", "unit_price": Decimal("0.125"), "over_the_counter": False}
    )
    save_product(None, {"code": "OLD", "name": "Archivé", "active": False, "company_id": company.id})
    client = sign_in(boss)
    with client.get(f"/products/export?form={form}&all=1") as answer:
        assert answer.status_code == 200
        data = answer.data
    of = imported(data, boss)
    assert [(row.verdict, row.problem, row.after) for row in rows_of(of)] == [(Verdict.SAME, "", {})] * 3
    with client.get("/products/export?q=lampe") as answer:
        assert answer.text.count("\n") >= 2
        assert "Partout" not in answer.text
    assert app is not None


def test_the_pages_lead_from_the_file_to_the_products_and_back(
    boss: User, sign_in: SignIn, make_user: MakeUser
) -> None:
    client = sign_in(boss)
    page = client.get("/products/import")
    assert "Importer des articles" in page.text
    upload = {"file": (io.BytesIO(FILE.encode()), "articles.csv"), "company_id": str(boss.company_id)}
    place = client.post("/products/import", data=upload).location
    page = client.get(place)
    assert "Prix HT" in page.text
    columns = ["code", "name", "unit_price", "tax", "unit", "over_the_counter"]
    client.post(f"{place}/check", data={"column": columns, "match_by": "code"})
    page = client.get(place)
    assert "TVA 20" in page.text
    assert "1\N{NARROW NO-BREAK SPACE}249,50" in page.text
    assert client.get(f"{place}/refused.csv").text.count("LUM-") == 3
    client.post(f"{place}/start")
    page = client.get(place)
    assert ">Lampe</a>" in page.text
    client.post(f"{place}/undo")
    assert db.session.scalar(select(Product.id).limit(1)) is None
    assert client.post(f"{place}/check", data={"match_by": "vat"}).status_code == 400
    assert client.get(place.replace("/products/", "/partners/")).status_code == 404
