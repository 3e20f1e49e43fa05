"""The table of providers, and what it fills in."""

from __future__ import annotations

import re
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from flask_babel import force_locale

from core.mail.addresses import normalize
from core.mail.outcomes import FailureKind
from modules.mail_config.models import Encryption
from modules.mail_config.servers.guess import guess
from modules.mail_config.servers.providers import provider_of, providers
from modules.mail_config.transports.autoconfig import outgoing_server
from tests.mail_config.dns_lab import DnsLab
from tools import provider_table

FILE = """<?xml version="1.0"?>
<clientConfig version="1.1"><emailProvider id="firm.example.com"><domain>firm.example.com</domain>
  <incomingServer type="imap"><hostname>imap.firm.example.com</hostname><port>993</port></incomingServer>
  <outgoingServer type="smtp"><hostname>smtp.%EMAILDOMAIN%</hostname><port>465</port><socketType>SSL</socketType>
    <username>%EMAILLOCALPART%</username><authentication>password-cleartext</authentication></outgoingServer>
</emailProvider></clientConfig>"""


def test_at_least_forty_are_known_in_each_of_the_regions():
    known = providers()
    assert len(known) >= 40
    assert {provider.region for provider in known} == {"world", "fr", "be", "ch", "de"}
    assert len({provider.name for provider in known}) == len(known)


@pytest.mark.parametrize("provider", providers(), ids=lambda provider: provider.name)
def test_a_provider_is_complete_and_found_by_its_host_and_its_addresses(app, provider):
    assert (provider.port, provider.encryption) in {
        (465, Encryption.TLS),
        (587, Encryption.STARTTLS),
        (25, Encryption.STARTTLS),
    }
    assert provider_of(provider.host or f"mail7.{provider.hosts[0]}") is provider
    assert all(provider_of(f"anyone@{domain}") is provider for domain in provider.domains)
    assert provider.link.startswith("https://")
    assert provider.trouble
    for language in ("en", "fr"):
        with force_locale(language):
            said = [provider.hint, *provider.troubles]
            assert all(sentence.endswith(".") and "%(" not in sentence for sentence in said)
            assert any(provider.name in sentence for sentence in said)
    for number in (provider.per_minute, provider.per_hour, provider.per_day, provider.size_mb):
        assert number is None or number > 0


def test_no_domain_and_no_host_belongs_to_two():
    for names in (
        [name for provider in providers() for name in provider.domains],
        [name for provider in providers() for name in provider.hosts],
    ):
        assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("Sophie@Gmail.com", ("smtp.gmail.com", 465, "Sophie@gmail.com", 500)),
        ("sophie@free.fr", ("smtp.free.fr", 465, "sophie", None)),
        ("smtp.office365.com", ("smtp.office365.com", 587, "", 10_000)),
        ("email-smtp.eu-west-3.amazonaws.com", ("email-smtp.eu-west-3.amazonaws.com", 587, "", None)),
        ("w0123.kasserver.com", ("w0123.kasserver.com", 465, "", None)),
        ("gmail.com", ("smtp.gmail.com", 465, "", 500)),
        ("jean@contoso.onmicrosoft.com", ("smtp.office365.com", 587, "jean@contoso.onmicrosoft.com", 10_000)),
        ("me@sendgrid.example.com", None),
        ("nothing known", None),
        ("a@b@c", None),
        ("", None),
    ],
)
def test_what_is_typed_fills_in_the_form(app, typed, expected):
    values = guess(typed).values
    if expected is None:
        assert values == {}
    else:
        assert (values["host"], values["port"], values["username"], values["rate_per_day"]) == expected


def test_an_address_becomes_the_one_that_the_server_may_send_from(app):
    values = guess("sophie@orange.fr").values
    assert (values["own_address"], values["from_filter"]) == ("sophie@orange.fr", "sophie@orange.fr")


@pytest.mark.parametrize(
    ("exchangers", "host"),
    [
        (["10 firm-example.mail.protection.outlook.com."], "smtp.office365.com"),
        (["5 alt1.aspmx.l.google.com.", "1 aspmx.l.google.com."], "smtp.gmail.com"),
        (["1 mx1.mail.ovh.net.", "100 mx3.mail.ovh.net."], "ssl0.ovh.net"),
        (["10 mail.firm.example."], None),
        (["0 ."], None),
        ([], None),
    ],
)
def test_the_mailboxes_of_a_domain_tell_its_provider(app, exchangers, host):
    with DnsLab() as lab:
        app.config["MAIL_CONFIG_DNS_SERVERS"] = lab.where
        lab.zone["firm.example", "MX"] = exchangers
        found = guess("sophie@firm.example")
    assert (found.values.get("host"), found.by_mx) == (host, host is not None)
    assert lab.asked == [("firm.example", "MX")]
    assert guess("sophie@firm.example", ask=False).values == {}


