"""Scripts and styles of modules are served as the shell's are."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from flask import Blueprint, Flask, url_for

from core import loader
from core.app import create_app
from core.contract import Module
from core.errors import ModuleError
from core.kept import forget
from core.testing.fixtures import test_settings

HEADERS = ("Cache-Control", "Content-Security-Policy", "X-Content-Type-Options", "Content-Type")


@pytest.fixture
def lamp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Module]:
    """A module by others, as pip would put it somewhere: a script, a style, a secret beside them."""
    package = tmp_path / "site" / "envoi_lamp"
    (package / "static" / "pages").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "views.py").write_text(
        "from flask import Blueprint\n"
        "plain = Blueprint('lamp', __name__, url_prefix='/lamp')\n"
        "taken = Blueprint('lamp', __name__, url_prefix='/lamp')\n"
        "taken.add_url_rule('/light', 'static', lambda: 'everybody may read me')\n"
        "folder = Blueprint('lamp', __name__, url_prefix='/lamp', static_folder='static')\n"
    )
    (package / "secret.js").write_text("1")
    (package / "static" / "pages" / "lamp.js").write_text("export const light = 1;\n")
    (package / "static" / "lamp.css").write_text("body { color: red }\n")
    monkeypatch.syspath_prepend(str(package.parent))
    yield Module(
        name="lamp",
        version="1",
        title="Lamp",
        package="envoi_lamp",
        migrations=False,
        translations=False,
        scripts=("pages/lamp.js",),
        styles=("lamp.css",),
    )
    for name in [name for name in sys.modules if name.startswith("envoi_lamp")]:
        del sys.modules[name]


def application(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *modules: Module) -> Flask:
    monkeypatch.setattr(loader, "discover", lambda: {module.name: module for module in modules})
    return create_app(test_settings(tmp_path / "data"), testing=True)


def problems_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: Module) -> tuple[str, ...]:
    with pytest.raises(ModuleError) as caught:
        application(tmp_path, monkeypatch, module)
    return caught.value.problems


def test_files_of_a_module_are_cached_and_guarded_as_the_shells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lamp: Module
) -> None:
    client = application(tmp_path, monkeypatch, lamp).test_client()
    shell, own = (
        client.get(path, buffered=True) for path in ("/static/envoi.js", "/static/lamp/pages/lamp.js")
    )
    assert (own.text, shell.text[:2]) == ("export const light = 1;\n", "//")
    assert {name: own.headers[name] for name in HEADERS} == {name: shell.headers[name] for name in HEADERS}
    assert "max-age=3600" in own.headers["Cache-Control"]
    again = client.get(
        "/static/lamp/pages/lamp.js", headers={"If-None-Match": own.headers["ETag"]}, buffered=True
    )
    assert again.status_code == 304


@pytest.mark.parametrize("path", ["../secret.js", "..%2fsecret.js", "pages/none.js", "pages"])
def test_nothing_but_the_folder_is_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lamp: Module, path: str
) -> None:
    client = application(tmp_path, monkeypatch, lamp).test_client()
    assert client.get(f"/static/lamp/{path}").status_code == 404


def test_every_page_loads_what_modules_bring_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lamp: Module
) -> None:
    page = application(tmp_path, monkeypatch, lamp).test_client().get("/sign-in").text
    page = re.sub(r"/static/~[0-9a-f]{12}/", "/static/", page)
    assert '<script src="/static/lamp/pages/lamp.js" type="module"></script>' in page
    style = '<link rel="stylesheet" href="/static/lamp/lamp.css">'
    assert page.index("/static/envoi.css") < page.index(style)


def test_the_shell_names_no_file_of_a_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = application(tmp_path, monkeypatch).test_client().get("/sign-in").text
    named = set(re.findall(r'="/static/~[0-9a-f]{12}/([^"/]+)', page))
    assert named == {
        "vendor",
        "img",
        "documents.css",
        "envoi.css",
        "envoi.js",
        "live.js",
        "selection.js",
    }


def test_a_file_that_is_not_there_is_said_at_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lamp: Module
) -> None:
    wrong = replace(lamp, scripts=("pages/lamp.js", "lamp.js", "../secret.js"), styles=("pages",))
    problems = problems_of(tmp_path, monkeypatch, wrong)
    folder = tmp_path / "site" / "envoi_lamp" / "static"
    assert problems == tuple(
        f"Module lamp: there is no file {name} in {folder}." for name in ("lamp.js", "../secret.js", "pages")
    )


@pytest.mark.parametrize("blueprint", ["taken", "folder"])
def test_no_view_is_open_to_everybody_by_being_called_static(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lamp: Module, blueprint: str
) -> None:
    (sentence,) = problems_of(tmp_path, monkeypatch, replace(lamp, blueprint=f"envoi_lamp.views:{blueprint}"))
    assert (
        sentence == "Module lamp: “static” is served without a view and a folder of the blueprint so named."
    )


def test_a_module_with_a_plain_blueprint_has_its_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lamp: Module
) -> None:
    app = application(tmp_path, monkeypatch, replace(lamp, blueprint="envoi_lamp.views:plain"))
    assert isinstance(app.blueprints["lamp"], Blueprint)
    assert app.test_client().get("/static/lamp/lamp.css", buffered=True).text == "body { color: red }\n"


def test_a_module_hides_no_file_of_the_shell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lamp: Module
) -> None:
    assert problems_of(tmp_path, monkeypatch, replace(lamp, name="img")) == (
        "Module img: its static files would hide those of the shell.",
    )


def _address(app: Flask) -> str:
    with app.test_request_context():
        return url_for("lamp.static", filename="lamp.css")


def test_what_a_page_names_is_kept_for_ever_and_has_another_address_once_any_file_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lamp: Module
) -> None:
    app = application(tmp_path, monkeypatch, lamp)
    client = app.test_client()
    address = _address(app)
    first = client.get(address, buffered=True)
    assert first.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    # What is said about the browser's cookie would keep every cache from keeping it.
    assert "Cookie" not in first.headers.get("Vary", "")
    assert "Set-Cookie" not in first.headers
    assert "Expires" not in first.headers

    # Another file: what imports it by a relative address must not meet the one before.
    (tmp_path / "site" / "envoi_lamp" / "static" / "pages" / "lamp.js").write_text(
        "export const light = 2;\n"
    )
    with app.app_context():
        forget("static version")
    assert _address(app) != address
    old = client.get(address, buffered=True)
    assert (old.status_code, old.headers["Cache-Control"]) == (200, "no-cache")


def test_two_hosts_name_the_same_files_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lamp: Module
) -> None:
    app = application(tmp_path, monkeypatch, lamp)
    address = _address(app)
    # Installed at another moment.
    os.utime(tmp_path / "site" / "envoi_lamp" / "static" / "lamp.css", (1, 1))
    with app.app_context():
        forget("static version")
    assert _address(app) == address


@pytest.mark.parametrize(
    ("path", "site", "encoding"),
    [
        ("/password/forgotten", "same-origin", "br"),
        ("/password/forgotten", "none", "br"),
        # Who could make a browser ask, and sees how long the answers are, would guess what they hold (BREACH).
        ("/password/forgotten", "cross-site", None),
        ("/password/forgotten", "same-site", None),
        ("/password/forgotten", None, None),
        ("/static/envoi.css", "cross-site", "br"),
        ("/static/envoi.css", None, "br"),
        ("/static/vendor/fonts/DejaVuSans.ttf", None, "br"),
        ("/static/vendor/bootstrap-icons/fonts/bootstrap-icons.woff2", None, None),
    ],
)
def test_what_is_text_travels_compressed_unless_another_site_asks_for_a_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, site: str | None, encoding: str | None
) -> None:
    client = application(tmp_path, monkeypatch).test_client()
    headers = {"Accept-Encoding": "gzip, br", **({"Sec-Fetch-Site": site} if site else {})}
    answer = client.get(path, headers=headers, buffered=True)
    assert (answer.status_code, answer.headers.get("Content-Encoding")) == (200, encoding)
    if encoding:
        assert "Accept-Encoding" in answer.headers["Vary"]
        plain = client.get(path, headers={"Sec-Fetch-Site": "none"}, buffered=True)
        assert "Content-Encoding" not in plain.headers
        assert len(answer.data) < 0.6 * len(plain.data)


def test_a_file_that_was_kept_is_not_sent_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lamp: Module
) -> None:
    client = application(tmp_path, monkeypatch, lamp).test_client()
    headers = {"Accept-Encoding": "br"}
    kept = client.get("/static/envoi.css", headers=headers, buffered=True).headers["ETag"]
    again = client.get("/static/envoi.css", headers={**headers, "If-None-Match": kept}, buffered=True)
    assert again.status_code == 304
