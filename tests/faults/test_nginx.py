"""The files for administrators, tried: the site of nginx before a real web process, and the units of systemd."""

from __future__ import annotations

import gzip
import http.client
import os
import re
import shutil
import ssl
import subprocess
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask import Flask

from core.embedded import free_port, stop_process
from core.testing.fixtures import PASSWORD
from core.testing.services import make_certificate
from tests.outbox.processes import eventually

OPERATING = Path(__file__).parents[2] / "docs" / "operating"
AROUND = """\
daemon off; {user} pid {folder}/pid; error_log {folder}/error.log;
events {{}}
http {{
  access_log off;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  include {folder}/site.conf;
}}
"""

Ask = Callable[..., http.client.HTTPResponse]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[int, int, int, ssl.SSLContext]]:
    """nginx with our site: its ports for http and https, the one it passes on to, and who trusts its certificate."""
    folder = tmp_path / "nginx"
    folder.mkdir()
    certificate = make_certificate(folder)
    plain, secure, behind = (free_port() for _ in range(3))
    words = (OPERATING / "nginx" / "envoi.conf").read_text()
    for old, new in (
        ("/etc/letsencrypt/live/envoi.example.com/fullchain.pem", str(certificate.certificate)),
        ("/etc/letsencrypt/live/envoi.example.com/privkey.pem", str(certificate.key)),
        ("listen 80;", f"listen 127.0.0.1:{plain};"),
        ("listen 443 ", f"listen 127.0.0.1:{secure} "),
        ("127.0.0.1:8000", f"127.0.0.1:{behind}"),
        ("envoi.example.com", "localhost"),
        ("client_max_body_size 80m", "client_max_body_size 2m"),
    ):
        assert old in words
        words = words.replace(old, new)
    (folder / "site.conf").write_text(re.sub(r"\n *listen \[::\].*", "", words))
    user = "user root;" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(AROUND.format(folder=folder, user=user))
    command = [
        "/usr/sbin/nginx",
        "-p",
        str(folder),
        "-e",
        f"{folder}/error.log",
        "-c",
        f"{folder}/nginx.conf",
    ]
    tried = subprocess.run([*command, "-t"], capture_output=True, text=True, check=False, timeout=60)
    assert tried.returncode == 0, tried.stderr
    process = subprocess.Popen(command)
    yield plain, secure, behind, ssl.create_default_context(cafile=str(certificate.certificate))
    stop_process(process)


def test_envoi_works_behind_the_site_of_nginx(app: Flask, site, hire, make_user) -> None:
    plain, secure, behind, trust = site
    user = make_user("administrator")
    web = hire(
        "web",
        PORT=behind,
        BASE_URL="https://localhost",
        TRUSTED_PROXIES=1,
        MAX_UPLOAD_MB=1,
        LOG_FORMAT="json",
    )
    cookies: dict[str, str] = {}

    def ask(path: str, data: bytes | None = None, **head: str) -> tuple[int, http.client.HTTPMessage, bytes]:
        connection = http.client.HTTPSConnection("localhost", secure, timeout=60, context=trust)
        head = {name.replace("_", "-"): value for name, value in head.items()}
        head |= {"Host": "localhost", "Referer": "https://localhost/", "Cookie": "; ".join(cookies.values())}
        try:
            connection.request("GET" if data is None else "POST", path, data, head)
            answer = connection.getresponse()
            for cookie in answer.headers.get_all("Set-Cookie") or []:
                assert "Secure" in cookie
                cookies[cookie.partition("=")[0]] = cookie.partition(";")[0]
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def form(**values: str) -> bytes:
        return urllib.parse.urlencode(values).encode()

    def token() -> str:
        found = re.search(rb'name="csrf_token"[^>]* value="([^"]+)"', ask("/sign-in")[2])
        assert found is not None
        return found[1].decode()

    code, head, words = ask("/sign-in", Accept_Language="fr")
    if code != 200:  # it has not started yet
        assert (code, head["Retry-After"]) == (503, "30")
        assert "rien n’est perdu" in words.decode()
    eventually(lambda: ask("/sign-in")[0] == 200, "Envoi answers")
    # Encrypted only, for a year, and compressed by Envoi.
    redirect = http.client.HTTPConnection("localhost", plain, timeout=60)
    redirect.request("GET", "/outbox/mails", headers={"Host": "localhost"})
    moved = redirect.getresponse()
    assert (moved.status, moved.headers["Location"]) == (301, "https://localhost/outbox/mails")
    redirect.close()
    code, head, body = ask("/sign-in", Accept_Encoding="gzip", Sec_Fetch_Site="none")
    assert head["Strict-Transport-Security"] == "max-age=31536000"
    assert head["Content-Encoding"] == "gzip"
    found = re.search(rb'href="(/static/[^"]+\.css)"', gzip.decompress(body))
    assert found is not None
    code, head, _body = ask(found[1].decode())
    assert code == 200
    assert "max-age" in head["Cache-Control"]
    # Nobody says by a head of their own who they are, or what this house is called.
    lies = {
        "X_Forwarded_For": "203.0.113.9",
        "X_Forwarded_Host": "evil.example.com",
        "X_Forwarded_Proto": "http",
    }
    kind = "application/x-www-form-urlencoded"
    wrong = form(csrf_token=token(), login=user.login, password="wrong")
    assert ask("/sign-in", wrong, Content_Type=kind, **lies)[0] == 422
    assert "Sign-in refused from 127.0.0.1: wrong" in web.log
    assert "203.0.113.9" not in web.log
    code, head, _body = ask("/outbox/mails", **lies)
    assert code == 302
    assert not head["Location"].startswith("http") or head["Location"].startswith("https://localhost/")
    right = form(csrf_token=token(), login=user.login, password=PASSWORD)
    assert ask("/sign-in", right, Content_Type=kind)[0] == 302
    assert ask("/outbox/mails")[0] == 200
    # Too large: explained by Envoi, and far too large by nginx, before all of it was sent.
    code, _head, words = ask("/sign-in", b"x" * 1_500_000, Content_Type=kind)
    assert code == 413
    assert "<!doctype html>" in words.decode()
    code, _head, words = ask("/sign-in", b"x" * 2_100_000, Content_Type=kind)
    assert (code, "too large" in words.decode()) == (413, True)
    assert ask("/metrics")[0] == 404
    web.kill()
    code, _head, words = ask("/sign-in")
    assert (code, "nothing is lost" in words.decode()) == (503, True)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd here")
def test_the_units_are_understood_by_systemd(tmp_path: Path) -> None:
    for unit in (OPERATING / "systemd").glob("*.service"):
        # What they start, and whose they are, stands on the hosts of others.
        words = unit.read_text().replace("/opt/envoi/bin/envoi", "/bin/true")
        (tmp_path / unit.name).write_text(words)
    units = sorted(str(path) for path in tmp_path.iterdir())
    tried = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *units],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (tried.returncode, tried.stderr) == (0, "")
