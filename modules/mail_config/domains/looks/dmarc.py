"""DMARC: what are receivers asked to do with what is not proved?"""

from __future__ import annotations

from flask_babel import gettext, ngettext

from modules.mail_config.domains import dmarc
from modules.mail_config.domains.findings import Finding, Record, Topic, Verdict, told_nothing
from modules.mail_config.transports.name_service import Names, NameServiceError


def look_at_dmarc(names: Names, domain: str) -> tuple[Finding, dmarc.Dmarc | None]:
    """Look for the policy that holds for a domain."""
    about = dmarc.record_name(domain)
    # Without a policy that could harm anybody: it begins by asking for reports.
    proposed = Record(about, f"v=DMARC1; p=none; rua=mailto:postmaster@{domain}")
    try:
        found = dmarc.read(names, domain)
    except NameServiceError as error:
        return told_nothing(Topic.DMARC, about, error), None
    if found is None:
        words = gettext(
            "There is no DMARC record: nothing protects your name, and Gmail, Yahoo and Microsoft ask for one "
            "from whoever sends many emails. Begin with this one; reports come to postmaster, or wherever you prefer."
        )
        return Finding(Topic.DMARC, about, Verdict.MISSING, (words,), (), proposed), None
    if found.policy:
        return Finding(
            Topic.DMARC, about, Verdict.FOUND, tuple(_sentences(found, domain)), found.records
        ), found
    count = len(found.records)
    words = (
        ngettext(
            "There is %(num)d DMARC record; receivers then take none of them. Keep one.",
            "There are %(num)d DMARC records; receivers then take none of them. Keep one.",
            count,
        )
        if count > 1
        else gettext("Receivers cannot read it: it does not say p=none, p=quarantine or p=reject.")
    )
    above = Record(dmarc.record_name(found.domain), proposed.text)
    return Finding(Topic.DMARC, about, Verdict.WRONG, (words,), found.records, above), found


def _sentences(found: dmarc.Dmarc, domain: str) -> list[str]:
    said = {
        "none": gettext(
            "It only asks for reports: forged emails are delivered all the same. Once all your emails pass, say "
            "p=quarantine."
        ),
        "quarantine": gettext("What neither SPF nor DKIM proves goes to the junk folder."),
        "reject": gettext("What neither SPF nor DKIM proves is refused."),
    }[found.policy]
    if found.domain == domain:
        return [said]
    return [
        said,
        gettext("The record is that of %(domain)s; it holds below it as well.", domain=found.domain),
    ]
