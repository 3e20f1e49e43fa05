"""The forms of mail servers: an administrator's, a user's own, and that of a test."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from flask import url_for
from flask_babel import gettext
from flask_wtf import FlaskForm
from wtforms import (
    BooleanField,
    EmailField,
    PasswordField,
    SelectChoice,
    SelectField,
    StringField,
    TextAreaField,
)
from wtforms.validators import NumberRange, Optional

from core.contract import TransportSpec
from core.i18n import lazy_gettext as _l
from core.pickers import CompanyField
from core.web.forms import WholeNumberField, at_most, required
from core.web.record_form import RecordForm, Shown
from modules.mail_config.models import Encryption, MailServer
from modules.mail_config.servers import connection_limit, sent_folder
from modules.mail_config.servers.envelopes import CHOICE, usually_signs

F = TypeVar("F", bound="ConnectionForm")

PORT_RANGE = NumberRange(1, 65535, _l("A port is a number from 1 to 65535."))
ENCRYPTION_TITLES: Mapping[Encryption, object] = {
    Encryption.STARTTLS: _l("STARTTLS: begins in the clear, then encrypts"),
    Encryption.TLS: _l("TLS from the start"),
    Encryption.NONE: _l("None: only inside your own network"),
}
"""How a connection is encrypted, in words; the usual way for sending comes first."""
MAILBOX_ENCRYPTIONS = (Encryption.TLS, Encryption.STARTTLS, Encryption.NONE)
"""The same, the usual way for reading first."""


class ConnectionForm(RecordForm):
    """How a mail server is reached; the password is written, never shown."""

    host = StringField(
        _l("Host"), [*required(), at_most(253)], description=_l("For example smtp.example.com")
    )
    port = WholeNumberField(
        _l("Port"),
        [*required(), PORT_RANGE],
        default=587,
        description=_l("Usual: 587 STARTTLS, 465 TLS, 25 none"),
    )
    encryption = SelectField(
        _l("Encryption"),
        choices=[SelectChoice(kind.value, title) for kind, title in ENCRYPTION_TITLES.items()],
        render_kw={"data-ports": '{"starttls": 587, "tls": 465, "none": 25}'},
    )
    username = StringField(
        _l("User name"),
        [at_most(254)],
        render_kw={"autocomplete": "off"},
        description=_l("Leave empty for no sign-in"),
    )
    password = PasswordField(
        _l("Password"), [at_most(500)], render_kw={"autocomplete": "new-password"}, description=""
    )
    forget = BooleanField(_l("Forget the saved password"))
    sent_copy = BooleanField(
        _l("Keep a copy in the Sent folder of this mailbox"),
        description=_l(
            "Then you find in your mail program what was sent from here. Not needed at Gmail and Microsoft 365, which "
            "keep one themselves."
        ),
    )
    imap_host = StringField(
        _l("Host of the mailbox (IMAP)"),
        [at_most(253)],
        render_kw={"spellcheck": "false"},
        description=_l("For example imap.example.com; empty: the one of the provider, where it is known"),
    )
    imap_port = WholeNumberField(
        _l("Port of the mailbox"),
        [Optional(), PORT_RANGE],
        default=sent_folder.PORT,
        description=_l("Usual: 993 TLS, 143 STARTTLS"),
    )
    imap_encryption = SelectField(
        _l("Encryption of the mailbox"),
        choices=[SelectChoice(kind.value, ENCRYPTION_TITLES[kind]) for kind in MAILBOX_ENCRYPTIONS],
        default=Encryption.TLS.value,
    )
    sent_folder = StringField(
        _l("Folder of sent emails"),
        [at_most(250)],
        render_kw={"spellcheck": "false"},
        description=_l("As your mail program shows it; empty: the one that the mailbox names"),
    )


class OwnServerForm(ConnectionForm):
    """A user's own server."""

    ca_certificate = TextAreaField(
        _l("Certificate of the authority"),
        [at_most(20_000)],
        render_kw={"rows": 2},
        description=_l("In PEM, only if your company issues its own certificates; usually empty"),
    )


def _who_signs(text: object) -> bool | None:
    """Read the choice of who signs: None for what is usual with the server."""
    return {"True": True, "False": False}.get(str(text))


class ServerForm(ConnectionForm):
    """A server that an administrator sets up."""

    name = StringField(_l("Name"), [*required(), at_most(80)])
    company_id = CompanyField(_l("Company"))
    from_filter = TextAreaField(
        _l("From filter"),
        render_kw={"rows": 2},
        description=_l(
            "Addresses and domains that may send by this server, separated by commas; empty for all"
        ),
    )
    own_address = EmailField(
        _l("Its own address"),
        [at_most(254)],
        description=_l("From of emails that may not leave from the address they should; empty: they do not"),
    )
    relay = BooleanField(
        _l("Shared relay: sends, from its own address, for everyone who has no other server")
    )
    priority = WholeNumberField(
        _l("Priority"),
        [*required(), NumberRange(0, 9999)],
        default=10,
        description=_l("Lower numbers go first"),
    )
    size_limit_mb = WholeNumberField(
        _l("Size limit in MB"),
        [Optional(), NumberRange(1, 1000)],
        description=_l("Empty: what the server announces"),
    )
    rate_per_minute = WholeNumberField(
        _l("Emails a minute"),
        [Optional(), NumberRange(1, 100_000)],
        description=_l("The most that leave by this server; empty for no limit"),
    )
    rate_per_hour = WholeNumberField(
        _l("Emails an hour"),
        [Optional(), NumberRange(1, 1_000_000)],
        description=_l("Emails beyond wait for the next hour; empty for no limit"),
    )
    rate_per_day = WholeNumberField(
        _l("Emails in 24 hours"),
        [Optional(), NumberRange(1, 10_000_000)],
        description=_l("Emails beyond wait and show when they leave; empty for no limit"),
    )
    connections = WholeNumberField(
        _l("Connections at once"),
        [Optional(), NumberRange(1, connection_limit.MOST_CONNECTIONS)],
        description=_l(
            "The most that all sending processes open together; empty for what is usual with this server"
        ),
    )
    mails_per_connection = WholeNumberField(
        _l("Emails by one connection"),
        [Optional(), NumberRange(1, 100_000)],
        description=_l("After so many it is ended and made anew; empty for what is usual with this server"),
    )
    bounce_address = StringField(
        _l("Bounces go to"),
        [at_most(254)],
        description=_l("The return path, in the domain of the From; empty for the From itself"),
    )
    bounce_tokens = BooleanField(
        _l("Put a token into it"),
        description=_l(
            "Sends as bounces+token@…, so that every bounce finds its recipient. The mailbox must take such addresses."
        ),
    )
    signs_itself = SelectField(
        _l("Signature (DKIM)"),
        coerce=_who_signs,
        description=_l(
            "Envoi signs by the keys of the domain of the From, where there are any. Two signatures do no harm; "
            "ours does not survive a server that changes emails."
        ),
    )
    ca_certificate = TextAreaField(
        _l("Certificate of the authority"),
        [at_most(20_000)],
        render_kw={"rows": 2},
        description=_l("In PEM, only if your company issues its own certificates; usually empty"),
    )
    active = BooleanField(_l("Active"), default=True)


