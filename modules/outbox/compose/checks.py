"""The checks of the composer before a mail is sent; each finding comes with its repair."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

from babel import Locale
from flask import url_for
from flask_babel import get_locale, gettext, ngettext
from sqlalchemy import func, select

from core import clock
from core.db import db
from core.documents.models import Document
from core.mail.draft import MailDraft
from core.mail.explanations import EXPLANATIONS
from core.mail.outcomes import FailureKind, RecipientState
from core.partners.service import customer_of
from core.web.formats import day, file_size
from modules.mail_config.from_mail.legacy_fields import find as find_legacy
from modules.mail_config.models import GRAPH, MailServer
from modules.mail_config.senders.rule import Route
from modules.mail_config.servers.place import endpoint_for
from modules.outbox.about import about
from modules.outbox.compose.agreed_way import about_wish
from modules.outbox.compose.around import removed_keys
from modules.outbox.compose.doubts import about_slips, about_what_it_says
from modules.outbox.compose.form import MAX_KEY, ComposeForm
from modules.outbox.compose.recipient_chips import opted_out_among
from modules.outbox.dead_addresses import complained_among, dead_among
from modules.outbox.limits import ENCODED, Finding, Severity, draft_problems
from modules.outbox.models import MailRecipient, OutgoingMail
from modules.outbox.private_addresses import private_hash
from modules.outbox.states import MailState

RECENTLY = dt.timedelta(minutes=15)  # the same to the same within so long is likely a second click
# A formula that the recipient would read.
_UNRESOLVED = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\{\{|\{%", re.DOTALL)
_TAG = re.compile(r"<[^<>]*>")

# States of a mail that nobody got: sending again is no repetition.
_NOT_LEFT = (MailState.CANCELED, MailState.FAILED)


def findings_of(form: ComposeForm, route: Route, complete: MailDraft | None = None) -> list[Finding]:
    """Return what is worth telling about a mail as it stands, what keeps it from being sent first.

    Nothing is changed, and no server is asked.

    Args:
        form: The composer.
        route: How the mail would leave.
        complete: The draft with the pictures of its text, or None where one of them is gone.
    """
    found = [
        *_blocking(form),
        *about_wish(form),
        *_about_addresses(form),
        *_about_text(form),
        *_about_document(form),
        *_about_route(form, route, complete or form.draft),
    ]
    confirmed = [
        replace(
            finding,
            # As a browser posts it: line ends change on the way.
            key=(key := " ".join(finding.key.split())[:MAX_KEY]),
            confirmed=finding.severity is Severity.ASK and key in form.confirmed,
        )
        for finding in found
    ]
    # As the enum lists them, the gravest first; the order within one stays.
    order = list(Severity)
    return sorted(confirmed, key=lambda finding: order.index(finding.severity))


def open_questions(findings: Iterable[Finding]) -> list[Finding]:
    """Return the findings that a person has still to act on or accept."""
    return [
        finding
        for finding in findings
        if finding.severity is Severity.BLOCK or (finding.severity is Severity.ASK and not finding.confirmed)
    ]


def _blocking(form: ComposeForm) -> Iterator[Finding]:
    for field, sentences in form.errors.items():
        for number, sentence in enumerate(sentences):
            yield Finding(f"error:{field}:{number}", Severity.BLOCK, sentence, field=field)
    for problem in draft_problems(form.draft):
        field = problem.field or ""
        if field == "files":
            continue  # said below with the limit of the server
        yield Finding(f"{field}:{problem.message}", Severity.BLOCK, str(problem.message), field=field)


def _about_addresses(form: ComposeForm) -> Iterator[Finding]:
    """Return findings about recipients: without address, removed, opted out, served lately."""
    customer = form.document.partner if form.document is not None else None
    for name in form.proposal.without_address:
        yield Finding(
            f"no_address:{name}",
            Severity.ASK,
            gettext("%(name)s has no valid address and gets nothing.", name=name),
            repair_url=url_for("core.partner", partner_id=customer.id) if customer else "",
            repair_label=gettext("Open the customer") if customer else "",
            field="to",
        )
    removed = removed_keys(form.document) if form.document is not None else frozenset()
    for recipient in form.draft.recipients:
        if recipient.address.key in removed:
            yield Finding(
                f"removed:{recipient.address.key}",
                Severity.ASK,
                gettext(
                    "%(name)s was removed from the followers of this document.",
                    name=recipient.address.display_name or recipient.address.addr_spec,
                ),
                field=recipient.field.value,
            )
    yield from _no_longer_proposed(form, removed)
    for name, why in form.proposal.skipped:
        yield Finding(
            f"skipped:{name}",
            Severity.NOTE,
            gettext("%(name)s follows by email and gets nothing: %(why)s.", name=name, why=why),
            field="to",
        )
    yield from _came_back(form)
    yield from about_slips(form)
    for key, partner in opted_out_among(form.draft.recipients, form.user).items():
        yield Finding(
            f"opted_out:{key}",
            Severity.ASK,
            gettext("%(name)s has opted out of emails.", name=partner.name),
            repair_url=url_for("core.partner", partner_id=partner.id),
            repair_label=gettext("Open %(name)s", name=partner.name),
            field="to",
        )
    if form.document is not None:
        yield from _sent_lately(form, form.document)


def _came_back(form: ComposeForm) -> Iterator[Finding]:
    """Ask about addresses that nobody has, and tell of those who have complained."""
    fields = {recipient.address.addr_spec: recipient.field for recipient in form.draft.recipients}
    for address, dead in dead_among(fields).items():
        yield Finding(
            f"dead:{address}",
            Severity.ASK,
            dead.sentence(address),
            field=fields[address].value,
        )
    for address, at in complained_among(fields).items():
        yield Finding(
            f"complained:{address}",
            Severity.NOTE,
            gettext(
                "%(address)s called an email unwanted on %(day)s: send nothing promotional.",
                address=address,
                day=day(at),
            ),
            field=fields[address].value,
        )


def _no_longer_proposed(form: ComposeForm, removed: frozenset[str]) -> Iterator[Finding]:
    """Ask about those whom the composer was filled with, and would not be now."""
    filled = {text.partition(":")[2] for text in form.proposed}
    now = form.proposal.keys | removed
    for recipient in form.draft.recipients:
        key = recipient.address.key
        if form.document is not None and key in filled and key not in now:
            yield Finding(
                f"stale:{key}",
                Severity.ASK,
                gettext(
                    "%(name)s was among the recipients when you began, and would no longer be.",
                    name=recipient.address.display_name or recipient.address.addr_spec,
                ),
                field=recipient.field.value,
            )


def _sent_lately(form: ComposeForm, document: Document) -> Iterator[Finding]:
    """Return a finding for each recipient who got a mail about the document within `RECENTLY`."""
    specs = {recipient.address.addr_spec.lower(): "" for recipient in form.draft.recipients}
    if not specs:
        return
    # Of a private mail only the hash is known; whoever types the address again is told all the same.
    specs |= {private_hash(spec, document.id): spec for spec in specs}
    now = clock.now()
    rows = db.session.execute(
        select(OutgoingMail, MailRecipient.addr_spec)
        .join(MailRecipient, MailRecipient.mail_id == OutgoingMail.id)
        .where(
            about(document.id),
            func.coalesce(OutgoingMail.not_before, OutgoingMail.submitted_at) > now - RECENTLY,
            MailRecipient.state.not_in(
                [RecipientState.REFUSED, RecipientState.INVALID, RecipientState.BOUNCED]
            ),
            OutgoingMail.state.not_in(_NOT_LEFT),
            OutgoingMail.submission_token.is_distinct_from(form.token),
            OutgoingMail.id.is_distinct_from(form.replaces),
            func.lower(MailRecipient.addr_spec).in_(specs),
        )
        .order_by(OutgoingMail.id.desc())
        .limit(100)
    )
    told: set[str] = set()
    for mail, known_as in rows:
        addr_spec = specs.get(known_as) or known_as
        if addr_spec.lower() in told:
            continue
        told.add(addr_spec.lower())
        moment = mail.not_before or mail.submitted_at
        minutes = max(0, int((now - moment).total_seconds() // 60))
        who = mail.submitted_by.name if mail.submitted_by is not None else "Envoi"
        mine = mail.submitted_by_id == form.user.id
        if moment > now and mail.state is MailState.SCHEDULED:
            words = gettext("This is scheduled for %(address)s already.", address=addr_spec)
        elif not minutes:
            words = (
                gettext("You sent this to %(address)s just now.", address=addr_spec)
                if mine
                else gettext("%(name)s sent this to %(address)s just now.", name=who, address=addr_spec)
            )
        elif mine:
            words = ngettext(
                "You sent this to %(address)s %(num)d minute ago.",
                "You sent this to %(address)s %(num)d minutes ago.",
                minutes,
                address=addr_spec,
            )
        else:
            words = ngettext(
                "%(name)s sent this to %(address)s %(num)d minute ago.",
                "%(name)s sent this to %(address)s %(num)d minutes ago.",
                minutes,
                name=who,
                address=addr_spec,
            )
        yield Finding(
            f"sent:{mail.id}:{addr_spec.lower()}",
            Severity.ASK,
            words,
            repair_url=url_for("outbox.mail", mail_id=mail.id),
            repair_label=gettext("Open that email"),
            field="to",
        )


def _about_text(form: ComposeForm) -> Iterator[Finding]:
    """Return findings about subject and text: fields not filled in, no text, another language."""
    draft = form.draft
    # A blank for each tag, or the words of two paragraphs would become one.
    words = _TAG.sub(" ", draft.body_html)
    for field, text in (("subject", draft.subject), ("body", words)):
        unresolved = _UNRESOLVED.search(text)
        if unresolved is not None:
            yield Finding(
                f"unresolved:{field}:{unresolved.group()[:40]}",
                Severity.ASK,
                gettext(
                    "A field was not filled in: %(field)s stands in the text.",
                    field=" ".join(unresolved.group()[:40].split()),
                ),
                field=field,
            )
        if form.document is not None:
            for legacy in find_legacy(form.document.kind, text)[:3]:
                yield Finding(
                    f"legacy:{field}:{legacy.found[:40]}",
                    Severity.ASK,
                    gettext(
                        "“%(field)s” looks like a field of an older system that nobody has filled in.",
                        field=legacy.found[:40],
                    ),
                    field=field,
                )
    if not words.replace("&nbsp;", " ").strip() and "<img" not in draft.body_html:
        yield Finding("empty_text", Severity.ASK, gettext("The email has no text."), field="body")
    partner = form.document.partner if form.document is not None else None
    if partner is not None and partner.language != draft.language:
        spoken = _language(partner.language)
        yield Finding(
            f"language:{draft.language}",
            Severity.ASK,
            gettext(
                "The text is in %(language)s; %(name)s reads %(spoken)s.",
                language=_language(draft.language),
                name=customer_of(partner).name,
                spoken=spoken,
            ),
            field="template",
        )
    elif form.document is not None and form.document.language != draft.language:
        yield Finding(
            f"document_language:{draft.language}",
            Severity.ASK,
            gettext(
                "The document is set to %(language)s; text and PDF of this email are in %(text)s.",
                language=_language(form.document.language),
                text=_language(draft.language),
            ),
            field="template",
        )


def _language(code: str) -> str:
    """Return the name of a language in the current one."""
    return str(Locale.parse(str(get_locale() or "en")).languages.get(code, code))


def _about_document(form: ComposeForm) -> Iterator[Finding]:
    """Return findings about what is wrong in the document, and about its change since the composer was opened."""
    document = form.document
    if document is None:
        return
    yield from about_what_it_says(form, document)
    shown = form.pdf.revision if form.pdf is not None else document.revision
    if document.revision == form.draft.document_revision and shown == document.revision:
        return
    yield Finding(
        f"changed:{document.revision}",
        Severity.ASK,
        gettext(
            "The document has changed since you began to write: the PDF will show it as it is now. Check the text."
        ),
        repair_url=url_for("core.document", document_id=document.id),
        repair_label=gettext("Open the document"),
        field="pdf",
    )


def _about_route(form: ComposeForm, route: Route, complete: MailDraft) -> Iterator[Finding]:
    """Return findings about the server: missing, untested, paused, or too small for the mail."""
    server = db.session.get(MailServer, route.server_id) if route.server_id is not None else None
    yield from _about_size(form, server, complete)
    if route.rewritten:
        yield Finding("rewritten", Severity.NOTE, route.rewritten)
    if route.problem is None:
        return
    if route.problem is FailureKind.SENDER_MISSING:
        # Told, not forbidden: the mail may be written now and leave when an administrator has set up the rest.
        words = gettext("%(company)s has no email address to send from: the email will wait.")
    elif route.problem is FailureKind.SERVER_MISSING:
        words = gettext("No mail server may send from %(address)s: the email will wait.")
    elif route.problem is FailureKind.SERVER_UNTESTED:
        words = gettext("The mail server “%(server)s” has not passed its test: the email will wait.")
    else:
        words = gettext("The mail server “%(server)s” is paused (%(problem)s): the email will wait.")
    values = {
        "company": route.header_from.display_name,
        "address": route.header_from.addr_spec,
        "server": route.server_name,
        "problem": str(EXPLANATIONS[route.problem].title),
    }
    url = label = ""
    place = endpoint_for(server, form.user) if server is not None else None
    if place is not None:
        url, label = url_for(place[0], **place[1]), gettext("Open the mail server")
    elif form.user.can("core.company.edit") and route.problem is FailureKind.SENDER_MISSING:
        url, label = url_for("core.company", company_id=form.draft.company_id), gettext("Open the company")
    yield Finding(f"route:{route.problem.value}", Severity.ASK, words % values, url, label)


def _about_size(form: ComposeForm, server: MailServer | None, complete: MailDraft) -> Iterator[Finding]:
    """Compare what the message will have with the limits: the installation's of files, the server's of messages."""
    for problem in draft_problems(complete):
        if problem.field == "files":
            yield Finding("files", Severity.BLOCK, str(problem.message), field="files")
    limit = server.size_limit if server is not None else None
    files = sum(file.size for file in complete.attachments) + (form.pdf.size if form.pdf else 0)
    # The text goes twice: as HTML and as plain text.
    expected = int(files * ENCODED) + 2 * len(complete.body_html.encode())
    if server is not None and limit is not None and expected > limit:
        words = gettext(
            "With its files the email would have about %(size)s; the server “%(server)s” takes %(limit)s.",
            size=file_size(expected),
            server=server.name,
            limit=file_size(limit),
        )
        place = url = ""
        if server.transport == GRAPH:
            # Larger ones need the permission to read and write the whole mailbox, for which nobody is asked here.
            words += " " + gettext(
                "Without SMTP, Microsoft takes no more. Remove a file, or connect the account again without ticking "
                "“Send without SMTP”: then some 25 MB leave."
            )
            found = endpoint_for(server, form.user)
            if found is not None:
                url, place = url_for(found[0], **found[1]), gettext("Open the mail server")
        yield Finding("size", Severity.BLOCK, words, url, place, field="files")
