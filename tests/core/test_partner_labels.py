"""Families, tags, function codes, and which emails somebody wants: kept, shown, filtered, remembered."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text

from core import clock
from core.auth.models import User
from core.companies.models import Company
from core.db import db
from core.errors import UserError
from core.partners.history import last_changes
from core.partners.labels import LabelKind, PartnerLabel, labels_of, save_label
from core.partners.models import MailConsent, Partner
from core.partners.service import save_contact, save_partner
from core.vat import checked_vat

MakeUser = Callable[..., User]
SignIn = Callable[[User], FlaskClient]


@pytest.fixture
def kestrel(company: Company) -> Partner:
    return save_partner(
        None,
        {"name": "Kestrel Ltd", "email": "office@kestrel.example.com", "language": "en", "country": "GB"},
    )


@pytest.fixture
def seller(make_user: MakeUser, sign_in: SignIn) -> FlaskClient:
    return sign_in(make_user("salesperson", name="Sophie Bernard"))


@pytest.fixture
def administrator(make_user: MakeUser, sign_in: SignIn) -> FlaskClient:
    return sign_in(make_user("administrator"))


def label(kind: LabelKind, name: str, code: str = "", **values: object) -> PartnerLabel:
    return save_label(None, kind, {"name": name, "code": code, **values})


# ------------------------------------------------------------------------------------------------------- the lists


@pytest.mark.both_databases
def test_a_list_names_everything_once_in_whatever_case(app: Flask) -> None:
    label(LabelKind.FAMILY, "Wholesale")
    label(LabelKind.TAG, "Wholesale")  # another list
    label(LabelKind.FUNCTION, "Invoices", " fact ")
    with pytest.raises(UserError, match="WHOLESALE is in the list already"):
        label(LabelKind.FAMILY, "WHOLESALE")
    with pytest.raises(UserError, match="FACT is in the list already"):
        label(LabelKind.FUNCTION, "Bills", "Fact")
    with pytest.raises(UserError, match="code is needed"):
        label(LabelKind.FUNCTION, "Bills")
    with pytest.raises(UserError, match="name is needed"):
        label(LabelKind.TAG, "  ")
    assert [row.title for row in labels_of(LabelKind.FUNCTION)] == ["FACT – Invoices"]


def test_an_administrator_keeps_the_lists(administrator: FlaskClient, seller: FlaskClient) -> None:
    assert seller.get("/partner-labels").status_code == 403
    assert administrator.post(
        "/partner-labels/new?of=function",
        data={"name": "Factures", "code": "fact", "document_kinds": ["sales.invoice"], "active": "y"},
    ).location.endswith("/partner-labels")
    assert administrator.post(
        "/partner-labels/new?of=tag", data={"name": "Salon", "color": "blue", "active": "y"}
    )
    page = administrator.get("/partner-labels").text
    assert "FACT – Factures" in page
    assert 'class="tag tag-blue">Salon' in page
    assert "Invoice" in page, "what the code is limited to"
    (tag,) = labels_of(LabelKind.TAG)
    administrator.post(f"/partner-labels/{tag.id}", data={"name": "Salon 2026", "color": "puce"})
    db.session.expire_all()
    assert tag.name == "Salon", "a color that is none changes nothing"
    administrator.post(f"/partner-labels/{tag.id}", data={"name": "Salon 2026", "color": "green"})
    db.session.expire_all()
    assert (tag.name, tag.active) == ("Salon 2026", False)
    assert labels_of(LabelKind.TAG) == []
    assert labels_of(LabelKind.TAG, keep=[tag]) == [tag]


# ------------------------------------------------------------------------------------------------------ customers


def test_a_customer_has_a_family_and_tags_and_is_found_by_them(seller: FlaskClient, kestrel: Partner) -> None:
    family, other = label(LabelKind.FAMILY, "Wholesale"), label(LabelKind.FAMILY, "Private")
    tag, code = label(LabelKind.TAG, "VIP", color="amber"), label(LabelKind.FUNCTION, "Invoices", "FACT")
    anna = save_contact(kestrel, "Anna", "anna@kestrel.example.com")
    save_partner(None, {"name": "Dupont", "country": "FR"})
    form = {"name": "Kestrel Ltd", "language": "en", "country": "GB", "active": "y", "email": kestrel.email}
    changed = {**form, "number": "C-17", "family_id": family.id, "tags": [tag.id], "vat": "GB 980 7806 84"}
    assert seller.post(f"/partners/{kestrel.id}/edit", data=changed).status_code == 302
    contact = {**form, "name": "Anna", "functions": [code.id], "type": "billing"}
    assert seller.post(f"/partners/{anna.id}/edit", data=contact).status_code == 302
    db.session.expire_all()
    assert (kestrel.number, kestrel.family, kestrel.labels, kestrel.vat) == (
        "C-17",
        family,
        [tag],
        "GB980780684",
    )
    assert anna.labels == [code]
    page = seller.get(f"/partners/{kestrel.id}").text + seller.get("/partners").text
    for shown in ("C-17", "Wholesale", "tag-amber", "United Kingdom", "English", "FACT"):
        assert shown in page
    for found in (
        f"family={family.id}",
        f"tag={tag.id}",
        f"function={code.id}",
        "country=GB",
        "language=en",
        "q=c-17",
    ):
        listed = seller.get(f"/partners?f=customers&{found}").text
        assert "Kestrel Ltd" in listed, found
        assert "Dupont" not in listed
    for lost in (f"family={other.id}", "country=FR", "consent=promotional", "q=c-18"):
        assert "Kestrel Ltd" not in seller.get(f"/partners?f=customers&{lost}").text, lost
    for nonsense in ("family=x", "family=" + "9" * 40, "country=ZZ", "consent=all", "tag=٣"):
        assert "Kestrel Ltd" in seller.get(f"/partners?f=customers&{nonsense}").text


def test_what_is_no_country_language_family_or_label_is_refused(
    seller: FlaskClient, kestrel: Partner
) -> None:
    code = label(LabelKind.FUNCTION, "Invoices", "FACT")
    form = {"name": "Kestrel Ltd", "language": "en", "country": "GB", "active": "y"}
    for wrong in (
        {"country": "ZZ"}, {"country": "Fr"}, {"country": "France"}, {"language": "xx"}, {"family_id": "99"},
        {"tags": [code.id]}, {"tags": ["x"]}, {"consent": "all"}, {"vat": "not a vat"},
    ):  # fmt: skip
        answer = seller.post(f"/partners/{kestrel.id}/edit", data={**form, **wrong})
        assert answer.status_code == 200, wrong
    db.session.expire_all()
    assert (kestrel.country, kestrel.language, kestrel.labels, kestrel.vat) == ("GB", "en", [], "")
    for values, column in (({"country": "Fr"}, "country"), ({"language": "de"}, "language")):
        with pytest.raises(UserError) as refused:
            save_partner(kestrel, values)
        assert refused.value.field == column


def test_an_old_row_is_saved_with_what_it_has(kestrel: Partner) -> None:
    db.session.execute(text("UPDATE core_partner SET vat = 'not a vat', country = 'ZZ'"))
    db.session.commit()
    save_partner(kestrel, {"vat": "not a vat", "country": "ZZ", "city": "Leeds"})
    assert kestrel.city == "Leeds"


@pytest.mark.parametrize(
    ("typed", "country", "stored"),
    [
        ("", "FR", ""),
        ("FR40 303 265 045", "FR", "FR40303265045"),
        ("fr40.303.265.045", "GB", "FR40303265045"),
        ("40303265045", "FR", "FR40303265045"),
        ("40303265045", "RE", "FR40303265045"),
        ("123456783", "GR", "EL123456783"),
        ("980 7806 84", "GB", "GB980780684"),
        ("GB 980 7806 84", "IM", "GB980780684"),
        ("CHE-107.787.577 IVA", "CH", "CHE107787577IVA"),
        ("NO 995 525 828 MVA", "NO", "NO995525828MVA"),
        ("12-3456789", "US", "123456789"),
    ],
)
def test_a_vat_number_is_written_in_one_way(typed: str, country: str, stored: str) -> None:
    assert checked_vat(typed, country) == stored


@pytest.mark.parametrize(
    ("typed", "country", "sentence"),
    [
        ("not a vat", "FR", "not a VAT number"),
        ("not a vat", "US", "not a VAT number"),
        ("---", "FR", "not a VAT number"),
        ("FR40 303 265 046", "FR", "check digits"),
        ("FR40 303 265", "FR", "too few or too many"),
        ("DE40303265045", "FR", "too few or too many"),
        ("GB 123 4567 89", "GB", "check digits"),
        ("\N{ARABIC-INDIC DIGIT ONE}23", "US", "not a VAT number"),
    ],
)
def test_what_cannot_be_a_vat_number_is_told_why(app: Flask, typed: str, country: str, sentence: str) -> None:
    with app.test_request_context(), pytest.raises(UserError, match=sentence) as refused:
        checked_vat(typed, country)
    assert refused.value.field == "vat"


# --------------------------------------------------------------------------------------------------------- consent


@pytest.mark.both_databases
def test_an_opt_in_has_its_day_its_source_and_its_history(
    kestrel: Partner, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UserError, match="how the consent was given"):
        save_partner(kestrel, {"consent": "promotional"})
    first = dt.datetime(2026, 3, 1, 9, tzinfo=dt.UTC)
    monkeypatch.setattr(clock, "now", lambda: first)
    save_partner(kestrel, {"consent": "promotional", "consent_source": "trade fair"})
    monkeypatch.setattr(clock, "now", lambda: first + dt.timedelta(days=9))
    save_partner(kestrel, {"consent": "promotional", "city": "Leeds"})
    assert (kestrel.consent, kestrel.consent_at) == (MailConsent.PROMOTIONAL, first)
    save_partner(kestrel, {"consent": "none", "consent_source": "by telephone"})
    assert kestrel.consent_at == kestrel.opted_out_at == first + dt.timedelta(days=9)
    told = [(row.before, row.after, row.source) for row in last_changes(kestrel) if row.kind == "consent"]
    assert told == [("promotional", "none", "by telephone"), ("necessary", "promotional", "trade fair")]
    with pytest.raises(UserError, match="not come yet"):
        save_partner(kestrel, {"consent": "none", "consent_at": first + dt.timedelta(days=99)})


def test_the_form_takes_the_day_of_a_consent(seller: FlaskClient, kestrel: Partner) -> None:
    form = {"name": "Kestrel Ltd", "language": "en", "country": "GB", "active": "y"}
    opted_in = {**form, "consent": "promotional", "consent_at": "2026-03-01", "consent_source": "web form"}
    missing = seller.post(f"/partners/{kestrel.id}/edit", data={**opted_in, "consent_source": " "})
    assert "Say how the consent was given" in missing.text
    assert seller.post(f"/partners/{kestrel.id}/edit", data=opted_in).status_code == 302
    db.session.expire_all()
    assert kestrel.consent_at == dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
    page = seller.get(f"/partners/{kestrel.id}").text
    assert "Also promotional emails" in page
    assert "web form" in page
    assert (
        seller.post(f"/partners/{kestrel.id}/edit", data={**opted_in, "consent": "none"}).status_code == 302
    )
    db.session.expire_all()
    assert kestrel.consent_at is not None
    assert kestrel.consent_at > dt.datetime(2026, 3, 1, tzinfo=dt.UTC), "the day was that of the former wish"


# ------------------------------------------------------------------------------------------------------- the costs


@pytest.mark.both_databases
def test_filters_walk_their_index(app: Flask, backend: str) -> None:
    if backend == "postgresql":
        db.session.execute(text("SET enable_seqscan = off"))
        db.session.execute(text("SET enable_sort = off"))
    explain = "EXPLAIN QUERY PLAN" if backend == "sqlite" else "EXPLAIN"
    for column, value in (
        ("family_id", "1"),
        ("country", "'FR'"),
        ("language", "'fr'"),
        ("consent", "'none'"),
    ):
        query = f"SELECT id FROM core_partner WHERE {column} = {value} ORDER BY name, id LIMIT 41"  # noqa: S608
        plan = " ".join(str(row) for row in db.session.execute(text(f"{explain} {query}")))
        assert f"ix_core_partner_{column}_name_id" in plan
        assert "TEMP B-TREE" not in plan
