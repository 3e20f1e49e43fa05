"""Customers from a file: what is read, what would become of each row, what does, and how it is undone."""

from __future__ import annotations

import datetime as dt
import html
import io
from collections.abc import Callable

import openpyxl
import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select

from core.auth.models import User
from core.companies.models import Company
from core.db import db, transaction
from core.documents.service import create_document
from core.errors import UserError
from core.imports import service
from core.imports.models import Import, ImportRow, ImportState, Undone, Verdict
from core.imports.reading import read_sheet
from core.imports.subject import guess, subject_of
from core.live.states import outdated, topic_of
from core.partners.history import forget_address, last_changes
from core.partners.imports.columns import COLUMNS
from core.partners.imports.judging import MatchBy
from core.partners.labels import LabelKind, save_label
from core.partners.models import MailConsent, Partner, PartnerType
from core.partners.service import save_partner

MakeUser = Callable[..., User]
SignIn = Callable[[User], FlaskClient]

HEAD = "Numéro client;Nom;E-mail;Ville;Pays;N° TVA;Étiquettes;Opt-in"
FILE = f"""{HEAD}
C-1;Dupont & Fils;contact@dupont.example.com;Paris;France;FR40 303 265 045;VIP, Salon;oui
C-2;Kestrel Ltd;office@kestrel.example.com;Leeds;Royaume-Uni;;;
C-3;"Lefèvre; père";;Bordeaux;FR;not a vat;;
;Sans numéro;nobody@example.com;Lille;Atlantis;;;
C-1;Dupont bis;bis@example.com;Paris;FR;;;
"""


@pytest.fixture
def seller(make_user: MakeUser) -> User:
    return make_user("salesperson", name="Sophie Bernard")


def rows_of(of: Import) -> list[ImportRow]:
    db.session.expire_all()
    return list(
        db.session.scalars(select(ImportRow).where(ImportRow.import_id == of.id).order_by(ImportRow.id))
    )


def told(of: Import) -> list[tuple[int, str, str]]:
    return [(row.line, row.verdict.value, row.field) for row in rows_of(of)]


def imported(text: str | bytes, by: User, *, match_by: MatchBy = MatchBy.NUMBER, **how: bool) -> Import:
    data = text.encode() if isinstance(text, str) else text
    of = service.read_file("partners", data, "customers.csv", by)
    service.check(of, of.mapping, match_by, **how)
    return of


# --------------------------------------------------------------------------------------------------------- reading


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("delimiter", [";", ",", "\t"])
def test_encodings_and_separators_are_recognized(encoding: str, delimiter: str) -> None:
    lines = [["Nom", "Ville", "Rue"], ["Lefèvre; père", "Saint-Étienne", "1, rue\nNeuve"], ["Ça", "", '"x"']]
    text = "\r\n".join(
        delimiter.join('"' + cell.replace('"', '""') + '"' for cell in cells) for cells in lines
    )
    sheet = read_sheet(text.encode(encoding))
    assert list(sheet.header) == lines[0]
    assert [cells for _line, cells in sheet.rows] == lines[1:]
    assert [line for line, _cells in sheet.rows] == [2, 4], "the lines of the file"


def test_a_workbook_is_read_as_what_people_see() -> None:
    book = openpyxl.Workbook()
    for cells in (["Nom", "CP", "Depuis"], [], ["=1+1", 75001, None], ["Été", 1000.5, True]):
        book.active.append(cells)
    book.active["C3"] = __import__("datetime").datetime(2026, 3, 1)
    file = io.BytesIO()
    book.save(file)
    sheet = read_sheet(file.getvalue())
    # What a formula comes to was never computed here: it is nothing, and never its text.
    assert [cells for _line, cells in sheet.rows] == [["", "75001", "2026-03-01"], ["Été", "1000.5", "1"]]


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "is empty"),
        (b"  \r\n ", "is empty"),
        (b"Name;City\n", "no rows below"),
        (b"\xd0\xcf\x11\xe0rest", "old Excel"),
        (b"PK\x03\x04rest", "cannot be read"),
        (b"%PDF-1.7\n\0\0\0\0\x01\x02\x03\x04\x05\x06\x07\x0e", "neither a CSV"),
        (b'Name;City\n"Dupont;Paris\nKestrel;Leeds\n', "Line 2 cannot be read"),
        (b"Name;City\nDupont;Paris;more\n", "Line 2 has more cells"),
        (b"Name;City\n" + b"x" * 3000 + b";Paris\n", "more than 2,000 characters"),
        (b"\xff\xfeN\0a\0m", "damaged"),
    ],
)
def test_what_is_no_table_is_told(app: Flask, data: bytes, sentence: str) -> None:
    with app.test_request_context(), pytest.raises(UserError, match=sentence) as refused:
        read_sheet(data)
    assert refused.value.field == "file"


