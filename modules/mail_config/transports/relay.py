"""Relays that take mails by HTTP: what is the same for all of them.

No such provider offers a key by which a request could be said twice, so whoever may have heard one that was not
answered is `uncertain`.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from core.mail.addresses import ascii_addr_spec
from core.mail.outcomes import (
    Advice,
    Failure,
    FailureKind,
    RecipientOutcome,
    RecipientState,
    Reply,
    printable,
)
from modules.mail_config.models import Encryption
from modules.mail_config.transports.answers import Refusal
from modules.mail_config.transports.base import Envelope, LostClaimError, ServerAccess, Step, Submission
from modules.mail_config.transports.http import Answer, BrokenExchangeError, HttpConnection
from modules.mail_config.transports.parts import Addressees, Parts, addressees, taken_apart
from modules.mail_config.transports.receipts import OFFERED_NONE

_WALK = (Step.RESOLVE, Step.CONNECT, Step.TLS, Step.SIGN_IN, Step.MAIL, Step.RCPT, Step.DATA)
_ABOUT_SENDER = frozenset({FailureKind.SENDER_REFUSED})
_ABOUT_RECIPIENTS = frozenset(
    {FailureKind.ADDRESS_INVALID, FailureKind.RECIPIENT_UNKNOWN, FailureKind.RECIPIENT_REFUSED}
)


@dataclass(slots=True)
class Verdict:
    """What an answer means for the recipients of a request.

    Attributes:
        outcomes: By address, of those it says something about. Whoever is left out has got nothing and was not refused
            either: they are asked for again, without the others.
        refused: Why nobody was served, where that holds for all.
    """

    outcomes: dict[str, RecipientOutcome] = field(default_factory=dict)
    refused: Refusal | None = None


class Relay(Protocol):
    """What is particular to a provider. No I/O."""

    path: str
    """Where mails are posted."""
    most: int
    """How many recipients one request may have."""
    check_path: str
    """What can be read by a key that may send."""

    def headers(self, key: str) -> Mapping[str, str]:
        """Return the fields that every request carries."""

    def body(self, parts: Parts, people: Addressees, tag: str) -> bytes:
        """Return the body of a request.

        Args:
            parts: Of the message.
            people: Who gets it; nobody else may.
            tag: By which the provider's reports name the mail.
        """

    def verdict(self, answer: Answer, recipients: Sequence[str], people: Addressees) -> Verdict:
        """Return what an answer means for the recipients, who are named as in `people`."""

    def words(self, answer: Answer) -> str:
        """Return the provider's own words of an answer, or ""."""

    def checked(self, answer: Answer) -> Refusal | None:
        """Return what is wrong by the answer to `check_path`, or None."""


