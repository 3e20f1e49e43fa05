"""A person is sent to a provider to consent, and comes back: who was sent, what for, and what came of it.

What comes back is signed, belongs to the browser that was sent, and counts once; nothing is saved before all is right.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from flask import session as cookie
from itsdangerous import BadSignature, SignatureExpired, URLSafeTimedSerializer
from sqlalchemy import delete

from core import clock
from core.auth.models import User
from core.db import end_reading, transaction
from core.errors import UserError
from core.i18n import lazy_gettext as _l
from core.mail.addresses import Address, normalize
from core.mail.advice import ADVICE
from core.mail.outcomes import FailureKind
from core.registry import current_settings
from core.vault import decrypt, encrypt
from modules.mail_config.account_models import AccountProvider, PendingConsent
from modules.mail_config.accounts.clients import HOUSES, TITLES, client_of, redirect_uri
from modules.mail_config.transports import oauth

LIFETIME = dt.timedelta(minutes=15)
"""How long a person may take at the provider; a second factor has to be found."""
_BROWSER = "mail_config.consent"
_IDENTITY = "openid email"

SCOPES: Mapping[tuple[AccountProvider, bool], str] = {
    # For SMTP Google has no smaller one.
    (AccountProvider.GOOGLE, False): "https://mail.google.com/",
    (AccountProvider.GOOGLE, True): "https://www.googleapis.com/auth/gmail.send",
    (AccountProvider.MICROSOFT, False): "https://outlook.office.com/SMTP.Send",
    (AccountProvider.MICROSOFT, True): "https://graph.microsoft.com/Mail.Send",
}
"""What is asked for to send: by SMTP, and by the provider's own interface (True)."""

READING: Mapping[AccountProvider, str] = {
    AccountProvider.GOOGLE: "https://mail.google.com/",
    AccountProvider.MICROSOFT: "https://outlook.office.com/IMAP.AccessAsUser.All",
}
"""What is asked for besides to read the mailbox; at Google it is the one to send by SMTP."""


@dataclass(frozen=True, slots=True)
class Target:
    """What an account is wanted for.

    Attributes:
        address: Of the account.
        own: True for the person's own, False for one of the house.
        server_id: The server of the house that is connected again, or None for a new one.
        company_id: The company of a new server of the house, or None for all.
        api: True to send by the provider's own interface instead of SMTP.
        reads: True to read its mailbox as well, where bounces and answers come to.
    """

    address: str
    own: bool
    server_id: int | None = None
    company_id: int | None = None
    api: bool = False
    reads: bool = False


@dataclass(frozen=True, slots=True)
class Consent:
    """What a person has allowed.

    Attributes:
        provider: Where.
        target: What it is for; its address is the account's.
        tokens: What the provider has given.
        unused_days: After how many days without use that ends.
    """

    provider: AccountProvider
    target: Target
    tokens: oauth.Tokens
    unused_days: int


def begin(user: User, provider: AccountProvider, target: Target) -> str:
    """Return where a person is sent to consent. Whoever was sent before and is not back yet begins anew.

    Raises:
        UserError: The address is none, or nobody has registered this installation at the provider.
    """
    if target.api and target.reads:
        # One token is for one interface (Microsoft), and who sends without SMTP gives as little as possible (Google).
        raise UserError(
            _l("An account that sends without SMTP cannot have its mailbox read: choose one of the two."),
            "reads",
        )
    address = normalize(target.address, "address")
    client = _client(provider)
    nonce, browser, verifier = secrets.token_urlsafe(24), secrets.token_urlsafe(24), oauth.new_verifier()
    with transaction() as session:
        session.execute(delete(PendingConsent).where(PendingConsent.created_at < clock.now() - LIFETIME))
        session.merge(
            PendingConsent(
                user_id=user.id,
                nonce_hash=_hash(nonce),
                session_hash=_hash(browser),
                verifier=encrypt(verifier),
                created_at=clock.now(),
                provider=provider,
                address=address,
                own=target.own,
                server_id=target.server_id,
                company_id=target.company_id,
                api=target.api,
                reads=target.reads,
            )
        )
    cookie[_BROWSER] = browser
    return oauth.authorization_url(
        client,
        redirect_uri=redirect_uri(),
        scopes=f"{_identity(provider)} {asked_scope(provider, target)}",
        state=_signer().dumps(nonce),
        nonce=nonce,
        verifier=verifier,
        login_hint=address,
    )