def test_no_two_providers_take_the_mail_of_one_domain():
    names = [name for provider in providers() for name in provider.mx]
    assert len(names) == len(set(names)) > 40


def test_what_helps_at_a_provider_belongs_to_the_failure(app):
    gmail = provider_of("smtp.gmail.com")
    assert gmail is not None
    (said,) = gmail.helps(FailureKind.AUTH_FAILED)
    assert "make an app password" in said
    with force_locale("fr"):
        assert "mot de passe d’application" in gmail.helps(FailureKind.AUTH_FAILED)[0]
    assert gmail.helps(FailureKind.TIMEOUT) == []


# -- Thunderbird's format ------------------------------------------------------------------------------


@pytest.fixture
def place(app):
    """A page that answers with the file, and what it was asked for."""
    asked: list[str] = []

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(f"{self.headers['Host']}{self.path}")
            self.send_response(200 if "firm" in self.path else 404)
            self.end_headers()
            self.wfile.write(FILE.encode())

        def log_message(self, *_args: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    app.config["MAIL_CONFIG_AUTOCONFIG"] = f"http://127.0.0.1:{server.server_port}/{{domain}}.xml"
    yield asked
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_domain_may_say_itself_which_server_it_has(place):
    found = guess("sophie@firm.example.com")
    assert found.by_domain
    assert (found.values["host"], found.values["port"]) == ("smtp.firm.example.com", 465)
    assert (found.values["encryption"], found.values["username"]) == (Encryption.TLS, "sophie")
    assert "sophie" not in place[0], "only the domain is told"
    assert guess("sophie@other.example.com").values == {}


def test_no_domain_is_asked_unless_a_setting_says_so(app, place):
    app.config["MAIL_CONFIG_AUTOCONFIG"] = ""
    assert guess("sophie@firm.example.com").values == {}
    assert place == []


def test_a_file_of_the_house_is_read(app, tmp_path):
    (tmp_path / "firm.example.com.xml").write_text(FILE)
    app.config["MAIL_CONFIG_AUTOCONFIG"] = f"{tmp_path}/missing-{{domain}} {tmp_path}/{{domain}}.xml"
    assert guess("sophie@firm.example.com").values["host"] == "smtp.firm.example.com"


@pytest.mark.parametrize(
    ("changed", "to"),
    [
        ("465", "99999"),
        ("465", "x"),
        ("SSL", "telnet"),
        ("smtp.%EMAILDOMAIN%", ""),
        ("password-cleartext", "OAuth2"),
        ('type="smtp"', 'type="exchange"'),
    ],
)
def test_a_server_that_cannot_be_used_is_passed_over(changed, to):
    assert outgoing_server(FILE.replace(changed, to).encode(), "sophie@firm.example.com") is None


def test_what_is_typed_is_normalized():
    assert normalize("Sophie@Gmail.com") == "Sophie@gmail.com"


provider_steps = provider_table.provider_steps


@pytest.mark.parametrize("written", [provider_table, provider_steps], ids=["table", "steps"])
def test_the_pages_of_providers_are_what_the_table_says(written):
    assert written.PAGE.read_text("utf-8") == written.page(), "run tools/provider_table.py"


def test_each_provider_has_its_steps_and_each_link_its_heading():
    said = provider_steps.page()
    headings = {provider_steps.anchor(line[3:]) for line in said.splitlines() if line.startswith("## ")}
    links = set(re.findall(r"\]\(#([^)]+)\)", said))
    assert links == {provider_steps.anchor(provider.name) for provider in providers()} <= headings
    named = {
        *provider_steps.BY_NAME,
        *provider_steps.APIS,
        *provider_steps.ACCOUNTS,
        *provider_steps.OWN_DOMAINS,
    }
    assert named <= {provider.name for provider in providers()}
    guide = (provider_table.ROOT / "docs" / "guide.md").read_text("utf-8")
    assert set(re.findall(r"set-up-your-mail\.md#([^)]+)\)", guide)) <= headings
    with pytest.raises(KeyError):
        provider_steps.label("A button that is not there")
