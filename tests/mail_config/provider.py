"""A provider of accounts on this machine: it speaks as Google and Microsoft do, faults included."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

CLIENT_ID, CLIENT_SECRET = "envoi-client", "hush-hush-client"


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that came in."""

    path: str
    form: dict[str, str]
    headers: dict[str, str]
    body: bytes = b""


@dataclass
class Provider:
    """What the provider knows, and how it is told to fail.

    Attributes:
        email: Whose account consents.
        redirects: The redirect URIs that are registered.
        scope: What the person allows; None for all that is asked for.
        token_answer: Status, type and body that the token endpoint answers with instead, or None.
        delay: Seconds before it answers.
        rotates: True where each refresh gives a new refresh token, and ends the one before.
        claims: What the ID token says besides, or instead.
        api_answer: Status, headers and body that the interface for mails answers with instead, or None.
        hangs_up: "before" or "after" it has read a message whole, instead of an answer.
        messages: Those that it has taken, as they came.
        on_token: Called when a token is asked for.
        on_head: Called when the head of a request with a message is there.
        on_message: Called when a message is there whole, before it is answered.
    """

    email: str = "sophie@gmail.example.com"
    redirects: set[str] = field(default_factory=set)
    scope: str | None = None
    token_answer: tuple[int, str, bytes] | None = None
    delay: float = 0.0
    rotates: bool = False
    expires_in: int = 3600
    refresh_token_expires_in: int | None = None
    gives_refresh: bool = True
    claims: dict[str, Any] = field(default_factory=dict)
    api_answer: tuple[int, dict[str, str], bytes] | None = None
    hangs_up: str = ""
    messages: list[bytes] = field(default_factory=list)
    on_token: Callable[[], None] = lambda: None
    on_head: Callable[[], None] = lambda: None
    on_message: Callable[[], None] = lambda: None
    port: int = 0
    asked: list[Asked] = field(default_factory=list)
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    refresh_tokens: set[str] = field(default_factory=set)
    access_tokens: list[str] = field(default_factory=list)

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def refreshes(self) -> int:
        return sum(1 for one in self.asked if one.form.get("grant_type") == "refresh_token")

    # -- the person ----------------------------------------------------------------------------------

    def consent(self, url: str, *, allow: bool = True, error: str = "access_denied") -> str:
        """Do what a person does at the provider; return where the provider sends them back."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        assert asked["response_type"] == "code"
        assert asked["code_challenge_method"] == "S256"
        assert asked["client_id"] == CLIENT_ID
        if self.redirects:
            assert asked["redirect_uri"] in self.redirects
        if not allow:
            return f"{asked['redirect_uri']}?{urlencode({'error': error, 'state': asked['state']})}"
        code = secrets.token_urlsafe(12)
        self.codes[code] = asked
        return f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state']})}"

    # -- the token endpoint --------------------------------------------------------------------------

    def token(self, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
        if (form.get("client_id"), form.get("client_secret")) != (CLIENT_ID, CLIENT_SECRET):
            return 401, {"error": "invalid_client", "error_description": "The OAuth client was not found."}
        if form.get("grant_type") == "refresh_token":
            token = form.get("refresh_token", "")
            if token not in self.refresh_tokens:
                return 400, {
                    "error": "invalid_grant",
                    "error_description": "Token has been expired or revoked.",
                }
            if self.rotates:
                self.refresh_tokens.discard(token)
            return 200, self._tokens({}, with_refresh=self.rotates)
        return self._redeemed(form)

    def _redeemed(self, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
        asked = self.codes.pop(form.get("code", ""), None)
        if asked is None:
            return 400, {"error": "invalid_grant", "error_description": "Malformed auth code."}
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        if base64.urlsafe_b64encode(digest).decode().rstrip("=") != asked["code_challenge"]:
            return 400, {"error": "invalid_grant", "error_description": "Invalid code verifier."}
        if form.get("redirect_uri") != asked["redirect_uri"]:
            return 400, {"error": "redirect_uri_mismatch", "error_description": "Bad Request"}
        return 200, self._tokens(asked, with_refresh=self.gives_refresh)

    def _tokens(self, asked: dict[str, str], *, with_refresh: bool) -> dict[str, Any]:
        access = f"access-{len(self.access_tokens) + 1}-{secrets.token_hex(4)}"
        self.access_tokens.append(access)
        said: dict[str, Any] = {"access_token": access, "token_type": "Bearer", "expires_in": self.expires_in}
        if with_refresh:
            said["refresh_token"] = f"refresh-{secrets.token_hex(8)}"
            self.refresh_tokens.add(said["refresh_token"])
        if self.refresh_token_expires_in is not None:
            said["refresh_token_expires_in"] = self.refresh_token_expires_in
        if asked:
            said["scope"] = self.scope if self.scope is not None else asked["scope"]
            claims = {
                "aud": CLIENT_ID,
                "email": self.email,
                "nonce": asked["nonce"],
                "exp": int(time.time()) + 600,
                **self.claims,
            }
            said["id_token"] = ".".join(["e30", _part(claims), "signature"])
        return said

    def revoke(self, form: dict[str, str]) -> tuple[int, dict[str, Any]]:
        token = form.get("token", "")
        if token not in self.refresh_tokens:
            return 400, {"error": "invalid_token"}
        self.refresh_tokens.discard(token)
        return 200, {}


def _part(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


class _Handler(BaseHTTPRequestHandler):
    provider: Provider

    def log_message(self, *_arguments: object) -> None:
        pass

    def do_GET(self) -> None:
        """Show the page on which a person consents."""
        parts = urlsplit(self.path)
        if parts.path.endswith(("/me", "/profile")):
            self._profile()
            return
        if parts.path.endswith("/tokeninfo"):
            self._tokeninfo(parts.query)
            return
        if not parts.path.endswith(("/auth", "/authorize")):
            self._answer(404, "text/html", b"<h1>Not found</h1>")
            return
        asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if self.provider.redirects and asked.get("redirect_uri") not in self.provider.redirects:
            self._answer(400, "text/html", b"<h1>Error 400: redirect_uri_mismatch</h1>")
            return
        yes = self.provider.consent(self.path)
        no = self.provider.consent(self.path, allow=False)
        page = (
            f"<!doctype html><title>Provider</title><h1>{escape(self.provider.email)}</h1>"
            f'<a href="{escape(yes)}">Allow</a> <a href="{escape(no)}">Deny</a>'
        )
        self._answer(200, "text/html; charset=utf-8", page.encode())

    def _bearer(self) -> bool:
        token = str(self.headers["Authorization"]).removeprefix("Bearer ")
        return bool(self.provider.access_tokens) and token == self.provider.access_tokens[-1]

    def _tokeninfo(self, query: str) -> None:
        """Say whose a token is, as servers of the provider ask it."""
        token = parse_qs(query).get("access_token", [""])[0]
        if self.provider.access_tokens and token == self.provider.access_tokens[-1]:
            self._json(200, {"email": self.provider.email, "aud": CLIENT_ID, "expires_in": 3600})
        else:
            self._json(400, {"error": "invalid_token"})

    def _profile(self) -> None:
        if self.provider.api_answer is not None:
            self._answer_with(*self.provider.api_answer)
        elif self._bearer():
            self._json(
                403, {"error": {"code": 403, "message": "Request had insufficient authentication scopes."}}
            )
        else:
            self._json(
                401, {"error": {"code": 401, "message": "Invalid Credentials", "status": "UNAUTHENTICATED"}}
            )

    def _mail(self, path: str) -> None:
        provider = self.provider
        provider.on_head()
        if provider.hangs_up == "before":
            self.rfile.read(10)
            self.close_connection = True
            # Unread octets behind: the peer gets a reset, as when a machine goes down.
            return
        length = int(self.headers["Content-Length"])
        body = self.rfile.read(length)
        if len(body) < length:
            return  # whoever asked has died
        provider.asked.append(Asked(self.path, {}, dict(self.headers.items()), body))
        time.sleep(provider.delay)
        if provider.api_answer is not None:
            self._answer_with(*provider.api_answer)
            return
        if not self._bearer():
            self._json(
                401, {"error": {"code": 401, "message": "Invalid Credentials", "status": "UNAUTHENTICATED"}}
            )
            return
        provider.messages.append(base64.b64decode(body) if path.endswith("/sendMail") else body)
        provider.on_message()
        if provider.hangs_up == "after":
            self.close_connection = True
        elif path.endswith("/sendMail"):
            self._answer(202, "text/plain", b"")
        else:
            self._json(200, {"id": f"id-{len(provider.messages)}", "labelIds": ["SENT"]})

    def _answer_with(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        path = urlsplit(self.path).path
        if path.endswith(("/messages/send", "/sendMail")):
            self._mail(path)
            return
        body = self.rfile.read(int(self.headers["Content-Length"]))
        form = {}
        if "form" in str(self.headers["Content-Type"]):
            form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        self.provider.asked.append(Asked(path, form, dict(self.headers.items()), body))
        time.sleep(self.provider.delay)
        if path.endswith("/token"):
            self.provider.on_token()
            if self.provider.token_answer is not None:
                self._answer(*self.provider.token_answer)
                return
            self._json(*self.provider.token(form))
        elif path.endswith("/revoke"):
            self._json(*self.provider.revoke(form))
        else:
            self._json(404, {"error": {"code": 404, "message": "Not found"}})

    def _json(self, status: int, value: dict[str, Any]) -> None:
        self._answer(status, "application/json", json.dumps(value).encode())

    def _answer(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class _Quiet(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of who has hung up: that is what some tests are about."""


@contextmanager
def running_provider() -> Iterator[Provider]:
    """Run a provider on a free port of this machine."""
    provider = Provider()
    handler = type("Handler", (_Handler,), {"provider": provider})
    server = _Quiet(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    provider.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
