"""Signatures of messages: others verify them, also after what servers on the way do; what they protect breaks them."""

from __future__ import annotations

import re

import dkim
import pytest

from core.mail.dkim import Algorithm, Signer, new_key, read_key, record_name, record_text

HEAD = (
    b"Date: Mon, 30 Nov 2026 12:00:00 +0000\r\n"
    b"From: Maison\r\n <post@maison.example.com>\r\n"
    b"To: you@example.com,\r\n\ttwo@example.com\r\n"
    b"Subject:   =?utf-8?q?Facture_du?=\r\n =?utf-8?q?_30?=  \r\n"
    b"List-Unsubscribe: <https://maison.example.com/u>\r\n"
    b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed;\r\n boundary=x\r\n\r\n"
)
BODIES = {
    "text": b"Dear  Ann,\t\r\n\r\n  your invoice.  \r\n",
    "empty": b"",
    "blank lines": b"\r\n\r\n \t\r\n",
    "no end of line": b"Regards",
    "long line": b"x" * 998 + b" y\r\n",
    "eight bit": "été – 12 €\r\n".encode(),
    "dots": b".\r\n..\r\n.x\r\n",
}
KEYS: dict[str, str] = {}


def _key(algorithm: Algorithm):
    private, public = new_key(algorithm)
    KEYS[record_name(algorithm, "maison.example.com")] = record_text(algorithm, public)
    return read_key("maison.example.com", algorithm, private)


@pytest.fixture(scope="module")
def signer() -> Signer:
    return Signer([_key(Algorithm.RSA), _key(Algorithm.ED25519)])


def verified(message: bytes) -> list[bool]:
    """Return whether each signature holds."""

    def holds(number: int) -> bool:
        try:
            return dkim.DKIM(message).verify(
                number, dnsfunc=lambda name, **_more: KEYS.get(name.decode().rstrip("."), "").encode()
            )
        except dkim.ValidationError:
            return False

    return [holds(number) for number in range(2)]


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_others_verify_both_signatures(signer, body):
    signed = signer(HEAD + body)
    assert signed.endswith(HEAD + body)
    assert verified(signed) == [True, True]
    assert signed == signer(HEAD + body), "octet for octet the same, whenever"
    above = signed.removesuffix(HEAD + body).decode("ascii")
    assert max(map(len, above.split("\r\n"))) <= 78
    assert re.findall(r" a=([a-z0-9-]+);", above) == ["rsa-sha256", "ed25519-sha256"]


def test_what_servers_on_the_way_may_do_breaks_nothing(signer):
    signed = signer(HEAD + BODIES["text"])
    passed_on = (
        b"Received: by relay.example; Mon, 30 Nov 2026 12:00:01 +0000\r\nSender: post@maison.example.com\r\n"
        + signed.replace(b"Maison\r\n <", b"Maison <")
        .replace(b"Ann,\t", b"Ann,")
        .replace(b"  your", b" your")
        + b"\r\n\r\n"
    )
    assert passed_on.count(b"Received") == 1
    assert verified(passed_on) == [True, True]


@pytest.mark.parametrize(
    "change",
    [
        lambda signed: signed.replace(b"your invoice", b"your invoices"),
        lambda signed: signed.replace(b"To: you@", b"To: all@"),
        lambda signed: signed.replace(b"/u>", b"/v>"),
        lambda signed: b"From: Boss <boss@maison.example.com>\r\n" + signed,
        lambda signed: b"Subject: Pay at once\r\n" + signed,
        lambda signed: b"Reply-To: thief@example.net\r\n" + signed,
        lambda signed: signed.replace(b"MIME-Version", b"Content-Type: text/html\r\nMIME-Version"),
    ],
    ids=["text", "to", "unsubscribe", "second From", "second Subject", "Reply-To", "second Content-Type"],
)
def test_what_is_signed_cannot_be_changed_or_added_to(signer, change):
    signed = signer(HEAD + BODIES["text"])
    changed = change(signed)
    assert changed != signed
    assert verified(changed) == [False, False]


def test_of_several_fields_of_a_name_all_are_signed(signer):
    signed = signer(b"To: one@example.com\r\nTo: two@example.com\r\n" + HEAD)
    assert verified(signed) == [True, True]
    assert verified(signed.replace(b"two@example.com\r\nDate", b"x@example.com\r\nDate")) == [False, False]
    assert verified(signed.replace(b"To: one@", b"To: x@")) == [False, False]


def test_only_keys_for_signing_are_read():
    with pytest.raises(ValueError, match="PEM"):
        read_key("maison.example.com", "x", "no key")
