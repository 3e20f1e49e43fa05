"""The connections of this process to mail servers: lent to one lane at a time, kept from job to job."""

from __future__ import annotations

import atexit
import threading
from dataclasses import dataclass

from flask import current_app

from modules.mail_config.models import MailServer
from modules.mail_config.servers import connection_limit
from modules.mail_config.servers.access import open_transport
from modules.mail_config.transports.base import Transport
from modules.mail_config.transports.connection import KEEP_SECONDS
from modules.outbox.delivery.claims import lease


@dataclass(slots=True, eq=False)
class Loan:
    """A connection that is lent to a lane.

    Attributes:
        server_id: Of the server it leads to.
        fingerprint: Of the settings it was made by.
        connection: It opens with its first mail.
        place: Its place among all connections to the server.
        limit: How many all workers together may open.
        most: How many mails may go over one connection, or None.
        sent: How many have gone over the one that is open.
    """

    server_id: int
    fingerprint: str
    connection: Transport
    place: connection_limit.Place
    limit: int
    most: int | None = None
    sent: int = 0

    def end_worn_out(self) -> None:
        """End the connection once as many mails as may have gone over it; the next mail opens another."""
        if not self.connection.is_open:
            self.sent = 0
        elif self.most is not None and self.sent >= self.most:
            self.connection.close()
            self.sent = 0


class ConnectionPool:
    """Connections that are open or may be opened, each used by one lane at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[Loan] = []
        self._lent: list[Loan] = []
        self._goodbye: threading.Timer | None = None

    def lend(self, server: MailServer, limit: int) -> Loan | None:
        """Return a connection to a server, which may be closed, or None when no other may be opened now.

        Args:
            server: Free of the session. Connections made by other settings are ended.
            limit: How many all workers together may open.

        Raises:
            UnusableServerError: None can be made.
        """
        # Host, account or password may have changed since a connection was made; then it speaks for the old ones.
        fingerprint = server.fingerprint
        share = connection_limit.share_of(limit)
        with self._lock:
            mine = [loan for loan in self._idle if loan.server_id == server.id]
            outdated = [loan for loan in mine if loan.fingerprint != fingerprint]
            kept = [loan for loan in mine if loan.fingerprint == fingerprint]
            # The one that was used last: the server has the least reason to have hung up.
            loan = kept[-1] if kept else None
            if loan is None:
                if self._open_to(server.id) - len(outdated) >= share:
                    return None
                loan = self._new(server, fingerprint, limit)
            else:
                self._idle.remove(loan)
                loan.limit, loan.most = limit, connection_limit.mails_of(server)
            for old in outdated:
                self._idle.remove(old)
            self._lent.append(loan)
        for old in outdated:
            self._end(old)
        if loan.place.take(limit):
            return loan
        # The place had run out, or there was none.
        with self._lock:
            self._lent.remove(loan)
        loan.connection.close()
        return None

    def _new(self, server: MailServer, fingerprint: str, limit: int) -> Loan:
        connection = open_transport(server, timeout=float(current_app.config["OUTBOX_SMTP_TIMEOUT_SECONDS"]))
        # As long as a claim: what a dead worker held comes free all at once.
        place = connection_limit.Place(server.id, lease().total_seconds())
        return Loan(server.id, fingerprint, connection, place, limit, connection_limit.mails_of(server))

    def take_back(self, loan: Loan) -> None:
        """Keep a connection for the next who needs it.

        One that is closed gives its place to others, and so does one too many since other workers have come.
        """
        to_keep = connection_limit.to_keep(loan.limit)
        with self._lock:
            keep = loan.connection.is_open and self._open_to(loan.server_id) <= to_keep
            self._lent.remove(loan)
            if keep:
                self._idle.append(loan)
                return
        self._end(loan)

    def open_to(self, server_id: int) -> int:
        """Return how many connections to a server are open or being opened here."""
        with self._lock:
            return self._open_to(server_id)

    def _open_to(self, server_id: int) -> int:
        return sum(1 for loan in (*self._idle, *self._lent) if loan.server_id == server_id)

    def keep_places(self) -> None:
        """Keep the places of the connections in use, since a dialogue may last longer than a place does."""
        with self._lock:
            lent = list(self._lent)
        connection_limit.Place.keep([loan.place for loan in lent])
        with self._lock:
            gone = [loan for loan in lent if loan not in self._lent and loan not in self._idle]
        for loan in gone:
            # Given back meanwhile, perhaps before it was kept.
            loan.place.leave()

    def close_later(self) -> None:
        """Say goodbye on the connections that nobody has used for a while; servers have others to serve."""
        with self._lock:
            if self._goodbye is None or not self._goodbye.is_alive():
                self._goodbye = threading.Timer(KEEP_SECONDS, self._close_idle)
                self._goodbye.daemon = True
                self._goodbye.start()

    def _close_idle(self) -> None:
        with self._lock:
            old = [loan for loan in self._idle if not loan.connection.is_open]
            self._idle = [loan for loan in self._idle if loan.connection.is_open]
            again = bool(self._idle)
            self._goodbye = None
        for loan in old:
            self._end(loan)
        if again:
            self.close_later()

    def close(self) -> None:
        """End all that are not lent, at once."""
        with self._lock:
            if self._goodbye is not None:
                self._goodbye.cancel()
            idle, self._idle = self._idle, []
        for loan in idle:
            loan.connection.drop()
            loan.place.leave()

    @staticmethod
    def _end(loan: Loan) -> None:
        loan.connection.close()
        loan.place.leave()


pool = ConnectionPool()
"""Of this process."""

atexit.register(pool.close)