def test_columns_are_guessed_in_both_languages(app: Flask) -> None:
    with app.test_request_context():
        head = [
            "Numéro client",
            "RAISON SOCIALE",
            "E‑mail",
            "Code postal",
            "n° tva",
            "Truc",
            "Ville",
            "Ville",
        ]
        assert guess(subject_of("partners"), head) == [
            "number", "name", "email", "zip_code", "vat", "", "city", "",
        ]  # fmt: skip
        assert guess(subject_of("partners"), ["Customer no.", "Name", "Customer", "E-mail address", "Postcode"]) == [
            "", "name", "parent", "email", "zip_code",
        ]  # fmt: skip
        assert guess(subject_of("partners"), [column.name for column in COLUMNS]) == [
            column.name for column in COLUMNS
        ]


# -------------------------------------------------------------------------------------------- comparing, importing


@pytest.mark.both_databases
def test_each_row_is_told_what_becomes_of_it_and_becomes_it(seller: User) -> None:
    vip = save_label(None, LabelKind.TAG, {"name": "VIP"})
    save_label(None, LabelKind.TAG, {"name": "Salon"})
    kestrel = save_partner(None, {"name": "Kestrel Ltd", "number": "C-2", "country": "GB", "city": "York"})
    of = imported(FILE, seller)
    assert of.state is ImportState.CHECKED
    assert told(of) == [
        (2, "new", ""), (3, "changes", ""), (4, "refused", "vat"), (5, "refused", "country"), (6, "refused", "number"),
    ]  # fmt: skip
    assert rows_of(of)[1].before == {"email": "", "city": "York"}
    assert rows_of(of)[1].after == {"email": "office@kestrel.example.com", "city": "Leeds"}
    assert "Line 2 is about the same" in rows_of(of)[4].problem
    assert db.session.scalar(select(func.count(Partner.id))) == 1, (
        "nothing is imported before somebody says so"
    )
    service.start(of)
    assert of.state is ImportState.DONE
    dupont = db.session.scalars(select(Partner).where(Partner.number == "C-1")).one()
    assert (dupont.name, dupont.vat, dupont.country, len(dupont.labels)) == (
        "Dupont & Fils", "FR40303265045", "FR", 2,
    )  # fmt: skip
    assert vip in dupont.labels
    assert (dupont.consent, dupont.consent_source) == (MailConsent.PROMOTIONAL, "customers.csv")
    assert (kestrel.city, kestrel.email) == ("Leeds", "office@kestrel.example.com")
    assert {change.by_user for change in last_changes(kestrel)} == {seller}, "who has imported it"
    again = imported(FILE, seller)
    assert [verdict for _line, verdict, _field in told(again)] == [
        "same",
        "same",
        "refused",
        "refused",
        "refused",
    ]


def test_contacts_find_their_customer_also_further_up_in_the_file(seller: User) -> None:
    text = (
        "Contact of,Kind,Name,Email,Function codes\n"
        ",Customer,Kestrel Ltd,office@kestrel.example.com,\n"
        "Kestrel Ltd,Billing contact,Anna,anna@kestrel.example.com,FACT\n"
        "Nobody,Contact,Bob,bob@example.com,\n"
        ",Contact,Carl,carl@example.com,\n"
        "Kestrel Ltd,Customer,Dora,dora@example.com,\n"
    )
    of = imported(text, seller, match_by=MatchBy.EMAIL)
    assert told(of)[1] == (3, "refused", "functions")
    save_label(None, LabelKind.FUNCTION, {"name": "Invoices", "code": "FACT"})
    service.back_to_columns(of)
    service.check(of, of.mapping, MatchBy.EMAIL)
    assert told(of) == [
        (2, "new", ""), (3, "new", ""), (4, "refused", "parent"), (5, "refused", "type"), (6, "refused", "type"),
    ]  # fmt: skip
    service.start(of)
    anna = db.session.scalars(select(Partner).where(Partner.name == "Anna")).one()
    assert anna.parent is not None
    assert (anna.parent.name, anna.type, anna.labels[0].code) == ("Kestrel Ltd", PartnerType.BILLING, "FACT")
    assert [verdict for _line, verdict, _field in told(imported(text, seller, match_by=MatchBy.EMAIL))][
        :2
    ] == ["same"] * 2


