"""The message of a mail, checked before a server is asked."""

from __future__ import annotations

import datetime as dt
import hashlib
import logging

from core import clock
from core.files import FileMissingError, StoreAwayError
from core.logs import kind_of
from core.mail.outcomes import Failure, FailureKind
from modules.outbox.delivery.errors import MustWaitError, UndeliverableError
from modules.outbox.delivery.settlement import with_jitter
from modules.outbox.message import CommonFiles, build_message
from modules.outbox.models import OutgoingMail

logger = logging.getLogger(__name__)

WHILE_AWAY = dt.timedelta(minutes=1)
"""How long a mail waits whose files cannot be reached: no server was asked, and none is burdened."""


def checked_message(
    mail: OutgoingMail, size_limit: int | None, return_address: str = "", files: CommonFiles | None = None
) -> bytes:
    """Return the octets of a mail, the same on every attempt, and keep their hash on it.

    Args:
        mail: With its PDF frozen.
        size_limit: Octets that the server takes, or None when it is not known.
        return_address: Where messages come back to that name this mail, or "" where nobody reads them.
        files: What it may have in common with other mails, or None.

    Raises:
        UndeliverableError: A file is gone, the message is too large for the server, or it cannot be built.
        MustWaitError: The store of the files cannot be reached.
    """
    try:
        file_of = files.get if files is not None else None
        message = build_message(mail, with_link=True, return_address=return_address, file_of=file_of)
    except StoreAwayError as error:
        raise store_away(error) from error
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


def store_away(error: StoreAwayError) -> MustWaitError:
    """Return that a mail waits since the store of its files cannot be reached; that is no attempt."""
    logger.warning("%s", error)
    failure = Failure(FailureKind.STORE_AWAY, True, detail=str(error))
    return MustWaitError(failure, clock.now() + with_jitter(WHILE_AWAY))
