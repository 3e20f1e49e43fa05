"""The connections of this process to mail servers: lent to one lane at a time, kept from job to job."""

from __future__ import annotations

import atexit
import threading
from dataclasses import dataclass
from typing import cast

from flask import Flask, current_app

from modules.mail_config.models import MailServer
from modules.mail_config.servers import connection_limit
from modules.mail_config.servers.access import open_transport
from modules.mail_config.transports.base import Transport
from modules.outbox.delivery.claims import lease

TEND_SECONDS = 5.0
"""How often the connections that nobody uses are looked after."""


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
        self._tending: threading.Timer | None = None

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

    def tend_idle_later(self) -> None:
        """Look after the connections that nobody uses: soon, and again as long as there are any."""
        app = cast("Flask", current_app._get_current_object())  # type: ignore[attr-defined]
        with self._lock:
            if self._idle and (self._tending is None or not self._tending.is_alive()):
                # More often than places run out: an open connection whose place another worker has got is one too many.
                seconds = min(TEND_SECONDS, lease().total_seconds() / 3)
                self._tending = threading.Timer(seconds, self._tend_idle, (app,))
                self._tending.daemon = True
                self._tending.start()

    def _tend_idle(self, app: Flask) -> None:
        """Keep the places of connections that nobody uses, or end them: servers and workers have others to serve."""
        with app.app_context():
            for loan in self._idle.copy():
                to_keep = connection_limit.to_keep(loan.limit)
                with self._lock:
                    if loan not in self._idle:
                        continue
                    # Taken back as soon as it is lent again.
                    self._idle.remove(loan)
                    keep = loan.connection.is_open and self._open_to(loan.server_id) < to_keep
                if keep and loan.place.take(loan.limit):
                    with self._lock:
                        self._idle.append(loan)
                else:
                    self._end(loan)
            with self._lock:
                self._tending = None
            self.tend_idle_later()

    def close(self) -> None:
        """End all that are not lent, at once."""
        with self._lock:
            tending = self._tending
        if tending is not None:
            tending.cancel()
            # What it looks at is neither lent nor idle.
            tending.join(TEND_SECONDS)
        with self._lock:
            if self._tending is not None:
                self._tending.cancel()
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