def test_lists_are_filled_only_by_whom_keeps_them(seller: User, make_user: MakeUser) -> None:
    text = "Name;Email;Family;Tags\nA;a@example.com;Wholesale;VIP\nB;b@example.com;wholesale;vip\n"
    assert told(imported(text, seller, match_by=MatchBy.EMAIL, make_labels=True))[0][1:] == (
        "refused",
        "family",
    )
    of = imported(text, make_user("administrator"), match_by=MatchBy.EMAIL, make_labels=True)
    assert rows_of(of)[0].after["new_labels"] == ["Wholesale", "VIP"]
    service.start(of)
    one, two = (db.session.get(Partner, row.partner_id) for row in rows_of(of))
    assert one is not None
    assert two is not None
    assert (one.family, one.labels) == (two.family, two.labels)
    assert one.family is not None


def test_a_file_never_takes_back_an_opt_out(seller: User) -> None:
    out = save_partner(None, {"name": "Out", "email": "out@example.com", "consent": "none"})
    of = imported("Email;Opt-in\nout@example.com;yes\n", seller, match_by=MatchBy.EMAIL)
    assert told(of) == [(2, "refused", "consent")]
    service.start(of)
    assert out.consent is MailConsent.NONE


@pytest.mark.parametrize(
    ("file_says", "becomes"),
    [("yes;", "necessary"), ("yes;2026-01-05", "necessary"), ("yes;2026-03-05", "promotional")],
)
def test_a_file_takes_back_an_opt_out_of_promotions_only_by_a_later_day(
    seller: User, file_says: str, becomes: str
) -> None:
    said = dt.datetime(2026, 2, 1, 9, tzinfo=dt.UTC)
    values = {"name": "Out", "email": "out@example.com", "consent": "necessary", "consent_at": said}
    out = save_partner(None, values)
    of = imported(f"Email;Opt-in;Opt-in date\nout@example.com;{file_says}\n", seller, match_by=MatchBy.EMAIL)
    service.start(of)
    db.session.expire_all()
    assert out.consent == becomes


@pytest.mark.parametrize("way", list(MatchBy))
def test_rows_are_matched_as_somebody_chooses(seller: User, way: MatchBy) -> None:
    old = save_partner(
        None, {"name": "Dupont", "number": "C-1", "email": "A@Example.com", "vat": "FR40303265045"}
    )
    with transaction():
        old.vat = "FR 40 303 265 045"  # as it was written before anybody looked
    of = imported("No;Mail;TVA;Nom\nC-1;a@example.com;fr40.303.265.045;Dupond\n", seller, match_by=way)
    (row,) = rows_of(of)
    assert (row.verdict, row.partner_id) == (Verdict.CHANGES, old.id)
    assert row.after["name"] == "Dupond"
    save_partner(None, {"name": "Twin", "number": "C-1", "email": "a@example.com", "vat": "FR40303265045"})
    assert told(imported("No;Mail;TVA;Nom\nC-1;a@example.com;FR40303265045;X\n", seller, match_by=way)) == [
        (2, "refused", way.value)
    ]


def test_what_columns_are_is_remembered_for_such_a_file(seller: User) -> None:
    text = "A;B;C\nDupont;d@example.com;Paris\n"
    of = service.read_file("partners", text.encode(), "a.csv", seller)
    assert of.mapping == ["", "", ""]
    for wrong in (["name", "name", ""], ["name", "email"], ["name", "nonsense", ""], ["name", "", "city"]):
        with pytest.raises(UserError):
            service.check(of, wrong, MatchBy.EMAIL)
    service.check(of, ["name", "email", ""], MatchBy.EMAIL)
    assert service.read_file("partners", text.encode(), "b.csv", seller).mapping == ["name", "email", ""]


