"""A mail server of one's own as a way to what only listens on this machine, or in its network."""

from __future__ import annotations

import socket

import pytest

from core.mail.advice import Advice
from core.mail.outcomes import FailureKind
from core.testing.services import SmtpLab
from modules.mail_config.servers import service
from modules.mail_config.servers.guess import guess
from modules.mail_config.transports import addresses
from modules.mail_config.transports.addresses import ForbiddenHostError, addresses_of
from modules.mail_config.transports.autoconfig import outgoing_server
from tests.outbox.conftest import make_server

pytestmark = [pytest.mark.smtp]


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1", "localhost", "127.1", "2130706433", "0x7f000001", "0", "0.0.0", "::1", "::", "::ffff:127.0.0.1",
        "2002:7f00:1::", "169.254.169.254", "::ffff:169.254.169.254", "169.254.1.1", "fe80::1", "fd00:ec2::254",
        "100.100.100.200", "168.63.129.16", "224.0.0.1", "255.255.255.255",
    ],
)  # fmt: skip
def test_neither_this_machine_nor_what_tells_its_secrets_is_spoken_to(host):
    try:
        socket.getaddrinfo(host, 25, type=socket.SOCK_STREAM)
    except OSError:
        pytest.skip("this machine does not read it as an address")
    with pytest.raises(ForbiddenHostError):
        addresses_of(host, 25, allow_local=False)


def test_this_machines_own_address_in_the_network_is_its_own(monkeypatch):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # nothing is sent: it only asks which address would be used
        except OSError:
            pytest.skip("no network")
        own = probe.getsockname()[0]
    with pytest.raises(ForbiddenHostError):
        addresses_of(own, 25, allow_local=False)


def test_a_server_in_the_network_of_the_house_is_the_administrators_only():
    assert addresses_of("10.11.12.13", 25, allow_local=False) == ["10.11.12.13"]
    for host in ("10.11.12.13", "192.168.7.7", "172.16.0.9", "fd12::1", "100.64.0.1"):
        with pytest.raises(ForbiddenHostError):
            addresses_of(host, 25, allow_local=False, only_public=True)
    assert addresses_of("8.8.8.8", 25, allow_local=False, only_public=True) == ["8.8.8.8"]


def test_one_forbidden_address_among_several_is_enough(monkeypatch):
    answers = [(2, 1, 6, "", ("8.8.8.8", 25)), (2, 1, 6, "", ("127.0.0.1", 25))]
    monkeypatch.setattr(addresses.socket, "getaddrinfo", lambda *_args, **_how: answers)
    with pytest.raises(ForbiddenHostError):
        addresses_of("both.example.com", 25, allow_local=False)


def test_the_test_of_such_a_server_says_why_and_connects_to_nobody(app, company):
    app.config["MAIL_CONFIG_ALLOW_LOCAL_SERVERS"] = 0
    with SmtpLab() as lab:
        report = service.test_server(make_server(lab), "me@example.com", company.email)
        assert report.failure is not None
        assert (report.failure.kind, report.failure.advice) == (
            FailureKind.CONNECT_FAILED,
            Advice.HOST_FORBIDDEN,
        )
        assert lab.connections == 0


def test_the_mailbox_of_the_demonstration_is_allowed(app, company):
    app.config["MAIL_CONFIG_ALLOW_LOCAL_SERVERS"] = 0
    with SmtpLab() as lab:
        app.config["PLAYGROUND_SMTP_PORT"] = lab.port
        assert service.test_server(make_server(lab), "me@example.com", company.email).passed


def test_a_name_is_resolved_once(app, company, monkeypatch):
    """What it answers the second time (DNS rebinding) is not asked for."""
    asked: list[str] = []
    really = socket.getaddrinfo

    def answer(host, *args, **how):
        if host == "rebinding.example.com":
            asked.append(host)
            host = "127.0.0.1"
        return really(host, *args, **how)

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    with SmtpLab() as lab:
        assert service.test_server(
            make_server(lab, host="rebinding.example.com"), "me@example.com", company.email
        ).passed
    assert len(asked) == 1


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:1/{domain}",
        "https://127.0.0.1:1/{domain}",
        "https://169.254.169.254/{domain}",
        "file:///etc/passwd",
    ],
)
def test_the_question_about_a_domain_leads_to_no_inner_place(app, url):
    app.config["MAIL_CONFIG_ALLOW_LOCAL_SERVERS"] = 0
    app.config["MAIL_CONFIG_AUTOCONFIG"] = url
    assert guess("sophie@firm.example.com").values == {}


@pytest.mark.parametrize("domain", ["../../etc/passwd", "a/../b", "x%2f..", "a b"])
def test_a_domain_is_no_path(app, tmp_path, domain):
    app.config["MAIL_CONFIG_AUTOCONFIG"] = f"{tmp_path}/{{domain}}.xml"
    assert guess(f"sophie@{domain}").values == {}


@pytest.mark.parametrize(
    "text",
    [
        b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><x>&b;</x>',
        b'<?xml version="1.0"?><!DOCTYPE x SYSTEM "file:///etc/passwd"><x/>',
        b"<x>" * 20_000,
        b"not xml",
        b"",
        b"<a></b>",
    ],
)
def test_a_hostile_file_is_no_autoconfiguration(text):
    with pytest.raises(ValueError, match="This is no"):
        outgoing_server(text, "sophie@firm.example.com")
