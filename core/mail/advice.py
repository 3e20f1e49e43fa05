"""A finer hint of what to do than the explanation of a failure's kind can give."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from core.i18n import lazy_gettext as _l
from core.mail.explanations import Actor


class Advice(StrEnum):
    """The finer meaning of a server's words or code; stored in a column of 32 characters."""

    # Signing in.
    CREDENTIALS = "credentials"
    AUTH_REQUIRED = "auth_required"
    AUTH_NOT_OFFERED = "auth_not_offered"
    AUTH_MECHANISM = "auth_mechanism"
    AUTH_TEMPORARY = "auth_temporary"
    APP_PASSWORD = "app_password"  # noqa: S105 (a name)
    SMTP_AUTH_DISABLED = "smtp_auth_disabled"
    BASIC_AUTH_ENDED = "basic_auth_ended"
    PASSWORD_EXPIRED = "password_expired"  # noqa: S105 (a name)
    PASSWORD_NOT_ASCII = "password_not_ascii"  # noqa: S105 (a name)
    WEB_SIGN_IN = "web_sign_in"
    ACCOUNT_BLOCKED = "account_blocked"
    MFA_REQUIRED = "mfa_required"
    CONDITIONAL_ACCESS = "conditional_access"
    TOKEN_EXPIRED = "token_expired"  # noqa: S105 (a name)
    TOKEN_REVOKED = "token_revoked"  # noqa: S105 (a name)
    CLIENT_SECRET = "client_secret"  # noqa: S105 (a name)
    CONSENT_MISSING = "consent_missing"
    API_KEY = "api_key"
    API_PERMISSION = "api_permission"
    RECONNECT = "reconnect"
    API_DISABLED = "api_disabled"
    # Encryption.
    STARTTLS_REQUIRED = "starttls_required"
    STARTTLS_NOT_OFFERED = "starttls_not_offered"
    WRONG_TLS_MODE = "wrong_tls_mode"
    CERTIFICATE_EXPIRED = "certificate_expired"
    CERTIFICATE_NOT_YET_VALID = "certificate_not_yet_valid"
    CERTIFICATE_NAME = "certificate_name"
    CERTIFICATE_UNTRUSTED = "certificate_untrusted"
    TLS_TOO_OLD = "tls_too_old"
    CA_FILE = "ca_file"
    # The way to the server.
    PORT_CLOSED = "port_closed"
    PORT_FILTERED = "port_filtered"
    NETWORK_UNREACHABLE = "network_unreachable"
    DNS_UNAVAILABLE = "dns_unavailable"
    HOST_FORBIDDEN = "host_forbidden"
    OTHER_SERVICE = "other_service"
    NO_API = "no_api"
    # Who sends.
    RELAY_DENIED = "relay_denied"
    FROM_NOT_YOURS = "from_not_yours"
    VERIFY_IDENTITY = "verify_identity"
    SENDER_DOMAIN = "sender_domain"
    SPF = "spf"
    DKIM = "dkim"
    DMARC = "dmarc"
    BLOCK_LIST = "block_list"
    REVERSE_DNS = "reverse_dns"
    HELO_NAME = "helo_name"
    # How much.
    DAILY_QUOTA = "daily_quota"
    GREYLISTED = "greylisted"
    TOO_MANY_RECIPIENTS = "too_many_recipients"
    RECIPIENT_BUSY = "recipient_busy"
    # Who receives.
    MAILBOX_DISABLED = "mailbox_disabled"
    MAILBOX_MOVED = "mailbox_moved"
    DOMAIN_UNKNOWN = "domain_unknown"
    SENDER_BLOCKED = "sender_blocked_by_recipient"
    INTERNAL_ONLY = "internal_only"
    SUPPRESSED = "suppressed"
    # What is sent.
    FORBIDDEN_ATTACHMENT = "forbidden_attachment"
    VIRUS = "virus"
    MAIL_LOOP = "mail_loop"
    MALFORMED = "malformed"
    # The server itself.
    SYSTEM_FULL = "system_full"
    FOLDER_MISSING = "folder_missing"
    FOLDER_FORBIDDEN = "folder_forbidden"
    FOLDER_FULL = "folder_full"
    NO_SENT_FOLDER = "no_sent_folder"
    SENT_FOLDER_FULL = "sent_folder_full"


@dataclass(frozen=True, slots=True)
class AdviceText:
    """The sentences that a person is shown for an advice.

    Attributes:
        text: What it means and what to do, in sentences.
        actor: Who must act, where it is another than for the kind of failure as a whole.
    """

    text: object
    actor: Actor | None = None


