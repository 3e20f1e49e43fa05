"""What the lanes of one run have in common."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from core.db.group_commit import GroupCommit
from core.mail.outcomes import Failure
from modules.outbox.delivery import claims
from modules.outbox.delivery.route import DeliveryRoute, find_route
from modules.outbox.message import CommonFiles
from modules.outbox.models import OutgoingMail
from modules.outbox.states import RetryPolicy

_Sender = tuple[object, ...]


def _sender_of(mail: OutgoingMail) -> _Sender:
    """Return what the rule of senders asks about a mail: mails that are alike in it leave alike."""
    return (
        mail.company_id,
        mail.submitted_by_id,
        mail.purpose,
        mail.sender_address,
        mail.reply_to_address,
    )


@dataclass(slots=True)
class Shared:
    """What the lanes of one run know together.

    Attributes:
        policy: When a mail is tried again.
        writer: Commits for all of them.
        down: Servers that have failed meanwhile, and how.
        blamed: Servers whose failure was counted meanwhile.
        slowed: Servers that have asked meanwhile to be slowed down.
        at_work: Servers that have taken a mail meanwhile, and when the last, by the monotonic clock.
        quickest: The seconds of the shortest dialogue in which each of them has taken one.
        offered: How many connections each server is offered; fewer once it has refused one.
        files: Those that several mails have in common.
        wants_copies: True once a mail was accepted whose copy goes into a Sent folder.
        lock: Held while one finds out what holds for all.
    """

    policy: RetryPolicy
    writer: GroupCommit
    down: dict[int, Failure] = field(default_factory=dict)
    blamed: set[int] = field(default_factory=set)
    slowed: set[int] = field(default_factory=set)
    at_work: dict[int, float] = field(default_factory=dict)
    quickest: dict[int, float] = field(default_factory=dict)
    offered: dict[int, int] = field(default_factory=dict)
    files: CommonFiles = field(default_factory=CommonFiles)
    wants_copies: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)
    _routes: dict[_Sender, DeliveryRoute] = field(default_factory=dict)
    _turns: dict[int, threading.Lock] = field(default_factory=dict)

    def route(self, mail: OutgoingMail) -> DeliveryRoute:
        """Return how a mail leaves, which is found once for all of one sender."""
        # Finding the server asks the database several times; a run of 1,000 mails has one sender mostly.
        key = _sender_of(mail)
        with self.lock:
            route = self._routes.get(key)
            if route is None:
                route = self._routes[key] = claims.patiently(lambda: find_route(mail))
                if route.server is not None:
                    self.offered.setdefault(route.server.id, route.connections)
        return route

    def known_server(self, mail: OutgoingMail) -> int | None:
        """Return the id of the server by which a mail leaves, or None while nobody has asked for its route."""
        route = self._routes.get(_sender_of(mail))
        return route.server.id if route is not None and route.server is not None else None

    def forget_routes(self, server_id: int | None = None) -> None:
        """Find routes anew: while a run goes on, somebody may change its servers, or one is paused.

        Args:
            server_id: Only those by this server.
        """
        with self.lock:
            self._routes = {
                key: route
                for key, route in self._routes.items()
                if server_id is not None and (route.server is None or route.server.id != server_id)
            }

    def turn(self, server_id: int) -> threading.Lock:
        """Return what a lane holds while it waits for its moment at a server, so that the next asks after it."""
        with self.lock:
            return self._turns.setdefault(server_id, threading.Lock())
