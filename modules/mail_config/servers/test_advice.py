"""The sentences that a person is shown when the test of a server has failed.

The explanations of `core.mail` speak of a mail that waits, is tried again or can be corrected; a test is tried by
the person who sits before it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from flask_babel import gettext

from core.i18n import format_date
from core.i18n import lazy_gettext as _l
from core.mail.advice import ADVICE, Advice
from core.mail.explanations import EXPLANATIONS, FailureKind
from core.mail.outcomes import Failure
from modules.mail_config.models import SMTP, Encryption, MailServer
from modules.mail_config.servers.providers import provider_of
from modules.mail_config.transports.base import Step
from modules.mail_config.transports.certificates import Certificate

_KINDS: Mapping[FailureKind, object] = {
    FailureKind.ADDRESS_INVALID: _l("The address of the test is not valid. Test again with another."),
    FailureKind.RECIPIENT_UNKNOWN: _l(
        "The server works as far as here, but the address of the test does not exist. Test again with another."
    ),
    FailureKind.MAILBOX_FULL: _l(
        "The server works as far as here, but the mailbox of the test is full. Test again with another address."
    ),
    FailureKind.RECIPIENT_REFUSED: _l(
        "The server does not accept email for the address of the test. Its own words below say why. If they ask for "
        "a sign-in, give user name and password."
    ),
    FailureKind.RATE_LIMITED: _l(
        "The server asks to come back later: it gets too much at once, or lets unknown senders wait. Test again in "
        "some minutes."
    ),
    FailureKind.CONNECT_FAILED: _l(
        "No connection to the server could be made. It may be down, or host, port or firewall may be wrong."
    ),
    FailureKind.TIMEOUT: _l(
        "The server did not answer in time. Test again; if that does not help, check host, port and firewall."
    ),
    FailureKind.MESSAGE_REFUSED: _l("The server refused the test email. Its own words below say why."),
    FailureKind.OUTCOME_UNKNOWN: _l(
        "The connection ended after the test email had been handed over. Look whether it has come, then test again."
    ),
}
_ADVICE: Mapping[Advice, object] = {
    Advice.AUTH_TEMPORARY: _l("The server could not check the sign-in just now. Test again in some minutes."),
    Advice.DAILY_QUOTA: _l("The account has sent as much as its provider allows for now. Test again later."),
    Advice.GREYLISTED: _l("The server lets unknown senders wait for some minutes. Test again then."),
    Advice.TOO_MANY_RECIPIENTS: _l(
        "The server takes no more recipients just now. Test again in some minutes."
    ),
    Advice.RECIPIENT_BUSY: _l(
        "The mailbox of the test gets too much email just now. Test with another address."
    ),
    Advice.FOLDER_FULL: _l("There is no room left in the folder. Make some, then test again."),
    Advice.SYSTEM_FULL: _l("The server has no room or strength left just now. Test again in some minutes."),
    Advice.MAILBOX_DISABLED: _l(
        "The mailbox of the test exists no longer, or is switched off. Test again with another."
    ),
}


STEP_TITLES: Mapping[Step, object] = {
    Step.FOLDER: _l("Write into the folder"),
    Step.RESOLVE: _l("Look up the host"),
    Step.CONNECT: _l("Connect"),
    Step.TLS: _l("Encrypt (TLS)"),
    Step.SIGN_IN: _l("Sign in at the server"),
    Step.MAIL: _l("Name the sender"),
    Step.RCPT: _l("Name the recipient"),
    Step.DATA: _l("Hand over the email"),
    Step.SENT_FOLDER: _l("Find the folder of sent emails"),
    Step.COPY: _l("Put a copy into it"),
}
"""The steps of a test, in words."""

_UNANSWERED = frozenset(
    {FailureKind.TIMEOUT, FailureKind.CONNECT_FAILED, FailureKind.TLS_FAILED, FailureKind.SERVER_ERROR}
)


def sentences(
    failure: Failure, server: MailServer | None = None, certificate: Certificate | None = None
) -> list[str]:
    """Return what the failure of a test means and what to do: in general, for these settings, at this provider.

    Args:
        failure: Why the test has failed.
        server: The server that was tested.
        certificate: What it showed where that was not trusted.
    """
    said = [str(_KINDS.get(failure.kind) or EXPLANATIONS[failure.kind].text)]
    if failure.advice is not None:
        said.append(str(_ADVICE.get(failure.advice) or ADVICE[failure.advice].text))
    if server is not None:
        said += _about_settings(failure, server)
    if certificate is not None:
        said += _about_certificate(failure, certificate)
    # What usually goes wrong at a provider is about its SMTP server.
    provider = provider_of(server.host) if server is not None and server.transport == SMTP else None
    if provider is not None:
        said += provider.helps(failure.kind)
    return said


_COPIES: Mapping[FailureKind, object] = {
    FailureKind.AUTH_FAILED: _l(
        "The mailbox does not take the user name and password by which emails leave. Some providers let programs read "
        "a mailbox (IMAP) only once that is switched on in its settings."
    ),
    FailureKind.HOST_NOT_FOUND: _l(
        "There is no such host. Look in your mail program for the server of incoming mail (IMAP)."
    ),
    FailureKind.CONNECT_FAILED: _l(
        "Nothing answers there. Check host and port of the mailbox: usual is 993 with TLS."
    ),
    FailureKind.TIMEOUT: _l(
        "The mailbox did not answer in time. Check host, port and encryption, then test again."
    ),
    FailureKind.SERVER_ERROR: _l("The mailbox did not do it. Its own words below say why."),
}


def copy_sentences(failure: Failure) -> list[str]:
    """Return what it means that no copy was put into the Sent folder, and what to do."""
    if failure.advice is not None:
        return [str(ADVICE[failure.advice].text)]
    return [str(_COPIES.get(failure.kind) or EXPLANATIONS[failure.kind].text)]


def mailbox_sentences(failure: Failure, host: str, username: str) -> list[str]:
    """Return what it means that a mailbox cannot be read, and what to do: in general, and at this provider."""
    if failure.kind is FailureKind.AUTH_FAILED and failure.advice is None:
        said = [
            gettext(
                "The mailbox does not take this user name and password. Some providers let programs read a mailbox "
                "(IMAP) only once that is switched on in its settings, or want an app password."
            )
        ]
    else:
        said = copy_sentences(failure)
    provider = provider_of(host) or provider_of(username)
    return said + (provider.helps(failure.kind, mailbox=True) if provider is not None else [])


def _about_settings(failure: Failure, server: MailServer) -> Iterator[str]:
    """Return what the settings themselves give away."""
    encrypted_at_once = server.encryption is Encryption.TLS
    if failure.kind in _UNANSWERED and failure.advice is not Advice.HOST_FORBIDDEN:
        if server.port == 465 and not encrypted_at_once:
            yield gettext(
                "Port 465 is for “TLS from the first byte”, which is not chosen here. Choose it, or port 587 with "
                "STARTTLS."
            )
        elif server.port in {25, 587} and encrypted_at_once:
            yield gettext(
                "Port %(port)s begins in the clear: choose STARTTLS, or port 465 with “TLS from the first byte”.",
                port=server.port,
            )
        elif server.port in {110, 143, 993, 995}:
            yield gettext(
                "Port %(port)s is for reading email, not for sending. Choose 587 with STARTTLS, or 465 with TLS.",
                port=server.port,
            )
        elif failure.kind is FailureKind.TIMEOUT and failure.advice is None and not encrypted_at_once:
            yield gettext(
                "If “Connect” is the step that failed, the port may expect “TLS from the first byte”."
            )
    if failure.kind is FailureKind.HOST_NOT_FOUND and server.host.startswith(("imap.", "pop.", "pop3.")):
        yield gettext("The host looks like one for reading email; the one for sending is often smtp.…")
    if (
        server.transport == SMTP
        and not server.username
        and failure.kind in {FailureKind.AUTH_FAILED, FailureKind.RECIPIENT_REFUSED}
    ):
        yield gettext("No user name is set here, so nobody signs in.")


def _about_certificate(failure: Failure, certificate: Certificate) -> Iterator[str]:
    if failure.advice is Advice.CERTIFICATE_NAME:
        yield gettext(
            "The certificate is for %(names)s. If that is your server, type one of these names as the host.",
            names=", ".join(certificate.names) or "–",
        )
    elif failure.advice is Advice.CERTIFICATE_UNTRUSTED:
        yield (
            (
                gettext("The certificate vouches for itself (%(issuer)s).", issuer=certificate.issuer)
                if certificate.self_signed
                else gettext("The certificate was issued by %(issuer)s.", issuer=certificate.issuer)
            )
            + " "
            + gettext(
                "If your company issues its own certificates, paste the one of its authority into “Certificate of the "
                "authority”."
            )
        )
    elif failure.advice is Advice.CERTIFICATE_EXPIRED:
        yield gettext("It was valid until %(day)s.", day=format_date(certificate.not_after, "long"))
    elif failure.advice is Advice.CERTIFICATE_NOT_YET_VALID:
        yield gettext("It is valid from %(day)s on.", day=format_date(certificate.not_before, "long"))
