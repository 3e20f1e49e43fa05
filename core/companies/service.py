"""The verbs of companies."""

from __future__ import annotations

import io
from typing import Any

from PIL import Image
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.exc import IntegrityError

from core.auth.models import User, user_company
from core.companies.models import Company, Sequence
from core.db import db, transaction
from core.errors import UserError
from core.i18n import is_country, locale_of_reader
from core.i18n import lazy_gettext as _l
from core.pictures import MAIL_FORMATS, TooManyPixelsError, UnreadablePictureError, drawn
from core.signals import company_currency_changing
from core.vat import checked_vat

MAX_LOGO_BYTES = 2 * 1024 * 1024  # of the upload; what is kept is scaled down and far smaller
LOGO_FORMATS = (*MAIL_FORMATS, "WEBP")
LOGO_PIXELS = (480, 200)  # width and height at most: sharp in print, and small in every PDF


def next_number(company_id: int, code: str) -> int:
    """Take the next number of a sequence, inside the running transaction.

    The sequence has no gaps: the counter row stays locked until the transaction ends, and a rollback gives
    the number back. It is one statement, because reading with a lock and then writing lets the first
    documents of a year, posted at once on PostgreSQL, wait for each other in a circle.
    """
    with transaction() as session:
        insert = sqlite_insert if session.get_bind().dialect.name == "sqlite" else postgresql_insert
        taken = session.scalar(
            insert(Sequence)
            .values(company_id=company_id, code=code, next_number=2)
            .on_conflict_do_update(
                index_elements=[Sequence.company_id, Sequence.code],
                set_={"next_number": Sequence.next_number + 1},
            )
            .returning(Sequence.next_number)
        )
    return int(taken or 0) - 1


def clean_logo(data: bytes) -> bytes:
    """Return the picture as a small PNG on white, as the PDF engine draws it fastest.

    Raises:
        UserError: The file is too large or no picture.
    """
    if len(data) > MAX_LOGO_BYTES:
        raise UserError(_l("The logo is larger than 2 MB."), "logo")
    try:
        rgba = drawn(data, LOGO_PIXELS, LOGO_FORMATS).convert("RGBA")
    except TooManyPixelsError as error:
        raise UserError(_l("The logo has too many pixels: make it smaller first."), "logo") from error
    except UnreadablePictureError as error:
        raise UserError(_l("The logo must be a PNG, JPEG, GIF or WebP picture."), "logo") from error
    flat = Image.new("RGB", rgba.size, "white")
    flat.paste(rgba, mask=rgba.getchannel("A"))
    out = io.BytesIO()
    flat.save(out, "PNG", optimize=True)
    return out.getvalue()


def save_company(company: Company | None, values: dict[str, Any]) -> Company:
    """Create or change a company.

    Args:
        company: The company to change, or None for a new one.
        values: Column values. Country and VAT number are checked where they change, so that old ones can be saved.

    Raises:
        UserError: The name is taken, something is being counted in the former currency, or country or VAT number is
            none that there can be.
    """
    values = _checked(company, values)
    with transaction() as session:
        if company is not None and "currency" in values:
            _let_go_of_currency(company, str(values["currency"]))
        company = company or Company()
        for name, value in values.items():
            setattr(company, name, value)
        session.add(company)
        try:
            session.flush()
        except IntegrityError as error:
            raise UserError(_l("Another company has this name."), "name") from error
    return company


def _checked(company: Company | None, values: dict[str, Any]) -> dict[str, Any]:
    former = {name: getattr(company, name) for name in ("country", "vat")} if company is not None else {}
    changed = {name: value for name, value in values.items() if former.get(name) != value}
    if not is_country(changed.get("country") or "FR"):
        raise UserError(_l("There is no such country."), "country")
    if "vat" in changed:
        country = values.get("country") or former.get("country") or "FR"
        values = {**values, "vat": checked_vat(changed["vat"] or "", country)}
    return values


def _let_go_of_currency(company: Company, currency: str) -> None:
    """Ask whether a company may get another currency; raises `UserError` with the first reason why not."""
    with transaction() as session:
        session.refresh(company, ["currency"], with_for_update={"of": Company})
        if currency == company.currency:
            return
        for _receiver, reason in company_currency_changing.send(company, currency=currency):
            if reason is not None:
                raise UserError(reason, "currency")


def companies_for(user: User) -> list[Company]:
    """Return the active companies that the user works for, by name."""
    return list(
        db.session.scalars(
            select(Company)
            .join(user_company, user_company.c.company_id == Company.id)
            .where(user_company.c.user_id == user.id, Company.active)
            .order_by(Company.name)
        )
    )


def locale_of_user(user: User) -> str:
    """Return the locale of a user's own pages: the language, as the user's country writes it, else the company's."""
    return locale_of_reader(user.language, user.country, user.company_country or "")


class NoCompanyError(UserError):
    """A user who works for no active company asks for what only a company has."""


def current_company(user: User) -> Company:
    """Return the company that the user works for at the moment.

    Raises:
        NoCompanyError: The user works for none; who may make one is led there.
    """
    company = db.session.get(Company, user.company_id) if user.company_id else None
    if company is None or not company.active:
        raise NoCompanyError(_l("You do not work for any active company. Ask an administrator."))
    return company
