"""Mails leave signed: what arrives is verified by others, also after a real Exim has passed it on."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import authheaders
import dkim
import pytest
from flask import Flask
from sqlalchemy import select

from core.companies.models import Company
from core.db import Sealed, db, transaction
from core.mail.dkim import Algorithm
from core.testing.services import SmtpLab
from modules.mail_config.models import DomainKey, MailServer
from modules.mail_config.servers.envelopes import signer_for
from modules.mail_config.signing import keys
from modules.mail_config.transports.base import Envelope
from modules.mail_config.transports.drop import FileDrop
from modules.mail_config.transports.name_service import NameService
from modules.outbox import service
from modules.outbox.delivery.run import deliver
from modules.outbox.models import DeliveryAttempt, OutgoingMail
from modules.outbox.states import MailState
from tests.mail_config.dns_lab import DnsLab
from tests.outbox.conftest import draft, make_ready, make_server, with_file
from tests.outbox.exim import exim_server

pytestmark = pytest.mark.smtp

Send = Callable[..., OutgoingMail]
DOMAIN = "maison.example.com"  # of the From of the company
PATIENCE_SECONDS = 60


@pytest.fixture
def dns(app: Flask) -> Iterator[DnsLab]:
    with DnsLab() as server:
        app.config["MAIL_CONFIG_DNS_SERVERS"] = server.where
        yield server


def sign_by(dns: DnsLab, *algorithms: Algorithm) -> list[DomainKey]:
    """Make keys, publish them, and let them sign."""
    made = keys.make_keys(DOMAIN, algorithms)
    for key in made:
        dns.text(key.record_name, key.record_text)
        assert keys.start_signing(key, NameService([dns.where]))
    return made


def selectors_of(message: bytes) -> list[str]:
    head = message.partition(b"\r\n\r\n")[0]
    return [found.decode() for found in re.findall(rb"^ s=([a-z0-9-]+);", head, re.MULTILINE)]


def verified(dns: DnsLab, message: bytes) -> list[bool]:
    """Return whether each signature holds, as dkimpy says."""
    return [
        dkim.DKIM(message).verify(number, dnsfunc=dns.found) for number in range(len(selectors_of(message)))
    ]


def sent(send: Send, *addresses: str, **changes: object) -> OutgoingMail:
    mail = send(*addresses, **changes)
    deliver([mail.id])
    db.session.expire_all()
    assert mail.state is MailState.SENT
    return mail


HARD = {
    "subject": "Votre facture n° 2026/00042 – très longue – " + "à régler avant la fin du mois, " * 6,
    "body_html": "<p>Été, 12 €</p><p>" + "x" * 2500 + "</p><p>.</p><p> deux  blancs </p>",
}


def test_what_a_real_exim_passes_on_is_verified_by_others(company: Company, send: Send, dns, tmp_path: Path):
    made = sign_by(dns, *Algorithm)
    dns.text(f"_dmarc.{DOMAIN}", "v=DMARC1; p=reject")
    maildir = tmp_path / "mail"
    with SmtpLab() as next_hop, exim_server(maildir, next_hop.port) as exim:
        make_ready(make_server(exim))
        attached = with_file(
            draft(company, "Ánn <ann@far.example>", **HARD), "été.bin", bytes(range(256)) * 99
        )
        for mail in (
            sent(send, "bob@far.example"),
            sent(send, "bob@far.example", subject="-", body_html="<p> </p>"),
            service.submit(attached, None),
        ):
            deliver([mail.id])
        until = time.monotonic() + PATIENCE_SECONDS
        while len(next_hop.accepted) < 3:
            assert time.monotonic() < until, exim.log()
            time.sleep(0.02)
        arrived = [one.data for one in next_hop.accepted]
    for message in arrived:
        assert message.startswith(b"Received:"), "Exim has passed it on"
        assert selectors_of(message) == [key.selector for key in made]
        assert verified(dns, message) == [True, True]
        said = authheaders.authenticate_message(message, "mx.far.example", spf=False, dnsfunc=dns.found)
        assert "dkim=pass" in said
        assert "dmarc=pass" in said
        changed = message.replace(b"text/html", b"text/plain")
        assert "dkim=pass" not in authheaders.authenticate_message(
            changed, "mx.far.example", dmarc=False, dnsfunc=dns.found
        )


def test_a_key_replaced_in_the_middle_of_a_run_breaks_nothing(app, server, lab, send, dns):
    (old,) = sign_by(dns, Algorithm.RSA)
    replaced: list[str] = []

    def replace(_verb: str, _argument: str, stage: str) -> None:
        if stage == "received" and not replaced:
            with app.app_context():
                replaced.append(sign_by(dns, Algorithm.RSA)[0].selector)

    lab.on_command = replace
    deliver([send(f"to{number}@example.com").id for number in range(3)])
    deliver([send("later@example.com").id])
    arrived = [one.data for one in lab.accepted]
    assert [selectors_of(message) for message in arrived] == [[old.selector]] * 3 + [replaced]
    assert all(verified(dns, message) == [True] for message in arrived)


def test_sent_again_by_the_same_key_it_is_the_same_octet_for_octet(server, lab, send, dns):
    sign_by(dns, *Algorithm)
    mail = send("full+ann@example.com", "bob@example.com")
    deliver([mail.id])
    lab.scripted = False
    db.session.expire_all()
    service.resend([mail.id])
    deliver([mail.id])
    first, second = lab.accepted
    assert (first.recipients, second.recipients) == (("bob@example.com",), ("full+ann@example.com",))
    assert first.data == second.data
    assert verified(dns, second.data) == [True, True]


def test_a_head_that_is_made_ascii_on_the_way_out_is_signed_as_it_leaves(server, lab, send, dns):
    sign_by(dns, *Algorithm)
    mail = send("josé@example.com", "ann@example.com")
    deliver([mail.id])
    plain, beyond = sorted((one.data for one in lab.accepted), key=lambda data: not data.isascii())
    assert plain.isascii()
    assert not beyond.isascii()
    assert verified(dns, plain) == verified(dns, beyond) == [True, True]
    # What the server hears of the size is the size of what comes.
    sizes = re.findall("SIZE=([0-9]+)", db.session.scalars(select(DeliveryAttempt.transcript)).one())
    assert sorted(map(int, sizes)) == sorted([len(plain), len(beyond)])


def test_only_the_domain_of_the_from_signs_and_where_the_server_does_not(server, lab, send, dns):
    (key,) = keys.make_keys("other.example.com", [Algorithm.ED25519])
    dns.text(key.record_name, key.record_text)
    keys.start_signing(key, NameService([dns.where]))
    sent(send, "ann@example.com")
    (own,) = sign_by(dns, Algorithm.ED25519)
    sent(send, "ann@example.com")
    with transaction():
        server.signs_itself = True
    sent(send, "ann@example.com")
    with transaction():
        server.signs_itself = None
        own.secret = Sealed(b"encrypted otherwise")
    sent(send, "ann@example.com")
    assert [selectors_of(one.data) for one in lab.accepted] == [[], [own.selector], [], []]


def test_a_file_that_another_program_takes_is_signed(app, dns, company, tmp_path: Path):
    sign_by(dns, Algorithm.ED25519)
    row = MailServer(transport="mail_config.drop", host="", signs_itself=None)
    message = b"From: post@maison.example.com\r\nSubject: One\r\n\r\nText\r\n"
    envelope = Envelope(f"post@{DOMAIN}", ("a@example.com",), signer=signer_for(row, f"post@{DOMAIN}"))
    folder = tmp_path / "pickup"
    folder.mkdir()
    FileDrop(folder).submit(message, envelope, lambda: None)
    (path,) = folder.iterdir()
    above, _, rest = path.read_bytes().partition(b"DKIM-Signature:")
    assert above == f"X-Sender: post@{DOMAIN}\r\nX-Receiver: a@example.com\r\n".encode()
    assert verified(dns, b"DKIM-Signature:" + rest) == [True]


def test_one_parse_serves_a_thousand_mails(dns, company):
    sign_by(dns, Algorithm.RSA)
    before = keys._read.cache_info().misses
    signers = [keys.signer_of(DOMAIN) for _ in range(3)]
    assert keys._read.cache_info().misses <= before + 1
    assert signers[0].keys[0].private is signers[2].keys[0].private
    assert db.session.scalars(select(DomainKey)).one().public not in repr(signers[0])
