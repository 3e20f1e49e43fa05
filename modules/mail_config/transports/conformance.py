"""What every transport must keep, ours or a third party's: one suite that runs over each.

from modules.mail_config.transports.conformance import TransportConformance

class TestSendmail(TransportConformance):
    @pytest.fixture
    def working(self): …
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from core.mail.outcomes import RecipientState
from modules.mail_config.transports.base import Envelope, LostClaimError, Transport

MESSAGE = (
    b"From: Maison <post@maison.example.com>\r\nTo: you@example.com\r\nSubject: One\r\n"
    b"Message-ID: <one@maison.example.com>\r\nDate: Mon, 30 Nov 2026 12:00:00 +0000\r\n"
    b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nOne line.\r\n"
)
ENVELOPE = Envelope("post@maison.example.com", ("you@example.com", "two@example.com"))


class TransportConformance:
    """The whole suite, for one transport. Its fixtures are given by whoever inherits it."""

    @pytest.fixture
    def working(self) -> Transport:
        """A transport to something that takes mails."""
        raise NotImplementedError

    @pytest.fixture
    def received(self) -> Callable[[], int]:
        """How many mails that has taken."""
        raise NotImplementedError

    @pytest.fixture
    def unreachable(self) -> Transport:
        """A transport to something that is not there."""
        raise NotImplementedError

    def test_nothing_is_open_before_the_first_mail(self, working: Transport) -> None:
        """And ending what never began does no harm."""
        assert not working.is_open
        working.drop()
        working.close()

    def test_each_recipient_has_an_outcome(self, working: Transport, received: Callable[[], int]) -> None:
        """In order, once `before_body` was called; and so again by the same transport."""
        for times in (1, 2):
            asked: list[int] = []
            submission = working.submit(MESSAGE, ENVELOPE, lambda asked=asked: asked.append(received()))  # type: ignore[misc]
            assert submission.failure is None
            assert [outcome.addr_spec for outcome in submission.outcomes] == [*ENVELOPE.recipients]
            assert {outcome.state for outcome in submission.outcomes} == {RecipientState.ACCEPTED}
            assert asked[0] < received(), "before_body comes before the message"
            if times == 1:
                assert {step.step for step in submission.steps} == set(working.walk)
        working.close()
        assert not working.is_open

    def test_before_body_says_no(self, working: Transport, received: Callable[[], int]) -> None:
        """Then the error passes through, and nobody gets anything."""

        def lost() -> None:
            raise LostClaimError("taken away")

        with pytest.raises(LostClaimError):
            working.submit(MESSAGE, ENVELOPE, lost)
        working.drop()
        assert not working.is_open
        assert received() == 0

    def test_what_is_not_there_is_a_failure_of_the_server(self, unreachable: Transport) -> None:
        """It is returned, temporary, with the step at which it ended; the mail is not in flight."""
        submission = unreachable.submit(MESSAGE, ENVELOPE, lambda: pytest.fail("it went out"))
        assert submission.outcomes == ()
        assert submission.failure is not None
        assert submission.failure.temporary
        assert submission.failure.diagnostic
        assert submission.server_failed
        assert submission.steps[-1].step in unreachable.walk
        assert not unreachable.is_open
        unreachable.close()

    def test_a_check_sends_nothing_and_hangs_up(
        self, working: Transport, received: Callable[[], int]
    ) -> None:
        """And it finds no fault where mails are taken."""
        submission = working.check("post@maison.example.com")
        assert submission.failure is None
        assert submission.outcomes == ()
        assert not working.is_open
        assert received() == 0
