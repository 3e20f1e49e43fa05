"""A wheel holds all of Envoi: installed outside of the checkout it shows pages, speaks French and sends."""

from __future__ import annotations

import http.cookiejar
import os
import re
import shutil
import subprocess
import sys
import urllib.parse
import urllib.request
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.journeys.house import House, running_house, wait_until

pytestmark = pytest.mark.smtp

CHECKOUT = Path(__file__).parent.parent
PARTS = ("core", "modules", "templates", "static", "tools", "pyproject.toml", "README.md")


def run(*command: object, folder: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    env = {name: value for name, value in os.environ.items() if not name.startswith(("ENVOI_", "PYTHONPATH"))}
    return subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env=env | environ,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment that holds what Envoi needs, and Envoi itself by its wheel alone."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for part in PARTS:
        if (CHECKOUT / part).is_dir():
            shutil.copytree(
                CHECKOUT / part, source / part, ignore=shutil.ignore_patterns("__pycache__", "*.mo", "*.pyc")
            )
        else:
            shutil.copy(CHECKOUT / part, source / part)
    build = (Path(sys.executable).with_name("hatchling"), "build", "--target", "wheel", "--directory", folder)
    refused = run(*build, folder=source)
    assert refused.returncode != 0
    assert "core/translations/fr/LC_MESSAGES/messages.po is not compiled." in refused.stderr + refused.stdout
    assert "make wheel" in refused.stderr + refused.stdout
    assert run(sys.executable, "tools/translations.py", "compile", folder=source).returncode == 0
    built = run(*build, folder=source)
    assert built.returncode == 0, built.stderr
    (wheel,) = folder.glob("*.whl")
    held = zipfile.ZipFile(wheel).namelist()
    assert "core/shell/static/vendor/htmx/htmx.min.js" in held
    assert not [name for name in held if "/axe/" in name], "test tools do not travel"
    shutil.rmtree(source)
    venv.create(folder / "env", with_pip=False, symlinks=True)
    (site,) = (folder / "env" / "lib").glob("python3*/site-packages")
    # What it depends on is there already; the checkout is not, which only a .pth of that folder would name.
    needs = next(path for path in sys.path if path.endswith("site-packages"))
    (site / "needs.pth").write_text(f"{needs}\n")
    python = folder / "env" / "bin" / "python"
    uv = Path(sys.executable).with_name("uv")
    installed = run(uv, "pip", "install", "--python", python, "--no-deps", "--offline", wheel, folder=folder)
    assert installed.returncode == 0, installed.stderr
    return python


@pytest.fixture(scope="module")
def house(environment: Path, redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with running_house(tmp_path_factory.mktemp("installed"), redis_url, python=environment) as house:
        yield house


def test_an_installed_wheel_shows_its_pages_speaks_french_and_sends(house: House, environment: Path) -> None:
    jar = http.cookiejar.CookieJar()
    browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))
    browser.addheaders = [("Accept-Language", "fr")]

    def get(path: str, **form: str) -> str:
        data = urllib.parse.urlencode(form).encode() if form else None
        with browser.open(house.url + path, data) as answer:
            return str(answer.read().decode())

    page = get("/sign-in")
    assert "Mot de passe" in page
    for file in re.findall(r'(?:href|src)="(/static/[^"]+)"', page):
        with browser.open(house.url + file) as answer:
            assert answer.read()
    assert "/static/" in page
    (token,) = set(re.findall(r'name="csrf_token"[^>]*value="([^"]+)"', page))
    sophie = "sophie@demo.example.com"
    home = get("/sign-in", csrf_token=token, login=sophie, password="envoi-demo-2026")
    assert "Devis" in home
    envoi = environment.with_name("envoi")
    folder = house.data_dir.parent
    address = "client@wheel.example.com"
    chosen = ("--company", "Atelier Lumen", "--only", "--to", address)
    sent = run(envoi, "send", "S00001", *chosen, folder=folder, **house.environ)
    assert sent.returncode == 0, sent.stderr
    wait_until("the email", lambda: house.accepted(address))
    ((_row, message),) = house.mailbox(address)[:1]
    assert [part.get_content_type() for part in message.iter_attachments()] == ["application/pdf"]
    assert run(envoi, "--version", folder=folder).stdout.startswith("envoi 0.")
    where = run(environment, "-c", "import core; print(core.__file__)", folder=folder).stdout
    assert where.startswith(str(environment.parent.parent))


def test_a_package_of_another_project_in_place_of_ours_is_a_sentence(
    environment: Path, tmp_path: Path
) -> None:
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "__init__.py").write_text("")
    said = run(environment.with_name("envoi"), "check", folder=tmp_path, PYTHONPATH=str(tmp_path))
    assert said.returncode == 1
    assert f"The package “modules” in {tmp_path} is not that of Envoi" in said.stderr
    assert "Traceback" not in said.stderr
