"""What the composer says where a rule of distribution applies: who gets the mail by it, or that none is wanted."""

from __future__ import annotations

from collections.abc import Iterator

from flask_babel import gettext

from core.documents.distribution import wish_for
from core.partners.service import customer_of
from modules.outbox.compose.form import ComposeForm
from modules.outbox.limits import Finding, Severity


def about_wish(form: ComposeForm) -> Iterator[Finding]:
    """Ask before a mail goes to a customer who wants paper; say which rule has named the recipients."""
    wish = wish_for(form.document) if form.document is not None else None
    if form.document is None or wish is None:
        return
    if wish.paper_only:
        customer = form.document.partner
        yield Finding(
            "paper",
            Severity.ASK,
            gettext(
                "%(name)s wants this on paper. %(why)s",
                name=customer_of(customer).name if customer is not None else "",
                why=wish.why,
            ),
            repair_url=wish.url,
            repair_label=gettext("Print it instead"),
            field="to",
        )
    elif wish.recipients:
        yield Finding(
            "agreed",
            Severity.NOTE,
            gettext("A distribution rule says who gets it. %(why)s", why=wish.why),
            repair_url=wish.url,
            repair_label=gettext("See the rule"),
            field="to",
        )