class TestForm(FlaskForm):  # type: ignore[misc]
    """The form of a test mail: its recipient and its From."""

    __test__ = False  # not a test of pytest

    from_address = EmailField(_l("From"), [*required(), at_most(254)])
    recipient = EmailField(_l("To"), [*required(), at_most(254)])


def server_form(
    server: MailServer | None, spec: TransportSpec, filled: Mapping[str, Any] | None = None, **how: Any
) -> ServerForm:
    """Return the form of a server, or of a new one that is filled in as far as it is known.

    Args:
        server: The server, or None for a new one.
        spec: Its kind, or the one that it is to become: what that does not ask for is neither shown nor read.
        filled: Values of a new one.
        how: What WTForms takes besides.
    """
    size = server.size_limit // 1_000_000 if server and server.size_limit else None
    shown = {
        "size_limit_mb": size,
        **_of_kind(server, spec),
        **(filled or {}),
    }
    form = ServerForm(obj=Shown(server, **shown), **how)
    if server is None:
        usual = gettext("As usual with this server")
    elif usually_signs(server):
        usual = gettext("As usual: the server signs by itself")
    else:
        usual = gettext("As usual: Envoi signs")
    form.signs_itself.choices = [
        ("None", usual),
        ("False", gettext("Envoi signs")),
        ("True", gettext("The server signs by itself")),
    ]
    _with_password(form, server, spec)
    _ask_only(form, spec, with_account=server is not None and server.account is not None)
    if "host" in form:
        form.host.render_kw = {
            "hx-get": url_for("mail_config.server_hint"),
            "hx-trigger": "input changed delay:400ms",
            "hx-target": "#provider-hint",
        }
    return form


FIRST_ASKED = ("name", "host", "port", "encryption", "username", "password")
"""What has to be known of a server before anything leaves by it."""
_BY_KIND = (
    *("host", "port", "encryption", "username", "password", "forget", "ca_certificate"),
    *("bounce_address", "bounce_tokens", CHOICE),
    *sent_folder.FIELDS,
)
"""Fields that a kind of server asks for, or does not."""


def _ask_only(form: ConnectionForm, spec: TransportSpec, *, with_account: bool = False) -> None:
    """Take the fields out of a form that a kind of server does not have, and call the others as it does."""
    for name in _BY_KIND:
        wanted = name in spec.fields or (name == "forget" and {"username", "password"} <= set(spec.fields))
        if name in sent_folder.FIELDS:
            wanted = "sent_copy" in spec.fields and not with_account
        if not wanted and name in form:
            delattr(form, name)
    for name, title in spec.fields.items():
        if title:
            form[name].label.text = gettext(title)


def own_server_form(
    server: MailServer | None, spec: TransportSpec, filled: Mapping[str, Any] | None = None, **how: Any
) -> OwnServerForm:
    """Return the form of a user's own server of a kind, a new one filled in as far as it is known."""
    shown = {**_of_kind(server, spec), **(filled or {})}
    form = _with_password(OwnServerForm(obj=Shown(server, **shown), **how), server, spec)
    _ask_only(form, spec)
    return form


def _of_kind(server: MailServer | None, spec: TransportSpec) -> dict[str, Any]:
    """Return what a form of a kind shows otherwise than it stands in the row; the fields of another kind are empty."""
    if server is None or server.transport == spec.name:
        return sent_folder.shown_values(server)
    usual = {"host": "", "port": 587, "encryption": Encryption.STARTTLS, "username": "", "ca_certificate": ""}
    return {**usual, **sent_folder.shown_values(None)}


def _with_password(form: F, server: MailServer | None, spec: TransportSpec) -> F:
    if server is None or not server.secret or server.transport != spec.name:
        del form.forget
    else:
        form.password.description = gettext("A password is saved. Leave empty to keep it.")
    return form


def values_of(form: ConnectionForm) -> tuple[dict[str, Any], str | None]:
    """Return the column values of a form, and the password: "" to forget it, None to keep it."""
    data = form.data
    forget = data.pop("forget", False)
    password = data.pop("password", None) or None
    data.pop("csrf_token", None)
    if "size_limit_mb" in data:
        size = data.pop("size_limit_mb")
        data["size_limit"] = size * 1_000_000 if size else None
    return data, "" if forget else password
