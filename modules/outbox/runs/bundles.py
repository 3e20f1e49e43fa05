"""Documents of one customer in one mail: which documents of a run go together, and the mails that carry them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from flask_babel import force_locale, gettext
from sqlalchemy import select

from core import clock
from core.auth.models import User
from core.db import db
from core.documents.models import Document
from core.documents.pdf import RenderError, render_document
from core.errors import UserError
from core.files import StoreError
from core.mail.draft import DraftAttachment, DraftDocument, MailDraft, Purpose, safe_file_name
from core.partners.service import customer_of
from modules.mail_config.mail_templates.service import language_of, templates_for
from modules.mail_config.models import MailServer, MailTemplate
from modules.mail_config.senders.service import route_for
from modules.mail_config.template_language.documents_mail import DocumentsMail
from modules.outbox.compose.draft import files_of, take_text
from modules.outbox.limits import ENCODED, attachment_limit
from modules.outbox.message import file_store
from modules.outbox.models import NO_BUNDLE, HeldReason, ItemState, Packing, Run, RunItem
from modules.outbox.runs.held import Destination, HeldError

MOST_TOGETHER = 50
"""Documents of one mail; those beyond go in another one."""
TEXT_OCTETS = 200_000
"""What a message has beside its files, at most: its text twice, and its head."""
_ONE_REPAIR = frozenset(
    {
        HeldReason.NO_ADDRESS,
        HeldReason.SEVERAL_ADDRESSES,
        HeldReason.OPTED_OUT,
        HeldReason.WANTS_PAPER,
        HeldReason.DEAD_ADDRESS,
    }
)
"""Reasons that are the customer's, and not the document's: one answer holds for all that are held for it."""


def about_of(run: Run, user: User, documents: Sequence[Document]) -> DocumentsMail:
    """Return what a mail of some documents of one customer is about."""
    assert documents  # noqa: S101 (a bundle has some)
    return DocumentsMail(documents[0].company, run.by_user or user, documents[0].partner, documents)


def template_of_several(run: Run, document: Document, user: User) -> MailTemplate | None:
    """Return the template by which a mail with this document and others is written, or None where there is none."""
    offered = templates_for(about_of(run, user, [document]), user if run.template_id is not None else None)
    return next((row for row in offered if run.template_id in {None, row.id}), None)


def without_template() -> HeldError:
    """Return why documents are held that would go together while no template is there for that."""
    return HeldError(
        HeldReason.NO_TEMPLATE,
        gettext(
            "No template for several documents is active. Activate one and select the documents again, or choose one "
            "email per document."
        ),
    )


def hold_without_template(run: Run, found: Iterable[RunItem]) -> None:
    """Hold those of some items that would go with others while no template is there for that.

    One that goes alone needs none. Which those are is known only once all of a bundle are looked through: what was
    found before is held as well. Inside the running transaction.

    Args:
        run: The run, locked.
        found: The items, with what was found.
    """
    keys = {item.bundle for item in found if item.state is ItemState.READY and "+" not in item.seen_template}
    keys.discard(NO_BUNDLE)
    if not run.packs or not keys:
        return
    open_ones = (ItemState.READY, ItemState.HELD)
    same = select(RunItem).where(
        RunItem.run_id == run.id, RunItem.bundle.in_(keys), RunItem.state.in_(open_ones)
    )
    bundles: dict[str, list[RunItem]] = {}
    for item in db.session.scalars(same.order_by(RunItem.id).with_for_update(of=RunItem)):
        bundles.setdefault(item.bundle, []).append(item)
    held = without_template()
    for some in bundles.values():
        if len(some) > 1:
            for item in some:
                item.state, item.reason, item.detail = ItemState.HELD, held.reason, held.detail


def bundle_of(draft: MailDraft, document: Document, where: Destination) -> str:
    """Return what a document has in common with those that go in one mail with it; "" for one that goes alone.

    They are of one company and customer, in one language, and go to the same people in the same way: nobody gets a
    document that would not have gone to them by itself.
    """
    if draft.private or document.partner is None:
        return ""
    return _key(
        document.company_id,
        customer_of(document.partner).id,
        draft.language,
        draft.reply_to,
        draft.keep_days,
        draft.priority,
        draft.delivery_receipt,
        draft.read_receipt,
        where.seen_recipients,
    )


def held_bundle_of(document: Document | None, held: HeldError) -> str:
    """Return what documents have in common that are held for a reason of their customer; "" for any other."""
    if held.reason not in _ONE_REPAIR or document is None or document.partner is None:
        return ""
    return _key(document.company_id, customer_of(document.partner).id, held.reason, held.detail)


def _key(*parts: object) -> str:
    return hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()[:40]


@dataclass(frozen=True, slots=True)
class Letter:
    """One mail of a run, with the items that it settles.

    Attributes:
        items: Ids of the items.
        draft: The mail, or why there is none.
    """

    items: tuple[int, ...]
    draft: MailDraft | HeldError


@dataclass(frozen=True, slots=True)
class Part:
    """One document of a bundle, with the mail that it would be by itself."""

    item: RunItem
    document: Document
    draft: MailDraft


def gathered(run: Run, ready: Sequence[RunItem], most: int) -> list[list[RunItem]]:
    """Return what goes next, those together that go in one mail.

    Args:
        run: The run.
        ready: The next items, in their order.
        most: How many items are enough.
    """
    if not run.packs:
        return [[item] for item in ready]
    found: list[list[RunItem]] = []
    seen: set[str] = set()
    for item in ready:
        if sum(map(len, found)) >= most:
            break
        if not item.bundle:
            found.append([item])
        elif item.bundle not in seen:
            seen.add(item.bundle)
            together = (
                select(RunItem)
                .where(
                    RunItem.run_id == run.id,
                    RunItem.bundle == item.bundle,
                    RunItem.bundle != NO_BUNDLE,
                    RunItem.state == ItemState.READY,
                )
                .order_by(RunItem.id)
                .limit(MOST_TOGETHER)
            )
            found.append(list(db.session.scalars(together)))
    return found


def packed(run: Run, parts: Sequence[Part], user: User) -> Iterator[Letter]:
    """Return the mails that carry some documents of one bundle: one, or as many as their size asks for.

    Their PDFs are made here, since what fits into one mail is known only then. One by itself goes as it would alone.
    """
    if len(parts) < 2:
        yield from (Letter((part.item.id,), part.draft) for part in parts)
        return
    ids = tuple(part.item.id for part in parts)
    template = template_of_several(run, parts[0].document, user)
    if template is None:
        yield Letter(ids, without_template())
        return
    language = language_of(template, about_of(run, user, [part.document for part in parts]))
    made: list[tuple[Part, DraftAttachment]] = []
    for part in parts:
        try:
            made.append((part, _pdf(part, language)))
        except HeldError as held:
            yield Letter((part.item.id,), held)
    files = _files([part for part, _pdf in made], template)
    room = _room(parts[0].document, user) - sum(file.size for file in files)
    for some in _split(made, room):
        several = tuple(part.item.id for part, _pdf in some)
        if len(some) == 1:
            yield Letter(several, some[0][0].draft)
            continue
        try:
            yield Letter(several, _together(run, some, template, language, files, user))
        except UserError as error:
            yield Letter(several, HeldError(HeldReason.TEMPLATE_BROKEN, str(error.message)))


def _pdf(part: Part, language: str) -> DraftAttachment:
    try:
        data = render_document(part.document, language=language)
        return DraftAttachment(part.draft.pdf_name, "application/pdf", file_store().put(data), len(data))
    except (UserError, RenderError, StoreError) as error:
        own = isinstance(error, UserError | StoreError)
        words = error.message if own else gettext("The PDF could not be made.")
        raise HeldError(HeldReason.REFUSED, str(words)) from error


def _files(parts: Iterable[Part], template: MailTemplate) -> list[DraftAttachment]:
    """Return the files that go with the documents, each once, and those of the template."""
    found: dict[tuple[str, str], DraftAttachment] = {}
    for file in (*(file for part in parts for file in part.draft.attachments), *files_of(template)):
        found.setdefault((file.name, file.sha256), file)
    return list(found.values())


def _room(document: Document, user: User) -> int:
    """Return how many bytes of files a mail may have that leaves by the server of a company's runs."""
    route = route_for(document.company, user, purpose=Purpose.BATCH)
    server = db.session.get(MailServer, route.server_id) if route.server_id is not None else None
    if server is None or server.size_limit is None:
        return attachment_limit()
    return min(attachment_limit(), int((server.size_limit - TEXT_OCTETS) / ENCODED))


