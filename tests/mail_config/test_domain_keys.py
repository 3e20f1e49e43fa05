"""Keys of a domain: found in the DNS before they sign, replaced without a gap, deleted when nobody needs them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

import pytest
from flask import Flask
from sqlalchemy import select

from core import clock, rotation
from core.db import Sealed, db, transaction
from core.errors import UserError
from core.mail.dkim import Algorithm
from core.testing.services import SmtpLab
from core.vault import decrypt
from modules.mail_config.domains.check import check_domain
from modules.mail_config.models import DomainKey
from modules.mail_config.servers import envelopes, service
from modules.mail_config.signing import keys
from modules.mail_config.signing_models import KEEP_RECORD, KeyState
from modules.mail_config.transports.name_service import NameService, NameServiceError
from tests.mail_config.dns_lab import DnsLab, failing
from tests.outbox.conftest import make_server

DOMAIN = "maison.example.com"


@pytest.fixture
def lab(app: Flask) -> Iterator[DnsLab]:
    with DnsLab() as server:
        app.config["MAIL_CONFIG_DNS_SERVERS"] = server.where
        yield server


@pytest.fixture
def names(lab: DnsLab) -> NameService:
    return NameService([lab.where])


def states() -> list[KeyState]:
    db.session.expire_all()
    return [key.state for key in db.session.scalars(select(DomainKey).order_by(DomainKey.id))]


@pytest.mark.both_databases
def test_a_key_signs_once_its_record_is_found_and_the_one_before_keeps_its_record_for_a_while(lab, names):
    first, edwards = keys.make_keys(DOMAIN, tuple(Algorithm))
    assert decrypt(first.secret).startswith("-----BEGIN PRIVATE KEY-----")
    assert b"PRIVATE" not in first.secret
    assert not keys.start_signing(first, names)
    lab.text(first.record_name, "v=DKIM1; k=rsa; p=AAAA")
    assert not keys.start_signing(first, names)
    assert keys.signer_of(DOMAIN) is None
    lab.text(first.record_name, f"v=DKIM1; k=rsa; t=s; p={first.public[:40]} {first.public[40:]};")
    assert keys.start_signing(first, names)
    with pytest.raises(UserError, match="waits already"):
        keys.make_keys(DOMAIN, [Algorithm.ED25519])
    lab.text(edwards.record_name, edwards.record_text)
    assert keys.start_signing(edwards, names)
    assert [key.algorithm for key in keys.signer_of(DOMAIN).keys] == [Algorithm.RSA, Algorithm.ED25519]
    (second,) = keys.make_keys(DOMAIN, [Algorithm.RSA])
    assert second.selector != first.selector
    lab.instead[second.record_name] = failing
    with pytest.raises(NameServiceError):
        keys.start_signing(second, names)
    assert states() == [KeyState.SIGNING, KeyState.SIGNING, KeyState.WAITING]
    lab.instead.clear()
    lab.text(second.record_name, second.record_text)
    assert keys.start_signing(second, names)
    assert keys.start_signing(second, names), "twice is once"
    assert states() == [KeyState.RETIRED, KeyState.SIGNING, KeyState.SIGNING]
    with pytest.raises(UserError, match="signs the emails"):
        keys.delete_key(second)
    keys.stop_signing(edwards)
    keys.delete_key(edwards)
    assert [key.selector for key in keys.signer_of(DOMAIN).keys] == [second.selector]
    assert keys.signer_of("") is keys.signer_of("other.example.com") is None


def test_when_the_old_key_may_go_is_told(lab, names, monkeypatch):
    (old,) = keys.make_keys(DOMAIN, [Algorithm.ED25519])
    lab.text(old.record_name, old.record_text)
    keys.start_signing(old, names)
    keys.stop_signing(old)
    assert "Leave its record until" in check_domain(DOMAIN).findings[1].sentences[0]
    del lab.zone[old.record_name, "TXT"]
    assert "gone already" in check_domain(DOMAIN).findings[1].sentences[0]
    later = clock.now() + KEEP_RECORD + dt.timedelta(minutes=1)
    monkeypatch.setattr(clock, "now", lambda: later)
    assert states() == [KeyState.DISPENSABLE]
    assert "may be deleted" in check_domain(DOMAIN).findings[1].sentences[0]


def test_a_key_of_another_secret_signs_nothing_and_is_told(company, lab, sign_in, make_user):
    (key,) = keys.make_keys(DOMAIN, [Algorithm.ED25519])
    lab.text(key.record_name, key.record_text)
    keys.start_signing(key, NameService([lab.where]))
    boss = sign_in(make_user("administrator"))
    with transaction():
        key.secret = Sealed(b"encrypted otherwise")
    assert keys.signer_of(DOMAIN) is None
    assert key.selector in rotation.look().unreadable[0].sentence
    assert "This key cannot be read" in boss.get(f"/mail_config/domains/{DOMAIN}").text


@pytest.mark.parametrize(
    "text", ["", "x", "a b.example", "<script>", "-x.example.com", "x" * 300, "a..b", "[127.0.0.1]"]
)
def test_what_is_no_domain_is_told(app, text):
    with pytest.raises(UserError, match="Type a domain"):
        keys.clean_domain(text)


def test_a_domain_is_found_in_what_people_type(app):
    assert keys.clean_domain(" Sales <Ann@Example.COM.> ") == "example.com"
    assert keys.clean_domain("été.example.com") == "xn--t-9fab.example.com"


@pytest.mark.parametrize(
    ("host", "chosen", "signs"),
    [
        ("mail.house.example", None, True),
        ("smtp.office365.com", None, False),
        ("smtp.office365.com", False, True),
        ("mail.house.example", True, False),
    ],
)
def test_who_signs_is_usual_with_the_server_or_chosen(lab, names, company, host, chosen, signs):
    (key,) = keys.make_keys(DOMAIN, [Algorithm.ED25519])
    lab.text(key.record_name, key.record_text)
    keys.start_signing(key, names)
    row = service.save_server(
        None, {"name": "X", "host": host, "port": 587, "encryption": "starttls", "signs_itself": chosen}, None
    )
    assert (envelopes.signer_for(row, f"post@{DOMAIN.upper()}") is not None) == signs
    assert envelopes.signer_for(row, "post@other.example.com") is None


def test_a_relay_by_http_makes_the_message_anew_so_nothing_is_signed(app, company):
    row = service.save_server(
        None, {"name": "X", "transport": "mail_config.sendgrid", "signs_itself": False}, "SG.key"
    )
    assert row.signs_itself is None
    assert envelopes.signs_itself(row)


@pytest.mark.smtp
def test_an_administrator_makes_keys_and_lets_them_sign(app, company, lab, sign_in, make_user):
    boss = sign_in(make_user("administrator"))
    assert f'href="/mail_config/domains/{DOMAIN}"' in boss.get("/mail_config/domains").text
    assert "Type a domain" in boss.post("/mail_config/domains", data={"domain": "no domain"}).text
    went = boss.post("/mail_config/domains", data={"domain": f"post@{DOMAIN}"})
    assert went.location == f"/mail_config/domains/{DOMAIN}"
    assert boss.get("/mail_config/domains/Maison.example.com").status_code == 404
    page = boss.post(f"/mail_config/domains/{DOMAIN}/keys", follow_redirects=True).text
    rsa, edwards = db.session.scalars(select(DomainKey).order_by(DomainKey.id))
    assert page.count("waits for its record") == 2
    assert f'data-copy="{rsa.record_text}"' in page
    assert rsa.record_text[255:] not in page.split('class="words"')[1].split("</pre>")[0].split("&#34;")[1]
    assert "PRIVATE KEY" not in page
    again = boss.post(f"/mail_config/domains/{DOMAIN}/keys", follow_redirects=True).text
    assert "A key waits already" in again
    sign = f"/mail_config/domains/keys/{rsa.id}/sign"
    assert "was not found, so nothing has changed" in boss.post(sign, follow_redirects=True).text
    lab.instead[rsa.record_name] = failing
    assert "answer with an error" in boss.post(sign, follow_redirects=True).text
    lab.instead.clear()
    lab.text(rsa.record_name, rsa.record_text)
    assert "are signed by this key" in boss.post(sign, follow_redirects=True).text
    report = boss.get(f"/mail_config/domains/{DOMAIN}/report").text
    assert "Emails are signed by this key, and receivers find it." in report
    assert "Nothing is missing" not in report
    assert report.split("role=")[1] in boss.get(f"/mail_config/domains/{DOMAIN}?check=1").text
    refused = boss.post(f"/mail_config/domains/keys/{rsa.id}/delete", follow_redirects=True).text
    assert "This key signs the emails" in refused
    with SmtpLab() as smtp:
        server = make_server(smtp)
        tested = boss.post(
            f"/mail_config/servers/{server.id}/test",
            data={"from_address": f"post@{DOMAIN}", "recipient": "me@example.com"},
        ).text
        assert f'href="/mail_config/domains/{DOMAIN}"' in tested
        assert smtp.accepted[0].data.startswith(b"DKIM-Signature: v=1; a=rsa-sha256;")
        page = boss.get(f"/mail_config/servers/{server.id}/edit").text
        assert "As usual: Envoi signs" in page
    assert (
        boss.post(f"/mail_config/domains/keys/{rsa.id}/stop", follow_redirects=True).text.count("until") >= 1
    )
    for key in (rsa, edwards):
        boss.post(f"/mail_config/domains/keys/{key.id}/delete")
    assert states() == []
    assert boss.post(sign).status_code == 404
