"""A module by somebody else: built as a wheel, installed with pip, used, disabled, enabled again."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.warm import WarmEnvoi

SOURCE = Path(__file__).parent.parent / "toy_module"
SCRIPT = Path(__file__).parent / "toy_installation.py"
WITHOUT_TOY = "sales,mail_config,outbox,playground"
# A whole suite runs inside one test.
SUITE_SECONDS = 400
SELLER = "salesperson@maison.example.com"
FRENCH_ADMINISTRATOR = "administrator@maison.example.com"


def run(
    *command: str | Path, env: dict[str, str] | None = None, cwd: Path | None = None, within: int = 110
) -> str:
    """Run a process and return what it says; its words are the failure when it fails."""
    done = subprocess.run(  # noqa: PLW1510 (the words of the process are worth more than the exception)
        [str(part) for part in command], capture_output=True, text=True, env=env, cwd=cwd, timeout=within
    )
    assert done.returncode == 0, f"{command} failed:\n{done.stdout}\n{done.stderr}"
    return done.stdout


@dataclass(frozen=True)
class Installation:
    """Envoi with the toy beside it.

    Commands are processes of their own, forked from one that has loaded what they need; one in which the toy is
    disabled has never loaded it.
    """

    toy: Path
    data: Path
    redis_url: str
    loaded: dict[str, WarmEnvoi] = field(default_factory=dict)

    def env(self, modules: str = "") -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("ENVOI_")}
        return kept | {
            "PYTHONPATH": str(self.toy),
            "ENVOI_DATA_DIR": str(self.data),
            "ENVOI_MAIL_CONFIG_ALLOW_LOCAL_SERVERS": "1",
            "ENVOI_REDIS_URL": self.redis_url,
            "ENVOI_MODULES": modules,
        }

    def envoi(self, *arguments: str, modules: str = "") -> str:
        return self._run(arguments, modules)

    def script(self, *arguments: str, modules: str = "") -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self._run(arguments, modules, SCRIPT))
        return answer

    def _run(self, arguments: tuple[str, ...], modules: str, script: Path | None = None) -> str:
        if modules not in self.loaded:
            self.loaded[modules] = WarmEnvoi(self.env(modules))
        code, out, err = self.loaded[modules].run(arguments, script)
        assert code == 0, f"{arguments} failed:\n{out}\n{err}"
        return out


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the toy's project: building writes into it."""
    copy = tmp_path_factory.mktemp("project") / "toy"
    shutil.copytree(SOURCE, copy, ignore=shutil.ignore_patterns("__pycache__", "*.mo"))
    (copy / "conftest.py").unlink()
    return copy


