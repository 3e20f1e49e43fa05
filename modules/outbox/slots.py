"""The pieces that the outbox puts into the pages of others: of documents, customers, mail servers and templates.

The pages of `mail_config` offer these slots: `mail_config.server_aside`, with `server` and `last_slot` (when the last
of the mails that wait for their turn leaves, where the rate is limited); `mail_config.template_actions`, among the
buttons of a template, with `template` (None for a new one) and `kind`; and `mail_config.template_recipients`, in its
preview, with `template` (in no session) and `document`.

The panels of documents and customers keep themselves up to date, at two addresses of the outbox.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

from flask import abort, flash, g, get_template_attribute, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext
from sqlalchemy import func, select

from core.auth.permissions import requires, signed_in_user, within_reach
from core.db import db
from core.documents.models import Document
from core.documents.service import behavior_of, get_readable, kind_title
from core.errors import UserError
from core.i18n import lazy_gettext as _l
from core.mail.outcomes import EXPLANATIONS, FailureKind
from core.partners.models import Partner
from core.partners.reach import partner_for
from modules.mail_config.models import MailServer, MailTemplate
from modules.mail_config.servers.circuit_breaker import SERVER_FAILURES
from modules.outbox import changes, queries
from modules.outbox.badges import WAY_TITLES, Badge, badge_of, badges_for
from modules.outbox.blueprint import blueprint
from modules.outbox.compose.autosave import About, kept_draft
from modules.outbox.compose.draft import can_send, may_send
from modules.outbox.compose.recipients import REASON_ICONS, default_recipients, reason_text
from modules.outbox.conversation import answers_in_panel
from modules.outbox.dead_addresses import complained_among, dead_among, release, words_about
from modules.outbox.mail_page.waiting_text import waits_for
from modules.outbox.models import WAITS, OutgoingMail
from modules.outbox.permissions import RESEND
from modules.outbox.standstill import hindrance, standstill
from modules.outbox.states import FAILED, MailState

MOST_COUNTED = 1000  # beyond it the page says "1,000+"
_WAITS = sorted({*SERVER_FAILURES, FailureKind.SERVER_UNTESTED})


def send_button(document: Document) -> str:
    """Return the button "Send by email"."""
    if not may_send(document, signed_in_user()):
        return ""
    reason = behavior_of(document).why_not_sendable(document)
    return render_template("outbox/panels/send_button.html", document=document, reason=reason)


def send_selected(of: str, name: str) -> str:
    """Return the button that sends what is selected in a list of documents, or a mailing to customers."""
    if not signed_in_user().can("outbox.mail.send"):
        return ""
    templates = {
        "document": "outbox/panels/send_selected.html",
        "partner": "outbox/panels/mail_selected.html",
    }
    return render_template(templates[of], name=name) if of in templates else ""


def mail_list(list_id: int) -> str:
    """Return the button that prepares a mailing to a list of customers."""
    if not signed_in_user().can("outbox.mail.send"):
        return ""
    return render_template("outbox/panels/mail_list.html", list_id=list_id)


def hand_over_button(document: Document) -> str:
    """Return the button by which a document is marked as handed over otherwise."""
    if not can_send(document, signed_in_user()):
        return ""
    return render_template(
        "outbox/panels/hand_over.html",
        action=url_for("outbox.document_hand_over", document_id=document.id),
        ways=WAY_TITLES,
        many=False,
    )


def hand_over_selected(of: str, name: str) -> str:
    """Return the button that marks what is selected in a list as handed over otherwise."""
    if of != "document" or not signed_in_user().can("outbox.mail.send"):
        return ""
    return render_template(
        "outbox/panels/hand_over.html",
        action=url_for("outbox.list_hand_over", name=name),
        ways=WAY_TITLES,
        many=True,
    )


def _badges() -> dict[int, Badge]:
    """Return the badges of all documents that the page has loaded, by one query for the page."""
    if "outbox_badges" not in g:
        loaded = [row.id for row in db.session.identity_map.values() if isinstance(row, Document)]
        g.outbox_badges = badges_for(loaded)
    badges: dict[int, Badge] = g.outbox_badges
    return badges


def document_badge(document: Document) -> str:
    """Return the badge beside the title of a document, and what is to be said of mails that it has left behind."""
    return render_template("outbox/panels/document_badge.html", oob=False, **_badge_context(document))


def _badge_context(document: Document) -> dict[str, object]:
    user = signed_in_user()
    outdated = queries.outdated_waiting(document.id)
    ids = [mail.id for mail in outdated]
    return {
        "document": document,
        "badge": _badges().get(document.id),
        "outdated": outdated,
        "mine": frozenset(queries.reachable_ids(user, ids, RESEND)) if ids else frozenset(),
        "sendable": can_send(document, user),
    }


def document_list_badge(document: Document) -> str:
    """Return the badge in a list of documents, and the button that sends one at once."""
    badge = _badges().get(document.id)
    sendable = document.id in _sendable() and not behavior_of(document).why_not_sendable(document)
    if badge is None and not sendable:
        return ""
    draw: Callable[..., str] = get_template_attribute("outbox/panels/list_badge.html", "list_badge")
    return draw(document, document.number or kind_title(document.kind), badge, sendable)


def _sendable() -> set[int]:
    """Return the ids of those documents that the page has loaded and its user may send, by one query for the page."""
    if "outbox_sendable" not in g:
        loaded = [row.id for row in db.session.identity_map.values() if isinstance(row, Document)]
        within = within_reach(
            signed_in_user(), "outbox.mail.send", owner=Document.owner_id, company=Document.company_id
        )
        g.outbox_sendable = set(
            db.session.scalars(select(Document.id).where(Document.id.in_(loaded), within))
        )
    sendable: set[int] = g.outbox_sendable
    return sendable


def document_panel(document: Document, *, badge_beside: bool = False) -> str:
    """Return the panel with the mails of a document.

    Args:
        document: The document.
        badge_beside: With the badge, which takes the place of the one that the page has.
    """
    user = signed_in_user()
    if not user.can("outbox.mail.read"):
        return ""
    panel = queries.document_mails(document.id, user)
    return render_template(
        "outbox/panels/document.html",
        panel=panel,
        eml_exports=queries.eml_exports(document.id),
        hand_overs=queries.hand_overs(document.id),
        ways=WAY_TITLES,
        may_take_back=may_send(document, user),
        kept=kept_draft(About(document.id), user) if can_send(document, user) else None,
        answers=answers_in_panel(panel.people),
        topics=[changes.document(document.id), *(changes.mail(mail.id) for mail in panel.mails)],
        oob=badge_beside,
        **(_badge_context(document) if badge_beside else {"document": document}),
    )


@blueprint.get("/documents/<int:document_id>/panel")
@requires("outbox.mail.read")
def document_panel_now(document_id: int) -> ResponseReturnValue:
    """Show the mails of a document, and its badge beside."""
    document = get_readable(signed_in_user(), document_id) or abort(404)
    return document_panel(document, badge_beside=True)


def partner_panel(partner: Partner) -> str:
    """Return the panel with the mails to a customer and its contacts."""
    user = signed_in_user()
    if not user.can("outbox.mail.read"):
        return ""
    people = [partner, *partner.contacts]
    addresses = [person.email for person in people if person.email]
    panel = queries.mails_of_partner(partner, user)
    dead = dead_among(addresses)
    return render_template(
        "outbox/panels/partner.html",
        partner=partner,
        panel=panel,
        answers=answers_in_panel(panel.people),
        topics=[
            *(changes.partner(person.id) for person in people),
            *(changes.mail(mail.id) for mail in panel.mails),
        ],
        dead=dead,
        server_words=words_about(dead),
        complained=complained_among(addresses),
    )


@blueprint.get("/partners/<int:partner_id>/panel")
@requires("outbox.mail.read")
def partner_panel_now(partner_id: int) -> ResponseReturnValue:
    """Show the mails to a customer and its contacts."""
    return partner_panel(partner_for(signed_in_user(), partner_id) or abort(404))


@blueprint.post("/partners/<int:partner_id>/release")
@requires("outbox.mail.send")
def partner_address_release(partner_id: int) -> ResponseReturnValue:
    """Take the mark off an address of a customer, or of a contact, that came back."""
    partner = partner_for(signed_in_user(), partner_id) or abort(404)
    address = request.form.get("address", "")
    if address not in {person.email for person in (partner, *partner.contacts)}:
        raise UserError(_l("This address was changed meanwhile. Look at the customer again."))
    if release(address):
        flash(
            gettext(
                "%(address)s is no longer marked. What was held for it leaves by “Send again” on its page.",
                address=address,
            ),
            "success",
        )
    return redirect(url_for("core.partner", partner_id=partner.id))


@blueprint.app_context_processor
def words_of_mail() -> dict[str, object]:
    """Give templates what the outbox's pieces of pages need, wherever they are shown."""
    return {
        "explanations": EXPLANATIONS,
        "mail_badge": badge_of,
        "mail_choices": queries.choices_for,
        "mail_waits_for": waits_for,
        "mail_hindrance": hindrance,
        "mail_standstill": standstill,
        "correctable_recipients": queries.correctable_recipients,
        "failed_states": FAILED,
    }


