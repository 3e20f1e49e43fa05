"""What no page expects: JSON without end, halves of characters, foreign hosts, pictures that unpack to gigabytes."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import resource
import struct
import time
import zlib

import pytest
from flask import request
from flask_babel import force_locale

from core.app import create_app
from core.auth.passwords import refuse_weak
from core.auth.service import save_user, set_password
from core.companies.service import MAX_LOGO_BYTES, clean_logo
from core.config import read_settings
from core.errors import UserError
from core.testing.fixtures import PASSWORD
from core.testing.fixtures import test_settings as settings_for
from core.web.strict_json import read_json
from modules.mail_config.mail_templates.import_export import read_export
from modules.pos.service.registers import save_register

BAD_JSON = [
    "[" * 100_000,
    '{"a":' * 100_000,
    '"\\ud800"',
    '{"\\udfff": 1}',
    '["\\uD83D x"]',
    '"\\u0000"',
    "",
    "nul",
]


@pytest.mark.parametrize("text", BAD_JSON)
def test_json_that_cannot_be_kept_is_none(app, text):
    with pytest.raises(ValueError):  # noqa: PT011 (the words are of whoever reads it)
        read_json(text)
    with app.test_request_context("/", method="POST", data=text, content_type="application/json"):
        assert request.get_json(silent=True) is None
    with pytest.raises(UserError):
        read_export(text.encode())


def test_honest_json_is_read():
    assert read_json('{"a": ["\\ud83d\\ude00", "é", 1.5, null]}') == {"a": ["😀", "é", 1.5, None]}
    assert read_json(b"[[[[1]]]]") == [[[[1]]]]


@pytest.mark.parametrize("text", BAD_JSON)
@pytest.mark.parametrize("what", ["tickets", "states", "find", "cashier"])
def test_the_till_answers_nonsense_with_4xx(company, make_user, sign_in, text, what):
    register = save_register(None, {"name": "Till", "code": "T", "company_id": company.id})
    client = sign_in(make_user("cashier"))
    response = client.post(f"/pos/till/{register.id}/{what}", data=text, content_type="application/json")
    assert response.status_code < 500


@pytest.mark.parametrize("text", ["\udc80", "a\0b"])
@pytest.mark.parametrize("path", ["/partners", "/outbox", "/sign-in"])
def test_halves_of_characters_in_forms_and_addresses_are_no_fault_of_ours(make_user, sign_in, path, text):
    client = sign_in(make_user("administrator"))
    raw = text.encode("utf-8", "surrogatepass")
    quoted = "".join(f"%{octet:02X}" for octet in raw)
    assert client.get(f"{path}?q={quoted}").status_code < 500
    body = b"login=" + quoted.encode() + b"&name=" + quoted.encode()
    answer = client.post(path, data=body, content_type="application/x-www-form-urlencoded")
    assert answer.status_code < 500
    multipart = (
        b'--x\r\nContent-Disposition: form-data; name="name"; filename="'
        + raw
        + b'"\r\n\r\n'
        + raw
        + b"\r\n--x--\r\n"
    )
    answer = client.post(path, data=multipart, content_type="multipart/form-data; boundary=x")
    assert answer.status_code < 500


# -- the host ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8000", "localhost.evil.example", "@evil.example", "", "a b"]
)
def test_a_foreign_host_is_refused(app, host):
    for path in ("/sign-in", "/", "/no-such-page"):
        response = app.test_client().get(path, headers={"Host": host}, environ_overrides={"HTTP_HOST": host})
        assert (response.status_code, response.headers.get("Location")) == (400, None)


@pytest.mark.parametrize("host", ["localhost", "localhost:8000", "127.0.0.1:8000"])
def test_ours_is_taken(app, host):
    assert app.test_client().get("/sign-in", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    ("environ", "host", "status"),
    [
        ({"ENVOI_BASE_URL": "https://erp.example.com"}, "erp.example.com", 200),
        ({"ENVOI_BASE_URL": "https://erp.example.com", "ENVOI_HOST": "::"}, "evil.example", 400),
        ({"ENVOI_TRUSTED_HOSTS": "erp.local, .lan"}, "till.lan", 200),
        ({"ENVOI_TRUSTED_HOSTS": "erp.local, .lan"}, "evil.example", 400),
        ({"ENVOI_HOST": "::"}, "whatever.example", 200),
        ({"ENVOI_HOST": "192.0.2.7"}, "192.0.2.7:8000", 200),
    ],
)
def test_the_settings_say_which_hosts_are_ours(tmp_path, environ, host, status):
    read = read_settings({"ENVOI_DATA_DIR": str(tmp_path / "data"), **environ})
    settings = dataclasses.replace(settings_for(tmp_path / "data"), trusted_hosts=read.trusted_hosts)
    client = create_app(settings, testing=True).test_client()
    with client.get("/static/envoi.css", headers={"Host": host}) as response:
        assert response.status_code == status


# -- pictures ---------------------------------------------------------------------------------------------


def png(width: int, height: int) -> bytes:
    """Return a PNG of one color, which packs to nearly nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    packed = zlib.compressobj(9)
    row = b"\0" + b"\xff" * (width * 3)
    data = b"".join(packed.compress(row) for _ in range(height)) + packed.flush()
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def test_a_logo_that_unpacks_to_gigabytes_is_refused_before_it_is_unpacked():
    bomb = png(13_370, 13_370)
    assert len(bomb) < MAX_LOGO_BYTES
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UserError, match="pixels"):
        clean_logo(bomb)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 * 1024


