"""The message of a mail, checked before a server is asked."""

from __future__ import annotations

import hashlib
import logging

from core.files import FileMissingError
from core.logs import kind_of
from core.mail.outcomes import Failure, FailureKind
from modules.outbox.delivery.errors import UndeliverableError
from modules.outbox.message import build_message
from modules.outbox.models import OutgoingMail

logger = logging.getLogger(__name__)


def checked_message(mail: OutgoingMail, size_limit: int | None, return_address: str = "") -> bytes:
    """Return the octets of a mail, the same on every attempt, and keep their hash on it.

    Args:
        mail: With its PDF frozen.
        size_limit: Octets that the server takes, or None when it is not known.
        return_address: Where messages come back to that name this mail, or "" where nobody reads them.

    Raises:
        UndeliverableError: A file is gone, the message is too large for the server, or it cannot be built.
    """
    try:
        message = build_message(mail, with_link=True, return_address=return_address)
    except FileMissingError as error:
        raise UndeliverableError(Failure(FailureKind.ATTACHMENT_MISSING, False, detail=str(error))) from error
    except (ValueError, LookupError, TypeError) as error:
        # Nothing that was checked at submission should come here; if it does, a person must see it.
        logger.exception("Mail %s could not be built.", mail.id)
        words = f"The message could not be built ({kind_of(error)})."
        raise UndeliverableError(Failure(FailureKind.INTERNAL_ERROR, False, detail=words)) from error
    # Asked before connecting. What the server announces by SIZE is asked by the transport.
    if size_limit is not None and len(message) > size_limit:
        words = f"The message has {len(message)} bytes; the server's limit is {size_limit}."
        raise UndeliverableError(Failure(FailureKind.MESSAGE_TOO_LARGE, False, detail=words))
    sha256 = hashlib.sha256(message).hexdigest()
    if mail.message_sha256 and mail.message_sha256 != sha256:
        # An update of a library has changed its form; the text and the files are the same.
        logger.warning("Mail %s is not octet for octet what it was at its first attempt.", mail.id)
    mail.message_sha256 = sha256
    return message
