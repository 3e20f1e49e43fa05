"""Errors that end an attempt before the mail reaches a server."""

from __future__ import annotations

import datetime as dt

from core.errors import EnvoiError
from core.mail.outcomes import Failure


class UndeliverableError(EnvoiError):
    """The mail cannot be handed to a server, for a reason of its own."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.diagnostic)
        self.failure = failure


class MustWaitError(EnvoiError):
    """The mail waits for its server, without having been tried.

    Attributes:
        failure: What is the matter with the server, or that the mail waits for its turn.
        until: When to look again.
    """

    def __init__(self, failure: Failure, until: dt.datetime) -> None:
        super().__init__(failure.diagnostic)
        self.failure = failure
        self.until = until


class NoConnectionError(EnvoiError):
    """No connection to the server is free for a mail; it was not tried."""

    def __init__(self, server_id: int) -> None:
        super().__init__("No connection is free.")
        self.server_id = server_id
