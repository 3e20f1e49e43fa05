"""The PDF of a mail's document."""

from __future__ import annotations

from core.db import db, end_reading
from core.documents.models import Document
from core.documents.pdf import RenderError, render_document
from core.errors import UserError
from core.mail.outcomes import Failure, FailureKind
from modules.outbox.delivery.errors import UndeliverableError
from modules.outbox.models import OutgoingMail


def render_pdf(mail: OutgoingMail) -> bytes:
    """Render the PDF of a mail's document as it is now, in the language of its text.

    Raises:
        UndeliverableError: The document is gone, or cannot be rendered.
    """
    try:
        document = db.session.get(Document, mail.document_id) if mail.document_id else None
        if document is None:
            raise UserError("The document is gone.")
        return render_document(document, language=mail.language)
    except UserError as error:
        raise UndeliverableError(Failure(FailureKind.DOCUMENT_MISSING, False, detail=str(error))) from error
    except RenderError as error:
        raise UndeliverableError(Failure(FailureKind.RENDER_FAILED, False, detail=str(error))) from error
    finally:
        end_reading()
