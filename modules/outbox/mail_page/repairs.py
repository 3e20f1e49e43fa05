"""Links to the place where a failure is repaired, for those who may go there; names of it for the others."""

from __future__ import annotations

from dataclasses import dataclass, field

from flask import url_for
from flask_babel import gettext
from sqlalchemy import select

from core.auth.models import User
from core.db import db
from core.documents.service import get_readable
from core.mail.outcomes import Actor, FailureKind
from modules.mail_config.models import MailTemplate
from modules.outbox.mail_page.failure_text import SERVER_FIELDS, Place, Reason, place_of, who_may
from modules.outbox.models import MailRecipient, OutgoingMail
from modules.outbox.queries import correctable_recipients

EDIT_SERVERS = "mail_config.server.edit"
EDIT_TEMPLATES = "mail_config.template.edit"
EDIT_COMPANIES = "core.company.edit"


@dataclass(frozen=True, slots=True)
class RepairLink:
    """A way to the place of a repair."""

    title: str
    url: str


@dataclass(slots=True)
class Repairs:
    """The repair of a failure, as it is offered to one reader.

    Attributes:
        links: Where to go, the likeliest first.
        ask: Whom to ask, where the reader may not go there; a sentence, or "".
    """

    links: list[RepairLink] = field(default_factory=list)
    ask: str = ""


def repairs_of(
    mail: OutgoingMail,
    reason: Reason,
    user: User,
    *,
    recipient: MailRecipient | None = None,
    may_resend: bool,
    may_duplicate: bool,
) -> Repairs:
    """Return where the reader repairs a failure, or whom to ask.

    Args:
        mail: The mail.
        reason: Why it, or one of its recipients, failed.
        user: Who reads.
        recipient: Whose failure it is, or None for the first one that has not got the mail.
        may_resend: Whether the reader may correct and resend this mail.
        may_duplicate: Whether the reader may make a new mail of it.
    """
    places = [reason.place]
    if reason.kind is FailureKind.MESSAGE_TOO_LARGE and mail.server is not None and mail.server.size_limit:
        places.append(Place.SIZE_LIMIT)
    rows: list[OutgoingMail | MailRecipient] = (
        [recipient] if recipient is not None else [mail, *mail.recipients]
    )
    places += [place_of(row.failure_also, None) for row in rows if row.failure_also is not None]
    made = Repairs()
    for place in dict.fromkeys(places):
        if place is None:
            continue
        link = _link(place, mail, user, recipient, may_resend=may_resend, may_duplicate=may_duplicate)
        if link is not None and link.url not in {other.url for other in made.links}:
            made.links.append(link)
    if not made.links:
        made.ask = _whom_to_ask(mail, reason, user, may_resend=may_resend)
    return made


def _link(
    place: Place,
    mail: OutgoingMail,
    user: User,
    recipient: MailRecipient | None,
    *,
    may_resend: bool,
    may_duplicate: bool,
) -> RepairLink | None:
    link: RepairLink | None = None
    match place:
        case Place.RECIPIENT if may_resend:
            link = _to_the_address(mail, recipient)
        case Place.MAIL if may_duplicate and mail.contents_erased_at is None:
            url = url_for("outbox.compose_again", mail_id=mail.id)
            link = RepairLink(gettext("Duplicate into a new email"), url)
        case Place.DOCUMENT if mail.document_id and get_readable(user, mail.document_id):
            url = url_for("core.document", document_id=mail.document_id)
            link = RepairLink(gettext("Open the document"), url)
        case Place.COMPANY_EMAIL if user.can(EDIT_COMPANIES):
            url = url_for("core.company_edit", company_id=mail.company_id, _anchor="email")
            link = RepairLink(gettext("Company: email address"), url)
        case Place.TEMPLATE if user.can(EDIT_TEMPLATES):
            link = _to_the_template(mail)
        case _ if mail.server is not None and mail.server.owner_id is not None:
            mine = mail.server.owner_id == user.id
            link = RepairLink(gettext("Open “My email”"), url_for("mail_config.my_mail")) if mine else None
        case _ if user.can(EDIT_SERVERS):
            link = _to_the_server(place, mail)
    return link


