"""The pages of incoming mail: mailboxes, their test, and what has come in."""

from __future__ import annotations

from functools import partial
from typing import Any

from flask import abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext
from sqlalchemy import delete, select
from sqlalchemy.orm import joinedload
from wtforms import BooleanField, PasswordField, SelectChoice, SelectField, StringField

from core.auth.permissions import requires
from core.companies.models import Company
from core.db import db, transaction
from core.errors import UserError
from core.i18n import N_
from core.i18n import lazy_gettext as _l
from core.mail.bounces.model import Nature
from core.mail.explanations import EXPLANATIONS
from core.web.forms import WholeNumberField, at_most, required, submit
from core.web.listing import Filter, ListSpec, SortKey, paginate
from core.web.record_form import RecordForm, record_form
from modules.mail_config.accounts.clients import TITLES
from modules.mail_config.accounts.mailboxes import accounts_of_the_house
from modules.mail_config.models import Encryption
from modules.mail_config.senders.service import let_answers_come_to
from modules.mail_config.servers.forms import ENCRYPTION_TITLES, PORT_RANGE
from modules.mail_config.servers.test_advice import mailbox_sentences
from modules.outbox.blueprint import blueprint
from modules.outbox.inbound import mailboxes as service
from modules.outbox.inbound.coming_home import addresses_read, answers_of_companies
from modules.outbox.models import Alert, InboundMessage, Mailbox, RelayHook, RelayProvider, Verdict

MANAGE = "outbox.inbound.manage"

PROVIDERS = {
    RelayProvider.SENDGRID: "SendGrid",
    RelayProvider.MAILGUN: "Mailgun",
    RelayProvider.POSTMARK: "Postmark",
    RelayProvider.SES: "Amazon SES",
    RelayProvider.BREVO: "Brevo",
}
NATURES = {
    Nature.BOUNCE: _l("bounce"),
    Nature.DELAY: _l("delay"),
    Nature.DELIVERY_RECEIPT: _l("delivery receipt"),
    Nature.READ_RECEIPT: _l("read receipt"),
    Nature.COMPLAINT: _l("complaint"),
    Nature.AUTO_REPLY: _l("automatic answer"),
    Nature.ORDINARY: _l("ordinary message"),
}
VERDICTS = {
    Verdict.ANSWER: (_l("answer"), "success", "chat-left-text"),
    Verdict.COUNTED: (_l("counted"), "success", "check-circle-fill"),
    Verdict.WAITS: (_l("waits for the worker"), "info", "hourglass-split"),
    Verdict.REPEATED: (_l("known already"), "neutral", "arrow-repeat"),
    Verdict.EARLIER: (_l("earlier attempt"), "neutral", "clock-history"),
    Verdict.UNPROVEN: (_l("unproven"), "warning", "question-circle"),
    Verdict.UNKNOWN: (_l("none of ours"), "neutral", "dash-circle"),
}


class MailboxForm(RecordForm):
    """A mailbox; the password is written, never shown."""

    name = StringField(_l("Name"), [*required(), at_most(80)])
    host = StringField(
        _l("Host"),
        [at_most(253)],
        description=_l("For example imap.example.com. Empty: as is usual at the provider of the user name"),
    )
    port = WholeNumberField(
        _l("Port"),
        [*required(), PORT_RANGE],
        default=993,
        description=_l("Usual: 993 TLS, 143 STARTTLS"),
    )
    encryption = SelectField(
        _l("Encryption"),
        choices=[
            SelectChoice(kind.value, ENCRYPTION_TITLES[kind])
            for kind in (Encryption.TLS, Encryption.STARTTLS, Encryption.NONE)
        ],
        render_kw={"data-ports": '{"tls": 993, "starttls": 143, "none": 143}'},
    )
    username = StringField(_l("User name"), [*required(), at_most(254)], render_kw={"autocomplete": "off"})
    password = PasswordField(
        _l("Password"), [at_most(500)], render_kw={"autocomplete": "new-password"}, description=""
    )
    folder = StringField(_l("Folder"), [*required(), at_most(200)], default="INBOX")
    address = StringField(
        _l("Address"),
        [at_most(254)],
        description=_l("Whose mail lies here, such as sales@example.com. Needed only for the token below."),
    )
    tag_answers = BooleanField(
        _l("Ask for answers with a token"),
        description=_l(
            "Emails whose answers go to this address ask for them at sales+token@example.com: an answer then finds its "
            "email whatever the program of its sender leaves out. The mailbox must take such addresses."
        ),
    )
    mark_seen = BooleanField(
        _l("Mark bounces and receipts as read"),
        description=_l("Answers stay unread."),
    )
    delete_reports = BooleanField(
        _l("Delete bounces and receipts"),
        description=_l(
            "Only those about emails that were sent from here, once they are kept here. Answers and everything else "
            "stay. Without these two nothing changes in the mailbox."
        ),
    )
    active = BooleanField(_l("Active"), default=True)