def _count_waiting(server_id: int, *kinds: FailureKind) -> int:
    some = (
        select(OutgoingMail.id)
        .where(
            WAITS,
            OutgoingMail.state == MailState.DEFERRED,
            OutgoingMail.failure_kind.in_(kinds),
            OutgoingMail.server_id == server_id,
        )
        .limit(MOST_COUNTED + 1)
        .subquery()
    )
    return int(db.session.scalar(select(func.count()).select_from(some)) or 0)


def waiting_mails(server: MailServer, last_slot: dt.datetime | None) -> str:
    """Return how many mails wait for a server, and until when."""
    if not signed_in_user().can("outbox.mail.read"):
        return ""
    return render_template(
        "outbox/panels/server.html",
        server=server,
        waiting=_count_waiting(server.id, *_WAITS),
        paced=_count_waiting(server.id, FailureKind.PACED),
        most=MOST_COUNTED,
        last_slot=last_slot,
    )


def template_test_button(template: MailTemplate | None, kind: str) -> str:  # noqa: ARG001 (the keywords of the slot)
    """Return the button "Send a test to me"."""
    if not signed_in_user().can("outbox.mail.send"):
        return ""
    return render_template("outbox/panels/template_test_button.html", kind=kind)


def template_recipients(template: MailTemplate, document: Document) -> str:
    """Return who would get a mail of a template, and why."""
    return render_template(
        "outbox/panels/template_recipients.html",
        proposal=default_recipients(document, template, None),
        reason_text=reason_text,
        icons=REASON_ICONS,
    )