def _split(
    made: Sequence[tuple[Part, DraftAttachment]], room: int
) -> Iterator[list[tuple[Part, DraftAttachment]]]:
    """Return documents in their order, as many together as fit; one that is too large goes alone, and says so."""
    some: list[tuple[Part, DraftAttachment]] = []
    size = 0
    for part, pdf in made:
        if some and size + pdf.size > room:
            yield some
            some, size = [], 0
        some.append((part, pdf))
        size += pdf.size
    if some:
        yield some


def _together(
    run: Run,
    some: Sequence[tuple[Part, DraftAttachment]],
    template: MailTemplate,
    language: str,
    files: Sequence[DraftAttachment],
    user: User,
) -> MailDraft:
    """Return the mail of several documents.

    Raises:
        UserError: Its template is broken.
    """
    (first, pdf), *others = some
    draft = replace(
        first.draft,
        language=language,
        pdf=pdf,
        attachments=list(files),
        further=[
            DraftDocument(part.document.id, part.document.revision, part.draft.pdf_name, its)
            for part, its in others
        ],
        template_id=template.id,
    )
    about = about_of(run, user, [part.document for part, _pdf in some])
    take_text(draft, template, about, user)
    if run.packing is Packing.ZIP:
        draft.zip_name = zip_name(about, language, user)
    return draft


def zip_name(about: DocumentsMail, language: str, user: User) -> str:
    """Return what the zip file of a mail is called, in the language of the mail."""
    with force_locale(language):
        word = gettext("Documents")
    name = f"{about.company.name}_{word}_{clock.day_in(user.timezone).isoformat()}.zip"
    return safe_file_name(name.replace(" ", "_"))
