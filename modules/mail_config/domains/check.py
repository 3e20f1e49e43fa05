"""The check of a domain: everything that a receiver looks up about emails from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from flask_babel import gettext

from core.db import db, end_reading
from modules.mail_config.domains.findings import Finding, Topic, Verdict
from modules.mail_config.domains.looks.dkim import look_at_dkim
from modules.mail_config.domains.looks.dmarc import look_at_dmarc
from modules.mail_config.domains.looks.hosts import look_at_mx, look_at_reverse
from modules.mail_config.domains.looks.servers import look_at_server
from modules.mail_config.domains.looks.spf import look_at_spf
from modules.mail_config.domains.senders import servers_for
from modules.mail_config.signing.keys import keys_of
from modules.mail_config.transports.name_service import Names, name_service


@dataclass(frozen=True, slots=True)
class Report:
    """What was found about a domain.

    Attributes:
        domain: Which.
        findings: In the order of their topics.
    """

    domain: str
    findings: Sequence[Finding]

    @property
    def by_topic(self) -> list[tuple[Topic, list[Finding]]]:
        """The findings of each topic that there are any of."""
        sorted_out = [(topic, [one for one in self.findings if one.topic is topic]) for topic in Topic]
        return [pair for pair in sorted_out if pair[1]]

    @property
    def troubles(self) -> int:
        """How many of them are missing or wrong."""
        return sum(one.verdict in {Verdict.MISSING, Verdict.WRONG} for one in self.findings)


def check_domain(domain: str, names: Names | None = None) -> Report:
    """Look up what receivers do, within seconds; nothing is changed.

    Args:
        domain: As `signing.keys.clean_domain` returns it.
        names: Who is asked; the DNS of the installation.
    """
    servers, keys = servers_for(domain), keys_of(domain)
    for key in keys:
        db.session.expunge(key)  # read for the last time: nothing is asked of the database meanwhile
    end_reading()  # nothing holds a transaction across the network
    names = names or name_service()
    envelopes = {domain: [server for server in servers if server.envelope_domain == domain]}
    for server in servers:
        if server.envelope_domain not in {"", domain}:
            envelopes.setdefault(server.envelope_domain, []).append(server)
    spf = {name: look_at_spf(names, name, sending) for name, sending in envelopes.items()}
    dkim = look_at_dkim(names, domain, keys, servers)
    policy, found = look_at_dmarc(names, domain)
    return Report(
        domain,
        [
            *(look.finding for look in spf.values()),
            *dkim.findings,
            policy,
            *(look_at_server(domain, server, spf, dkim, found) for server in servers),
            *([] if servers else [_nobody_sends(domain)]),
            look_at_mx(names, domain),
            *look_at_reverse(names, servers),
        ],
    )


def _nobody_sends(domain: str) -> Finding:
    words = gettext("No mail server in use here sends from this domain.")
    return Finding(Topic.SERVER, domain, Verdict.UNKNOWN, (words,))
