"""The signals of the platform, each with its contract.

A receiver runs in the process and the transaction of the sender, in no promised order. An exception in
a receiver ends the sender's work, so a receiver that may fail must say what it does about it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from typing import Any, cast

from blinker import NamedSignal, Namespace
from flask import Flask, current_app, has_app_context

__all__ = [
    "KEYWORDS",
    "account_mail_wanted",
    "captured_mails_asked",
    "check_asked",
    "company_currency_changing",
    "document_customer_changed",
    "document_distribution_asked",
    "document_issued",
    "document_mail_wanted",
    "first_steps_asked",
    "inbound_message",
    "mail_routes_changed",
    "mail_server_paused",
    "mail_server_ready",
    "mail_templates_asked",
    "metrics_asked",
]

HEARD = "envoi_receivers"
"""The extension of an application that holds the receivers of its modules."""


class ModuleSignal(NamedSignal):
    """A signal that reaches a module's receivers in the applications that have the module, and nowhere else.

    Receivers are connected for a whole process, which may have several applications, each with modules of its own.
    """

    def __init__(self, name: str, doc: str | None = None) -> None:
        super().__init__(name, doc)
        self._of_modules: set[Callable[..., Any]] = set()

    def mount(self, app: Flask, receiver: Callable[..., Any]) -> None:
        """Let a module's receiver be reached in an application that is being made."""
        # weak=False: the registry holds paths, so nobody else keeps the function alive.
        self.connect(receiver, weak=False)
        self._of_modules.add(receiver)
        app.extensions.setdefault(HEARD, set()).add(receiver)

    def receivers_for(self, sender: Any) -> Generator[Callable[..., Any], None, None]:
        """Yield who is reached; a receiver that was connected otherwise is reached everywhere."""
        heard = current_app.extensions.get(HEARD, ()) if has_app_context() else self._of_modules
        for receiver in super().receivers_for(sender):
            if receiver in heard or receiver not in self._of_modules:
                yield receiver


class _Signals(Namespace):
    """The signals by their names."""

    def signal(self, name: str, doc: str | None = None) -> ModuleSignal:
        """Make a signal."""
        return cast("ModuleSignal", self.setdefault(name, ModuleSignal(name, doc)))


_signals = _Signals()

account_mail_wanted = _signals.signal("account-mail-wanted")
"""Sent inside a transaction to have a link mailed to a user, by the installation and not by a person.

Sender: the Flask application. Keywords: `user`, who gets it, or None to learn only whether such a mail would leave now;
`subject` and `body_html`, the text with `core.mail.draft.LINK_MARK` for the link; `link`, which nobody but the user may
read, and which is not kept once it has left; `expires_at`, until when it is good; `by`, who invites, or None.

A receiver that takes the task writes the mail in that transaction, unless it could not leave by any server. It returns
a sentence for a person why it does not leave at this moment, the same whoever the user is, or "".
"""

captured_mails_asked = _signals.signal("captured-mails-asked")
"""Sent to learn which mails a user may read of those that a mailbox of ours has taken.

Sender: the Flask application. Keywords: `user`; `message_ids`, a list of Message-IDs with their brackets. A receiver
returns the set of those whose mails the user may read as a whole, blind copies too. Mails that nobody answers for stay
closed.
"""

check_asked = _signals.signal("check-asked")
"""Sent by `envoi check` once the database can be asked and every migration was applied; outside a transaction.

Sender: the Flask application. No keywords. A receiver reads only, and returns a sentence for each thing of its module
that keeps somebody from working, or an empty list.
"""

company_currency_changing = _signals.signal("company-currency-changing")
"""Sent inside the transaction that gives a company another currency, before it does; the company's row is locked.

Sender: the `Company`, still with the former currency. Keywords: `currency`, the new one. A receiver returns a sentence
for the person why that cannot be now, or None. Whoever begins to count in a currency locks the row to share it first.
"""

document_customer_changed = _signals.signal("document-customer-changed")
"""Sent inside the transaction that gives a document another customer.

Sender: the `Document`. Keywords: `previous_id`, the id of the former partner or None.
"""

document_distribution_asked = _signals.signal("document-distribution-asked")
"""Sent to learn how the customers of documents want to get them.

Sender: the documents, a tuple of `Document`. No keywords. A receiver reads only, by as many queries for a hundred as
for one, and returns a mapping of ids of documents to `core.documents.distribution.Wish`, without those of which nothing
was agreed.
"""