class HttpRelay:
    """A transport to a provider; see `modules.mail_config.transports.base.Transport`.

    Args:
        relay: What is particular to it.
        access: Whom to speak to; the password is the key.
        prefix: What stands before every path, without a slash at its end.
    """

    def __init__(self, relay: Relay, access: ServerAccess, prefix: str = "") -> None:
        self.access: ServerAccess | None = access
        self._relay, self._key, self._prefix = relay, access.password, prefix
        self._http = HttpConnection(access)
        plain = access.encryption is Encryption.NONE
        self.walk: Sequence[Step] = [step for step in _WALK if not (plain and step is Step.TLS)]

    @property
    def is_open(self) -> bool:
        """See `Transport.is_open`."""
        return self._http.is_open

    def close(self) -> None:
        """See `Transport.close`."""
        self._http.close()

    def drop(self) -> None:
        """See `Transport.drop`."""
        self._http.drop()

    def check(self, envelope_from: str) -> Submission:
        """Ask for what the key may do; the sender is named by a mail only."""
        del envelope_from
        self._begin_anew()
        if (failure := self._unusable_key()) is not None:
            return self._ended(failure, of_server=True)
        self.close()
        try:
            answer = self._ask("GET", self._relay.check_path)
        except BrokenExchangeError as error:
            return self._ended(error.failure, of_server=True)
        finally:
            self.close()
        self._http.begin(Step.SIGN_IN)
        found = self._relay.checked(answer)
        if found is None:
            return self._ended(None)
        return self._ended(replace(found.failure, temporary=True), of_server=True)

    def submit(self, message: bytes, envelope: Envelope, before_body: Callable[[], None]) -> Submission:
        """See `Transport.submit`."""
        self._begin_anew()
        if envelope.delivery_receipt:
            # A wish, not a condition: the mail leaves without it, and the record says so.
            self._http.note(f"* {OFFERED_NONE}")
        try:
            submission = self._submit(message, envelope, before_body)
        except BaseException:
            self.drop()
            raise
        submission.no_receipt = envelope.delivery_receipt
        return submission

    def _submit(self, message: bytes, envelope: Envelope, before_body: Callable[[], None]) -> Submission:
        if (failure := self._unusable_key()) is not None:
            return self._ended(failure, of_server=True)
        try:
            parts = taken_apart(message)
        except ValueError as error:
            return self._all(envelope, Failure(FailureKind.INTERNAL_ERROR, False, detail=str(error)))
        tag = envelope.envelope_id.partition("@")[0]
        # Providers want the domain in ASCII; what they name is found again by it.
        spelled = {_spelled(address): address for address in envelope.recipients}
        known: dict[str, RecipientOutcome] = {}
        left = list(spelled)
        while left:
            asked = left[: self._relay.most]
            try:
                verdict = self._exchange(parts, asked, tag, before_body)
            except LostClaimError as error:
                if not any(one.state is RecipientState.ACCEPTED for one in known.values()):
                    raise
                self._http.note(f"* {error}")
                verdict = Verdict(refused=Refusal(Failure(FailureKind.SERVER_ERROR, True, detail=str(error))))
            refused = verdict.refused
            if refused is not None and (refused.of_server or refused.unanswered) and not known:
                return self._ended(refused.failure, of_server=refused.of_server)
            known |= verdict.outcomes if refused is None else same_for(asked, refused.failure)
            left = [address for address in left if address not in known]
            if refused is not None and (later := _for_the_others(refused.failure)) is not None:
                known |= same_for(left, later)
                break
        outcomes = tuple(replace(known[address], addr_spec=whole) for address, whole in spelled.items())
        return Submission(outcomes, transcript=self._http.transcript, steps=self._http.steps)

    def _exchange(
        self, parts: Parts, recipients: Sequence[str], tag: str, before_body: Callable[[], None]
    ) -> Verdict:
        """Hand the message over to some recipients, by one request; it says something about at least one of them."""
        people = addressees(parts, recipients)
        body = self._relay.body(parts, people, tag)
        began = time.monotonic()
        try:
            answer = self._ask("POST", self._relay.path, body, before_body)
        except BrokenExchangeError as error:
            if not error.heard:
                return Verdict(refused=Refusal(error.failure, not error.connected, unanswered=True))
            return _unknown(f"No answer came: {error.failure.diagnostic}")
        if answer.early and answer.status < 300:
            return _unknown(f"HTTP {answer.status}, before the whole message had gone out.")
        verdict = self._relay.verdict(answer, recipients, people)
        if verdict.refused is None and not any(address in verdict.outcomes for address in recipients):
            verdict = _unknown("The provider's answer says nothing about the recipients.")
        self._tell_steps(verdict, began)
        return verdict

    def _ask(
        self, method: str, path: str, body: bytes = b"", before_body: Callable[[], None] = lambda: None
    ) -> Answer:
        answer = self._http.ask(
            method, self._prefix + path, self._relay.headers(self._key), body, before_body
        )
        if answer.status >= 300 and (words := self._relay.words(answer)):
            self._http.note(f"S: {words}")
        return answer

    def _tell_steps(self, verdict: Verdict, began: float) -> None:
        """Tell as steps what one request holds: key, sender, recipients, mail; up to the one that was refused."""
        failures = [one.failure for one in verdict.outcomes.values()]
        failure = verdict.refused.failure if verdict.refused else next((one for one in failures if one), None)
        kind = failure.kind if failure is not None else None
        last = (
            Step.SIGN_IN if kind is FailureKind.AUTH_FAILED
            else Step.MAIL if kind in _ABOUT_SENDER
            else Step.RCPT if kind in _ABOUT_RECIPIENTS
            else Step.DATA
        )  # fmt: skip
        for step in (Step.SIGN_IN, Step.MAIL, Step.RCPT, Step.DATA):
            self._http.begin(step, began)
            if step is last:
                break

    def _unusable_key(self) -> Failure | None:
        """Return what is wrong with a key that cannot stand in a header; the words never hold it."""
        if self._key and self._key.isascii() and self._key.isprintable():
            return None
        self._http.begin(Step.SIGN_IN)
        words = "The API key is missing, or holds a character that none has."
        return Failure(FailureKind.AUTH_FAILED, True, detail=words, advice=Advice.API_KEY)

    # -- what is returned ----------------------------------------------------------------------------

    def _begin_anew(self) -> None:
        self._http.transcript, self._http.steps = [], []

    def _ended(self, failure: Failure | None, *, of_server: bool = False) -> Submission:
        return Submission((), failure, of_server, self._http.transcript, self._http.steps)

    def _all(self, envelope: Envelope, failure: Failure) -> Submission:
        outcomes = tuple(same_for(envelope.recipients, failure).values())
        return Submission(outcomes, transcript=self._http.transcript, steps=self._http.steps)


def _unknown(words: str) -> Verdict:
    return Verdict(refused=Refusal(Failure(FailureKind.OUTCOME_UNKNOWN, temporary=False, detail=words)))


def _for_the_others(failure: Failure) -> Failure | None:
    """Return why those wait who have not been asked for yet; None where they may be asked for at once."""
    if failure.kind is FailureKind.OUTCOME_UNKNOWN:
        return Failure(FailureKind.SERVER_ERROR, temporary=True, detail=failure.detail)
    return failure if failure.temporary else None


def _spelled(address: str) -> str:
    if address.isascii():
        return address
    try:
        return ascii_addr_spec(address)
    except ValueError:
        return address


def same_for(recipients: Sequence[str], failure: Failure) -> dict[str, RecipientOutcome]:
    """Return what a failure is for several recipients: refused, deferred, or uncertain."""
    if failure.kind is FailureKind.OUTCOME_UNKNOWN:
        state = RecipientState.UNCERTAIN
    else:
        state = RecipientState.DEFERRED if failure.temporary else RecipientState.REFUSED
    return {address: RecipientOutcome(address, state, failure=failure) for address in recipients}


def accepted(recipients: Sequence[str], words: str) -> dict[str, RecipientOutcome]:
    """Return the outcome of recipients whom a provider has taken, with its words, such as its own id of the mail."""
    reply = Reply(0, "", printable(words))
    return {address: RecipientOutcome(address, RecipientState.ACCEPTED, reply) for address in recipients}


def named_in(words: str, recipients: Sequence[str]) -> list[str]:
    """Return the recipients whose addresses stand in some words."""
    text = words.casefold()
    return [
        address
        for address in recipients
        if re.search(rf"(?<![\w.+-]){re.escape(address.casefold())}(?![\w-]|\.\w)", text)
    ]
