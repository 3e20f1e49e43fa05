"""The PDF of a mail's document, in the state that its sender has seen."""

from __future__ import annotations

from sqlalchemy import select

from core.db import db, end_reading
from core.documents.models import Document
from core.documents.pdf import RenderError, render_document
from core.documents.service import behavior_of
from core.errors import UserError
from core.mail.outcomes import Failure, FailureKind
from modules.outbox.delivery.errors import UndeliverableError
from modules.outbox.models import DeliveryAttempt, OutgoingMail


def render_pdf(mail: OutgoingMail) -> bytes:
    """Render the PDF of a mail's document, in the language of its text.

    Raises:
        UndeliverableError: The document is gone, has changed since the mail was written, or cannot be rendered.
    """
    try:
        return render_document(_unchanged(mail), language=mail.language)
    except UserError as error:
        raise UndeliverableError(Failure(FailureKind.DOCUMENT_MISSING, False, detail=str(error))) from error
    except RenderError as error:
        raise UndeliverableError(Failure(FailureKind.RENDER_FAILED, False, detail=str(error))) from error
    finally:
        end_reading()


def check_unchanged(mail: OutgoingMail) -> None:
    """Make sure that a mail which has waited for its time still shows its document as it is.

    A mail that was tried before is not asked about: whoever gets it later gets what the others have got.

    Raises:
        UndeliverableError: The document is gone, or has changed since the mail was written.
    """
    try:
        tried = select(DeliveryAttempt.id).where(DeliveryAttempt.mail_id == mail.id).limit(1)
        if db.session.scalar(tried) is None:
            _unchanged(mail)
    except UserError as error:
        raise UndeliverableError(Failure(FailureKind.DOCUMENT_MISSING, False, detail=str(error))) from error
    finally:
        end_reading()


def _unchanged(mail: OutgoingMail) -> Document:
    document = db.session.get(Document, mail.document_id) if mail.document_id else None
    if document is None:
        raise UndeliverableError(Failure(FailureKind.DOCUMENT_MISSING, False, detail="The document is gone."))
    if document.revision != mail.document_revision or behavior_of(document).why_not_sendable(document):
        words = f"Written at revision {mail.document_revision}; the document is at {document.revision} now."
        raise UndeliverableError(Failure(FailureKind.DOCUMENT_CHANGED, False, detail=words))
    return document
