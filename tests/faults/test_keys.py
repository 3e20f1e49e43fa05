"""Keys are changed while mails leave, and by somebody who is killed: each leaves once, and everything is readable."""

from __future__ import annotations

from collections import Counter

import pytest
from flask import Flask

from core import rotation
from core.registry import current_settings
from tests.outbox.own_queue import *  # noqa: F403 (fixtures)
from tests.outbox.processes import eventually, states_of

pytestmark = [pytest.mark.smtp, pytest.mark.both_databases]


def test_keys_are_changed_while_mails_leave_and_by_somebody_who_is_killed(
    app: Flask, hire, send, lab
) -> None:
    first = hire()
    early = [send(f"early-{n}@example.com", private=True).id for n in range(12)]
    later = [send(f"later-{n}@example.com", private=True).id for n in range(12)]
    names = {rotation.rotate(lambda _told: None).ring.newest.name for _ in range(3)}
    assert len(names) >= 2
    # One that is killed wherever it is: it may have made a key, and encrypted some under it, or none.
    killed = hire("key", arguments=("rotate",))
    eventually(lambda: current_settings().keys_file.read_text().count("\n") > len(names), "it has made a key")
    killed.kill()
    killed.end_connections()
    last = [send(f"last-{n}@example.com", private=True).id for n in range(6)]
    found = rotation.rotate(lambda _told: None)
    assert (found.behind, found.unreadable) == (0, [])
    everything = [*early, *later, *last]
    eventually(lambda: set(states_of(everything)) == {"sent"}, "all have left")
    reached = Counter(address for one in lab.accepted for address in one.recipients)
    assert len(reached) == 30
    assert set(reached.values()) == {1}
    assert "Traceback" not in first.log
    keys = [line.split()[1] for line in current_settings().keys_file.read_text().splitlines()]
    assert not [key for key in keys if key in first.log + killed.log]
