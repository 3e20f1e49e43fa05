"""Postmark's HTTP API: `POST /email/batch`, which answers for each message.

https://postmarkapp.com/developer/api/email-api and https://postmarkapp.com/developer/api/overview#error-codes
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from core.mail.addresses import Address
from core.mail.outcomes import Advice, Failure, FailureKind, Stage
from modules.mail_config.transports.answers import Refusal, refusal, words_read
from modules.mail_config.transports.http import Answer
from modules.mail_config.transports.parts import Addressees, Parts
from modules.mail_config.transports.relay import Verdict, accepted, named_in, same_for

_INACTIVE = 406
_THROTTLED = 429
_FAULT_OF_ITS_OWN = 500
_ABOUT_SENDER = frozenset(
    {400, 401, 412, 413}
)  # signature missing or unconfirmed, account not approved or closed
_LONGEST_TAG = 80  # characters of a value of Metadata


class Postmark:
    """What is particular to Postmark; see `modules.mail_config.transports.relay.Relay`."""

    path = "/email/batch"
    most = 50
    check_path = "/server"

    def headers(self, key: str) -> Mapping[str, str]:
        """Return the token of the server, and that JSON is sent and wanted."""
        return {
            "X-Postmark-Server-Token": key,
            "Content-Type": "application/json",
            "Accept": "application/json",
        }

    def body(self, parts: Parts, people: Addressees, tag: str) -> bytes:
        """Return the messages as the provider wants them; its reports carry the tag as `envoi-mail`."""
        shared: dict[str, Any] = {
            "From": _person(parts.sender),
            "Subject": parts.subject,
            "TextBody": parts.text,
            "HtmlBody": parts.html,
            # Without this field, the provider writes a Message-ID of its own.
            "Headers": [
                *({"Name": name, "Value": value} for name, value in parts.fields),
                {"Name": "X-PM-KeepID", "Value": "true"},
            ],
            "Metadata": {"envoi-mail": tag[:_LONGEST_TAG]},
            "TrackOpens": False,
            "TrackLinks": "None",
        }
        if parts.reply_to is not None:
            shared["ReplyTo"] = _person(parts.reply_to)
        if parts.files:
            shared["Attachments"] = [
                {
                    "Name": file.name,
                    "Content": base64.b64encode(file.data).decode(),
                    "ContentType": file.media_type,
                    **({"ContentID": f"cid:{file.content_id}"} if file.content_id else {}),
                }
                for file in parts.files
            ]
        messages = [
            {**shared, **{field: ", ".join(map(_person, those)) for field, those in group.items()}}
            for group in _groups(people)
        ]
        return json.dumps(messages, ensure_ascii=False).encode()

    def verdict(self, answer: Answer, recipients: Sequence[str], people: Addressees) -> Verdict:
        """Each message has a result; those whom it names are refused, the others taken, or asked again."""
        results = answer.json
        groups = _groups(people)
        if answer.status != 200:
            return Verdict(refused=refusal(answer, self.words(answer)))
        if not isinstance(results, list) or len(results) != len(groups):
            words = "HTTP 200, but no result for each message."
            return Verdict(same_for(recipients, Failure(FailureKind.OUTCOME_UNKNOWN, False, detail=words)))
        verdict = Verdict()
        for result, group in zip(results, groups, strict=True):
            those = [one.addr_spec for people_ in group.values() for one in people_]
            verdict.outcomes |= _outcomes(result if isinstance(result, dict) else {}, those)
        return verdict

    def words(self, answer: Answer) -> str:
        """Return the message of the error, with its number."""
        found = answer.json
        if not isinstance(found, dict) or "Message" not in found:
            return ""
        return f"{found['Message']} ({found.get('ErrorCode', '?')})"

    def checked(self, answer: Answer) -> Refusal | None:
        """A token that may read its server may send by it."""
        if answer.status == 200 and isinstance(answer.json, dict):
            return None
        return refusal(answer, self.words(answer))


def _outcomes(result: Mapping[str, Any], those: Sequence[str]) -> dict[str, Any]:
    """Return what a result means for the recipients of its message; whoever is left out is asked again."""
    code, words = result.get("ErrorCode"), str(result.get("Message") or "")
    named = named_in(words, those)
    if code == 0:
        found = accepted(those, f"HTTP 200 {result.get('MessageID', '')}".rstrip())
        # “Message OK, but will not deliver to these inactive addresses: …”
        inactive = named if "inactive" in words else []
        return found | same_for(inactive, _failure(_INACTIVE, words, about_sender=False, named=True))
    if not isinstance(code, int):
        unknown = "A result says neither yes nor no."
        return same_for(those, Failure(FailureKind.OUTCOME_UNKNOWN, False, detail=unknown))
    about_sender = code in _ABOUT_SENDER or "'From'" in words
    failure = _failure(code, words, about_sender=about_sender, named=bool(named))
    return same_for(those if about_sender or not named else named, failure)


def _failure(code: int, words: str, *, about_sender: bool, named: bool) -> Failure:
    said = f"{words} ({code})"
    if code == _INACTIVE:
        return Failure(FailureKind.RECIPIENT_REFUSED, False, detail=said, advice=Advice.SUPPRESSED)
    if code == _THROTTLED:
        return Failure(FailureKind.RATE_LIMITED, True, detail=said, slows_server=True)
    if code == _FAULT_OF_ITS_OWN:
        return Failure(FailureKind.SERVER_ERROR, True, detail=said)
    if named and not about_sender:
        return Failure(FailureKind.ADDRESS_INVALID, False, detail=said)
    return replace(words_read(words, Stage.MAIL if about_sender else Stage.BODY), detail=said)


def _groups(people: Addressees) -> list[dict[str, Sequence[Address]]]:
    """Return who gets one message together; nobody sees who is hidden."""
    if people.to or people.cc:
        group = {"To": people.to or people.cc, "Cc": people.cc if people.to else (), "Bcc": people.hidden}
        return [{field: those for field, those in group.items() if those}]
    return [{"To": [one]} for one in people.hidden]


def _person(address: Address) -> str:
    if not address.display_name:
        return address.addr_spec
    name = address.display_name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{name}" <{address.addr_spec}>'
