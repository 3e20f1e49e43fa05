"""The verbs of web hooks: save one, and take what a relay posts to it."""

from __future__ import annotations

import datetime as dt
import logging
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from sqlalchemy import select, update

from core import clock
from core.db import again, db, end_reading, transaction
from core.errors import UserError
from core.i18n import lazy_gettext as _l
from core.vault import decrypt, encrypt
from modules.mail_config.transports import sns
from modules.outbox.inbound.hooks import events, signatures
from modules.outbox.inbound.hooks.events import HookEvent
from modules.outbox.inbound.hooks.signatures import Headers, HookRefusedError, Refusal
from modules.outbox.inbound.intake import Taken, take_event
from modules.outbox.models import RelayHook, RelayProvider

logger = logging.getLogger(__name__)

AT_ONCE = 50  # events of one transaction
GRACE = dt.timedelta(hours=24)
"""How long the address before is good, once a web hook has another one."""
SHORTEST_SECRET = 12  # characters; a password that a person thinks of would be guessed
_TOPIC = re.compile(r"arn:aws(?:-[a-z-]{2,10})?:sns:[a-z0-9-]{5,25}:[0-9]{12}:[A-Za-z0-9_-]{1,256}")


def save_hook(hook: RelayHook | None, values: Mapping[str, Any], secret: str | None) -> RelayHook:
    """Create or change a web hook; a new one gets an address that nobody guesses.

    Args:
        hook: The one to change, or None for a new one.
        values: Column values.
        secret: What the provider signs or signs in by, or None to keep it.

    Raises:
        UserError: The secret is missing, or is none of this provider.
    """
    provider = RelayProvider(values["provider"])
    if secret is None and (hook is None or hook.provider is not provider):
        raise UserError(_l("Enter what this provider signs by."), "secret")
    if secret is not None:
        _check_secret(provider, secret)
    with transaction() as session:
        if hook is None:
            hook = RelayHook(token=secrets.token_urlsafe(32))
        for name, value in values.items():
            setattr(hook, name, value)
        if secret is not None:
            hook.secret = encrypt(secret)
        hook.refused_at, hook.refused_why = None, ""
        session.add(hook)
    return hook


def _check_secret(provider: RelayProvider, secret: str) -> None:
    if provider is RelayProvider.SENDGRID:
        try:
            signatures.sendgrid_key(secret)
        except (ValueError, TypeError) as error:
            words = _l("This is not a verification key. SendGrid shows it beside “Signed Event Webhook”.")
            raise UserError(words, "secret") from error
    elif provider is RelayProvider.SES:
        if not _TOPIC.fullmatch(secret):
            raise UserError(_l("This is not the ARN of an SNS topic, such as arn:aws:sns:…"), "secret")
    elif provider is RelayProvider.POSTMARK and ":" not in secret:
        raise UserError(_l("Enter user and password with a colon between them."), "secret")
    elif len(secret) < SHORTEST_SECRET:
        raise UserError(
            _l("This is too short: at least %(count)s characters.", count=SHORTEST_SECRET), "secret"
        )


def move_hook(hook: RelayHook, *, at_once: bool) -> None:
    """Give a web hook another secret address.

    Args:
        hook: Which.
        at_once: True where somebody knows the address who should not: nothing is taken there any more. Else it is good
            for `GRACE` beside the new one, so that nothing is lost until the relay has that.
    """
    with transaction() as session:
        session.refresh(hook, with_for_update=True)
        hook.old_token = None if at_once else hook.token
        hook.old_until = None if at_once else clock.now() + GRACE
        hook.token = secrets.token_urlsafe(32)


def hook_at(token: str) -> RelayHook | None:
    """Return the active web hook at a secret address, the one before included while that is good, or None."""
    before = (RelayHook.old_token == token) & (RelayHook.old_until > clock.now())
    return db.session.scalar(select(RelayHook).where((RelayHook.token == token) | before, RelayHook.active))


@dataclass(frozen=True, slots=True)
class _Known:
    """What is known of a hook, free of the session."""

    id: int
    provider: RelayProvider
    secret: str


def receive(hook: RelayHook, headers: Headers, body: bytes) -> list[Taken]:
    """Take what was posted to a web hook: prove who it comes from, and let each event count once.

    Events may come twice, in any order, and about mails of others; none of that does harm.

    Returns:
        What was made of each.

    Raises:
        HookRefusedError: It is not believed; why is shown on the page of the hook.
    """
    known = _Known(hook.id, hook.provider, decrypt(hook.secret))
    end_reading()
    try:
        told = _proved(known, headers, body)
    except HookRefusedError as error:
        _remember(known.id, refused_at=clock.now(), refused_why=error.refusal.value)
        logger.warning("Web hook %s: a request was refused (%s).", known.id, error.refusal.value)
        raise
    done: list[Taken] = []
    for start in range(0, len(told), AT_ONCE):
        done += again(partial(_take_some, told[start : start + AT_ONCE], known.id))
    _remember(known.id, last_at=clock.now())
    return done


def _take_some(told: list[HookEvent], hook_id: int) -> list[Taken]:
    with transaction():
        return [take_event(one, hook_id) for one in told]


def _proved(hook: _Known, headers: Headers, body: bytes) -> list[HookEvent]:
    now = clock.now()
    match hook.provider:
        case RelayProvider.SENDGRID:
            signatures.check_sendgrid(headers, body, hook.secret, now)
            return events.sendgrid_events(events.decoded(body))
        case RelayProvider.POSTMARK:
            signatures.check_basic(headers, hook.secret)
            return events.postmark_events(events.decoded(body))
        case RelayProvider.BREVO:
            signatures.check_bearer(headers, hook.secret)
            return events.brevo_events(events.decoded(body))
    told = events.decoded(body)
    if not isinstance(told, dict):
        raise HookRefusedError(Refusal.MALFORMED)
    if hook.provider is RelayProvider.MAILGUN:
        return _of_mailgun(told, hook.secret, now)
    return _of_ses(told, hook.secret, now)


def _of_mailgun(told: dict[str, Any], key: str, now: dt.datetime) -> list[HookEvent]:
    token = signatures.check_mailgun(told, key, now)
    # Only the token is signed: with it, nothing else is believed than what came first.
    return [replace(one, once=token) for one in events.mailgun_events(told)]


def _of_ses(told: dict[str, Any], topic: str, now: dt.datetime) -> list[HookEvent]:
    url = signatures.check_sns_envelope(told, topic, now)
    try:
        signatures.check_sns_signature(told, sns.certificate(url))
        if told["Type"] == "SubscriptionConfirmation":
            where = str(told.get("SubscribeURL", ""))
            if not signatures.is_of_sns(where):
                raise HookRefusedError(Refusal.FORGED)
            sns.fetched(where)
            return []
    except (OSError, ValueError) as error:
        # Amazon tries again; what cannot be proved now is not believed.
        raise HookRefusedError(Refusal.FORGED) from error
    return events.ses_events(told)


def _remember(hook_id: int, **values: Any) -> None:
    with transaction() as session:
        session.execute(update(RelayHook).where(RelayHook.id == hook_id).values(**values))
