"""Demonstration data of the platform: companies, customers with contacts, users of each role.

Addresses lie under example.com (RFC 2606), so nothing reaches a stranger. Those of the playground mailbox
fail on request: `refused+…`, `later+…`.
"""

from __future__ import annotations

import io
from typing import Any

from flask import Flask
from PIL import Image, ImageDraw, ImageFont
from sqlalchemy import select

from core.auth.models import Role, User
from core.auth.service import save_user
from core.companies.models import Company
from core.companies.service import clean_logo, save_company
from core.db import db, transaction
from core.partners.labels import LabelColor, LabelKind, save_label
from core.partners.lists.criteria import How, Step
from core.partners.lists.models import ListKind, PartnerList
from core.partners.models import Partner, PartnerType
from core.partners.service import save_partner

PASSWORD = "envoi-demo-2026"  # noqa: S105 (printed at the first start; for trying out only)

ATELIER = "Atelier Lumen"
HARBOUR = "Harbour & Finch"

_COMPANIES: tuple[dict[str, Any], ...] = (
    {
        "name": ATELIER,
        "street": "18 rue des Tanneurs",
        "zip_code": "69005",
        "city": "Lyon",
        "country": "FR",
        "email": "bonjour@atelier-lumen.example.com",
        "phone": "+33 4 72 00 18 18",
        "website": "www.atelier-lumen.example.com",
        "vat": "FR19812345676",
        "legal_line": "Atelier Lumen SAS au capital de 40 000 € – RCS Lyon 812 345 676 – APE 4647Z.",
        "late_payment_line": (
            "Pénalités de retard : trois fois le taux légal ; indemnité forfaitaire pour frais de recouvrement : 40 €."
        ),
        "bank_line": "IBAN FR76 3000 4000 0312 3456 7890 143 – BIC EXMPFRPP",
        "currency": "EUR",
        "language": "fr",
        "accent": "#1f5f8b",
    },
    {
        "name": HARBOUR,
        "street": "7 Quayside Row",
        "zip_code": "BS1 4QA",
        "city": "Bristol",
        "country": "GB",
        "email": "hello@harbour-finch.example.com",
        "phone": "+44 117 496 0123",
        "website": "www.harbour-finch.example.com",
        "vat": "GB123456782",
        "legal_line": (
            "Harbour & Finch Ltd – registered in England and Wales no. 09123456 – "
            "registered office: 7 Quayside Row, Bristol BS1 4QA."
        ),
        "bank_line": "Sort code 04-00-04 – Account 12345678 – IBAN GB33 BUKB 2020 1555 5555 55",
        "currency": "GBP",
        "language": "en",
        "timezone": "Europe/London",
        "accent": "#7a3b2e",
    },
)

