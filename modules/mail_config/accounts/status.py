"""How a connected account fares, in a sentence: whether it holds, and when it ends."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from flask_babel import gettext

from core import clock
from core.i18n import format_date
from modules.mail_config.account_models import MailAccount
from modules.mail_config.accounts.clients import HOUSES, TITLES
from modules.mail_config.blueprint import blueprint

SOON = dt.timedelta(days=14)
"""How long before its end a person is warned."""


@dataclass(frozen=True, slots=True)
class AccountStatus:
    """An account as pages show it.

    Attributes:
        title: Of the provider's mail.
        house: The provider itself.
        sentence: Whether it holds, and when it ends.
        warns: True when somebody should connect it again soon, or now.
    """

    title: str
    house: str
    sentence: str
    warns: bool = False


@blueprint.app_template_global()
def account_status(account: MailAccount) -> AccountStatus:
    """Return how an account fares."""
    title, house = TITLES[account.provider], HOUSES[account.provider]
    if account.lost_at is not None:
        sentence = gettext(
            "The connection has ended on %(day)s: it was withdrawn at %(provider)s, has run out, or the password was "
            "changed. Nothing is sent by it until you connect it again.",
            day=format_date(account.lost_at, "long"),
            provider=house,
        )
        return AccountStatus(title, house, sentence, warns=True)
    if account.ends_at is None:
        return AccountStatus(title, house, "")
    day = format_date(account.ends_at, "long")
    if account.ends_for_sure:
        sentence = gettext(
            "%(provider)s ends the connection on %(day)s; connect it again before.", provider=house, day=day
        )
        return AccountStatus(title, house, sentence, warns=account.ends_at < clock.now() + SOON)
    return AccountStatus(
        title,
        house,
        gettext("Without use, %(provider)s ends the connection on %(day)s.", provider=house, day=day),
    )