def finish(user: User, answer: Mapping[str, str]) -> Consent:
    """Return what a person has allowed who is back from the provider.

    Args:
        user: Who is signed in.
        answer: What has come back: `state`, and `code` or `error` (RFC 6749 §4.1.2).

    Raises:
        UserError: It is nobody's answer, an old one, one to somebody else, a no, or from another account; each with its
            own sentence. Nothing was saved.
    """
    nonce, pending = _taken(user, answer.get("state", ""))
    house = HOUSES[pending.provider]
    if "error" in answer:
        raise _refused(answer.get("error", ""), answer.get("error_description", ""), house)
    code = answer.get("code", "")
    if not code:
        raise UserError(
            _l("%(provider)s has sent you back without an answer. Connect again.", provider=house)
        )
    client, verifier = _client(pending.provider), decrypt(pending.verifier)
    end_reading()
    try:
        tokens = oauth.redeem(client, code=code, redirect_uri=redirect_uri(), verifier=verifier)
        claims = oauth.claims_of(tokens, client, nonce)
    except oauth.RefusedError as error:
        raise _refused(error.code, error.words, house) from error
    except oauth.UnavailableError as error:
        raise _unavailable(error, house) from error
    except ValueError as error:
        raise UserError(
            _l(
                "%(provider)s did not say whose account this is. Nothing was saved. Connect again.",
                provider=house,
            )
        ) from error
    _check_account(pending, claims, house)
    _check_scope(pending, tokens, house)
    if not tokens.refresh:
        raise UserError(
            _l(
                "%(provider)s has given a permission that ends within the hour. Withdraw Envoi's access in the "
                "settings of your account there, then connect again.",
                provider=house,
            )
        )
    target = _target_of(pending)
    return Consent(pending.provider, target, tokens, client.endpoints.unused_days)


def _client(provider: AccountProvider) -> oauth.Client:
    client = client_of(provider)
    if client is None:
        raise UserError(
            _l(
                "%(name)s cannot be connected yet: an administrator has to register Envoi at %(provider)s first.",
                name=TITLES[provider],
                provider=HOUSES[provider],
            )
        )
    return client


def asked_scope(provider: AccountProvider, target: Target) -> str:
    """Return what is asked for, in the provider's words, besides who the person is."""
    wanted = [SCOPES[provider, target.api], *([READING[provider]] if target.reads else [])]
    return " ".join(dict.fromkeys(wanted))


def grants(scope: str, wanted: str) -> bool:
    """Tell whether a permission holds what is wanted."""
    return _short(wanted) in {_short(one) for one in scope.split()}


def _identity(provider: AccountProvider) -> str:
    # Microsoft gives a refresh token, and the address, only to who asks.
    return _IDENTITY + (" profile offline_access" if provider is AccountProvider.MICROSOFT else "")


def _target_of(pending: PendingConsent) -> Target:
    return Target(
        pending.address, pending.own, pending.server_id, pending.company_id, pending.api, pending.reads
    )


def _taken(user: User, state: str) -> tuple[str, PendingConsent]:
    """Take away what was remembered of a person who was sent, so that no second answer finds it."""
    browser = str(cookie.pop(_BROWSER, ""))
    try:
        nonce = str(_signer().loads(state, max_age=int(LIFETIME.total_seconds())))
    except SignatureExpired as error:
        raise UserError(
            _l("You were away for too long, so this answer no longer counts. Connect again.")
        ) from error
    except BadSignature as error:
        raise UserError(
            _l(
                "This answer does not belong to anything that was begun here. Nothing was saved. Connect again."
            )
        ) from error
    with transaction() as session:
        pending = session.get(PendingConsent, user.id, populate_existing=True, with_for_update=True)
        if pending is None or not hmac.compare_digest(pending.nonce_hash, _hash(nonce)):
            raise UserError(_l("This answer was used already, or you have begun anew since. Connect again."))
        session.delete(pending)
        session.flush()
    if not hmac.compare_digest(pending.session_hash, _hash(browser)):
        raise UserError(
            _l(
                "This was begun in another browser, or under another address of Envoi. Open %(address)s and connect "
                "again.",
                address=current_settings().base_url,
            )
        )
    return nonce, pending


