"""*Senders*: who the mails of each company are from by purpose, and who sends from where."""

from __future__ import annotations

from dataclasses import dataclass

from flask import abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext
from sqlalchemy import select
from wtforms import EmailField, SelectChoice, SelectField, StringField

from core.auth.models import User
from core.auth.permissions import requires
from core.companies.models import Company
from core.db import db
from core.errors import UserError
from core.i18n import lazy_gettext as _l
from core.mail.draft import Purpose
from core.mail.explanations import EXPLANATIONS
from core.web.forms import at_most, submit
from core.web.record_form import RecordForm, Shown, record_form
from modules.mail_config.blueprint import blueprint
from modules.mail_config.models import CompanySender, MailServer, UserSender
from modules.mail_config.senders import service
from modules.mail_config.senders.rule import PURPOSES, Route
from modules.mail_config.servers.place import SET_UP

MOST_USERS = 500  # to choose from; an installation has some dozens


class CompanySenderForm(RecordForm):
    """Who the mails of a company are from, for one purpose."""

    address = EmailField(_l("Send from"), [at_most(254)], description=_l("Empty: the company's address"))
    name = StringField(_l("Name"), [at_most(120)], description=_l("Empty: the company's name"))
    reply_to = EmailField(
        _l("Answers go to (Reply-To)"), [at_most(254)], description=_l("Empty: whoever sends")
    )
    server_id = SelectField(_l("Mail server that comes first"), coerce=int)


@dataclass(frozen=True, slots=True)
class Cell:
    """What the matrix shows of a company and a purpose.

    Attributes:
        purpose: The purpose.
        title: In words.
        route: How a mail would leave that nobody in particular sends.
        is_set: True where somebody has set up something for it.
    """

    purpose: Purpose
    title: object
    route: Route
    is_set: bool


@blueprint.get("/senders")
@requires(SET_UP)
def senders() -> ResponseReturnValue:
    """Show who sends from where, and explain it for one user."""
    companies = list(db.session.scalars(select(Company).where(Company.active).order_by(Company.name)))
    known = {
        (row.company_id, row.purpose)
        for row in db.session.execute(select(CompanySender.company_id, CompanySender.purpose))
    }
    users = list(
        db.session.scalars(select(User).where(User.active).order_by(User.name, User.id).limit(MOST_USERS))
    )
    asked, route = _asked(companies, users)
    own = {row.user_id: row for row in db.session.scalars(select(UserSender))}
    servers = db.session.scalars(select(MailServer).where(MailServer.owner_id.is_not(None)))
    return render_template(
        "mail_config/senders/senders.html",
        rows=[(company, _cells(company, known)) for company in companies],
        purposes=PURPOSES,
        explanations=EXPLANATIONS,
        companies=companies,
        users=users,
        asked=asked,
        route=route,
        own=own,
        own_servers={server.owner_id: server for server in servers},
        people=[user for user in users if user.id in own],
    )


def _cells(company: Company, known: set[tuple[int, Purpose]]) -> list[Cell]:
    return [
        Cell(
            purpose,
            title,
            service.route_for(company, None, purpose=purpose),
            (company.id, purpose) in known,
        )
        for purpose, title in PURPOSES.items()
    ]


def _asked(companies: list[Company], users: list[User]) -> tuple[dict[str, object], Route | None]:
    """Return what was chosen in *Who sends from where?*, and the answer."""
    user_id, company_id = request.args.get("user", type=int), request.args.get("company", type=int)
    company = next((company for company in companies if company.id == company_id), None)
    user = next((user for user in users if user.id == user_id), None)
    purpose = _purpose(request.args.get("purpose", Purpose.SINGLE.value)) or Purpose.SINGLE
    asked: dict[str, object] = {"user": user_id, "company": company_id, "purpose": purpose}
    return asked, service.route_for(company, user, purpose=purpose) if company is not None else None


def _purpose(text: str) -> Purpose | None:
    return Purpose(text) if text in set(Purpose) else None


def _form(company: Company, purpose: Purpose, **how: None) -> CompanySenderForm:
    row = db.session.get(CompanySender, (company.id, purpose))
    values = {
        "address": row.address if row else "",
        "name": row.name if row else "",
        "reply_to": row.reply_to if row else "",
        "server_id": (row.server_id if row else None) or 0,
    }
    form = CompanySenderForm(obj=Shown(None, **values), **how)
    servers = db.session.execute(
        select(MailServer.id, MailServer.name)
        .where(
            MailServer.owner_id.is_(None),
            (MailServer.company_id == company.id) | MailServer.company_id.is_(None),
        )
        .order_by(MailServer.priority, MailServer.id)
    )
    form.server_id.choices = [
        SelectChoice(0, gettext("the first by priority")),
        *(SelectChoice(row.id, row.name) for row in servers),
    ]
    return form


@blueprint.route("/senders/<int:company_id>", methods=["GET", "POST"])
@requires(SET_UP)
def company_sender(company_id: int) -> ResponseReturnValue:
    """Set up who the mails of a company are from, for one purpose."""
    company = db.session.get(Company, company_id)
    known = _purpose(request.args.get("purpose", Purpose.SINGLE.value))
    if company is None or known is None:
        abort(404)
    form = record_form(company, lambda **how: _form(company, known, **how))
    if submit(form, lambda: _save(company, known, form)):
        flash(gettext("The sender was saved."), "success")
        return redirect(url_for("mail_config.senders"))
    return render_template(
        "mail_config/senders/company_sender.html",
        form=form,
        title=f"{company.name} – {PURPOSES[known]}",
        company=company,
    )


def _save(company: Company, purpose: Purpose, form: CompanySenderForm) -> None:
    service.save_company_sender(
        company,
        purpose,
        address=form.address.data or "",
        name=form.name.data or "",
        reply_to=form.reply_to.data or "",
        server_id=form.server_id.data or None,
    )


@blueprint.post("/senders/users/<int:user_id>/allow")
@requires(SET_UP)
def user_sender_allow(user_id: int) -> ResponseReturnValue:
    """Let the company's servers send from the own address of a user."""
    address = request.form.get("address", "")[:254]
    try:
        service.allow_address(user_id, address)
    except UserError as error:
        flash(str(error.message), "warning")
    else:
        flash(gettext("The company's servers may send from %(address)s now.", address=address), "success")
    return redirect(url_for("mail_config.senders", _anchor="users"))