_OF_PLACE = ("host", "port", "encryption", "username")


def _form(mailbox: Mailbox | None, **how: None) -> MailboxForm:
    form = MailboxForm(obj=mailbox, **how)
    if mailbox is not None and mailbox.account is not None:
        # Where it is, and how it is signed in to, follows from the account.
        for name in (*_OF_PLACE, "password"):
            del form[name]
    if mailbox is not None and mailbox.secret:
        form.password.description = gettext("A password is saved. Leave empty to keep it.")
    return form


def _values(form: MailboxForm, row: Mailbox | None = None) -> tuple[dict[str, Any], str | None]:
    data = form.data
    password = data.pop("password", None) or None
    data.pop("csrf_token", None)
    as_before = {name: getattr(row, name) for name in _OF_PLACE if name not in data}
    return as_before | data, password


def _mailbox(mailbox_id: int) -> Mailbox:
    return db.session.get(Mailbox, mailbox_id) or abort(404)


def _list() -> ListSpec:
    return ListSpec(
        identity=InboundMessage.id,
        sorts=(SortKey("when", N_("When"), InboundMessage.id, lambda row: row.id, descending=True),),
        filters=(
            Filter("counted", N_("Counts"), InboundMessage.verdict == Verdict.COUNTED),
            Filter(
                "not_counted",
                N_("Not counted"),
                InboundMessage.verdict.in_([Verdict.UNPROVEN, Verdict.UNKNOWN]),
            ),
        ),
    )


@blueprint.get("/mailboxes")
@requires(MANAGE)
def mailboxes() -> ResponseReturnValue:
    """List the mailboxes, and what has come in by them or was piped in, newest first."""
    rows = db.session.scalars(select(Mailbox).order_by(Mailbox.name, Mailbox.id)).all()
    read = {row.account_id for row in rows}
    came = select(InboundMessage).options(joinedload(InboundMessage.mail), joinedload(InboundMessage.mailbox))
    return render_template(
        "outbox/inbound/mailboxes.html",
        mailboxes=rows,
        accounts=[
            (account, may) for account, may in accounts_of_the_house() if account.server_id not in read
        ],
        account_titles=TITLES,
        page=paginate(came, _list()),
        answers=answers_of_companies(rows) if rows else [],
        addresses=addresses_read(rows),
        hooks={row.id: row for row in db.session.scalars(select(RelayHook).order_by(RelayHook.name))},
        providers=PROVIDERS,
        explanations=EXPLANATIONS,
        natures=NATURES,
        verdicts=VERDICTS,
    )


@blueprint.route("/mailboxes/new", methods=["GET", "POST"])
@requires(MANAGE)
def mailbox_new() -> ResponseReturnValue:
    """Add a mailbox."""
    form = _form(None)
    made: list[Mailbox] = []
    if submit(form, lambda: made.append(service.save_mailbox(None, *_values(form)))):
        flash(
            gettext("The mailbox was saved. Test it: it shows what would be made of what lies there."),
            "success",
        )
        return redirect(url_for("outbox.mailbox", mailbox_id=made[0].id))
    return render_template("outbox/inbound/form.html", form=form, title=gettext("New mailbox"), mailbox=None)


