"""The PDF of a mail's document, in the state that its sender has seen."""

from __future__ import annotations

from core.db import db, end_reading
from core.documents.models import Document
from core.documents.pdf import RenderError, render_document
from core.documents.service import behavior_of
from core.errors import UserError
from core.mail.outcomes import Failure, FailureKind
from modules.outbox.failures import UndeliverableError
from modules.outbox.models import OutgoingMail


def render_pdf(mail: OutgoingMail) -> bytes:
    """Render the PDF of a mail's document.

    Raises:
        UndeliverableError: The document is gone, has changed since the mail was written, or cannot be rendered.
    """
    document = db.session.get(Document, mail.document_id) if mail.document_id else None
    if document is None:
        raise UndeliverableError(Failure(FailureKind.DOCUMENT_MISSING, False, detail="The document is gone."))
    try:
        if document.revision != mail.document_revision or behavior_of(document).why_not_sendable(document):
            words = (
                f"Written at revision {mail.document_revision}; the document is at {document.revision} now."
            )
            raise UndeliverableError(Failure(FailureKind.DOCUMENT_CHANGED, False, detail=words))
        return render_document(document)
    except UserError as error:
        raise UndeliverableError(Failure(FailureKind.DOCUMENT_MISSING, False, detail=str(error))) from error
    except RenderError as error:
        raise UndeliverableError(Failure(FailureKind.RENDER_FAILED, False, detail=str(error))) from error
    finally:
        end_reading()
