"""Gmail and Microsoft 365 by their interfaces of HTTP, for houses where SMTP is switched off.

Gmail: `users.messages.send`, the message as it is (https://developers.google.com/workspace/gmail/api/guides/uploads).
Microsoft Graph: `sendMail` with MIME in base64 (https://learn.microsoft.com/graph/outlook-send-mime-message).

Both read the recipients in the head of the message and know no envelope, so the head is made to say what that does.
Both answer for all recipients at once, and offer no key by which a mail that is sent twice would be known: where no
answer says what became of a message that has gone out, its recipients are uncertain.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from core.mail.outcomes import Failure, FailureKind, RecipientOutcome, RecipientState, printable
from modules.mail_config.account_models import AccountProvider
from modules.mail_config.transports.addressed import addressed
from modules.mail_config.transports.api_answers import explain_answer, words_of
from modules.mail_config.transports.base import (
    Envelope,
    NoTokenError,
    ServerAccess,
    Step,
    StepTaken,
    Submission,
)
from modules.mail_config.transports.https import Answer, RequestError, ask
from modules.mail_config.transports.oauth import moved

MAX_GRAPH_OCTETS = 3_000_000
"""Of a message at Microsoft Graph: a request has 4 MB at most, in base64.

Larger ones would go by upload sessions (https://learn.microsoft.com/graph/outlook-large-attachments): a draft in parts,
made under the permission `Mail.ReadWrite` to read and change the whole mailbox, for which nobody is asked here.
"""


@dataclass(frozen=True, slots=True)
class Api:
    """The interface of a provider.

    Attributes:
        send: Where a message is posted.
        profile: What is asked for to find out whether the account is let in.
        media_type: Of what is posted.
        encoded: True where the message is posted in base64.
        accepted: The status of a message that was taken.
        says_id: True where the answer then is JSON with an `id`.
    """

    send: str
    profile: str
    media_type: str
    encoded: bool
    accepted: int
    says_id: bool


APIS: Mapping[AccountProvider, Api] = {
    AccountProvider.GOOGLE: Api(
        "https://gmail.googleapis.com/upload/gmail/v1/users/me/messages/send?uploadType=media",
        "https://gmail.googleapis.com/gmail/v1/users/me/profile",
        "message/rfc822",
        encoded=False,
        accepted=200,
        says_id=True,
    ),
    AccountProvider.MICROSOFT: Api(
        "https://graph.microsoft.com/v1.0/me/sendMail",
        "https://graph.microsoft.com/v1.0/me",
        "text/plain",
        encoded=True,
        accepted=202,
        says_id=False,
    ),
}

_WALK = (Step.SIGN_IN, Step.RESOLVE, Step.CONNECT, Step.TLS, Step.DATA)

_OF_THE_SERVER = frozenset({FailureKind.AUTH_FAILED, FailureKind.SERVER_ERROR})
"""Kinds that say nothing about the mail: the account, or the interface itself."""


class AccountApi:
    """A connection for each message, by the token of an account; nothing is kept open.

    Args:
        provider: Whose interface.
        token: Gives an access token; told the one that was just refused, or "".
        timeout: Seconds for a whole answer.
        base_url: Another place that speaks for the provider, or "".
        ca_file: Trusted certificates beside the system's, or None.
    """

    access: ServerAccess | None = None
    is_open = False

    def __init__(
        self,
        provider: AccountProvider,
        token: Callable[[str], str],
        *,
        timeout: float,
        base_url: str = "",
        ca_file: str | None = None,
    ) -> None:
        self._api = APIS[provider]
        self._token = token
        self._timeout = timeout
        self._base_url = base_url
        self._ca_file = ca_file
        self._steps: list[StepTaken] = []
        self._transcript: list[str] = []

    @property
    def walk(self) -> Sequence[Step]:
        """The token first, then one request."""
        secure = self._url(self._api.send).startswith("https:")
        return [step for step in _WALK if secure or step is not Step.TLS]

    def close(self) -> None:
        """Do nothing: no connection is kept."""

    drop = close

    def submit(self, message: bytes, envelope: Envelope, before_body: Callable[[], None]) -> Submission:
        """Post a message; see `Transport.submit`."""
        self._steps, self._transcript = [], []
        octets = addressed(message, envelope.recipients)
        body = base64.b64encode(octets) if self._api.encoded else octets
        sent = self._asked("POST", self._api.send, body, before_body)
        if isinstance(sent, Submission):
            return self._unanswered(sent, envelope)
        if sent.status == self._api.accepted and self._is_sure(sent):
            return self._all(envelope, RecipientState.ACCEPTED)
        failure = explain_answer(sent)
        if failure is None:
            said = words_of(sent)
            unknown = Failure(FailureKind.OUTCOME_UNKNOWN, temporary=False, detail=said)
            return self._all(envelope, RecipientState.UNCERTAIN, unknown)
        if failure.kind in _OF_THE_SERVER:
            return self._failed(failure)
        return self._all(
            envelope, RecipientState.DEFERRED if failure.temporary else RecipientState.REFUSED, failure
        )

    def check(self, envelope_from: str) -> Submission:  # noqa: ARG002 (nobody can be asked about without a mail)
        """Ask for the profile of the account; see `Transport.check`.

        That it may not be read is as good: a permission to send alone does not allow it, and the account was let in.
        """
        self._steps, self._transcript = [], []
        answer = self._asked("GET", self._api.profile, b"", lambda: None)
        if isinstance(answer, Submission):
            return answer
        if answer.status in {401, 408, 429} or answer.status >= 500 or 300 <= answer.status < 400:
            failure = explain_answer(answer) or Failure(
                FailureKind.SERVER_ERROR, temporary=True, detail=words_of(answer)
            )
            return self._failed(failure)
        return Submission(transcript=self._transcript, steps=self._steps)

    # -- one request ---------------------------------------------------------------------------------

    def _url(self, address: str) -> str:
        return moved(address, self._base_url)

    def _asked(
        self, method: str, address: str, body: bytes, before_body: Callable[[], None]
    ) -> Answer | Submission:
        """Return the answer, once more with a new token where the first is refused; a failure where there is none."""
        refused = ""
        while True:
            self._begin(Step.SIGN_IN, "")
            try:
                token = self._token(refused)
            except NoTokenError as error:
                return self._failed(error.failure)
            self._note(f"C: {method} {self._url(address)} ({len(body)} octets, Bearer secret)")
            try:
                answer = ask(
                    method,
                    self._url(address),
                    headers={"Authorization": f"Bearer {token}", "Content-Type": self._api.media_type},
                    body=body,
                    timeout=self._timeout,
                    # Whoever runs the installation has named the place.
                    allow_local=bool(self._base_url),
                    ca_file=self._ca_file,
                    before_body=before_body,
                    begin=self._begin,
                )
            except RequestError as error:
                return self._broken_off(error)
            self._note(f"S: {words_of(answer)}")
            if answer.status != 401 or refused:
                return answer
            refused = token
            self._steps.clear()

    def _begin(self, step: Step, detail: str) -> None:
        if self._steps and detail:
            self._steps[-1].detail = detail
        self._steps.append(StepTaken(step, time.monotonic()))

    def _broken_off(self, error: RequestError) -> Submission:
        self._note(f"* {error.failure.diagnostic}")
        if error.sent:
            unknown = Failure(FailureKind.OUTCOME_UNKNOWN, temporary=False, detail=error.failure.diagnostic)
            return Submission((), unknown, transcript=self._transcript, steps=self._steps)
        # A body that has begun to go out may be why it broke off; before that nothing was said of a mail.
        return Submission((), error.failure, not error.began, self._transcript, self._steps)

    def _unanswered(self, submission: Submission, envelope: Envelope) -> Submission:
        failure = submission.failure
        if failure is not None and failure.kind is FailureKind.OUTCOME_UNKNOWN:
            return self._all(envelope, RecipientState.UNCERTAIN, failure)
        return submission

    def _is_sure(self, answer: Answer) -> bool:
        # A 200 of something between us and the provider is not its word.
        if not self._api.says_id:
            return True
        try:
            return bool(answer.json().get("id"))
        except ValueError:
            return False

    def _all(self, envelope: Envelope, state: RecipientState, failure: Failure | None = None) -> Submission:
        outcomes = tuple(RecipientOutcome(address, state, failure=failure) for address in envelope.recipients)
        return Submission(outcomes, transcript=self._transcript, steps=self._steps)

    def _failed(self, failure: Failure) -> Submission:
        return Submission((), failure, server_failed=True, transcript=self._transcript, steps=self._steps)

    def _note(self, line: str) -> None:
        self._transcript.append(printable(line, 600))
