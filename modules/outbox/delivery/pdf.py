"""The PDFs of a mail's documents."""

from __future__ import annotations

from core.db import db, end_reading
from core.documents.models import Document
from core.documents.pdf import RenderError, render_document
from core.errors import UserError
from core.mail.outcomes import Failure, FailureKind
from modules.outbox.about import further_of
from modules.outbox.delivery.errors import UndeliverableError
from modules.outbox.models import OutgoingMail


def render_pdf(mail: OutgoingMail, position: int = 0) -> bytes:
    """Render the PDF of a document of a mail as it is now, in the language of its text.

    Args:
        mail: The mail.
        position: Of the document among those of the mail, 0 for the one that it is about.

    Raises:
        UndeliverableError: The document is gone, or cannot be rendered.
    """
    try:
        ids = {
            0: mail.document_id,
            **{row.position: row.document_id for row in further_of([mail]).get(mail.id, ())},
        }
        document = db.session.get(Document, ids.get(position) or 0)
        if document is None:
            raise UserError("The document is gone.")
        return render_document(document, language=mail.language)
    except UserError as error:
        raise UndeliverableError(Failure(FailureKind.DOCUMENT_MISSING, False, detail=str(error))) from error
    except RenderError as error:
        raise UndeliverableError(Failure(FailureKind.RENDER_FAILED, False, detail=str(error))) from error
    finally:
        end_reading()
