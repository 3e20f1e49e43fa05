"""SendGrid's HTTP API, version 3: `POST /v3/mail/send`.

https://www.twilio.com/docs/sendgrid/api-reference/mail-send/mail-send
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from core.mail.addresses import Address
from core.mail.outcomes import Advice, Failure, FailureKind, Stage
from modules.mail_config.transports.answers import Refusal, refusal
from modules.mail_config.transports.http import Answer
from modules.mail_config.transports.parts import Addressees, Parts
from modules.mail_config.transports.relay import Verdict, accepted, same_for

_RECIPIENT = re.compile(r"personalizations\.(\d+)\.(to|cc|bcc)\.(\d+)", re.ASCII)
_RESERVED = frozenset({"x-sg-id", "x-sg-eid", "content-type", "content-transfer-encoding"})


class SendGrid:
    """What is particular to SendGrid; see `modules.mail_config.transports.relay.Relay`."""

    path = "/v3/mail/send"
    most = 1000
    check_path = "/v3/scopes"

    def headers(self, key: str) -> Mapping[str, str]:
        """Return the key, and that JSON is sent and wanted."""
        return {
            "Authorization": f"Bearer {key}",
            "Content-Type": "application/json",
            "Accept": "application/json",
        }

    def body(self, parts: Parts, people: Addressees, tag: str) -> bytes:
        """Return the mail as the provider wants it; its reports carry the tag as `envoi_mail`."""
        content = [
            {"type": kind, "value": text}
            for kind, text in (("text/plain", parts.text), ("text/html", parts.html))
            if text
        ]
        mail: dict[str, Any] = {
            "personalizations": [
                {field: [_person(one) for one in those] for field, those in group.items()}
                for group in _groups(people)
            ],
            "from": _person(parts.sender),
            "subject": parts.subject,
            # At least one character is wanted.
            "content": content or [{"type": "text/plain", "value": " "}],
            "headers": {name: value for name, value in parts.fields if name.lower() not in _RESERVED},
            "custom_args": {"envoi_mail": tag},
            # A document says what its sender has written: no links that lead elsewhere, no picture that watches.
            "tracking_settings": {
                "click_tracking": {"enable": False, "enable_text": False},
                "open_tracking": {"enable": False},
            },
        }
        if parts.reply_to is not None:
            mail["reply_to"] = _person(parts.reply_to)
        if parts.files:
            mail["attachments"] = [
                {
                    "content": base64.b64encode(file.data).decode(),
                    "type": file.media_type,
                    "filename": file.name,
                    "disposition": "inline" if file.content_id else "attachment",
                    **({"content_id": file.content_id} if file.content_id else {}),
                }
                for file in parts.files
            ]
        return json.dumps(mail, ensure_ascii=False).encode()

    def verdict(self, answer: Answer, recipients: Sequence[str], people: Addressees) -> Verdict:
        """202 takes all of a request; a 400 that names recipients has served nobody, and the others are asked again."""
        if answer.status == 202:
            mail_id = answer.headers.get("x-message-id", "")
            return Verdict(accepted(recipients, f"HTTP 202 {mail_id}".rstrip()))
        errors = _errors(answer)
        named = [address for error in errors for address in _named(error, people)]
        if answer.status == 400 and named and len(named) == len(errors):
            outcomes: dict[str, Any] = {}
            for error, address in zip(errors, named, strict=True):
                outcomes |= same_for(
                    [address], Failure(FailureKind.ADDRESS_INVALID, False, detail=_words([error]))
                )
            return Verdict(outcomes)
        about_sender = any(str(error.get("field") or "").partition(".")[0] == "from" for error in errors)
        return Verdict(refused=refusal(answer, _words(errors), Stage.MAIL if about_sender else Stage.BODY))

    def words(self, answer: Answer) -> str:
        """Return what is wrong, field by field."""
        return _words(_errors(answer))

    def checked(self, answer: Answer) -> Refusal | None:
        """A key must be allowed to send; one that may not read what it may do is tried by the first mail."""
        if answer.status == 403 and answer.json is not None:
            return None
        if answer.status != 200 or not isinstance(answer.json, dict):
            return refusal(answer, self.words(answer))
        scopes = answer.json.get("scopes")
        if isinstance(scopes, list) and "mail.send" not in scopes:
            words = "The key may not send: it lacks “mail.send”."
            failure = Failure(FailureKind.AUTH_FAILED, True, detail=words, advice=Advice.API_PERMISSION)
            return Refusal(failure, of_server=True)
        return None


def _groups(people: Addressees) -> list[dict[str, Sequence[Address]]]:
    """Return who gets one mail together. Each group needs somebody in To; nobody sees who is hidden."""
    if people.to or people.cc:
        to, cc = (people.to, people.cc) if people.to else (people.cc, ())
        group = {"to": to, "cc": cc, "bcc": people.hidden}
        return [{field: those for field, those in group.items() if those}]
    return [{"to": [one]} for one in people.hidden]


def _person(address: Address) -> dict[str, str]:
    name = {"name": address.display_name} if address.display_name else {}
    return {"email": address.addr_spec, **name}


def _errors(answer: Answer) -> list[dict[str, Any]]:
    found = answer.json
    errors = found.get("errors") if isinstance(found, dict) else None
    return [one for one in errors if isinstance(one, dict)] if isinstance(errors, list) else []


def _words(errors: Sequence[Mapping[str, Any]]) -> str:
    return "; ".join(
        f"{field}: {error.get('message')}" if (field := error.get("field")) else str(error.get("message"))
        for error in errors
    )


def _named(error: Mapping[str, Any], people: Addressees) -> list[str]:
    """Return the address that an error is about, if it is about one."""
    place = _RECIPIENT.match(str(error.get("field") or ""))
    if place is None:
        return []
    group, field, number = int(place[1]), place[2], int(place[3])
    groups = _groups(people)
    if group < len(groups) and number < len(groups[group].get(field, ())):
        return [groups[group][field][number].addr_spec]
    return []
