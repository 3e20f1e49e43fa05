"""What a receiver makes of SPF, DKIM and DMARC together, for the emails by each server."""

from __future__ import annotations

from collections.abc import Mapping

from flask_babel import gettext

from modules.mail_config.domains.dmarc import Dmarc, aligned
from modules.mail_config.domains.findings import Finding, Topic, Verdict
from modules.mail_config.domains.looks.dkim import DkimLook
from modules.mail_config.domains.looks.spf import SpfLook
from modules.mail_config.domains.senders import SendingServer


def look_at_server(
    domain: str, server: SendingServer, spf: Mapping[str, SpfLook], dkim: DkimLook, dmarc: Dmarc | None
) -> Finding:
    """Tell whether emails from a domain are proved that leave by a server (RFC 7489 §3.1)."""
    theirs = not server.envelope_domain
    is_aligned = not theirs and aligned(server.envelope_domain, domain, dmarc)
    by_spf = spf[server.envelope_domain].named[server.name] if is_aligned else False
    by_dkim = dkim.theirs[server.name] if server.signs else dkim.ours
    said = [_sentence(by_spf, by_dkim, dmarc)]
    if theirs:
        said.append(
            gettext(
                "It puts a sender of its own into the envelope, so that SPF proves nothing about %(domain)s.",
                domain=domain,
            )
        )
    elif not is_aligned:
        said.append(
            gettext(
                "Bounces go to %(envelope)s, so that SPF proves nothing about %(domain)s.",
                envelope=server.envelope_domain,
                domain=domain,
            )
        )
    proved = by_spf or by_dkim
    unknown = by_spf is None or by_dkim is None
    verdict = Verdict.FOUND if proved else Verdict.UNKNOWN if unknown else Verdict.WRONG
    return Finding(Topic.SERVER, server.name, verdict, tuple(said))


def _sentence(by_spf: bool | None, by_dkim: bool | None, dmarc: Dmarc | None) -> str:
    said: str
    if by_spf and by_dkim:
        said = gettext("Its emails are proved to be yours by SPF and by DKIM.")
    elif by_dkim:
        said = gettext("Its emails are proved to be yours by DKIM.")
    elif by_spf:
        said = gettext(
            "Its emails are proved to be yours by SPF alone, which ends where somebody forwards them."
        )
    elif by_spf is None or by_dkim is None:
        said = gettext("Whether its emails are proved to be yours cannot be told from here.")
    elif dmarc is not None and dmarc.policy == "reject":
        said = gettext("Nothing proves that its emails are yours: by your own policy they are refused.")
    elif dmarc is not None and dmarc.policy == "quarantine":
        said = gettext(
            "Nothing proves that its emails are yours: by your own policy they go to the junk folder."
        )
    else:
        said = gettext("Nothing proves that its emails are yours: many receivers take them for junk.")
    return said