@pytest.fixture(scope="module")
def wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input"]
    run(*pip, "wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", folder, source)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def installation(
    wheel: Path, redis_url: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    target = tmp_path_factory.mktemp("site")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input"]
    run(*pip, "install", "--no-deps", "--no-index", "--target", target, wheel)
    made = Installation(target, tmp_path_factory.mktemp("data"), redis_url)
    made.envoi("db", "upgrade")
    yield made
    for loaded in made.loaded.values():
        loaded.close()


@pytest.fixture(scope="module")
def issued(installation: Installation) -> dict[str, Any]:
    """A voucher that was issued on its page."""
    return installation.script("issue")


@pytest.fixture(scope="module")
def delivered(installation: Installation, issued: dict[str, Any]) -> dict[str, Any]:
    """The voucher, sent from the command line and delivered by the worker's job."""
    sent = json.loads(installation.envoi("send", issued["number"], "--json"))
    assert sent["to"] == "client@example.com"
    return installation.script("deliver") | {"mail": sent["id"]}


def test_the_wheel_travels_whole(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {
        "envoi_toy/migrations/0001_create_the_table_of_vouchers.py",
        "envoi_toy/static/vouchers.css",
        "envoi_toy/templates/toy/voucher.html",
        "envoi_toy/translations/fr/LC_MESSAGES/messages.mo",
    } <= names


def test_its_document_is_issued_on_its_page(issued: dict[str, Any]) -> None:
    assert issued == {
        "status": 302,
        "location": "/toy/vouchers/1",
        "kind": "toy.voucher",
        "number": "GIFT00001",
        "total": True,
    }


def test_its_document_is_sent_with_its_own_text_and_pdf(delivered: dict[str, Any]) -> None:
    assert delivered["state"] == "sent"
    assert delivered["subject"] == "Maison : votre chèque-cadeau GIFT00001"
    assert delivered["attachments"] == ["GIFT00001.pdf"]


def test_everything_it_declares_is_there(installation: Installation, delivered: dict[str, Any]) -> None:
    seen = installation.script(
        "ask",
        SELLER,
        *("/toy/vouchers", "/toy/vouchers/1", "/partners/1", "/documents/1", "/static/toy/vouchers.css"),
    )
    pages = seen["pages"]
    assert "toy_voucher" in seen["tables"]
    assert "core_version_toy" in seen["tables"]
    assert "toy.voucher" in seen["kinds"]
    assert "toy.expire" in seen["jobs"]
    assert {"toy.voucher.read", "toy.voucher.issue"} <= set(seen["permissions"])
    assert re.search(
        r'<a\s+class="dropdown-item active"\s+href="/toy/vouchers"\s*>\s*Vouchers\s*</a>',
        pages["/toy/vouchers"]["text"],
    )
    assert "GIFT00001" in pages["/toy/vouchers"]["text"]
    assert "Send by email" in pages["/toy/vouchers/1"]["text"]
    assert "Vouchers" in pages["/partners/1"]["text"], "its piece of the customer's page"
    assert pages["/documents/1"]["status"] == 302
    assert re.search(r'href="/static/~[0-9a-f]+/toy/vouchers.css"', pages["/partners/1"]["text"])
    assert pages["/static/toy/vouchers.css"]["status"] == 200
    assert "GIFT00001" in installation.envoi("vouchers")


def test_it_speaks_french(installation: Installation, delivered: dict[str, Any]) -> None:
    pages = installation.script("ask", FRENCH_ADMINISTRATOR, "/toy/vouchers/1")["pages"]
    text = pages["/toy/vouchers/1"]["text"]
    assert "Chèque-cadeau GIFT00001" in text
    assert "Mot d’accompagnement" in text
    assert "Greeting" not in text


@pytest.mark.timeout(SUITE_SECONDS + 10)
def test_it_passes_the_conformance_suite(installation: Installation, source: Path) -> None:
    env = installation.env()
    del env["ENVOI_DATA_DIR"]
    # Its migrations run on SQLite here; on PostgreSQL those of our own modules do.
    said = run(
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-rs",
        "-k",
        "not postgresql",
        "-o",
        "envoi_modules=toy mail_config outbox",
        env=env,
        cwd=source,
        within=SUITE_SECONDS,
    )
    assert " passed" in said
    assert "SKIPPED" not in said, said


def test_disabled_it_breaks_no_page(installation: Installation, delivered: dict[str, Any]) -> None:
    mail = f"/outbox/mails/{delivered['mail']}"
    paths = ["/documents/1", "/partners/1", "/outbox/mails", mail, f"{mail}?tab=message", f"{mail}/html"]
    gone = ["/documents/1/pdf", "/toy/vouchers", "/outbox/compose/1"]
    seen = installation.script("ask", FRENCH_ADMINISTRATOR, *paths, *gone, modules=WITHOUT_TOY)
    statuses = {path: page["status"] for path, page in seen["pages"].items()}
    assert statuses == dict.fromkeys(paths, 200) | dict.fromkeys(gone, 404)
    assert "GIFT00001" in seen["pages"]["/outbox/mails"]["text"]
    assert "client@example.com" in seen["pages"][mail]["text"]
    assert "toy.voucher" not in seen["kinds"]
    assert "toy_voucher" in seen["tables"], "what the module keeps must wait for its return"
    sellers = installation.script("ask", SELLER, "/", "/documents/1", "/partners/1", modules=WITHOUT_TOY)
    assert [page["status"] for page in sellers["pages"].values()] == [302, 200, 200]


def test_disabled_it_leaves_the_commands_working(
    installation: Installation, delivered: dict[str, Any]
) -> None:
    installation.envoi("db", "upgrade", modules=WITHOUT_TOY)
    checked = installation.envoi("check", "--stopped", modules=WITHOUT_TOY)
    assert "All is well." in checked
    assert "toy" not in checked
    shown = json.loads(installation.envoi("outbox", "list", "--json", modules=WITHOUT_TOY))
    assert [row["document"] for row in shown] == ["GIFT00001"]


def test_enabled_again_everything_is_there(installation: Installation, delivered: dict[str, Any]) -> None:
    installation.envoi("db", "upgrade")
    pages = installation.script("ask", SELLER, "/toy/vouchers/1", "/documents/1/pdf")["pages"]
    assert "GIFT00001" in pages["/toy/vouchers/1"]["text"]
    assert pages["/documents/1/pdf"]["status"] == 200