document_issued = _signals.signal("document-issued")
"""Sent inside the transaction that issues a document: an order is confirmed, an invoice posted, a sale of the till
written.

Sender: the `Document`, with its number and its final kind. Keywords: `by`, who has issued it, or None. Whatever a
receiver wants done with it, it writes down; it sends nothing itself.
"""

document_mail_wanted = _signals.signal("document-mail-wanted")
"""Sent inside the transaction that wrote a document, to have it mailed without anybody composing.

Sender: the `Document`. Keywords: `addresses`, a tuple of `core.mail.addresses.Address` to write to, or an empty one
for those whom the mail template of its kind names, else its followers; `by`, the user who asks, or None; `private`,
True where the addresses are used and not kept; `keep_days`, for how long contents are kept, or None for the setting.

A receiver that takes the task writes the mail in that transaction and returns its id; one that cannot returns None
or raises a `UserError`, whose sentence the sender shows, and which must not cost the sender its own rows.
"""

files_in_use_asked = _signals.signal("files-in-use-asked")
"""Sent before files are removed from the store; outside a transaction.

Sender: the Flask application. Keywords: `hashes`, SHA-256 of files that nobody has touched lately. A receiver returns
the set of those that rows of its module refer to.
"""

first_steps_asked = _signals.signal("first-steps-asked")
"""Sent to learn what there is to do on the first day of an installation; may run inside a transaction.

Sender: the Flask application. Keywords: `user`, who looks. A receiver reads only, by a few quick statements, and
returns a list of `core.begin.steps.Step`, of those that the user may take, in the language that is set.
"""

mail_routes_changed = _signals.signal("mail-routes-changed")
"""Sent after somebody has changed who mails are from or which server they leave by, outside a transaction.

Sender: the Flask application. No keywords. Whoever keeps mails that wait for a way to leave looks again.
"""

inbound_message = _signals.signal("inbound-message")
"""Sent to take a message in that was piped to `envoi inbound`; outside a transaction.

Sender: the Flask application. Keywords: `octets`, the message as it came. A receiver that takes messages in returns a
sentence that says what was made of it, once that is committed.
"""

mail_server_ready = _signals.signal("mail-server-ready")
"""Sent after a mail server has passed its test, outside a transaction.

Sender: the Flask application. Keywords: `server_id`. Whoever keeps mails that wait for a server lets them go.
"""

mail_server_paused = _signals.signal("mail-server-paused")
"""Sent after a mail server was paused, since it has failed again and again; outside a transaction, once a pause.

Sender: the Flask application. Keywords: `server_id`. Whoever tells administrators does it now.
"""

mail_templates_asked = _signals.signal("mail-templates-asked")
"""Sent to learn which mail templates a company has for a kind of document, for a setting that names one.

Sender: the `Company`. Keywords: `kind`, the name of the kind. A receiver returns pairs of an id and a name in the
current language, in the order in which they are offered; one that keeps no templates returns None.
"""

metrics_asked = _signals.signal("metrics-asked")
"""Sent for the page of figures that a program reads; outside a transaction, a few times a minute.

Sender: the Flask application. No keywords. A receiver reads only, by one or two statements that an index answers, and
returns a list of `core.metrics.Metric`. They hold no personal data.
"""

KEYWORDS: Mapping[str, tuple[str, ...]] = {
    "account_mail_wanted": ("user", "subject", "body_html", "link", "expires_at", "by"),
    "captured_mails_asked": ("user", "message_ids"),
    "check_asked": (),
    "company_currency_changing": ("currency",),
    "document_customer_changed": ("previous_id",),
    "document_distribution_asked": (),
    "document_issued": ("by",),
    "document_mail_wanted": ("addresses", "by", "private", "keep_days"),
    "files_in_use_asked": ("hashes",),
    "first_steps_asked": ("user",),
    "mail_routes_changed": (),
    "inbound_message": ("octets",),
    "mail_server_paused": ("server_id",),
    "mail_server_ready": ("server_id",),
    "mail_templates_asked": ("kind",),
    "metrics_asked": (),
}
"""The keywords with which each signal calls its receivers."""