# Name, address, phone, street, postal code, city, country, VAT number, language, contacts.
_Contact = tuple[str, PartnerType, str, str]
_CUSTOMERS: tuple[tuple[str, str, str, str, str, str, str, str, str, tuple[_Contact, ...]], ...] = (
    (
        "Dupont & Fils", "contact@dupont.example.com", "+33 1 45 00 10 20", "4 rue du Bac", "75007", "Paris",
        "FR", "FR40 303 265 045", "fr",
        (
            ("Claire Dupont", PartnerType.CONTACT, "claire@dupont.example.com", "Gérante"),
            ("Comptabilité Dupont", PartnerType.BILLING, "compta@dupont.example.com", "Comptabilité fournisseurs"),
            ("Dépôt Dupont", PartnerType.DELIVERY, "depot@dupont.example.com", "Réception"),
        ),
    ),
    (
        "Garage Moreau", "refused+info@garage-moreau.example.com", "+33 4 76 11 22 33", "112 cours Berriat",
        "38000", "Grenoble", "FR", "FR83 404 833 048", "fr",
        (("Luc Moreau", PartnerType.CONTACT, "luc@garage-moreau.example.com", "Chef d’atelier"),),
    ),
    (
        "Mairie de Saint-Aubin", "later+achats@saint-aubin.example.com", "+33 2 99 30 40 50",
        "1 place de l’Hôtel-de-Ville", "35140", "Saint-Aubin-du-Cormier", "FR", "", "fr",
        (("Service des achats", PartnerType.BILLING, "achats@saint-aubin.example.com", "Achats publics"),),
    ),
    (
        "Boulangerie Lefèvre", "", "+33 5 56 80 70 60", "23 rue Sainte-Catherine", "33000", "Bordeaux", "FR",
        "", "fr", (),
    ),
    (
        "Cabinet Roussel Architectes", "agence@roussel-architectes.example.com", "+33 4 91 20 30 40",
        "9 boulevard Longchamp", "13001", "Marseille", "FR", "FR61 954 506 077", "fr",
        (
            ("Inès Roussel", PartnerType.CONTACT, "ines@roussel-architectes.example.com", "Architecte associée"),
            ("Facturation Roussel", PartnerType.BILLING, "facturation@roussel-architectes.example.com", "Factures"),
        ),
    ),
    (
        "Hôtel des Trois Ponts", "full+reception@trois-ponts.example.com", "+33 3 88 10 20 30",
        "15 quai des Bateliers", "67000", "Strasbourg", "FR", "FR96 552 100 554", "fr",
        (("Direction", PartnerType.CONTACT, "direction@trois-ponts.example.com", "Directrice"),),
    ),
    (
        "Librairie Žižka", "objednavky@zizka.example.com", "+420 221 000 111", "Husova 12", "110 00", "Praha",
        "CZ", "CZ12345679", "en", (),
    ),
    (
        "Brightwell Primary School", "office@brightwell.example.com", "+44 1491 800 100", "Station Road",
        "OX10 0RN", "Brightwell", "GB", "", "en",
        (("Bursar", PartnerType.BILLING, "bursar@brightwell.example.com", "Bursar"),),
    ),
    (
        "Kestrel Engineering Ltd", "purchasing@kestrel.example.com", "+44 161 496 0456", "Unit 4, Canal Park",
        "M12 6JH", "Manchester", "GB", "GB 987 6543 11", "en",
        (
            ("Priya Shah", PartnerType.CONTACT, "priya@kestrel.example.com", "Head of purchasing"),
            ("Kestrel Accounts", PartnerType.BILLING, "accounts@kestrel.example.com", "Accounts payable"),
            ("Goods In", PartnerType.DELIVERY, "refused+goods-in@kestrel.example.com", "Warehouse"),
        ),
    ),
    (
        "The Copper Kettle", "hello@copper-kettle.example.com", "+44 1865 496 078", "31 Broad Street", "OX1 3AS",
        "Oxford", "GB", "", "en", (),
    ),
    (
        "O'Sullivan & Daughters", "later+orders@osullivan.example.com", "+353 1 555 0147", "5 Capel Street",
        "D01 X2Y3", "Dublin", "IE", "IE1234567T", "en",
        (("Niamh O'Sullivan", PartnerType.CONTACT, "niamh@osullivan.example.com", "Owner"),),
    ),
    (
        "Αφοί Παπαδόπουλοι", "info@papadopoulos.example.com", "+30 21 0555 0123", "Ερμού 45", "105 63", "Αθήνα",
        "GR", "EL123456783", "en", (),
    ),
)  # fmt: skip

# List, name, code, color, kinds of documents.
_LABELS: tuple[tuple[LabelKind, str, str, LabelColor, tuple[str, ...]], ...] = (
    (LabelKind.FAMILY, "Professionnels", "", LabelColor.GRAY, ()),
    (LabelKind.FAMILY, "Collectivités", "", LabelColor.GRAY, ()),
    (LabelKind.TAG, "Salon 2026", "", LabelColor.BLUE, ()),
    (LabelKind.TAG, "VIP", "", LabelColor.AMBER, ()),
    (LabelKind.FUNCTION, "Facturation", "FACT", LabelColor.GRAY, ("sales.invoice", "sales.credit_note")),
    (LabelKind.FUNCTION, "Livraison", "LIV", LabelColor.GRAY, ("sales.order",)),
)
# Name of a customer: number, family, tags; those with a tag have opted in.
_SORTED: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "Dupont & Fils": ("C-0001", "Professionnels", ("Salon 2026", "VIP")),
    "Mairie de Saint-Aubin": ("C-0003", "Collectivités", ()),
    "Cabinet Roussel Architectes": ("C-0005", "Professionnels", ("Salon 2026",)),
}
_CODES = {PartnerType.BILLING: "Facturation", PartnerType.DELIVERY: "Livraison"}

# Login, name, language, roles, time zone, names of the companies; the first is the current one.
_USERS: tuple[tuple[str, str, str, str, str, tuple[str, ...]], ...] = (
    ("admin@demo.example.com", "Alix Martin", "en", "administrator", "Europe/Paris", (ATELIER, HARBOUR)),
    ("sophie@demo.example.com", "Sophie Bernard", "fr", "salesperson", "Europe/Paris", (ATELIER,)),
    ("oliver@demo.example.com", "Oliver Grant", "en", "salesperson", "Europe/London", (HARBOUR,)),
    ("support@demo.example.com", "Samira Haddad", "fr", "support", "Europe/Paris", (ATELIER, HARBOUR)),
    ("cashier@demo.example.com", "Camille Petit", "fr", "cashier", "Europe/Paris", (ATELIER,)),
)