# ------------------------------------------------------------------------------------------------------------- undo


@pytest.mark.both_databases
def test_an_import_is_undone_but_for_what_was_changed_or_used_since(seller: User, company: Company) -> None:
    kept, changed = (
        save_partner(None, {"name": name, "number": name, "city": "York", "consent": "none"})
        for name in ("K1", "K2")
    )
    since = kept.consent_at
    text = (
        "Number;Name;City\nK1;K1 Ltd;Leeds\nK2;K2 Ltd;Leeds\nN1;New;Lille\nN2;Used;Lille\nN3;Edited;Lille\n"
    )
    of = imported(text, seller)
    service.start(of)
    new = {row.number: db.session.get(Partner, row.partner_id or 0) for row in rows_of(of)}
    save_partner(changed, {"city": "Hull"})
    save_partner(new["N3"], {"phone": "1"})
    save_partner(new["N3"], {"city": "Lens"})
    with transaction():
        create_document(
            "sales.quotation",
            company_id=company.id,
            partner_id=new["N2"].id,
            owner=seller,
            language="fr",
            currency="EUR",
        )
    service.undo(of)
    assert of.state is ImportState.UNDONE
    assert [row.undone for row in rows_of(of)] == [
        Undone.TAKEN_BACK, Undone.KEPT, Undone.TAKEN_BACK, Undone.KEPT, Undone.KEPT,
    ]  # fmt: skip
    assert (kept.name, kept.city, kept.consent_at) == ("K1", "York", since)
    assert (changed.name, changed.city) == ("K2 Ltd", "Hull")
    assert set(db.session.scalars(select(Partner.name).where(Partner.number.startswith("N")))) == {
        "Used",
        "Edited",
    }
    assert "Used since" in rows_of(of)[3].problem
    with pytest.raises(UserError):
        service.undo(of)


@pytest.mark.both_databases
def test_an_address_that_is_forgotten_leaves_the_rows_of_imports(seller: User) -> None:
    of = imported(
        "Name;Email\nA;Jean.Dé@example.com\nB;b_x@example.com\nC;byx@example.com\n",
        seller,
        match_by=MatchBy.EMAIL,
    )
    with transaction():
        forget_address("jean.dé@EXAMPLE.com".replace("jean.d", "Jean.D"))
        forget_address("b_x@example.com")
    assert [row.cells[0] for row in rows_of(of)] == ["C"]


# ------------------------------------------------------------------------------------------------------------ pages


def upload(client: FlaskClient, text: str, name: str = "customers.csv") -> str:
    answer = client.post("/partners/import", data={"file": (io.BytesIO(text.encode()), name), "reach": "all"})
    assert answer.status_code == 302, answer.text
    return str(answer.location)


@pytest.mark.parametrize(("city", "rows"), [("Lyon", 1), ("", 0)])
def test_what_would_be_imported_is_offered_and_nothing_else(
    seller: User, sign_in: SignIn, city: str, rows: int
) -> None:
    save_partner(None, {"name": "Moulin", "email": "moulin@example.com", "language": "fr"})
    client = sign_in(seller)
    page = upload(client, f"Name;Email;City\nMoulin;moulin@example.com;{city}\n")
    columns = {"column": ["name", "email", "city"], "match_by": "email"}
    shown = client.post(f"{page}/check", data=columns, follow_redirects=True).text
    assert ("Import 1 row?" in shown, f'action="{page}/start"' in shown) == (rows == 1,) * 2
    assert ("there is nothing to import" in shown) == (rows == 0)


