"""Reads a template from a file, trusting nothing: types, lengths and choices are checked.

Every function raises `BadValueError` for what cannot be used.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import mimetypes
import re
from collections.abc import Mapping
from typing import Any

from flask_babel import gettext
from sqlalchemy import select

from core.auth.permissions import acting_user
from core.companies.models import Company
from core.config import SUPPORTED_LANGUAGES
from core.db import db
from core.mail.draft import RecipientField, safe_file_name
from core.partners.models import Partner
from core.partners.reach import reachable
from modules.mail_config.mail_templates.service import MAX_FILE_BYTES, MAX_FILES
from modules.mail_config.mail_templates.validation import RecipientChoice
from modules.mail_config.models import RecipientRule

MAX_BYTES = 40_000_000
"""Of a whole file of templates."""
_MEDIA_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]*/[a-z0-9][a-z0-9!#$&^_.+-]*")
"""RFC 6838 §4.2."""


class BadValueError(Exception):
    """A value of an entry is not what it should be; the message is a sentence."""


def text_in(row: Mapping[str, Any], name: str, longest: int) -> str:
    """Return the text of a name, "" where there is none."""
    value = row.get(name, "")
    if not isinstance(value, str) or len(value) > longest:
        raise BadValueError(gettext("“%(name)s” is not a text, or too long.", name=name))
    if "\x00" in value or any("\ud800" <= character <= "\udfff" for character in value):
        raise BadValueError(gettext("“%(name)s” has characters that cannot be stored.", name=name))
    return value


def flag_in(row: Mapping[str, Any], name: str, *, usual: bool) -> bool:
    """Return what is true or false."""
    value = row.get(name, usual)
    if not isinstance(value, bool):
        raise BadValueError(gettext("“%(name)s” is not true or false.", name=name))
    return value


def whole_in(row: Mapping[str, Any], name: str, usual: int | None, most: int) -> int | None:
    """Return a whole number from 0; None only where that is the usual."""
    value = row.get(name, usual)
    if value is None and usual is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most:
        raise BadValueError(gettext("“%(name)s” is not a number that is possible.", name=name))
    return value


def _list_in(row: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    value = row.get(name, [])
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise BadValueError(gettext("“%(name)s” is not a list.", name=name))
    return value


def texts_in(row: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """Return subject and body by language."""
    texts = row.get("texts")
    if not isinstance(texts, dict) or not texts:
        raise BadValueError(gettext("It has no text."))
    read: dict[str, tuple[str, str]] = {}
    for language, text in texts.items():
        if language not in SUPPORTED_LANGUAGES:
            raise BadValueError(gettext("There is no language “%(code)s” here.", code=language[:20]))
        if not isinstance(text, dict):
            raise BadValueError(gettext("It has no text."))
        read[language] = (text_in(text, "subject", 500), text_in(text, "body", 50_000))
    return read


def recipients_in(row: Mapping[str, Any]) -> list[RecipientChoice]:
    """Return the default recipients; what they say is not checked yet."""
    try:
        return [
            RecipientChoice(
                RecipientRule(text_in(item, "rule", 40)),
                RecipientField(text_in(item, "field", 40) or RecipientField.TO),
                text_in(item, "value", 254),
            )
            for item in _list_in(row, "recipients")
        ]
    except ValueError as error:
        raise BadValueError(
            gettext("“%(name)s” has a value that is not known.", name="recipients")
        ) from error


def files_in(row: Mapping[str, Any]) -> list[tuple[str, str, bytes]]:
    """Return the files of a template, each with its safe name, its media type and its bytes."""
    items = _list_in(row, "files")
    if len(items) > MAX_FILES:
        raise BadValueError(gettext("It has too many files."))
    files: list[tuple[str, str, bytes]] = []
    for item in items:
        name = text_in(item, "name", 200)
        try:
            data = base64.b64decode(text_in(item, "data", MAX_BYTES), validate=True)
        except (binascii.Error, ValueError) as error:
            raise BadValueError(gettext("The file “%(name)s” is damaged.", name=name)) from error
        if hashlib.sha256(data).hexdigest() != item.get("sha256"):
            raise BadValueError(gettext("The file “%(name)s” is damaged.", name=name))
        name = safe_file_name(name, may_be_path=True)
        files.append((name, _media_type(text_in(item, "media_type", 120), name), data))
    if sum(len(data) for _, _, data in files) > MAX_FILE_BYTES:
        raise BadValueError(gettext("Its files are too large."))
    return files


def _media_type(text: str, name: str) -> str:
    """Return a media type as it may stand in a header, that of the name where the text is none."""
    text = text.strip().lower()
    return (
        text if _MEDIA_TYPE.fullmatch(text) else mimetypes.guess_type(name)[0] or "application/octet-stream"
    )


def company_in(row: Mapping[str, Any]) -> tuple[str, int | None]:
    """Return the company that a row names, and its id; None for one that there is not here."""
    try:
        name = text_in(row, "company", 120)
    except BadValueError:
        return "?", None
    return name, db.session.scalar(select(Company.id).where(Company.name == name))


def customer_in(customer: Any) -> tuple[str, int | None]:
    """Return the name of a customer and its id; None when there is none here, or several."""
    if not isinstance(customer, dict):
        return "?", None
    try:
        name, email = text_in(customer, "name", 160), text_in(customer, "email", 254)
    except BadValueError:
        return "?", None
    query = select(Partner.id).where(Partner.name == name, Partner.active, reachable(acting_user()))
    if email:
        query = query.where(Partner.email == email)
    ids = list(db.session.scalars(query.limit(2)))
    # Of two with the same name it could be either; a text for the wrong customer is worse than none.
    return name, ids[0] if len(ids) == 1 else None
