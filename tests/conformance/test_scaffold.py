"""`envoi module new`: what it makes installs, migrates, passes the conformance suite and sends its document."""

from __future__ import annotations

import json
import os
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from core import cli
from core.errors import UserError
from core.scaffold.make import NewModule, check_new, make
from tests.conformance.test_toy_module import SUITE_SECONDS, run
from tests.warm import WarmEnvoi

HOUSE = Path(__file__).parent.parent.parent
SCRIPT = Path(__file__).parent / "scaffold_installation.py"


def named(name: str, **changes: str) -> NewModule:
    titles = {
        "title": "Delivery note",
        "titles": "Delivery notes",
        "title_fr": "Bon de livraison",
        "titles_fr": "Bons de livraison",
    }
    return NewModule(name, **titles | changes)


@dataclass(frozen=True)
class Installation:
    """An environment of its own, in which the module is installed beside Envoi.

    Commands are processes of their own, forked from one of that environment that has loaded what they need.
    """

    python: Path
    folder: Path
    env: dict[str, str]
    loaded: WarmEnvoi

    def envoi(self, *arguments: str, script: Path | None = None) -> str:
        code, out, err = self.loaded.run(arguments, script)
        assert code == 0, f"{arguments} failed:\n{out}\n{err}"
        return out

    def script(self, *arguments: str) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self.envoi(*arguments, script=SCRIPT))
        return answer


@pytest.fixture(scope="module")
def installed(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """The module, made by the command and installed as its README says."""
    place = tmp_path_factory.mktemp("scaffold")
    titles = ["--title", "Delivery note", "--french-title", "Bon de livraison"]
    envoi = Path(sys.executable).with_name("envoi")
    said = run(envoi, "module", "new", "delivery_note", *titles, "--into", place)
    folder = place / "envoi-delivery-note"
    assert f"pip install -e {folder}" in said
    run(sys.executable, "-m", "venv", "--without-pip", place / "env")
    python = place / "env" / "bin" / "python"
    # The environment of the tests lies below it: nothing is fetched, and nothing is installed there.
    below = [sysconfig.get_path("purelib"), str(HOUSE)]
    (next((place / "env" / "lib").glob("python*")) / "site-packages" / "below.pth").write_text(
        "\n".join(below)
    )
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "--python", python]
    run(*pip, "install", "--no-deps", "--no-build-isolation", "--no-index", "-e", folder)
    data = tmp_path_factory.mktemp("data")
    env = {name: value for name, value in os.environ.items() if not name.startswith("ENVOI_")}
    env |= {
        "ENVOI_DATA_DIR": str(data),
        "ENVOI_REDIS_URL": redis_url,
        "ENVOI_MAIL_CONFIG_ALLOW_LOCAL_SERVERS": "1",
    }
    made = Installation(python, folder, env, WarmEnvoi(env, python))
    made.envoi("db", "upgrade")
    yield made
    made.loaded.close()


def test_it_is_installed_and_migrated(installed: Installation) -> None:
    assert "delivery_note" in installed.envoi("check", "--stopped")
    assert installed.envoi("db", "check").strip() == "Models and migrations agree."


def test_its_document_is_written_changed_listed_and_sent(installed: Installation) -> None:
    written = installed.script("write", "delivery_note")
    listed, page, edit = (written.pop(name) for name in ("list", "page", "edit"))
    assert written == {
        "asks_server": True,
        "made": 302,
        "changed": 302,
        "number": "DEL00001",
        "revision": 2,
        "total": "3E+1",
    }
    assert "DEL00001" in listed
    assert "Bons de livraison" in listed
    assert "Fragile" in page
    assert "Abonnés" in page
    assert "Client SA" in page
    assert "Deux cartons" in edit
    assert "Revision" not in edit, "what people do not fill in is not shown"
    sent = json.loads(installed.envoi("send", "DEL00001", "--json"))
    assert sent["to"] == "client@example.com"
    delivered = installed.script("deliver")
    assert delivered == {
        "state": "sent",
        "subject": "Maison\u00a0: Deux cartons (DEL00001)",
        "attachments": ["DEL00001.pdf"],
    }


