"""The step of the first day that is about mail: a server that has passed its test."""

from __future__ import annotations

from core.auth.models import User
from core.begin.steps import Step, StepLink
from core.companies.models import Company
from core.db import db
from core.i18n import gettext
from modules.mail_config.servers import playground, service
from modules.mail_config.servers.place import SET_UP


def steps(app: object, user: User) -> list[Step]:  # noqa: ARG001 (signature of the signal)
    """Return the step, for those who set up mail servers."""
    if not user.can(SET_UP):
        return []
    rows = [row for row in service.servers() if row.owner_id is None and row.active]
    ready = [row for row in rows if row.ready]
    links: tuple[StepLink, ...]
    told = ""
    if ready:
        told = ", ".join(row.name for row in ready)
        if all(playground.is_it(row.host, row.port) for row in ready):
            told = gettext(
                "The test mailbox: emails reach nobody. Set up a server before you send in earnest."
            )
            links = (StepLink(gettext("Set up the mail server"), "mail_config.server_new", _known(user)),)
        else:
            links = (StepLink(gettext("Mail servers"), "mail_config.servers"),)
    elif rows:
        told = gettext("%(name)s has not passed its test yet, and sends nothing.", name=rows[0].name)
        links = (StepLink(gettext("Test it"), "mail_config.server", {"server_id": rows[0].id}),)
    else:
        links = (StepLink(gettext("Set up the mail server"), "mail_config.server_new", _known(user)),)
        if playground.is_there():
            links += (
                StepLink(gettext("Try with the test mailbox"), "mail_config.server_playground", post=True),
            )
    text = gettext(
        "By which emails leave: filled in from your address as far as the provider is known, then tested for real."
    )
    return [
        Step("mail_config.server", gettext("Your mail server"), text, bool(ready), links, told=told, order=20)
    ]


def _known(user: User) -> dict[str, object]:
    """Return what the form of a new server is filled in by: the address that the house writes from."""
    company = db.session.get(Company, user.company_id or 0)
    return {"for": (company.email if company else "") or user.login}