ADVICE: dict[Advice, AdviceText] = {
    Advice.CREDENTIALS: AdviceText(
        _l("User name or password is wrong. Type both again, then test the server.")
    ),
    Advice.API_KEY: AdviceText(
        _l(
            "The provider does not know this API key: it was mistyped, revoked, or belongs to another account. Make a "
            "new one there, type it in the server's settings, then test the server."
        )
    ),
    Advice.API_PERMISSION: AdviceText(
        _l(
            "This API key may not send emails. Allow it at the provider, or make one that may, then test the server."
        )
    ),
    Advice.NO_API: AdviceText(
        _l(
            "What answers there is not the provider's interface: a web page, or another address. Check the address in "
            "the settings of the installation, and what stands between it and the internet."
        ),
        Actor.ADMINISTRATOR,
    ),
    Advice.AUTH_REQUIRED: AdviceText(
        _l("The server sends only for those who sign in. Give it a user name and a password."),
        Actor.ADMINISTRATOR,
    ),
    Advice.AUTH_NOT_OFFERED: AdviceText(
        _l(
            "The server offers no sign-in on this connection. Many do so only when the connection is encrypted, "
            "or on another port: try port 587 with STARTTLS or 465 with TLS. If it needs none, leave the user "
            "name empty."
        )
    ),
    Advice.AUTH_MECHANISM: AdviceText(
        _l(
            "The server knows no way of signing in that Envoi knows. Its provider must allow user name and password."
        )
    ),
    Advice.AUTH_TEMPORARY: AdviceText(
        _l("The server could not check the sign-in just now. Envoi tries again by itself."), Actor.NOBODY
    ),
    Advice.APP_PASSWORD: AdviceText(
        _l(
            "This account wants a password made for one application. Make one in the security settings of the "
            "account, and enter it here instead of the usual password."
        )
    ),
    Advice.SMTP_AUTH_DISABLED: AdviceText(
        _l(
            "Sending by SMTP is switched off for this account or its whole organization. The administrator of "
            "Microsoft 365 switches on “Authenticated SMTP” for the mailbox."
        )
    ),
    Advice.BASIC_AUTH_ENDED: AdviceText(
        _l(
            "This provider no longer takes a password for sending. Connect the account instead, or use one of its "
            "relays."
        )
    ),
    Advice.PASSWORD_EXPIRED: AdviceText(
        _l(
            "The password of this account has expired or must be changed. Change it at the provider, then here."
        )
    ),
    Advice.PASSWORD_NOT_ASCII: AdviceText(
        _l(
            "User name or password holds a letter that this way of signing in cannot carry. Choose another password."
        )
    ),
    Advice.WEB_SIGN_IN: AdviceText(
        _l(
            "The provider wants to see a person: sign in once in a browser with this account, confirm that it was "
            "you, then test the server."
        )
    ),
    Advice.ACCOUNT_BLOCKED: AdviceText(
        _l(
            "The provider has blocked this account, often because it has sent spam. Change its password, then ask "
            "the provider to release it."
        ),
        Actor.ADMINISTRATOR,
    ),
    Advice.MFA_REQUIRED: AdviceText(
        _l(
            "This account asks for a second factor, which a program cannot give. Use an account or password made "
            "for programs."
        )
    ),
    Advice.CONDITIONAL_ACCESS: AdviceText(
        _l(
            "A rule of the organization forbids this sign-in from here. Its administrator must make an exception."
        )
    ),
    Advice.TOKEN_EXPIRED: AdviceText(
        _l("The permission to send has expired. Give it again at the provider.")
    ),
    Advice.TOKEN_REVOKED: AdviceText(
        _l(
            "The permission to send was withdrawn, or the password was changed since. Give it again at the provider."
        )
    ),
    Advice.CLIENT_SECRET: AdviceText(
        _l(
            "The provider does not know this application, or its secret is wrong or has expired. Make a new one."
        )
    ),
    Advice.CONSENT_MISSING: AdviceText(
        _l("Nobody has allowed this application to send for the account. An administrator must consent.")
    ),
    Advice.RECONNECT: AdviceText(
        _l(
            "The connection to this account has ended: it was withdrawn at the provider, has run out, or the password "
            "was changed. Connect the account again."
        )
    ),
    Advice.API_DISABLED: AdviceText(
        _l(
            "The provider's interface for sending is switched off for this application or this mailbox. An "
            "administrator switches it on at the provider (for Google: the “Gmail API” of the project)."
        )
    ),
    Advice.STARTTLS_REQUIRED: AdviceText(
        _l(
            "The server speaks only over an encrypted connection. Choose STARTTLS (port 587) or TLS (port 465)."
        )
    ),
    Advice.STARTTLS_NOT_OFFERED: AdviceText(
        _l(
            "The server does not offer STARTTLS on this port, so Envoi told it nothing. Try TLS on port 465, or ask "
            "the provider."
        )
    ),
    Advice.WRONG_TLS_MODE: AdviceText(
        _l(
            "The kind of encryption does not fit the port: use TLS on port 465, and STARTTLS on ports 587 and 25."
        )
    ),
    Advice.CERTIFICATE_EXPIRED: AdviceText(
        _l("The certificate of the server has expired. Whoever runs it must renew it.")
    ),
    Advice.CERTIFICATE_NOT_YET_VALID: AdviceText(
        _l("The certificate of the server is not valid yet. Check the clock of this machine.")
    ),
    Advice.CERTIFICATE_NAME: AdviceText(
        _l("The certificate was issued for another name. Enter the host as its provider names it.")
    ),
    Advice.CERTIFICATE_UNTRUSTED: AdviceText(
        _l(
            "Nobody this machine trusts has issued the certificate of the server. For a server of your own, give "
            "Envoi the certificate of its authority."
        )
    ),
    Advice.TLS_TOO_OLD: AdviceText(
        _l(
            "Server and Envoi have no safe kind of encryption in common; the server is probably too old. "
            "Whoever runs it must bring it up to date."
        )
    ),
    Advice.CA_FILE: AdviceText(_l("The file of trusted certificates cannot be read. Correct its path.")),
    Advice.PORT_CLOSED: AdviceText(_l("Nothing listens on this port of the host. Check the port.")),
    Advice.PORT_FILTERED: AdviceText(
        _l(
            "Nobody answered on this port. Often a firewall or the provider of the machine blocks it, port 25 above "
            "all: try 587 or 465."
        ),
        Actor.ADMINISTRATOR,
    ),
    Advice.NETWORK_UNREACHABLE: AdviceText(
        _l("This machine has no way to the server. Check its network and its firewall.")
    ),
    Advice.DNS_UNAVAILABLE: AdviceText(
        _l("The name of the host could not be looked up just now. Check the name service of this machine.")
    ),
    Advice.OTHER_SERVICE: AdviceText(
        _l(
            "What answers there is no server to send by, but a web server, a mailbox (IMAP, POP) or another service. "
            "Check host and port: usually 465 with TLS, or 587 with STARTTLS."
        )
    ),
    Advice.HOST_FORBIDDEN: AdviceText(
        _l(
            "This host is the machine that Envoi runs on, an address for its internals or, for a user's own "
            "server, one in your network. It is not spoken to unless whoever runs Envoi sets "
            "ENVOI_MAIL_CONFIG_ALLOW_LOCAL_SERVERS to 1."
        )
    ),
    Advice.RELAY_DENIED: AdviceText(
        _l(
            "The server does not send email for you to other domains. Give it a user name and a password in "
            "its settings, or let whoever runs it allow this machine."
        ),
        Actor.ADMINISTRATOR,
    ),
    Advice.FROM_NOT_YOURS: AdviceText(
        _l(
            "The account of this server may not send with this From address. Use an account that owns the address, "
            "or let the provider allow it."
        ),
        Actor.ADMINISTRATOR,
    ),
    Advice.VERIFY_IDENTITY: AdviceText(
        _l(
            "The provider sends only from addresses or domains that you have confirmed there. Confirm this one."
        ),
        Actor.ADMINISTRATOR,
    ),
    Advice.SENDER_DOMAIN: AdviceText(
        _l(
            "The domain of the From address does not exist, or takes no email itself. Correct the company's address."
        ),
        Actor.ADMINISTRATOR,
    ),
    Advice.SPF: AdviceText(
        _l(
            "The domain of the From address does not name this mail server. Add the server to its SPF record."
        ),
        Actor.ADMINISTRATOR,
    ),
    Advice.DKIM: AdviceText(
        _l("The signature (DKIM) of the From domain is missing or wrong. Set it up at the mail server."),
        Actor.ADMINISTRATOR,
    ),
    Advice.DMARC: AdviceText(
        _l(
            "The From domain asks others to refuse what is not surely its own (DMARC). Set up SPF and DKIM for this "
            "mail server."
        ),
        Actor.ADMINISTRATOR,
    ),
    Advice.BLOCK_LIST: AdviceText(
        _l(
            "The address of the sending mail server stands on a block list or has a bad reputation. Its provider "
            "must have it removed; the server's words below often name the page."
        ),
        Actor.ADMINISTRATOR,
    ),
    Advice.REVERSE_DNS: AdviceText(
        _l(
            "The address of the sending mail server has no matching name (PTR record). Its provider must set it."
        ),
        Actor.ADMINISTRATOR,
    ),
    Advice.HELO_NAME: AdviceText(
        _l(
            "The server does not like the name that the sending machine gives itself. Give it a full, real host name."
        ),
        Actor.ADMINISTRATOR,
    ),
    Advice.DAILY_QUOTA: AdviceText(
        _l(
            "The account has sent as much as its provider allows for now. Envoi goes on by itself as soon as "
            "it may."
        )
    ),
    Advice.GREYLISTED: AdviceText(
        _l("The recipient's server lets unknown senders wait for some minutes. Envoi tries again by itself.")
    ),
    Advice.TOO_MANY_RECIPIENTS: AdviceText(
        _l("The server takes fewer recipients at once. Envoi sends to the others by itself.")
    ),
    Advice.RECIPIENT_BUSY: AdviceText(
        _l("This mailbox gets too much email just now. Envoi tries again by itself.")
    ),
    Advice.MAILBOX_DISABLED: AdviceText(
        _l("This mailbox exists no longer, or is switched off. Ask the customer for another address.")
    ),
    Advice.MAILBOX_MOVED: AdviceText(
        _l(
            "This mailbox has moved. The server's words below may name the new address; else ask the customer."
        )
    ),
    Advice.DOMAIN_UNKNOWN: AdviceText(
        _l("The part of the address after the @ does not exist, or takes no email. Look for a mistake in it.")
    ),
    Advice.SENDER_BLOCKED: AdviceText(
        _l(
            "The recipient, or the recipient's company, has blocked your address. Reach the customer another way."
        )
    ),
    Advice.INTERNAL_ONLY: AdviceText(
        _l("This mailbox takes email only from certain senders. Ask the customer for another address.")
    ),
    Advice.SUPPRESSED: AdviceText(
        _l(
            "Your email provider no longer sends to this address, since email to it came back before. Check the "
            "address with the customer; if it is right, the administrator takes it off the provider's "
            "suppression list."
        )
    ),
    Advice.FORBIDDEN_ATTACHMENT: AdviceText(
        _l("The server does not take this kind of file. Send it without the file, or in another form.")
    ),
    Advice.VIRUS: AdviceText(
        _l("The server believes that a file holds a virus. Do not send it again before it has been checked.")
    ),
    Advice.MAIL_LOOP: AdviceText(
        _l(
            "The email goes round in a circle between servers, mostly because a mailbox forwards to itself. "
            "Tell the recipient another way."
        ),
        Actor.SELLER,
    ),
    Advice.MALFORMED: AdviceText(
        _l(
            "The server finds the form of the message wrong, which you cannot mend yourself. The "
            "administrator should look at the server's words below."
        ),
        Actor.ADMINISTRATOR,
    ),
    Advice.FOLDER_MISSING: AdviceText(
        _l(
            "The folder for emails is not there: a disk or a share may be disconnected, or its path has changed. The "
            "settings of the installation say which folder it is."
        ),
        Actor.ADMINISTRATOR,
    ),
    Advice.FOLDER_FORBIDDEN: AdviceText(
        _l("Envoi may not write into the folder for emails. Let the user that it runs as do so."),
        Actor.ADMINISTRATOR,
    ),
    Advice.FOLDER_FULL: AdviceText(
        _l(
            "There is no room left in the folder for emails. Make some: whatever takes the emails from there may have "
            "stopped. Envoi tries again by itself."
        ),
        Actor.ADMINISTRATOR,
    ),
    Advice.NO_SENT_FOLDER: AdviceText(
        _l(
            "The mailbox has no folder of sent emails by this name, and lets none be made. Type the name of the folder "
            "as your mail program shows it, or leave it empty so that it is looked for."
        )
    ),
    Advice.SENT_FOLDER_FULL: AdviceText(
        _l("Your own mailbox is full, so it takes no copy. Delete what you no longer need there.")
    ),
    Advice.SYSTEM_FULL: AdviceText(
        _l("The server has no room or strength left just now. Envoi tries again by itself."), Actor.NOBODY
    ),
}
