"""Demonstration data: what the companies of the demonstration sell, and its taxes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

from sqlalchemy import select

from core import demo
from core.companies.models import Company
from core.db import db, transaction
from core.products.models import CustomerGroup, Product, Tax
from core.products.service import save_payment_terms, save_product, save_tax, taxes_of
from core.products.tax_rules import save_tax_rule, ship

# Name and rate in percent.
_FRENCH_TAXES = (
    ("TVA 20 %", "20"),
    ("TVA 10 %", "10"),
    ("TVA 5,5 %", "5.5"),
    ("Exonéré (art. 262 ter I du CGI)", "0"),
)
_ENGLISH_TAXES = (("VAT 20%", "20"), ("VAT zero-rated", "0"))

# Code, name, description, price, unit, place of the tax in the tables above, category, barcode.
_Products = Sequence[tuple[str, str, str, str, str, int, str, str]]
_FRENCH_PRODUCTS: _Products = (
    (
        "LUM-100",
        "Suspension Aube",
        "Laiton brossé, ø 30 cm, ampoule comprise",
        "189.00",
        "pce",
        0,
        "Luminaires",
        "",
    ),
    (
        "LUM-110",
        "Suspension Aube XL",
        "Laiton brossé, ø 50 cm, ampoule comprise",
        "329.00",
        "pce",
        0,
        "Luminaires",
        "",
    ),
    ("LUM-200", "Applique Rivage", "Verre soufflé, IP44", "124.50", "pce", 0, "Luminaires", "3760001002008"),
    ("LUM-210", "Lampe de table Galet", "Céramique et lin", "96.00", "pce", 0, "Luminaires", "3760001002107"),
    ("LUM-300", "Rail Mistral 2 m", "Avec quatre spots orientables", "268.90", "pce", 0, "Luminaires", ""),
    ("AMP-027", "Ampoule LED E27", "9 W, 2 700 K", "6.35", "pce", 0, "Accessoires", "3760001000271"),
    ("CAB-003", "Câble textile", "3 × 0,75 mm²", "4.80", "m", 0, "Accessoires", "3760001000035"),
    (
        "POS-001",
        "Pose et raccordement",
        "Dans un logement de plus de deux ans",
        "58.00",
        "h",
        1,
        "Services",
        "",
    ),
    ("ETU-001", "Étude d’éclairage", "Plan, calcul et nuancier", "75.00", "h", 0, "Services", ""),
    ("LIV-001", "Livraison", "", "35.00", "", 0, "Services", ""),
    (
        "LIB-001",
        "Guide « Bien s’éclairer »",
        "Broché, 128 pages",
        "24.64",
        "pce",
        2,
        "Livres",
        "9782360001286",
    ),
)
_ENGLISH_PRODUCTS: _Products = (
    ("DSK-120", "Oak desk 120", "Solid oak, 120 × 70 cm", "412.00", "pc", 0, "Furniture", ""),
    ("DSK-160", "Oak desk 160", "Solid oak, 160 × 80 cm", "548.00", "pc", 0, "Furniture", ""),
    ("CHR-001", "Finch chair", "Steam-bent ash, stackable", "139.50", "pc", 0, "Furniture", "5012345100010"),
    ("CHR-002", "Finch chair, padded", "With wool cushion", "168.00", "pc", 0, "Furniture", ""),
    ("SHF-010", "Quay shelf", "Three boards, wall-mounted", "95.25", "pc", 0, "Furniture", ""),
    ("OIL-500", "Hard wax oil", "500 ml tin", "17.99", "tin", 0, "Care", "5012345005001"),
    ("SVC-001", "Assembly on site", "", "42.00", "hr", 0, "Services", ""),
    ("DLV-001", "Delivery and collection", "", "60.00", "", 0, "Services", ""),
    ("BOO-001", "Care booklet", "Printed", "8.50", "pc", 1, "Care", "5012345000013"),
)


# In the other language, by code: name, description, unit.
_IN_ENGLISH = {
    "LUM-100": ("Aube pendant", "Brushed brass, 30 cm, bulb included", "pc"),
    "LUM-110": ("Aube pendant XL", "Brushed brass, 50 cm, bulb included", "pc"),
    "LUM-200": ("Rivage wall light", "Blown glass, IP44", "pc"),
    "LUM-210": ("Galet table lamp", "Ceramic and linen", "pc"),
    "LUM-300": ("Mistral track 2 m", "With four adjustable spots", "pc"),
    "AMP-027": ("LED bulb E27", "9 W, 2,700 K", "pc"),
    "CAB-003": ("Textile cable", "3 × 0.75 mm²", "m"),
    "POS-001": ("Fitting and wiring", "In a home more than two years old", "h"),
    "ETU-001": ("Lighting design", "Plan, calculation and color chart", "h"),
    "LIV-001": ("Delivery", "", ""),
    "LIB-001": ("Guide “Good light”", "Paperback, 128 pages", "pc"),
}
_IN_FRENCH = {
    "DSK-120": ("Bureau en chêne 120", "Chêne massif, 120 × 70 cm", "pce"),
    "DSK-160": ("Bureau en chêne 160", "Chêne massif, 160 × 80 cm", "pce"),
    "CHR-001": ("Chaise Finch", "Frêne cintré à la vapeur, empilable", "pce"),
    "CHR-002": ("Chaise Finch rembourrée", "Avec coussin en laine", "pce"),
    "SHF-010": ("Étagère Quay", "Trois planches, à fixer au mur", "pce"),
    "OIL-500": ("Huile-cire dure", "Bidon de 500 ml", "bidon"),
    "SVC-001": ("Montage sur place", "", "h"),
    "DLV-001": ("Livraison et enlèvement", "", ""),
    "BOO-001": ("Livret d’entretien", "Imprimé", "pce"),
}
_PAYMENT_TERMS = (
    (demo.ATELIER, "30 jours net, par virement", "30 days net, by bank transfer", "en"),
    (demo.ATELIER, "Comptant, par carte", "Due at once, by card", "en"),
    (demo.HARBOUR, "30 days net, by bank transfer", "30 jours net, par virement", "fr"),
    (demo.HARBOUR, "Due on receipt", "Payable à réception", "fr"),
)
"""Whose they are, their words, those in another language, and which one that is."""
_TAXES_IN_ENGLISH = {
    "TVA 20 %": "VAT 20%",
    "TVA 10 %": "VAT 10%",
    "TVA 5,5 %": "VAT 5.5%",
    "Exonéré (art. 262 ter I du CGI)": "Exempt (art. 262 ter I of the CGI)",
}
_TAXES_IN_FRENCH = {"VAT 20%": "TVA 20\u00a0%", "VAT zero-rated": "TVA à taux zéro"}


def load() -> dict[str, Product]:
    """Load taxes and products once, and return the products by code; demonstration data of modules builds on it."""
    french, english = demo.demo_company(demo.ATELIER), demo.demo_company(demo.HARBOUR)
    if french is None or english is None:
        return {}
    with transaction():
        if db.session.scalar(select(Product.id).limit(1)) is None:
            _catalogue(french, _FRENCH_TAXES, _FRENCH_PRODUCTS, "en", _TAXES_IN_ENGLISH, _IN_ENGLISH)
            _catalogue(english, _ENGLISH_TAXES, _ENGLISH_PRODUCTS, "fr", _TAXES_IN_FRENCH, _IN_FRENCH)
            for company, own, other, language in _PAYMENT_TERMS:
                seller = french if company == demo.ATELIER else english
                values = {"name": own, "company_id": seller.id, "translations": {language: {"name": other}}}
                save_payment_terms(None, values)
            ship(french)
            _export_rule(english)
        theirs = select(Product).where(Product.company_id.in_([french.id, english.id]))
        return {product.code: product for product in db.session.scalars(theirs)}


def _export_rule(company: Company) -> None:
    taxes = {tax.name: tax.id for tax in taxes_of(company.id)}
    save_tax_rule(
        None,
        {
            "name": "Export",
            "customers": CustomerGroup.OUTSIDE,
            "untaxed": False,
            "mention": "Zero-rated export",
            "translations": {"fr": {"mention": "Exportation à taux zéro"}},
            "company_id": company.id,
            "replacements": {taxes["VAT 20%"]: taxes["VAT zero-rated"]},
        },
    )


def _catalogue(
    company: Company,
    taxes: Sequence[tuple[str, str]],
    products: _Products,
    language: str,
    tax_names: Mapping[str, str],
    words: Mapping[str, tuple[str, str, str]],
) -> None:
    rows: list[Tax] = [
        save_tax(
            None,
            {
                "name": name,
                "rate": Decimal(rate),
                "company_id": company.id,
                "translations": {language: {"name": tax_names[name]}},
            },
        )
        for name, rate in taxes
    ]
    for code, name, description, price, unit, tax, category, barcode in products:
        save_product(
            None,
            {
                "code": code, "name": name, "description": description, "unit_price": Decimal(price),
                "unit": unit, "tax_id": rows[tax].id, "company_id": company.id, "category": category,
                "barcode": barcode,
                "translations": {
                    language: {
                        column: text
                        for column, text in zip(("name", "description", "unit"), words[code], strict=True)
                        if text
                    }
                },
            },
        )  # fmt: skip
