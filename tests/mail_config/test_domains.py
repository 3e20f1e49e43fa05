"""Check my domain: what receivers find, said in words, asked of a real DNS server that may lie, fail or keep silent."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from click.testing import CliRunner
from flask import Flask

from core import cli
from core.companies.models import Company
from core.mail.dkim import Algorithm
from modules.mail_config.domains.check import Report, check_domain
from modules.mail_config.domains.dmarc import aligned
from modules.mail_config.domains.findings import Finding, Topic, Verdict
from modules.mail_config.domains.senders import domains_in_use
from modules.mail_config.servers.service import save_server
from modules.mail_config.signing.keys import make_keys, start_signing
from modules.mail_config.transports import name_service
from tests.mail_config.dns_lab import (
    DnsLab,
    about_another,
    another_question,
    failing,
    silent,
)

DOMAIN = "maison.example.com"
OWN, OTHER = "93.184.216.34", "93.184.216.99"  # nothing is sent to either


@pytest.fixture
def lab(app: Flask) -> Iterator[DnsLab]:
    with DnsLab() as server:
        app.config["MAIL_CONFIG_DNS_SERVERS"] = server.where
        yield server


@pytest.fixture(autouse=True)
def _company(company: Company) -> None:
    """The company that sends from the domain."""


def server(host: str = "mail.maison.example.com", **changes: object):
    values = {"name": "Ours", "host": host, "port": 587, "encryption": "starttls", "active": True, **changes}
    return save_server(None, values, None)


def publish_all(lab: DnsLab) -> None:
    """Let everything stand in the DNS as it should, for a server of the house."""
    lab.text(DOMAIN, "v=spf1 a:mail.maison.example.com -all", "another=text")
    lab.text(f"_dmarc.{DOMAIN}", "v=DMARC1; p=reject")
    lab.zone[DOMAIN, "MX"] = ["10 mail.maison.example.com."]
    lab.zone["mail.maison.example.com", "A"] = [OWN]
    lab.zone["34.216.184.93.in-addr.arpa", "PTR"] = ["mail.maison.example.com."]


def key_of(lab: DnsLab, algorithm: Algorithm = Algorithm.RSA, *, signs: bool = True):
    (key,) = make_keys(DOMAIN, [algorithm])
    lab.text(key.record_name, key.record_text)
    if signs:
        assert start_signing(key, name_service.NameService([lab.where]))
    return key


def found(report: Report, topic: Topic) -> list[Finding]:
    return [one for one in report.findings if one.topic is topic]


def the(topic: Topic) -> Finding:
    (finding,) = found(check_domain(DOMAIN), topic)
    return finding


def test_where_all_is_right_nothing_is_missing(lab):
    publish_all(lab)
    server()
    for algorithm in Algorithm:
        key_of(lab, algorithm)
    report = check_domain(DOMAIN)
    assert {one.verdict for one in report.findings} == {Verdict.FOUND}
    assert [topic for topic, _ in report.by_topic] == list(Topic)
    assert found(report, Topic.SERVER)[0].sentences == (
        "Its emails are proved to be yours by SPF and by DKIM.",
    )


def test_where_there_is_nothing_all_is_told_with_what_to_publish(lab):
    server(OWN)
    report = check_domain(DOMAIN)
    published = {one.topic: one.record.text for one in report.findings if one.record}
    assert published == {
        Topic.SPF: f"v=spf1 ip4:{OWN} ~all",
        Topic.DMARC: f"v=DMARC1; p=none; rua=mailto:postmaster@{DOMAIN}",
    }
    verdicts = {one.topic: one.verdict for one in report.findings}
    assert verdicts == {**dict.fromkeys(Topic, Verdict.MISSING), Topic.SERVER: Verdict.WRONG}
    assert "many receivers take them for junk" in found(report, Topic.SERVER)[0].sentences[0]


def spf_of(lab: DnsLab, *records: str) -> Finding:
    publish_all(lab)
    lab.text(DOMAIN, *records)
    return found(check_domain(DOMAIN), Topic.SPF)[0]


@pytest.mark.parametrize(
    ("records", "verdict", "words", "proposed"),
    [
        (["v=spf1 ip4:93.184.216.0/24 ~all"], Verdict.FOUND, "", ""),
        (["v=spf1 mx -all"], Verdict.FOUND, "", ""),
        (["V=SPF1 redirect=_spf.provider.example"], Verdict.FOUND, "", ""),
        (["v=spf1 include:_spf.provider.example -all"], Verdict.FOUND, "", ""),
        (
            ["v=spf1 ip4:93.184.216.99 -all"],
            Verdict.WRONG,
            "does not name the server “Ours”",
            "v=spf1 ip4:93.184.216.99 a:mail.maison.example.com -all",
        ),
        (["v=spf1 -ip4:93.184.216.34 ~all"], Verdict.WRONG, "does not name", None),
        (
            ["v=spf1 mx -all", "v=spf1 include:x.example ~all"],
            Verdict.WRONG,
            "There are 2 SPF records",
            "v=spf1 mx ~all",
        ),
        (["v=spf1 mx +all"], Verdict.WRONG, "every computer in the world", "v=spf1 mx ~all"),
        (["v=spf1 mx all"], Verdict.WRONG, "every computer in the world", "v=spf1 mx ~all"),
        (["v=spf1 include:open.example -all"], Verdict.WRONG, "every computer in the world", None),
        (["v=spf1 mx ip4:1.2.3 -all"], Verdict.WRONG, "“ip4:1.2.3”", "v=spf1 mx -all"),
        (["v=spf1 mx includes:x -all"], Verdict.WRONG, "“includes:x”", None),
        (["v=spf1 mx include:none.example -all"], Verdict.WRONG, "“include:none.example”", None),
        (["v=spf1 include:loop.example -all"], Verdict.WRONG, "“include:loop.example”", None),
        (["v=spf1 mx"], Verdict.WRONG, "has to end with", "v=spf1 mx ~all"),
        (["v=spf1 mx ?all"], Verdict.WRONG, "?all", "v=spf1 mx ~all"),
        (["v=spf1 mx include:many.example -all"], Verdict.WRONG, "13 further names", None),
        (["v=spf1 exists:%{i}.x.example -all"], Verdict.FOUND, "not known here from where", None),
        (["v=spf1 a/33 -all"], Verdict.WRONG, "“a/33”", None),
    ],
)  # fmt: skip
def test_records_of_spf(lab, records, verdict, words, proposed):
    server()
    lab.zone["_spf.provider.example", "TXT"] = [f'"v=spf1 ip4:{OWN}" " -all"']
    lab.text("open.example", "v=spf1 +all")
    lab.text("loop.example", "v=spf1 include:loop.example -all")
    lab.text(
        "many.example", "v=spf1 " + " ".join(f"include:i{number}.example" for number in range(11)) + " -all"
    )
    for number in range(11):
        lab.text(f"i{number}.example", "v=spf1 -all")
    lab.zone[DOMAIN, "A"] = [OWN]
    finding = spf_of(lab, *records)
    assert finding.verdict is verdict, finding
    assert words in " ".join(finding.sentences)
    if proposed is not None:
        assert (finding.record.text if finding.record else "") == proposed


def test_a_record_without_end_is_not_followed_without_end(lab):
    server()
    for number in range(60):
        lab.text(f"n{number}.example", " ".join(["v=spf1", *[f"include:n{number + 1}.example"] * 30, "-all"]))
    finding = spf_of(lab, "v=spf1 include:n0.example -all")
    assert finding.verdict is Verdict.WRONG
    assert len(lab.asked) < 60


def test_the_include_of_a_provider_is_known(lab):
    server("smtp.office365.com", name="M365")
    publish_all(lab)
    finding = the(Topic.SPF)
    assert finding.verdict is Verdict.WRONG
    assert finding.record.text == ("v=spf1 a:mail.maison.example.com include:spf.protection.outlook.com -all")
    lab.text(DOMAIN, "v=spf1 include:spf.protection.outlook.com -all")
    lab.text("spf.protection.outlook.com", "v=spf1 ip4:40.92.0.0/15 -all")
    assert the(Topic.SPF).verdict is Verdict.FOUND
    signature = the(Topic.DKIM)
    assert (signature.verdict, signature.about) == (Verdict.MISSING, "“M365” signs by itself")
    lab.text(f"selector2._domainkey.{DOMAIN}", "v=DKIM1; p=MIIB")
    assert the(Topic.DKIM).verdict is Verdict.FOUND
    assert the(Topic.SERVER).verdict is Verdict.FOUND
    assert "REVERSE" not in {one.topic.name for one in check_domain(DOMAIN).findings}


def test_of_a_relay_with_an_envelope_of_its_own_only_the_signature_counts(lab):
    publish_all(lab)
    server("smtp.sendgrid.net", name="Relay")
    assert the(Topic.SPF).verdict is Verdict.FOUND
    assert the(Topic.SERVER).verdict is Verdict.WRONG
    assert "a sender of its own" in the(Topic.SERVER).sentences[1]
    lab.text(f"s1._domainkey.{DOMAIN}", "v=DKIM1; p=MIIB")
    assert the(Topic.SERVER).sentences[0] == "Its emails are proved to be yours by DKIM."


def test_each_domain_of_envelopes_is_looked_at_and_must_be_of_the_same_house(lab):
    publish_all(lab)
    server(bounce_address=f"back@bounces.{DOMAIN}")
    server(name="Away", bounce_address="back@elsewhere.example.net")
    for domain in (f"bounces.{DOMAIN}", "elsewhere.example.net"):
        lab.text(domain, f"v=spf1 ip4:{OWN} -all")
    report = check_domain(DOMAIN)
    assert [one.about for one in found(report, Topic.SPF)] == [
        DOMAIN, f"bounces.{DOMAIN}", "elsewhere.example.net",
    ]  # fmt: skip
    ours, away = found(report, Topic.SERVER)
    assert (ours.verdict, away.verdict) == (Verdict.FOUND, Verdict.WRONG)
    assert "by your own policy they are refused" in away.sentences[0]
    assert "elsewhere.example.net" in away.sentences[1]
    lab.text(f"_dmarc.{DOMAIN}", "v=DMARC1; p=reject; aspf=s")
    assert found(check_domain(DOMAIN), Topic.SERVER)[0].verdict is Verdict.WRONG


def test_alignment_follows_the_record():
    assert aligned("a.example.com", "a.example.com", None)
    assert aligned("b.a.example.com", "a.example.com", None)
    assert not aligned("example.com", "a.example.com", None)
    assert not aligned("nota.example.com", "a.example.com", None)


@pytest.mark.parametrize(
    ("texts", "verdict", "words"),
    [
        (["v=DMARC1; p=none"], Verdict.FOUND, "only asks for reports"),
        (["v=DMARC1;p=Quarantine;"], Verdict.FOUND, "junk folder"),
        (["v=DMARC1; rua=mailto:x@y.example"], Verdict.WRONG, "cannot read it"),
        (["v=DMARC1; p=reject; p=none"], Verdict.WRONG, "cannot read it"),
        (["v=DMARC1; p=none", "v=DMARC1; p=reject"], Verdict.WRONG, "There are 2 DMARC records"),
        (["p=reject"], Verdict.MISSING, "no DMARC record"),
    ],
)
def test_records_of_dmarc(lab, texts, verdict, words):
    lab.text(f"_dmarc.{DOMAIN}", *texts)
    finding = the(Topic.DMARC)
    assert finding.verdict is verdict
    assert words in finding.sentences[0]
    assert (finding.record is not None) == (verdict is not Verdict.FOUND)


def test_the_policy_of_the_domain_above_holds_below_it(lab):
    lab.text("_dmarc.example.com", "v=DMARC1; p=reject; sp=none")
    finding = the(Topic.DMARC)
    assert "only asks for reports" in finding.sentences[0]
    assert "that of example.com" in finding.sentences[1]
    assert ("_dmarc.com", "TXT") not in lab.asked


@pytest.mark.parametrize(
    ("records", "verdict", "words"),
    [
        ({("MX", "0 .")}, Verdict.WRONG, "takes no email"),
        ({("MX", "10 gone.example.com.")}, Verdict.WRONG, "no such host: gone.example.com"),
        ({("A", OWN)}, Verdict.FOUND, "address of the domain itself"),
        (set(), Verdict.MISSING, "Nobody takes emails"),
    ],
)
def test_records_of_mx(lab, records, verdict, words):
    for kind, text in records:
        lab.zone[DOMAIN, kind] = [text]
    finding = the(Topic.MX)
    assert finding.verdict is verdict
    assert words in finding.sentences[0]


def test_reverse_names_of_servers_of_the_house(lab):
    publish_all(lab)
    server()
    server("10.0.0.25", name="Inside")
    lab.zone["mail.maison.example.com", "A"] = [OWN]
    assert [one.verdict for one in found(check_domain(DOMAIN), Topic.REVERSE)] == [
        Verdict.FOUND, Verdict.UNKNOWN,
    ]  # fmt: skip
    lab.zone["34.216.184.93.in-addr.arpa", "PTR"] = ["liar.example."]
    lab.zone["liar.example", "A"] = [OTHER]
    assert found(check_domain(DOMAIN), Topic.REVERSE)[0].verdict is Verdict.WRONG
    del lab.zone["34.216.184.93.in-addr.arpa", "PTR"]
    assert found(check_domain(DOMAIN), Topic.REVERSE)[0].verdict is Verdict.MISSING


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (silent, "gave no usable answer"),
        (failing, "answer with an error"),
        (about_another, "something other than what was asked"),
        # Anybody could have sent this: the right answer is waited for.
        (another_question, "gave no usable answer"),
    ],
)
def test_a_dns_server_that_lies_or_fails_is_told_and_nothing_is_concluded(lab, monkeypatch, answer, words):
    monkeypatch.setattr(name_service, "QUESTION_SECONDS", 0.2)
    server()
    publish_all(lab)
    key = key_of(lab)
    for name in (DOMAIN, f"_dmarc.{DOMAIN}", key.record_name):
        lab.instead[name] = answer
    report = check_domain(DOMAIN)
    assert [one.verdict for one in report.findings if one.topic is not Topic.REVERSE] == [Verdict.UNKNOWN] * 5
    for topic in (Topic.SPF, Topic.DMARC, Topic.MX):
        assert words in found(report, topic)[0].sentences[0]
    assert not report.troubles


def test_a_server_that_keeps_silent_is_not_waited_for_again_and_again(lab, monkeypatch):
    monkeypatch.setattr(name_service, "TOTAL_SECONDS", 0.0)
    names = name_service.NameService([lab.where], seconds=0.0)
    report = check_domain(DOMAIN, names)
    assert lab.asked == []
    assert {one.verdict for one in report.findings} == {Verdict.UNKNOWN}


def test_what_stands_in_the_dns_is_shown_as_text(lab, sign_in, make_user):
    lab.zone[DOMAIN, "TXT"] = ['"v=spf1 <script>alert(1)</script>\\027[2J -all"']
    page = sign_in(make_user("administrator")).get(f"/mail_config/domains/{DOMAIN}/report")
    assert page.status_code == 200
    assert "<script>alert" not in page.text
    assert "\x1b" not in page.text


def test_domains_in_use_are_offered(lab, company):
    server(relay=True, own_address="all@Relay.Example.net")
    make_keys("keys.example.com", [Algorithm.ED25519])
    assert domains_in_use() == ["keys.example.com", DOMAIN, "relay.example.net"]


def test_the_command(app, lab, monkeypatch):
    monkeypatch.setattr(cli, "_application", [app])
    publish_all(lab)

    def run(*more: str):
        return CliRunner().invoke(cli.cli, ["domain", "check", *more])

    good = run(f"post@{DOMAIN.upper()}", "--json")
    assert good.exit_code == 0, good.output
    assert {row["verdict"] for row in json.loads(good.stdout)} == {"found", "unknown"}
    lab.text(DOMAIN, "v=spf1 mx")
    bad = run(DOMAIN)
    assert bad.exit_code == 1
    assert f'> {DOMAIN}. IN TXT "v=spf1 mx ~all"' in bad.stdout
    nonsense = run("no domain")
    assert "Type a domain" in str(nonsense.exception)