def _to_the_address(mail: OutgoingMail, recipient: MailRecipient | None) -> RepairLink | None:
    candidates = [row for row in correctable_recipients(mail) if row.failure_kind]
    wrong = next((row for row in candidates if recipient is None or row is recipient), None)
    if wrong is None:
        return None
    url = url_for(
        "outbox.mail", mail_id=mail.id, tab="recipients", open=wrong.id, _anchor=f"address-{wrong.id}"
    )
    return RepairLink(gettext("Correct the address"), url)


def _to_the_template(mail: OutgoingMail) -> RepairLink:
    ids = list(
        db.session.scalars(select(MailTemplate.id).where(MailTemplate.kind == mail.document_kind).limit(2))
    )
    if len(ids) == 1:
        url = url_for("mail_config.template", template_id=ids[0], _anchor=f"body_{mail.language}")
        return RepairLink(gettext("Open the template"), url)
    return RepairLink(gettext("Open the templates"), url_for("mail_config.templates"))


def _to_the_server(place: Place, mail: OutgoingMail) -> RepairLink | None:
    server = mail.server
    if place is Place.SERVERS or (server is None and place in {Place.SERVER, Place.SERVER_TEST}):
        return RepairLink(gettext("Open the mail servers"), url_for("mail_config.servers"))
    if server is None:
        return None
    if place is Place.SERVER:
        return RepairLink(
            gettext("Open the server “%(name)s”", name=server.name),
            url_for("mail_config.server", server_id=server.id),
        )
    if place is Place.SERVER_TEST:
        return RepairLink(
            gettext("Test the server “%(name)s”", name=server.name),
            url_for("mail_config.server", server_id=server.id, _anchor="test"),
        )
    if place not in SERVER_FIELDS:
        return None
    titles = {
        Place.HOST: gettext("Host"),
        Place.PORT: gettext("Port"),
        Place.ENCRYPTION: gettext("Encryption"),
        Place.USERNAME: gettext("User name"),
        Place.PASSWORD: gettext("Password"),
        Place.FROM_FILTER: gettext("From filter"),
        Place.SIZE_LIMIT: gettext("Size limit"),
        Place.RATE: gettext("Emails per minute"),
    }
    return RepairLink(
        gettext("Server “%(name)s”: %(field)s", name=server.name, field=titles[place]),
        url_for("mail_config.server_edit", server_id=server.id, _anchor=place.value),
    )


def _whom_to_ask(mail: OutgoingMail, reason: Reason, user: User, *, may_resend: bool) -> str:
    if reason.actor is Actor.NOBODY or reason.place is None:
        return ""
    if reason.place in {Place.RECIPIENT, Place.MAIL, Place.UNCERTAIN, Place.DOCUMENT}:
        sender = mail.submitted_by
        if may_resend or sender is None or sender.id == user.id:
            return ""
        return str(gettext("Ask %(name)s, who sent it.", name=sender.name))
    if (
        reason.place not in {Place.COMPANY_EMAIL, Place.TEMPLATE}
        and mail.server is not None
        and mail.server.owner
    ):
        owner = mail.server.owner
        return "" if owner.id == user.id else str(gettext("Ask %(name)s.", name=owner.name))
    permission = {Place.COMPANY_EMAIL: EDIT_COMPANIES, Place.TEMPLATE: EDIT_TEMPLATES}.get(
        reason.place, EDIT_SERVERS
    )
    names = [] if user.can(permission) else who_may(permission)
    if len(names) == 1:
        return str(gettext("Ask %(name)s.", name=names[0]))
    return str(gettext("Ask one of them: %(names)s.", names=", ".join(names))) if names else ""