def _unavailable(error: oauth.UnavailableError, house: str) -> UserError:
    """Return what a person is told where the provider has said neither yes nor no."""
    failure = error.failure
    values = {"provider": house, "words": failure.diagnostic}
    if error.answered:
        return UserError(
            _l(
                "%(provider)s did not give an answer that can be used (%(words)s). Nothing was saved. Connect again "
                "in some minutes.",
                **values,
            )
        )
    if failure.kind is FailureKind.TLS_FAILED and failure.advice is not None:
        return UserError(
            _l(
                "No safe connection to %(provider)s could be made from here. %(reason)s Nothing was saved.",
                provider=house,
                reason=ADVICE[failure.advice].text,
            )
        )
    return UserError(
        _l(
            "%(provider)s could not be reached from here (%(words)s). Nothing was saved. Connect again in some "
            "minutes. If it stays so, whoever runs Envoi looks at the network and the firewall of this machine.",
            **values,
        )
    )


def _refused(code: str, words: str, house: str) -> UserError:
    """Return what a person is told whom the provider has sent back with a no."""
    said = f"{code} {words}".casefold()
    values = {"provider": house, "address": redirect_uri()}
    if any(mark in said for mark in ("redirect_uri_mismatch", "aadsts50011", "redirect_uri")):
        return UserError(
            _l(
                "%(provider)s does not know the address that it should send you back to. An administrator registers "
                "exactly this one there: %(address)s",
                **values,
            )
        )
    if any(
        mark in said for mark in ("admin_policy_enforced", "aadsts90094", "aadsts65001", "consent_required")
    ):
        return UserError(
            _l(
                "In your organization an administrator of %(provider)s has to allow Envoi first. Nothing was saved.",
                **values,
            )
        )
    if code == "access_denied":
        return UserError(_l("You have not agreed at %(provider)s, so nothing was connected.", **values))
    if code in {"invalid_client", "unauthorized_client", "deleted_client", "org_internal"}:
        return UserError(
            _l(
                "%(provider)s does not know this installation: client ID or client secret is wrong, or has expired. An "
                "administrator corrects them.",
                **values,
            )
        )
    if code == "invalid_grant":
        return UserError(
            _l(
                "%(provider)s no longer takes this answer: it was used already, or is too old. Connect again.",
                **values,
            )
        )
    # Its own words only from its answer to us; those of an address anybody may have written.
    return UserError(
        _l("%(provider)s has refused (%(code)s). Nothing was saved. Connect again.", code=code[:60], **values)
    )


def _check_account(pending: PendingConsent, claims: Mapping[str, object], house: str) -> None:
    """Make sure that the account is the one that was wanted.

    Microsoft names it by what one signs in with; the claim `email` is there for some accounts only.
    """
    names = [str(claims.get(name) or "").strip() for name in ("email", "preferred_username", "upn")]
    if claims.get("email_verified") is False:
        names = names[1:]
    keys = {Address(name).key for name in names if "@" in name}
    if Address(pending.address).key not in keys:
        shown = next((name for name in names if "@" in name), "–")
        raise UserError(
            _l(
                "You have agreed with the account %(found)s, but %(wanted)s was to be connected. Nothing was saved. "
                "Connect again and choose the right account at %(provider)s.",
                found=shown[:120],
                wanted=pending.address,
                provider=house,
            )
        )


def _check_scope(pending: PendingConsent, tokens: oauth.Tokens, house: str) -> None:
    # Where nothing is said, all was allowed that was asked for (RFC 6749 §5.1).
    given = tokens.scope
    if given and pending.reads and not grants(given, READING[pending.provider]):
        raise UserError(
            _l(
                "The permission to read the mailbox is missing: at %(provider)s its box was not ticked. Nothing was "
                "saved. Connect again and allow all that is asked for.",
                provider=house,
            )
        )
    if given and not grants(given, SCOPES[pending.provider, pending.api]):
        raise UserError(
            _l(
                "The permission to send is missing: at %(provider)s its box was not ticked. Nothing was saved. Connect "
                "again and allow all that is asked for.",
                provider=house,
            )
        )


def _short(scope: str) -> str:
    # Microsoft answers `SMTP.Send` as well as `https://outlook.office.com/SMTP.Send`.
    return (scope.rstrip("/").rpartition("/")[2] or scope).casefold()


def _signer() -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(current_settings().secret_key, salt="mail_config.consent")


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
