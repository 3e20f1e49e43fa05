"""OAuth 2 with the providers of mail: authorization code with PKCE, refresh, revocation.

RFC 6749 §4.1 and §6, RFC 7636 (S256), RFC 7009, and who has consented by the ID token (OpenID Connect Core §3.1.3).
No I/O but the requests; what is kept, and when it is asked for, stands in `modules.mail_config.accounts`.

Google: https://developers.google.com/identity/protocols/oauth2/web-server
Microsoft: https://learn.microsoft.com/entra/identity-platform/v2-oauth2-auth-code-flow
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode, urlsplit, urlunsplit

from core import clock
from core.errors import EnvoiError
from core.mail.outcomes import Failure, FailureKind, printable
from core.web.strict_json import read_json
from modules.mail_config.account_models import AccountProvider
from modules.mail_config.transports.https import Answer, RequestError, ask

TIMEOUT_SECONDS = 20.0  # for a whole answer; somebody sits before the page, or a worker waits
_ANSWER_HEADERS = {"Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded"}
_CLOCKS_DIFFER_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where a provider is asked; `{tenant}` is that of Microsoft.

    Attributes:
        authorize: Where the person consents.
        token: Where a code or a refresh token becomes an access token.
        revoke: Where a permission is given back, or "" where the provider offers no such place.
        extra: What is asked for besides when a person is sent there.
        unused_days: After how many days without use the provider ends a permission.
    """

    authorize: str
    token: str
    revoke: str
    extra: Mapping[str, str]
    unused_days: int


ENDPOINTS: Mapping[AccountProvider, Endpoints] = {
    AccountProvider.GOOGLE: Endpoints(
        "https://accounts.google.com/o/oauth2/v2/auth",
        "https://oauth2.googleapis.com/token",
        "https://oauth2.googleapis.com/revoke",
        # Without these two Google gives no refresh token to an account that has consented before.
        {"access_type": "offline", "prompt": "consent"},
        180,
    ),
    AccountProvider.MICROSOFT: Endpoints(
        "https://login.microsoftonline.com/{tenant}/oauth2/v2.0/authorize",
        "https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token",
        "",
        {"prompt": "select_account"},
        90,
    ),
}


@dataclass(frozen=True, slots=True)
class Client:
    """This installation, as a provider knows it.

    Attributes:
        provider: Which.
        client_id: The name that the provider has given it.
        secret: Its password there.
        tenant: Whose accounts may consent at Microsoft: `common`, `organizations`, `consumers`, an id or a domain.
        base_url: Another place that speaks for the provider, or "".
        ca_file: Trusted certificates beside the system's, or None.
        allow_local: True where that place may be this machine.
    """

    provider: AccountProvider
    client_id: str
    secret: str = field(repr=False)
    tenant: str = "common"
    base_url: str = ""
    ca_file: str | None = None
    allow_local: bool = False

    @property
    def endpoints(self) -> Endpoints:
        """Where its provider is asked."""
        return ENDPOINTS[self.provider]

    def url(self, address: str) -> str:
        """Return an address of the provider, at `base_url` where one is set."""
        return moved(address.replace("{tenant}", quote(self.tenant, safe="")), self.base_url)