def load(app: Flask) -> None:  # noqa: ARG001 (signature of the signal)
    """Load companies, customers and users; does nothing when they are there.

    Demonstration data of a module builds on it and calls this first.
    """
    if db.session.scalar(select(Company.id).where(Company.name == ATELIER)) is not None:
        return
    with transaction():
        companies = {values["name"]: save_company(None, values) for values in _COMPANIES}
        companies[ATELIER].logo = clean_logo(_lamp_logo(ATELIER, companies[ATELIER].accent))
        companies[HARBOUR].logo = clean_logo(_wave_logo(HARBOUR, companies[HARBOUR].accent))
        labels = {
            name: save_label(
                None, kind, {"name": name, "code": code, "color": color, "document_kinds": list(kinds)}
            ).id
            for kind, name, code, color, kinds in _LABELS
        }
        for name, email, phone, street, zip_code, city, country, vat, language, contacts in _CUSTOMERS:
            number, family, tags = _SORTED.get(name, ("", "", ()))
            customer = save_partner(
                None,
                {
                    "number": number, "family_id": labels.get(family), "label_ids": [labels[tag] for tag in tags],
                    **({"consent": "promotional", "consent_source": "Salon 2026"} if tags else {}),
                    "name": name, "email": email, "phone": phone, "street": street, "zip_code": zip_code,
                    "city": city, "country": country, "vat": vat, "language": language,
                },
            )  # fmt: skip
            for contact_name, kind, address, function in contacts:
                save_partner(
                    None,
                    {
                        "name": contact_name, "type": kind, "email": address, "function": function,
                        "parent_id": customer.id, "language": language, "country": country,
                        "label_ids": [labels[_CODES[kind]]] if kind in _CODES else [],
                    },
                )  # fmt: skip
        french = Step("france", How.ADD, "core.country", {"chosen": ["FR"]})
        db.session.add(
            PartnerList(
                kind=ListKind.DYNAMIC,
                name="Clients en France",
                company_id=companies[ATELIER].id,
                steps=[french.as_row()],
            )
        )
        known = set(db.session.scalars(select(Role.code)))
        for login, name, language, role, timezone, names in _USERS:
            save_user(
                None,
                login=login,
                name=name,
                roles=[role] if role in known else [],
                company_ids=[companies[company].id for company in names],
                language=language,
                timezone=timezone,
                password=PASSWORD,
            )


def demo_user(login: str) -> User | None:
    """Return a user of the demonstration by the part of the login before the `@`, or None."""
    return db.session.scalar(select(User).where(User.login == f"{login}@demo.example.com"))


def demo_company(name: str) -> Company | None:
    """Return a company of the demonstration by its name, or None."""
    return db.session.scalar(select(Company).where(Company.name == name))


def demo_partner(name: str) -> Partner | None:
    """Return a customer of the demonstration by its name, or None."""
    return db.session.scalar(select(Partner).where(Partner.name == name))


# Drawn four times as large and made smaller, which smooths the edges.
_LARGE = 4


def _picture(name: str, color: str) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    font = ImageFont.load_default(30 * _LARGE)
    left, top, right, bottom = font.getbbox(name)
    picture = Image.new("RGB", (int(right) + 84 * _LARGE, 64 * _LARGE), "white")
    draw = ImageDraw.Draw(picture)
    middle = (64 * _LARGE - (bottom - top)) / 2 - top
    draw.text((76 * _LARGE - left, middle), name, font=font, fill=color)
    return picture, draw


def _png(picture: Image.Image) -> bytes:
    out = io.BytesIO()
    picture.resize(
        (picture.width * 2 // _LARGE, picture.height * 2 // _LARGE), Image.Resampling.LANCZOS
    ).save(out, "PNG")
    return out.getvalue()


def _lamp_logo(name: str, color: str) -> bytes:
    """Draw a disc of light under a shade."""
    picture, draw = _picture(name, color)
    k = _LARGE
    draw.ellipse((4 * k, 4 * k, 60 * k, 60 * k), fill=color)
    draw.ellipse((22 * k, 32 * k, 42 * k, 52 * k), fill="#ffd166")
    draw.polygon(((32 * k, 12 * k), (14 * k, 42 * k), (50 * k, 42 * k)), fill="white")
    draw.pieslice((20 * k, 30 * k, 44 * k, 54 * k), 0, 180, fill="#ffd166")
    return _png(picture)


def _wave_logo(name: str, color: str) -> bytes:
    """Draw two waves below a sun."""
    picture, draw = _picture(name, color)
    k = _LARGE
    draw.rounded_rectangle((4 * k, 4 * k, 60 * k, 60 * k), radius=12 * k, fill=color)
    draw.ellipse((24 * k, 12 * k, 40 * k, 28 * k), fill="#f2c9a1")
    for top in (30, 40):
        for left in (10, 25, 40):
            draw.arc((left * k, top * k, (left + 15) * k, (top + 12) * k), 0, 180, fill="white", width=3 * k)
    return _png(picture)
