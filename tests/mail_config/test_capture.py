"""A kind of server that keeps what it is given, and sends to nobody."""

from __future__ import annotations

from core.mail.outcomes import RecipientState
from modules.mail_config.transports.capture import Capture
from modules.mail_config.transports.conformance import ENVELOPE, MESSAGE


def test_everybody_is_served_and_nobody_asked():
    capture = Capture()
    assert capture.check("post@maison.example.com").failure is None
    told = []
    submission = capture.submit(MESSAGE, ENVELOPE, lambda: told.append(1))
    assert told == [1], "it is in flight before it is taken, as everywhere"
    assert [one.state for one in submission.outcomes] == [RecipientState.ACCEPTED] * 2
    assert not capture.is_open