def test_the_pages_lead_through_an_import(seller: User, make_user: MakeUser, sign_in: SignIn) -> None:
    client = sign_in(seller)
    assert "Choose a file" in client.post("/partners/import", data={"reach": "all"}).text
    wrong = client.post("/partners/import", data={"file": (io.BytesIO(b""), "x.csv"), "reach": "all"})
    assert "The file is empty" in wrong.text
    page = upload(client, FILE)
    shown = client.get(page).text
    assert "CSV, UTF-8, ;" in shown
    assert '<option value="number" selected>' in shown.replace("\n", " ").replace("  ", " ")
    columns = ["number", "name", "email", "city", "country", "", "", ""]
    answer = client.post(
        f"{page}/check", data={"column": columns, "match_by": "number"}, follow_redirects=True
    )
    assert "There is no such country" in answer.text
    assert "Line 2 is about the same" in answer.text
    assert (
        "Dupont" not in client.get(f"{page}?verdict=refused").text.split("<tbody>")[1].split("Dupont bis")[0]
    )
    assert "Imported" in client.post(f"{page}/start", follow_redirects=True).text
    with client.get(f"{page}/refused.csv") as answer:
        refused = answer.text
    assert "Dupont bis" in refused
    assert "Why not" in refused
    assert "Undone" in client.post(f"{page}/undo", follow_redirects=True).text
    assert client.get(f"{page}/progress").headers["HX-Trigger"] == "page-anew"
    other = sign_in(make_user("salesperson", login="other@maison.example.com"))
    for path in (page, f"{page}/refused.csv", f"{page}/progress"):
        assert other.get(path).status_code == 404, "somebody else's"
    for verb in ("check", "start", "undo", "discard", "columns"):
        assert other.post(f"{page}/{verb}", data={"match_by": "number"}).status_code == 404
    again = upload(client, FILE)
    assert "nothing was imported" in client.post(f"{again}/discard", follow_redirects=True).text
    assert client.get(again).status_code == 404
    cashier = sign_in(make_user("cashier"))
    assert cashier.get("/partners/import").status_code == 403


def test_an_open_page_follows_an_import_that_a_worker_does(
    seller: User, sign_in: SignIn, monkeypatch
) -> None:
    monkeypatch.setattr(service, "AT_ONCE", 1)
    client = sign_in(seller)
    page = upload(client, FILE)
    columns = ["number", "name", "email", "city", "country", "", "", ""]
    shown = client.post(
        f"{page}/check", data={"column": columns, "match_by": "number"}, follow_redirects=True
    ).text
    of = db.session.scalars(select(Import)).one()
    topic = topic_of("core.import", of)
    assert f" {topic}." in html.unescape(shown)
    assert 'http-equiv="refresh"' in shown  # where there is no script
    assert outdated([topic]) == frozenset()
    service.work(of.id)
    assert outdated([topic]) == {topic}
    ended = client.get(page).text
    assert 'id="progress"' in ended
    assert 'hx-trigger="live, every 60s"' not in ended
    assert 'http-equiv="refresh"' not in ended


@pytest.mark.parametrize("form", ["csv", "xlsx"])
def test_what_is_exported_is_imported_as_the_same(seller: User, sign_in: SignIn, form: str) -> None:
    tag = save_label(None, LabelKind.TAG, {"name": "VIP"})
    customer = save_partner(
        None,
        {
            "name": '=HYPERLINK("http://x")', "number": "-1", "vat": "FR40303265045", "street": "1 rue Neuve\nBât. A",
            "zip_code": "01000", "city": "Bourg", "consent": "promotional", "consent_source": "fair",
            "label_ids": [tag.id],
        },
    )  # fmt: skip
    save_partner(
        None, {"name": "Anna", "parent_id": customer.id, "type": "billing", "country": "BE", "vat": ""}
    )
    save_partner(None, {"name": "Elsewhere", "country": "GB"})
    client = sign_in(seller)
    with client.get(f"/partners/export?f=customers&country=FR&form={form}") as answer:
        assert answer.status_code == 200
        data = answer.data
    sheet = read_sheet(data)
    assert [cells[3] for _line, cells in sheet.rows] == ['=HYPERLINK("http://x")', "Anna"]
    of = service.read_file("partners", data, "back.csv", seller)
    service.check(of, of.mapping, MatchBy.NUMBER)
    assert [(row.verdict, row.problem) for row in rows_of(of)] == [(Verdict.SAME, ""), (Verdict.SAME, "")]
    if form == "csv":
        assert b"'=HYPERLINK" in data
        assert b"'-1" in data
