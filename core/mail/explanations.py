"""The kinds of failure, and for each the sentences a person reads: what happened, who acts, and where."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from core.i18n import lazy_gettext as _l


class Actor(StrEnum):
    """Who must act after a failure."""

    SELLER = "seller"  # whoever sent the mail: address, text, document
    ADMINISTRATOR = "administrator"  # whoever looks after servers and templates
    NOBODY = "nobody"  # it is tried again by itself
    NO_NEED = "no_need"  # it is as it should be


class FailureKind(StrEnum):
    """Why a mail, or one recipient of it, failed."""

    ADDRESS_INVALID = "address_invalid"  # no server was asked: it is no address
    RECIPIENT_UNKNOWN = "recipient_unknown"  # there is no such mailbox
    MAILBOX_FULL = "mailbox_full"  # the mailbox takes nothing at the moment
    RECIPIENT_REFUSED = "recipient_refused"  # refused for this recipient, for another reason
    SENDER_REFUSED = "sender_refused"  # the From or the envelope sender is not allowed
    MESSAGE_REFUSED = "message_refused"  # the content is refused, as a whole
    MESSAGE_TOO_LARGE = "message_too_large"  # larger than the server, or a mailbox, takes
    SPAM_SUSPECTED = "spam_suspected"  # taken for spam, or the sending host is on a list
    RATE_LIMITED = "rate_limited"  # the server wants fewer mails in a time
    AUTH_FAILED = "auth_failed"  # user name and password do not pass
    CONNECT_FAILED = "connect_failed"  # nobody answers at host and port
    HOST_NOT_FOUND = "host_not_found"  # the name of the server has no address
    TLS_FAILED = "tls_failed"  # no encryption that both sides accept
    TIMEOUT = "timeout"  # no answer in time, and nothing was accepted
    SERVER_ERROR = "server_error"  # the server has a fault of its own
    RENDER_FAILED = "render_failed"  # no PDF could be made of the document
    TEMPLATE_ERROR = "template_error"  # a formula of the template cannot be worked out
    ATTACHMENT_MISSING = "attachment_missing"  # a file is no longer in the store, or damaged
    STORE_AWAY = "store_away"  # the store that holds its files cannot be reached at the moment
    DOCUMENT_MISSING = "document_missing"  # the document is gone, or its module is disabled
    SERVER_MISSING = "server_missing"  # no server is set up for this company and address
    SERVER_UNTESTED = "server_untested"  # there is one, but it has not passed its test
    OUTCOME_UNKNOWN = "outcome_unknown"  # the text went out, no answer came: somebody may have it
    INTERNAL_ERROR = "internal_error"  # a fault of ours; the log has more
    DOCUMENT_CHANGED = "document_changed"  # changed after Send, before its PDF was made
    SENDER_MISSING = "sender_missing"  # the company has no address to send from
    GIVEN_UP = "given_up"  # temporary failures went on longer than the settings allow
    RESTORED = "restored"  # it waited in a copy that was restored: it may have left after the copy was made
    ADDRESS_HELD = "address_held"  # not sent: an earlier mail has shown that nobody has the address
    OPTED_OUT = "opted_out"  # not sent: promotional, and its recipient does not want that, or no longer
    PACED = "paced"  # no failure: it waits for its turn at a limited server


FOUND_HERE = frozenset(
    {
        FailureKind.RENDER_FAILED,
        FailureKind.TEMPLATE_ERROR,
        FailureKind.ATTACHMENT_MISSING,
        FailureKind.STORE_AWAY,
        FailureKind.DOCUMENT_MISSING,
        FailureKind.SERVER_MISSING,
        FailureKind.SERVER_UNTESTED,
        FailureKind.INTERNAL_ERROR,
        FailureKind.DOCUMENT_CHANGED,
        FailureKind.SENDER_MISSING,
        FailureKind.RESTORED,
        FailureKind.ADDRESS_HELD,
        FailureKind.OPTED_OUT,
        FailureKind.PACED,
    }
)
"""Failures that are found before any server is asked: whatever words they have are ours."""


class Repair(StrEnum):
    """The place where a failure is repaired."""

    RECIPIENT = "recipient"  # the address in the mail
    MAIL = "mail"  # text and files of the mail
    SERVER = "server"  # the server that was used
    SERVERS = "servers"  # the list of servers: there is none to open
    TEMPLATE = "template"  # the template it was made from
    DOCUMENT = "document"  # the page of the document
    NONE = "none"  # nothing to repair


@dataclass(frozen=True, slots=True)
class Explanation:
    """The sentences that a person is shown for a kind of failure.

    Attributes:
        title: A few words.
        text: What happened and what to do, in sentences.
        actor: Who must act.
        repair: Where.
    """

    title: object
    text: object
    actor: Actor
    repair: Repair


EXPLANATIONS: dict[FailureKind, Explanation] = {
    FailureKind.ADDRESS_INVALID: Explanation(
        _l("Invalid address"),
        _l("This is not a valid email address. Correct it and send the email again."),
        Actor.SELLER,
        Repair.RECIPIENT,
    ),
    FailureKind.RECIPIENT_UNKNOWN: Explanation(
        _l("Address unknown"),
        _l(
            "The recipient's mail server says that this mailbox does not exist. Ask the customer for the right "
            "address, correct it and send the email again."
        ),
        Actor.SELLER,
        Repair.RECIPIENT,
    ),
    FailureKind.MAILBOX_FULL: Explanation(
        _l("Mailbox full"),
        _l(
            "The recipient's mailbox takes no more email. Reach the customer another way, or send it again later or to "
            "another address."
        ),
        Actor.SELLER,
        Repair.RECIPIENT,
    ),
    FailureKind.RECIPIENT_REFUSED: Explanation(
        _l("Recipient refused"),
        _l(
            "The mail server does not accept email for this recipient; its own words below say why. Ask the "
            "customer for another address, or reach them another way."
        ),
        Actor.SELLER,
        Repair.RECIPIENT,
    ),
    FailureKind.SENDER_REFUSED: Explanation(
        _l("Sender refused"),
        _l(
            "The mail server does not let Envoi send from this address. Give the server an account that may, or "
            "correct the From filter of the server."
        ),
        Actor.ADMINISTRATOR,
        Repair.SERVER,
    ),
    FailureKind.MESSAGE_REFUSED: Explanation(
        _l("Message refused"),
        _l(
            "The mail server read the message and refused it; its own words below say why. Often a file is to "
            "blame: send the email without it, or show these words to your administrator."
        ),
        Actor.SELLER,
        Repair.MAIL,
    ),
    FailureKind.MESSAGE_TOO_LARGE: Explanation(
        _l("Message too large"),
        _l(
            "The message with its attachments is larger than the mail server allows. Send it with fewer files."
        ),
        Actor.SELLER,
        Repair.MAIL,
    ),
    FailureKind.SPAM_SUSPECTED: Explanation(
        _l("Taken for spam"),
        _l(
            "The mail server took the message for spam, or does not trust the server that sent it. The "
            "administrator should check the sender's domain (SPF, DKIM) and its reputation."
        ),
        Actor.ADMINISTRATOR,
        Repair.SERVER,
    ),
    FailureKind.RATE_LIMITED: Explanation(
        _l("Server asked to wait"),
        _l(
            "The mail server wants this email later: it gets too many at once, or lets unknown senders wait. Envoi "
            "tries again by itself."
        ),
        Actor.NOBODY,
        Repair.NONE,
    ),
    FailureKind.AUTH_FAILED: Explanation(
        _l("Sign-in refused"),
        _l(
            "The mail server does not accept the sign-in: user name and password, or the key. Correct it, or connect "
            "the account again, then test the server."
        ),
        Actor.ADMINISTRATOR,
        Repair.SERVER,
    ),
    FailureKind.CONNECT_FAILED: Explanation(
        _l("Server unreachable"),
        _l(
            "No connection to the mail server could be made. It may be down, or host, port or firewall may be "
            "wrong. Envoi tries again by itself."
        ),
        Actor.ADMINISTRATOR,
        Repair.SERVER,
    ),
    FailureKind.HOST_NOT_FOUND: Explanation(
        _l("Server name unknown"),
        _l("No machine has the host name in the mail server's settings. Correct the host."),
        Actor.ADMINISTRATOR,
        Repair.SERVER,
    ),
    FailureKind.TLS_FAILED: Explanation(
        _l("Encryption failed"),
        _l(
            "No trusted, encrypted connection could be made: the certificate of the server is expired, issued "
            "for another name or not trusted, or the kind of encryption is wrong for this port. Check host, "
            "port and encryption in the server's settings, then test it."
        ),
        Actor.ADMINISTRATOR,
        Repair.SERVER,
    ),
    FailureKind.TIMEOUT: Explanation(
        _l("Server too slow"),
        _l("The mail server did not answer in time. Envoi tries again by itself."),
        Actor.NOBODY,
        Repair.NONE,
    ),
    FailureKind.SERVER_ERROR: Explanation(
        _l("Mail server failing"),
        _l(
            "The mail server could not do its work, or gave an answer that makes no sense. If this goes on, "
            "show its words below to whoever runs it."
        ),
        Actor.ADMINISTRATOR,
        Repair.SERVER,
    ),
    FailureKind.RENDER_FAILED: Explanation(
        _l("PDF could not be made"),
        _l(
            "The PDF of the document could not be made, so nothing was sent. Open the PDF of the document to see why."
        ),
        Actor.ADMINISTRATOR,
        Repair.DOCUMENT,
    ),
    FailureKind.TEMPLATE_ERROR: Explanation(
        _l("Error in the template"),
        _l(
            "The email template uses a field that does not exist, or is not well formed. Correct the template."
        ),
        Actor.ADMINISTRATOR,
        Repair.TEMPLATE,
    ),
    FailureKind.ATTACHMENT_MISSING: Explanation(
        _l("Attachment missing"),
        _l("A file of this email is gone from the store or is damaged. Attach it again in a new email."),
        Actor.ADMINISTRATOR,
        Repair.MAIL,
    ),
    FailureKind.STORE_AWAY: Explanation(
        _l("Files cannot be reached"),
        _l(
            "The place where the files of emails are kept cannot be reached from the sending process at the moment. "
            "Nothing is lost: the email is tried again by itself. If it goes on, whoever looks after the installation "
            "has to see to it: `envoi check` says what is wrong."
        ),
        Actor.ADMINISTRATOR,
        Repair.NONE,
    ),
    FailureKind.DOCUMENT_MISSING: Explanation(
        _l("Document missing"),
        _l("The document of this email cannot be read: its module is disabled, or the document is gone."),
        Actor.ADMINISTRATOR,
        Repair.DOCUMENT,
    ),
    FailureKind.SERVER_MISSING: Explanation(
        _l("No mail server"),
        _l(
            "No active mail server may send from this address. The email waits; add a server, or widen a From filter."
        ),
        Actor.ADMINISTRATOR,
        Repair.SERVERS,
    ),
    FailureKind.SERVER_UNTESTED: Explanation(
        _l("Mail server untested"),
        _l(
            "The mail server has not passed its test since it was last changed. The email waits; test the "
            "server."
        ),
        Actor.ADMINISTRATOR,
        Repair.SERVER,
    ),
    FailureKind.OUTCOME_UNKNOWN: Explanation(
        _l("Outcome unknown"),
        _l(
            "The connection ended after the message had been handed over and before the server answered. "
            "It was probably accepted. Ask the recipient before you send it again."
        ),
        Actor.SELLER,
        Repair.MAIL,
    ),
    FailureKind.RESTORED: Explanation(
        _l("Data restored from a backup"),
        _l(
            "The data were restored from a backup while this email was waiting in it. It may have been sent after the "
            "backup was made. Ask the recipient before you send it again."
        ),
        Actor.SELLER,
        Repair.MAIL,
    ),
    FailureKind.DOCUMENT_CHANGED: Explanation(
        _l("Document changed meanwhile"),
        _l(
            "The document was changed or canceled after this email was written, so the email no longer says what the "
            "document says. It is not sent any more. Open the document and send it anew."
        ),
        Actor.SELLER,
        Repair.DOCUMENT,
    ),
    FailureKind.SENDER_MISSING: Explanation(
        _l("No sender address"),
        _l("The company has no email address to send from. The email waits; give the company one."),
        Actor.ADMINISTRATOR,
        Repair.NONE,
    ),
    FailureKind.GIVEN_UP: Explanation(
        _l("Given up"),
        _l(
            "Envoi no longer tries: every try was used, or somebody has decided so. The last words of the server "
            "say what kept the email. Send it again when that is mended."
        ),
        Actor.SELLER,
        Repair.RECIPIENT,
    ),
    FailureKind.ADDRESS_HELD: Explanation(
        _l("Held: address unknown"),
        _l(
            "Nothing was sent: a server has said of an earlier email that this mailbox does not exist. Correct the "
            "address, or press “Send again” to send it all the same."
        ),
        Actor.SELLER,
        Repair.RECIPIENT,
    ),
    FailureKind.OPTED_OUT: Explanation(
        _l("No promotional emails wanted"),
        _l(
            "This email advertises, and its recipient does not accept that, or no longer. Nothing was sent, and "
            "nothing has to be done. What concerns their orders still reaches them."
        ),
        Actor.NO_NEED,
        Repair.NONE,
    ),
    FailureKind.PACED: Explanation(
        _l("Waiting for its turn"),
        _l(
            "The mail server takes a limited number of emails in a time, by its settings or because it has asked "
            "for it. This email leaves by itself, at about the time shown."
        ),
        Actor.NOBODY,
        Repair.NONE,
    ),
    FailureKind.INTERNAL_ERROR: Explanation(
        _l("Fault in Envoi"),
        _l(
            "Envoi, or one of its modules, could not handle this email because of a fault of its own. Nothing was "
            "sent. The details are in the worker's log."
        ),
        Actor.ADMINISTRATOR,
        Repair.NONE,
    ),
}
