"""The first administrator: whoever has the link that the server's own terminal shows, as long as there is nobody.

The link has a token that is made of the secret key: every process of an installation knows it, and nothing keeps it.
No address is let in without it, not even this machine's own: behind a proxy, everybody's is that.
"""

from __future__ import annotations

import hashlib
import hmac
import logging

from flask import current_app
from sqlalchemy import select

from core.auth.models import Role, User
from core.auth.service import save_user
from core.begin import steps
from core.companies.models import Company
from core.db import db, transaction
from core.errors import UserError
from core.i18n import lazy_gettext as _l
from core.registry import current_settings

logger = logging.getLogger(__name__)


def nobody_yet() -> bool:
    """Return True as long as nobody can sign in, since there is no user at all."""
    return db.session.scalar(select(User.id).limit(1)) is None


def token() -> str:
    """Return what proves that somebody reads the server's terminal."""
    key = str(current_app.config["SECRET_KEY"]).encode()
    return hmac.new(key, b"envoi: the first administrator", hashlib.sha256).hexdigest()[:32]


def is_token(text: str) -> bool:
    """Return whether a text is the token."""
    return hmac.compare_digest(text.strip().encode(), token().encode())


def link() -> str:
    """Return the address at which the first administrator begins, with the token."""
    path = current_app.url_map.bind("envoi.invalid").build("core.begin", {"token": token()})
    return f"{current_settings().base_url}{path}"


def make_administrator(token: str, *, login: str, name: str, password: str, language: str) -> User:
    """Make the first user, an administrator of all companies, who is led through the first steps.

    Args:
        token: As the link or the person has it.
        login: Email address.
        name: Shown name.
        password: As typed.
        language: `en` or `fr`.

    Raises:
        UserError: The token is wrong, somebody else was faster, or a value is not as it should be.
    """
    if not is_token(token):
        raise UserError(_l("This is not the code that the server shows. Copy the whole link."), "token")
    with transaction() as session:
        # Two who press at once: the second waits here, and then finds the first.
        session.execute(select(Role.id).where(Role.code == "administrator").with_for_update())
        if not nobody_yet():
            raise UserError(_l("Somebody else was faster: there is an administrator now. Sign in instead."))
        companies = session.scalars(select(Company.id).where(Company.active).order_by(Company.id)).all()
        user = save_user(
            None,
            login=login,
            name=name,
            roles=["administrator"],
            company_ids=companies,
            language=language,
            password=password,
        )
        steps.lead(user)
    logger.warning("User %s has become the first administrator.", user.id)
    return user
