"""The access token of an account: kept until it ends, and asked for anew by one process alone.

The row of the account is the truth, on SQLite as on PostgreSQL: whoever moves `refreshing_until` on by one UPDATE asks
the provider; the others use the old token while it lasts, or wait for the new one. No transaction stays open meanwhile.
A process that dies there loses nothing: Google keeps a refresh token, and Microsoft takes the former one as well.
"""

from __future__ import annotations

import datetime as dt
import logging
import time
from dataclasses import dataclass

from sqlalchemy import or_, update

from core import clock
from core.db import db, end_reading, transaction
from core.errors import UserError
from core.mail.outcomes import Advice, Failure, FailureKind
from core.mail.replies import explain_token
from core.vault import decrypt, encrypt
from modules.mail_config.account_models import MailAccount
from modules.mail_config.accounts.clients import client_of
from modules.mail_config.transports import oauth
from modules.mail_config.transports.base import NoTokenError

logger = logging.getLogger(__name__)

BEFORE_ITS_END = dt.timedelta(minutes=5)
"""How long before its end a token is renewed; no dialogue lasts as long."""
LEASE = dt.timedelta(seconds=oauth.TIMEOUT_SECONDS + 10)
"""How long one process alone may ask: longer than the provider may take."""
LOOK_AGAIN_SECONDS = 0.1

_ENDED = frozenset({"invalid_grant", "interaction_required", "consent_required", "login_required"})
"""Refusals that no further request changes: a person must consent again (RFC 6749 §5.2, OpenID Connect Core §3.1.2.6).
"""


def access_token(server_id: int, refused: str = "") -> str:
    """Return an access token for the account of a server; asks the provider where the kept one ends.

    Args:
        server_id: The server that is signed in to.
        refused: A token that the server has just refused, or "".

    Raises:
        NoTokenError: The permission has ended (advice `RECONNECT`; the provider is not asked again), or the provider
            gives none for now.
    """
    until = time.monotonic() + 2 * LEASE.total_seconds()
    while True:
        account, now = _account(server_id), clock.now()
        current, ends_at = _kept(account), account.access_ends_at or now
        usable = current != refused and bool(current) and ends_at > now
        if usable and ends_at > now + BEFORE_ITS_END:
            return current
        if _take_turn(account, now):
            return _renewed(account)
        if usable:
            return current
        if time.monotonic() > until:
            words = "Another process has asked for a token and not come back."
            raise NoTokenError(Failure(FailureKind.TIMEOUT, True, detail=words))
        time.sleep(LOOK_AGAIN_SECONDS)


@dataclass(frozen=True, slots=True)
class TokenOf:
    """Gives the access token of a server's account, as `ServerAccess.token` wants it; equal where that is the same."""

    server_id: int

    def __call__(self, refused: str) -> str:
        """Return a token; see `access_token`."""
        return access_token(self.server_id, refused)


def lost(words: str) -> Failure:
    """Return the failure of an account whose permission has ended."""
    return Failure(FailureKind.AUTH_FAILED, True, detail=words, advice=Advice.RECONNECT)


def grant(account: MailAccount, tokens: oauth.Tokens, unused_days: int) -> None:
    """Write what a provider has given into the row of an account, in the running transaction."""
    now = clock.now()
    account.access_secret = encrypt(tokens.access)
    account.access_ends_at = now + dt.timedelta(seconds=tokens.expires_in)
    if tokens.refresh:
        # Some give a new one each time, and the former one ends (RFC 6749 §6).
        account.refresh_secret = encrypt(tokens.refresh)
    if tokens.scope:
        account.scope = tokens.scope
    if tokens.refresh_expires_in is not None:
        account.ends_at, account.ends_for_sure = now + dt.timedelta(seconds=tokens.refresh_expires_in), True
    elif not account.ends_for_sure:
        account.ends_at = now + dt.timedelta(days=unused_days)
    account.version = (account.version or 0) + 1
    account.refreshing_until = account.lost_at = None
    account.lost_words = ""


def _account(server_id: int) -> MailAccount:
    """Return the account of a server as it is now, free of the session.

    Raises:
        NoTokenError: There is none, or its permission has ended.
    """
    account = db.session.get(MailAccount, server_id, populate_existing=True)
    if account is not None:
        db.session.expunge(account)
    end_reading()
    if account is None or account.lost_at is not None:
        raise NoTokenError(lost(account.lost_words if account is not None else ""))
    return account


def _kept(account: MailAccount) -> str:
    try:
        return decrypt(account.access_secret) if account.access_secret else ""
    except UserError as error:
        raise NoTokenError(lost(str(error))) from error


def _take_turn(account: MailAccount, now: dt.datetime) -> bool:
    with transaction() as session:
        result = session.execute(
            update(MailAccount)
            .where(
                MailAccount.server_id == account.server_id,
                MailAccount.version == account.version,
                MailAccount.lost_at.is_(None),
                or_(
                    MailAccount.refreshing_until.is_(None),
                    MailAccount.refreshing_until < now,
                    # By a clock that was put back; somebody may have looked at the clock long before asking here.
                    MailAccount.refreshing_until > now + 2 * LEASE,
                ),
            )
            .values(refreshing_until=now + LEASE)
            .execution_options(synchronize_session=False)
        )
        return bool(result.rowcount)  # type: ignore[attr-defined]  # an UPDATE has one


def _renewed(account: MailAccount) -> str:
    """Ask the provider for a new token, and keep it."""
    try:
        client = client_of(account.provider)
        refresh_token = decrypt(account.refresh_secret) if account.refresh_secret else ""
    except UserError as error:
        _give_up_turn(account)
        raise NoTokenError(Failure(FailureKind.AUTH_FAILED, True, detail=str(error))) from error
    finally:
        end_reading()
    try:
        if client is None:
            raise oauth.RefusedError("invalid_client", "")
        if not refresh_token:
            raise oauth.RefusedError("invalid_grant", "There is no refresh token.")
        tokens = oauth.refresh(client, refresh_token)
    except oauth.RefusedError as error:
        if error.code in _ENDED:
            _lose(account, str(error))
            raise NoTokenError(lost(str(error))) from error
        _give_up_turn(account)
        known = explain_token(str(error))
        advice = known.advice if known is not None else None
        raise NoTokenError(
            Failure(FailureKind.AUTH_FAILED, True, detail=str(error), advice=advice)
        ) from error
    except oauth.UnavailableError as error:
        _give_up_turn(account)
        raise NoTokenError(error.failure) from error
    with transaction() as session:
        row = session.get(MailAccount, account.server_id, populate_existing=True, with_for_update=True)
        # Connected anew or disconnected meanwhile: then what was given here is of the permission before.
        if row is not None and row.version == account.version:
            grant(row, tokens, client.endpoints.unused_days)
    return tokens.access


def _give_up_turn(account: MailAccount) -> None:
    with transaction() as session:
        session.execute(
            update(MailAccount)
            .where(MailAccount.server_id == account.server_id, MailAccount.version == account.version)
            .values(refreshing_until=None)
            .execution_options(synchronize_session=False)
        )


def _lose(account: MailAccount, words: str) -> None:
    """Remember that a permission has ended, and forget what is left of it."""
    with transaction() as session:
        row = session.get(MailAccount, account.server_id, populate_existing=True, with_for_update=True)
        if row is not None and row.version == account.version and row.lost_at is None:
            row.refresh_secret = row.access_secret = row.access_ends_at = row.refreshing_until = None
            row.lost_at, row.lost_words = clock.now(), words
            logger.warning("The account of mail server %s has to be connected again.", account.server_id)
