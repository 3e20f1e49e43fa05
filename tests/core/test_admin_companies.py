"""The pages that administrators manage companies with, and the page of the modules."""

from __future__ import annotations

import io

import pytest
from flask import Flask
from flask.testing import FlaskClient
from PIL import Image
from sqlalchemy import select

from core.companies.models import Company
from core.db import db
from tests.playground.isolated import SignIn


@pytest.fixture
def admin(browser: SignIn) -> FlaskClient:
    return browser("administrator")


def values(**changes: object) -> dict[str, object]:
    return {
        "name": "Nord & Sud",
        "street": "1 rue du Port",
        "zip_code": "45000",
        "city": "Orléans",
        "country": "FR",
        "email": "ventes@nord.example",
        "currency": "EUR",
        "language": "fr",
        "accent": "#aa2255",
        "legal_line": "SARL au capital de 1 000 €",
        "bank_line": "IBAN FR76",
        "active": "y",
        **changes,
    }


def picture(kind: str = "PNG") -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (900, 300), "navy").save(out, kind)
    return out.getvalue()


def upload(data: bytes, name: str = "logo.png") -> tuple[io.BytesIO, str]:
    return io.BytesIO(data), name


def company(bare_app: Flask) -> Company | None:
    with bare_app.app_context():
        row = db.session.scalar(select(Company))
        if row is not None:
            db.session.expunge(row)
        return row


@pytest.mark.parametrize("url", ["/companies", "/companies/new", "/companies/1", "/companies/1/logo"])
@pytest.mark.parametrize("role", ["salesperson", "support"])
def test_only_administrators_manage_companies(browser: SignIn, role: str, url: str) -> None:
    assert browser(role).get(url).status_code == 403


def test_the_empty_list_says_what_companies_are_for(admin: FlaskClient) -> None:
    assert "Documents are made in the name of a company." in admin.get("/companies").text


def test_a_company_is_made_with_every_column(bare_app: Flask, admin: FlaskClient) -> None:
    assert admin.post("/companies/new", data=values(logo=upload(picture()))).status_code == 302
    row = company(bare_app)
    assert row is not None
    assert (row.name, row.city, row.accent, row.email) == (
        "Nord & Sud",
        "Orléans",
        "#aa2255",
        "ventes@nord.example",
    )
    assert row.logo is not None
    assert row.logo.startswith(b"\x89PNG")
    assert "Nord &amp; Sud" in admin.get("/companies").text


def test_every_column_is_on_the_form(admin: FlaskClient) -> None:
    page = admin.get("/companies/new").text
    for column in Company.__table__.columns:
        assert column.name == "id" or f'name="{column.name}"' in page
    assert 'type="color"' in page


@pytest.mark.parametrize(
    ("changes", "field", "sentence"),
    [
        ({"name": ""}, "name", "This field is required."),
        ({"email": "nobody"}, "email", "is not a valid email address"),
        ({"country": "XX"}, "country", "Not a valid choice"),
        ({"vat": "not a vat"}, "vat", "not a VAT number"),
        ({"vat": "FR40303265046"}, "vat", "check digits"),
        ({"currency": "DEM"}, "currency", "Not a valid choice"),
        ({"accent": "red"}, "accent", "#rrggbb"),
        ({"accent": "#12345\n"}, "accent", "#rrggbb"),
        ({"legal_line": "x" * 1001}, "legal_line", "At most 1000 characters."),
        ({"logo": b"<svg/>"}, "logo", "must be a PNG"),
        ({"logo": b""}, "logo", "must be a PNG"),
        ({"logo": picture()[:200]}, "logo", "must be a PNG"),
        ({"logo": b"\x89PNG\r\n\x1a\n" + b"\x00" * 100}, "logo", "must be a PNG"),
    ],
)
def test_bad_input_is_told_beside_its_field_and_kept(
    bare_app: Flask, admin: FlaskClient, changes: dict[str, object], field: str, sentence: str
) -> None:
    if isinstance(changes.get("logo"), bytes):
        changes = {"logo": upload(changes["logo"])}  # type: ignore[arg-type]
    page = admin.post("/companies/new", data=values(**changes)).text
    assert sentence in page.split(f'id="{field}-errors"', 1)[1].split("</div>", 1)[0]
    assert "1 rue du Port" in page
    assert company(bare_app) is None


def test_a_logo_that_is_too_large_is_refused(
    bare_app: Flask, admin: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A real one would leave a temporary file of the test client open, which pytest complains about.
    for place in ("core.companies.service.MAX_LOGO_BYTES", "core.views.companies.MAX_LOGO_BYTES"):
        monkeypatch.setattr(place, 100)
    page = admin.post("/companies/new", data=values(logo=upload(picture()))).text
    assert "The logo is larger than 2 MB." in page
    assert company(bare_app) is None


def test_a_name_is_taken_once(admin: FlaskClient) -> None:
    admin.post("/companies/new", data=values())
    page = admin.post("/companies/new", data=values(city="Typed")).text
    assert "Another company has this name." in page.split('id="name-errors"', 1)[1][:200]
    assert 'value="Typed"' in page


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP"])
def test_the_logo_is_shown_kept_replaced_and_removed(bare_app: Flask, admin: FlaskClient, kind: str) -> None:
    admin.post("/companies/new", data=values(logo=upload(picture(kind))))
    first = company(bare_app)
    assert first is not None
    response = admin.get(f"/companies/{first.id}/logo")
    assert response.mimetype == "image/png"
    assert response.data == first.logo
    page = admin.get(f"/companies/{first.id}").text
    assert f"/companies/{first.id}/logo?v=" in page
    admin.post(f"/companies/{first.id}", data=values(city="Tours"))
    kept = company(bare_app)
    assert kept is not None
    assert (kept.city, kept.logo) == ("Tours", first.logo)
    admin.post(f"/companies/{first.id}", data=values(remove_logo="y"))
    removed = company(bare_app)
    assert removed is not None
    assert removed.logo is None
    assert admin.get(f"/companies/{first.id}/logo").status_code == 404
    assert "remove_logo" not in admin.get(f"/companies/{first.id}").text


def test_a_wrong_logo_keeps_the_present_one(bare_app: Flask, admin: FlaskClient) -> None:
    admin.post("/companies/new", data=values(logo=upload(picture())))
    before = company(bare_app)
    assert before is not None
    page = admin.post(f"/companies/{before.id}", data=values(logo=upload(b"no"), city="Typed")).text
    assert "must be a PNG" in page
    assert "/logo?v=" in page
    after = company(bare_app)
    assert after is not None
    assert (after.logo, after.city) == (before.logo, "Orléans")


def test_an_archived_company_is_filtered_away(bare_app: Flask, admin: FlaskClient) -> None:
    admin.post("/companies/new", data={k: v for k, v in values().items() if k != "active"})
    assert "Orléans" not in admin.get("/companies").text
    assert "Orléans" in admin.get("/companies?f=archived").text


def test_the_modules_page_is_technical_and_tells_what_is_enabled(admin: FlaskClient, browser: SignIn) -> None:
    page = admin.get("/modules").text
    for told in ("core_company", "core.user.edit", "modules.playground", "Installed but not enabled"):
        assert told in page
    assert "modules.sales:module" in page.split("Installed but not enabled", 1)[1]
    assert browser("support").get("/modules").status_code == 403