def moved(address: str, base_url: str) -> str:
    """Return an address at another place: its path and query below that."""
    if not base_url:
        return address
    base, wanted = urlsplit(base_url), urlsplit(address)
    return urlunsplit(
        (base.scheme, base.netloc, base.path.rstrip("/") + wanted.path, wanted.query, wanted.fragment)
    )


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a provider has given.

    Attributes:
        access: The access token.
        expires_in: Seconds that it lasts.
        refresh: The refresh token, or "" where the former one stays.
        scope: What it allows, separated by blanks; "" where the provider does not say.
        refresh_expires_in: Seconds until the permission as a whole ends, where the provider says so.
        id_token: Who has consented, or "".
    """

    access: str = field(repr=False)
    expires_in: int
    refresh: str = field(default="", repr=False)
    scope: str = ""
    refresh_expires_in: int | None = None
    id_token: str = field(default="", repr=False)


class RefusedError(EnvoiError):
    """A provider has said no.

    Attributes:
        code: The `error` of RFC 6749 §5.2.
        words: What it says about it.
    """

    def __init__(self, code: str, words: str) -> None:
        self.code = printable(code, 80)
        self.words = printable(words, 600)
        super().__init__(f"{self.code}: {self.words}" if self.words else self.code)


class UnavailableError(EnvoiError):
    """A provider has said neither yes nor no; it may later.

    Attributes:
        failure: Why.
        answered: False where there was no answer at all.
    """

    def __init__(self, failure: Failure, *, answered: bool = True) -> None:
        super().__init__(failure.diagnostic)
        self.failure = failure
        self.answered = answered


def new_verifier() -> str:
    """Return a fresh code verifier (RFC 7636 §4.1)."""
    return secrets.token_urlsafe(48)


def challenge_of(verifier: str) -> str:
    """Return the code challenge of a verifier by S256 (RFC 7636 §4.2)."""
    return _base64url(hashlib.sha256(verifier.encode("ascii")).digest())


def authorization_url(
    client: Client,
    *,
    redirect_uri: str,
    scopes: str,
    state: str,
    nonce: str,
    verifier: str,
    login_hint: str = "",
) -> str:
    """Return where a person is sent to consent (RFC 6749 §4.1.1, RFC 7636 §4.3).

    Args:
        client: This installation.
        redirect_uri: Where the provider sends the person back; registered there.
        scopes: What is asked for, separated by blanks.
        state: Comes back as it is.
        nonce: Comes back in the ID token.
        verifier: Of the code.
        login_hint: The address of the account, so that the person need not choose.
    """
    values = {
        "client_id": client.client_id,
        "response_type": "code",
        "redirect_uri": redirect_uri,
        "response_mode": "query",
        "scope": scopes,
        "state": state,
        "nonce": nonce,
        "code_challenge": challenge_of(verifier),
        "code_challenge_method": "S256",
        **client.endpoints.extra,
        **({"login_hint": login_hint} if login_hint else {}),
    }
    return f"{client.url(client.endpoints.authorize)}?{urlencode(values)}"


def redeem(client: Client, *, code: str, redirect_uri: str, verifier: str) -> Tokens:
    """Return the tokens for a code (RFC 6749 §4.1.3).

    Raises:
        RefusedError: The provider says no.
        UnavailableError: It does not answer, or not in its protocol.
    """
    return _tokens(
        client,
        {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": verifier,
        },
    )


def refresh(client: Client, refresh_token: str) -> Tokens:
    """Return new tokens for a refresh token (RFC 6749 §6).

    Raises:
        RefusedError: The provider says no; `invalid_grant`: the permission has ended.
        UnavailableError: It does not answer, or not in its protocol.
    """
    return _tokens(client, {"grant_type": "refresh_token", "refresh_token": refresh_token})


def gives_back(provider: AccountProvider) -> bool:
    """Return True where a provider lets an application give back one permission."""
    return bool(ENDPOINTS[provider].revoke)


def revoke(client: Client, token: str) -> None:
    """Give a permission back (RFC 7009); one that has ended already is given back.

    Raises:
        RefusedError: The provider says no.
        UnavailableError: It does not answer.
    """
    answer = _ask(client, client.endpoints.revoke, {"token": token})
    if answer.status == 200:
        return
    refusal = _refusal(answer)
    if refusal is None:
        raise UnavailableError(_odd(answer))
    if refusal.code not in {"invalid_token", "invalid_grant"}:
        raise refusal


def claims_of(tokens: Tokens, client: Client, nonce: str) -> Mapping[str, Any]:
    """Return what the ID token says of who has consented.

    Its signature is not looked at: it came from the provider itself by TLS, which may stand for it
    (OpenID Connect Core §3.1.3.7, 6).

    Raises:
        ValueError: There is none, or it is for somebody else, for another request, or of the past.
    """
    parts = tokens.id_token.split(".")
    if len(parts) != 3:
        raise ValueError("There is no ID token.")
    try:
        claims = read_json(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (binascii.Error, ValueError) as error:
        raise ValueError("The ID token cannot be read.") from error
    if not isinstance(claims, dict):
        raise ValueError("The ID token cannot be read.")  # noqa: TRY004 (what came from outside, not a wrong type)
    audience = claims.get("aud")
    if client.client_id not in (audience if isinstance(audience, list) else [audience]):
        raise ValueError("The ID token is for another application.")
    if claims.get("nonce") != nonce:
        raise ValueError("The ID token answers another request.")
    ends = claims.get("exp")
    if not isinstance(ends, int | float) or ends < clock.now().timestamp() - _CLOCKS_DIFFER_SECONDS:
        raise ValueError("The ID token has expired.")
    return claims


def _tokens(client: Client, form: Mapping[str, str]) -> Tokens:
    answer = _ask(client, client.endpoints.token, form)
    if answer.status != 200:
        raise _refusal(answer) or UnavailableError(_odd(answer))
    try:
        said = answer.json()
    except ValueError as error:
        raise UnavailableError(_odd(answer)) from error
    access, kind = said.get("access_token"), str(said.get("token_type") or "")
    # What would break a head of HTTP or a command of SMTP is no token (RFC 6750 §2.1).
    if not isinstance(access, str) or not access or not access.isascii() or not access.isprintable():
        raise UnavailableError(_odd(answer, "The answer holds no access token."))
    if kind.casefold() != "bearer":
        raise UnavailableError(_odd(answer, "The answer holds a token of another kind."))
    renewed, id_token = said.get("refresh_token"), said.get("id_token")
    return Tokens(
        access,
        _seconds(said.get("expires_in")) or 3600,
        renewed if isinstance(renewed, str) else "",
        str(said.get("scope") or ""),
        _seconds(said.get("refresh_token_expires_in")),
        id_token if isinstance(id_token, str) else "",
    )


def _seconds(value: object) -> int | None:
    # Some send a number as a text; none means more than ten years.
    text = str(value) if isinstance(value, int | str) and not isinstance(value, bool) else ""
    return min(int(text), 315_360_000) if text.isascii() and text.isdigit() and len(text) < 12 else None


def _ask(client: Client, address: str, form: Mapping[str, str]) -> Answer:
    secret = {"client_id": client.client_id, **({"client_secret": client.secret} if client.secret else {})}
    try:
        return ask(
            "POST",
            client.url(address),
            headers=_ANSWER_HEADERS,
            body=urlencode({**secret, **form}).encode("ascii"),
            timeout=TIMEOUT_SECONDS,
            allow_local=client.allow_local,
            ca_file=client.ca_file,
        )
    except RequestError as error:
        raise UnavailableError(error.failure, answered=False) from error


def _refusal(answer: Answer) -> RefusedError | None:
    """Return the refusal that an answer is (RFC 6749 §5.2), or None: a fault of the provider, a page, a limit."""
    if not 400 <= answer.status < 500 or answer.status == 429:
        return None
    try:
        said = answer.json()
    except ValueError:
        return None
    code = said.get("error")
    return RefusedError(code, str(said.get("error_description") or "")) if isinstance(code, str) else None


def _odd(answer: Answer, words: str = "") -> Failure:
    """Return the failure of an answer that is neither tokens nor a refusal; never with what a 200 holds."""
    said = words or f"HTTP {answer.status}"
    if not words and answer.status != 200 and not answer.text.lstrip().startswith("<"):
        said += f" {answer.text}"
    kind = FailureKind.RATE_LIMITED if answer.status == 429 else FailureKind.SERVER_ERROR
    return Failure(kind, True, detail=printable(said, 300))


def _base64url(octets: bytes) -> str:
    return base64.urlsafe_b64encode(octets).decode("ascii").rstrip("=")