def test_a_large_honest_logo_is_taken():
    assert clean_logo(png(3000, 2000)).startswith(b"\x89PNG")
    assert io.BytesIO(clean_logo(png(40, 40)))


# -- passwords --------------------------------------------------------------------------------------------

WEAK = [
    "password12", "Password2026!", "motdepasse1", "azertyuiop", "qwertyuiop", "1234567890", "0987654321",
    "aaaaaaaaaa", "abababababab", "abcdefghij", "passwordpassword", "!!!!!!!!!!!!", "2026-11-30-2026",
    "bienvenue2026", "Administrateur1",
    "Marseille2024", "bonjour-bonjour", "Summer2026!!", "dragon-soleil", "M0tdep@sse!", "wxcvbnqsdfghjklm",
    "19871225198", "nouvelle1234", "nicolas-nicolas", "trustno1trustno1", "3tr!am3tr!am", "lumenlumen",
    "atelier.lumen69", "@t3li3rLum3n",
    "Lumen-Atelier-2026", "lyon-69005", "martin-sophie-1987",
    "sophie.martin", "Sophie Martin", "sophiemartin1", "sophie@example.com", "short", "x" * 1001,
]  # fmt: skip


SOPHIE = ("sophie@example.com", "Sophie Martin", "Atelier Lumen", "Lyon")


@pytest.mark.parametrize("password", WEAK)
def test_what_is_guessed_first_is_refused(password):
    with pytest.raises(UserError) as caught:
        refuse_weak(password, *SOPHIE)
    assert caught.value.field == "password"


@pytest.mark.parametrize(
    "password",
    [
        "correct horse battery",
        "envoi-demo-2026",
        "surely long enough",
        "quatre chevaux gris",
        "x8Kq!vT2#pLw",
        "Sophie aime quatre chevaux gris",
        "dragon soleil football marseille",
    ],
)
def test_a_passphrase_is_taken(password):
    refuse_weak(password, *SOPHIE)


@pytest.mark.parametrize(
    ("password", "english", "french"),
    [
        ("sophie.martin", "made of your name", "de votre nom"),
        ("lumen-1987", "your company", "de votre société"),
        ("motdepasse1", "tried first", "essayés en premier"),
        ("azertyuiop", "row of keys", "une rangée de touches"),
        ("abababababab", "repeats itself", "se répète"),
        ("abcdefghij", "a sequence", "une suite"),
        ("x25-12-1987", "a date", "qu’une date"),
        ("Guillaume-7", "a single word or name", "un seul mot ou nom"),
    ],
)
def test_the_reason_is_told_in_both_languages(app, password, english, french):
    with pytest.raises(UserError) as caught:
        refuse_weak(password, *SOPHIE)
    for language, words in (("en", english), ("fr", french)):
        with force_locale(language):
            assert words in str(caught.value.message)


@pytest.mark.parametrize(
    "password", ["x" * 1000, "ab" * 500, "password" * 125, "e\u0301" * 400, "1!" * 36 + "a" * 900]
)
def test_no_password_keeps_the_page_busy(password):
    began = time.thread_time()
    with contextlib.suppress(UserError):
        refuse_weak(password, "x" * 254, "Sophie " * 500)
    assert time.thread_time() - began < 2


def test_names_of_the_own_company_are_refused(make_user, company):
    user = make_user()
    with pytest.raises(UserError, match="guessed too easily"):
        set_password(user.login, f"{company.name}-2026")


def test_no_way_to_set_a_password_takes_a_weak_one(make_user, sign_in, company):
    user = make_user()
    with pytest.raises(UserError):
        set_password(user.login, "password12")
    with pytest.raises(UserError):
        save_user(
            None, login="a@example.com", name="A", roles=[], company_ids=[company.id], password="motdepasse1"
        )
    page = sign_in(user).post("/password", data={"current": PASSWORD, "password": "azertyuiop"})
    assert "guessed too easily" in page.text