@blueprint.post("/mailboxes/of-account/<int:account_id>")
@requires(MANAGE)
def mailbox_of_account(account_id: int) -> ResponseReturnValue:
    """Read the mailbox of a connected account from now on."""
    row = service.read_account(account_id)
    flash(
        gettext("The mailbox was saved. Test it: it shows what would be made of what lies there."), "success"
    )
    return redirect(url_for("outbox.mailbox", mailbox_id=row.id))


@blueprint.post("/mailboxes/answers/<int:company_id>")
@requires(MANAGE)
def mailbox_answers(company_id: int) -> ResponseReturnValue:
    """Let the answers of a company come to a mailbox that is read, or as usual to whoever sends."""
    company = db.session.get(Company, company_id) or abort(404)
    address = request.form.get("address", "")
    rows = db.session.scalars(select(Mailbox)).all()
    if address and address not in addresses_read(rows):
        raise UserError(_l("No mailbox of this address is read any more. Look at the list again."))
    let_answers_come_to(company, address)
    flash(
        gettext(
            "Answers to emails of %(company)s go to %(address)s from now on.",
            company=company.name,
            address=address,
        )
        if address
        else gettext(
            "Answers to emails of %(company)s go to whoever sends from now on.", company=company.name
        ),
        "success",
    )
    return redirect(url_for("outbox.mailboxes"))


@blueprint.get("/mailboxes/<int:mailbox_id>")
@requires(MANAGE)
def mailbox(mailbox_id: int) -> ResponseReturnValue:
    """Show a mailbox with its test."""
    return _page(_mailbox(mailbox_id))


def _page(row: Mailbox, report: service.TestReport | None = None) -> str:
    failure = report.failure if report is not None else None
    return render_template(
        "outbox/inbound/mailbox.html",
        mailbox=row,
        report=report,
        advice=mailbox_sentences(failure, row.host, row.username) if failure is not None else [],
        explanations=EXPLANATIONS,
        natures=NATURES,
        answers=(Nature.ORDINARY, Nature.AUTO_REPLY),
    )


@blueprint.route("/mailboxes/<int:mailbox_id>/edit", methods=["GET", "POST"])
@requires(MANAGE)
def mailbox_edit(mailbox_id: int) -> ResponseReturnValue:
    """Change a mailbox."""
    row = _mailbox(mailbox_id)
    form = record_form(row, partial(_form, row), behind=lambda: {"password": row.secret})
    if submit(form, lambda: service.save_mailbox(row, *_values(form, row))):
        flash(gettext("The mailbox was saved."), "success")
        return redirect(url_for("outbox.mailbox", mailbox_id=row.id))
    return render_template("outbox/inbound/form.html", form=form, title=gettext("Edit"), mailbox=row)


@blueprint.post("/mailboxes/<int:mailbox_id>/test")
@requires(MANAGE)
def mailbox_test(mailbox_id: int) -> ResponseReturnValue:
    """Show what lies in a mailbox and what would be made of it, touching nothing."""
    report = service.test_mailbox(_mailbox(mailbox_id))
    return _page(_mailbox(mailbox_id), report)


@blueprint.post("/mailboxes/<int:mailbox_id>/delete")
@requires(MANAGE)
def mailbox_delete(mailbox_id: int) -> ResponseReturnValue:
    """Forget a mailbox; what was read from it stays with the emails."""
    row = _mailbox(mailbox_id)
    with transaction() as session:
        session.execute(delete(Alert).where(Alert.mailbox_id == mailbox_id))
        session.delete(row)
    flash(gettext("The mailbox is no longer read. Nothing was changed in it."), "success")
    return redirect(url_for("outbox.mailboxes"))