@pytest.mark.timeout(SUITE_SECONDS + 10)
def test_it_passes_the_conformance_suite_and_its_own_tests(installed: Installation) -> None:
    env = {name: value for name, value in installed.env.items() if name != "ENVOI_DATA_DIR"}
    said = run(
        *(installed.python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-rs", "-k", "not postgresql"),
        *("-o", "envoi_modules=delivery_note mail_config outbox"),
        env=env,
        cwd=installed.folder,
        within=SUITE_SECONDS,
    )
    assert " passed" in said
    assert "SKIPPED" not in said, said
    assert not (installed.folder / "data").exists()


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("delivery_note", "DeliveryNote"),
        ("document", "DocumentRow"),
        ("partner", "PartnerRow"),
        ("user", "UserRow"),
        ("values", "ValuesRow"),
        ("ticket", "Ticket"),
    ],
)
def test_its_model_takes_no_name_that_its_files_use_already(tmp_path: Path, name: str, model: str) -> None:
    folder = make(named(name), tmp_path, ())
    assert f"class {model}(Base):" in (folder / f"src/envoi_{name}/models.py").read_text()


@pytest.mark.parametrize(
    ("new", "sentence"),
    [
        (named("Delivery"), "“Delivery” cannot be the name of a module: take 2 to 30 letters"),
        (named("a"), "“a” cannot be the name of a module"),
        (named("two__underscores"), "cannot be the name of a module"),
        (named("../evil"), "cannot be the name of a module"),
        (named("class"), "cannot be the name of a module"),
        (named("x" * 31), "cannot be the name of a module"),
        (named("sales"), "The name sales is taken by a module or a page of Envoi."),
        (named("partners"), "The name partners is taken by a module or a page of Envoi."),
        (named("fine", title='A "quote"'), "cannot be a title"),
        (named("fine", titles=""), "cannot be a title"),
        (named("fine", title_fr="{{ x }}"), "cannot be a title"),
        (named("fine", titles_fr="<b>"), "cannot be a title"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(new: NewModule, sentence: str) -> None:
    with pytest.raises(UserError) as refused:
        check_new(new, {"sales", "partners"})
    assert sentence in str(refused.value)


def test_the_command_makes_a_folder_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No data folder with a key, wherever somebody stands when they begin."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ENVOI_DATA_DIR", raising=False)
    done = CliRunner().invoke(cli.cli, ["module", "new", "fine"], catch_exceptions=False)
    assert done.exit_code == 0
    assert [path.name for path in tmp_path.iterdir()] == ["envoi-fine"]


def test_the_command_knows_what_is_taken(tmp_path: Path) -> None:
    for name in ("sales", "partners", "core"):
        done = CliRunner().invoke(cli.cli, ["module", "new", name, "--into", str(tmp_path)])
        assert done.exit_code != 0
        assert f"The name {name} is taken" in str(done.exception)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_there_is_left_alone(tmp_path: Path) -> None:
    there = tmp_path / "envoi-fine"
    there.mkdir()
    (there / "mine").write_text("kept")
    with pytest.raises(UserError, match="exists already; nothing was changed"):
        make(named("fine"), tmp_path, ())
    assert [path.name for path in there.iterdir()] == ["mine"]
    with pytest.raises(UserError, match="There is no folder"):
        make(named("fine"), tmp_path / "away", ())


def test_a_title_that_is_another_string_as_well_stands_in_the_catalogue_once(tmp_path: Path) -> None:
    folder = make(
        named("fine", title="Text", titles="Text", title_fr="Texte", titles_fr="Textes"), tmp_path, ()
    )
    catalogue = (folder / "src/envoi_fine/translations/fr/LC_MESSAGES/messages.po").read_text()
    assert catalogue.count('msgid "Text"\n') == 1
    assert "@@" not in "".join(path.read_text() for path in folder.rglob("*") if path.is_file())
