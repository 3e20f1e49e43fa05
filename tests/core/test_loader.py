from __future__ import annotations

import importlib.metadata
from dataclasses import replace
from pathlib import Path

import pytest
from flask import Flask

from core import loader
from core.app import create_app
from core.config import read_settings
from core.contract import (
    DocumentKind,
    JobSpec,
    MenuItem,
    Module,
    Permission,
    Receiver,
    Scope,
    SlotFill,
)
from core.declarations import check_declarations
from core.errors import ConfigError, ModuleError
from core.manifest import CORE
from core.signals import document_issued
from core.testing.fixtures import test_settings


def declare(name: str, **changes: object) -> Module:
    module = Module(name=name, version="1", title=name.title(), package="core", migrations=False)
    return replace(module, **changes)


def complaints_of_select(installed: list[Module], enabled: tuple[str, ...] | None) -> tuple[str, ...]:
    with pytest.raises(ModuleError) as caught:
        loader.select({module.name: module for module in installed}, enabled)
    return caught.value.problems


def names(modules: list[Module]) -> list[str]:
    return [module.name for module in modules]


def test_a_module_comes_after_what_it_needs() -> None:
    installed = {
        m.name: m for m in (declare("a", depends=("z",)), declare("b", depends=("a",)), declare("z"))
    }
    assert names(loader.select(installed, None)) == ["z", "a", "b"]
    assert names(loader.select(installed, ("b", "a", "z", "b"))) == ["z", "a", "b"]


def test_everything_wrong_with_the_choice_is_said_at_once() -> None:
    installed = [
        declare("a", depends=("b",)),
        declare("b", depends=("a",)),
        declare("c", depends=("off", "nowhere")),
        declare("off"),
    ]
    assert complaints_of_select(installed, ("a", "b", "c", "ghost")) == (
        "ENVOI_MODULES names ghost, which is not installed. Installed: a, b, c, off.",
        "Module c needs off, which is not enabled.",
        "Module c needs nowhere, which is not installed.",
        "Modules depend on each other in a circle: a, b.",
    )


def test_everything_wrong_with_the_declarations_is_said_at_once() -> None:
    behavior = "core.documents.pdf:render_document"
    bad = declare(
        "bad",
        models="bad.models",
        blueprint="core.views:nothing",
        cli="core.cli:cli",
        menu=(MenuItem("Things", "bad.things", "bad.thing.read", "Bad"),),
        document_kinds=(
            DocumentKind("good.thing", "Thing", "bad.thing", "bad.thing.read", behavior),
            DocumentKind("bad.twice", "Twice", "bad.thing", "core.developer", behavior),
            DocumentKind("bad.twice", "Twice", "bad.thing", "core.developer", behavior),
        ),
        permissions=(
            Permission("core.developer", "Everything"),
            Permission("bad.thing.edit", "Edit things", granted={"emperor": Scope.ALL}),
        ),
        jobs=(JobSpec("work", "core.jobs:run"),),
        receivers=(Receiver("no_such_signal", "core.jobs:run"),),
        slots=(SlotFill("shell.bar", "no.such.module:piece"),),
        config_defaults={"BAD_SIZE": "1", "SIZE": "1"},
    )
    problems = check_declarations([CORE, bad])
    expected = [
        "must begin with “bad.”",
        "the document kind good.thing must begin",
        "the permission core.developer must begin",
        "the permission core.developer is already declared by core.",
        "the document kind bad.twice is declared twice.",
        "the permission bad.thing.edit is granted to the unknown role emperor.",
        "the job work must begin",
        "the menu entry Things names the unknown permission bad.thing.read.",
        "the document kind good.thing names the unknown permission bad.thing.read.",
        "there is no signal no_such_signal.",
        "the setting SIZE must begin with BAD_.",
        "bad.models cannot be imported: ModuleNotFoundError",
        "core.views:nothing cannot be imported: ImportError",
        "no.such.module:piece cannot be imported: ModuleNotFoundError",
    ]
    for sentence in expected:
        assert any(sentence in problem for problem in problems), (sentence, problems)
    assert len(problems) == len(expected) - 1  # the first of them stands in three others
    assert all(problem.startswith("Module bad: ") for problem in problems)
    with pytest.raises(ModuleError) as caught:
        loader.build_registry([bad])
    assert list(caught.value.problems) == problems


def test_two_modules_may_not_declare_the_same() -> None:
    one = declare("one", permissions=(Permission("one.x.read", "Read"),))
    two = declare("two", permissions=(Permission("one.x.read", "Read"),))
    problems = check_declarations([one, two])
    assert "Module two: the permission one.x.read is already declared by one." in problems


def test_the_declarations_of_core_are_sound() -> None:
    assert check_declarations([CORE]) == []


@pytest.fixture
def entry_points(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[importlib.metadata.EntryPoint]:
    """What is installed, for a test to say."""
    points: list[importlib.metadata.EntryPoint] = []
    monkeypatch.setattr(
        importlib.metadata, "entry_points", lambda group: [p for p in points if p.group == group]
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "declared_by_others.py").write_text(
        "from core.contract import Module\n"
        "def _m(name): return Module(name=name, version='1', title='T', package='core')\n"
        "first, second, core = _m('first'), _m('second'), _m('core')\n"
        "nothing = object()\n"
    )
    (tmp_path / "broken_by_others.py").write_text("raise OSError('no disk')\n")
    return points


def point(name: str, value: str) -> importlib.metadata.EntryPoint:
    return importlib.metadata.EntryPoint(name, value, loader.ENTRY_POINT_GROUP)


def test_installed_modules_are_found_by_their_entry_points(
    entry_points: list[importlib.metadata.EntryPoint],
) -> None:
    entry_points += [
        point("second", "declared_by_others:second"),
        point("first", "declared_by_others:first"),
    ]
    assert sorted(loader.discover()) == ["first", "second"]


def test_everything_wrong_with_what_is_installed_is_said_at_once(
    entry_points: list[importlib.metadata.EntryPoint],
) -> None:
    entry_points += [
        point("broken", "broken_by_others:module"),
        point("missing", "declared_by_others:missing"),
        point("nothing", "declared_by_others:nothing"),
        point("other", "declared_by_others:first"),
        point("core", "declared_by_others:core"),
        point("first", "declared_by_others:first"),
        point("first", "declared_by_others:first"),
    ]
    with pytest.raises(ModuleError) as caught:
        loader.discover()
    problems = caught.value.problems
    for sentence in (
        "Module broken: broken_by_others:module cannot be imported: OSError('no disk').",
        "Module nothing: declared_by_others:nothing is no core.contract.Module.",
        "Module other: its declaration is named first.",
        "Module core: the name is taken twice.",
        "Module first: the name is taken twice.",
    ):
        assert sentence in problems
    assert any(problem.startswith("Module missing: ") for problem in problems)
    assert len(problems) == 6


def test_an_endpoint_that_nobody_has_is_said_at_start(
    tmp_path: Path, entry_points: list[importlib.metadata.EntryPoint], monkeypatch: pytest.MonkeyPatch
) -> None:
    module = declare(
        "lost",
        menu=(
            MenuItem("One", "lost.one", None, "Lost"),
            MenuItem("Two", "lost.two", None, "Lost"),
        ),
        translations=False,
    )
    monkeypatch.setattr(loader, "discover", lambda: {"lost": module})
    with pytest.raises(ModuleError) as caught:
        create_app(test_settings(tmp_path))
    assert caught.value.problems == (
        "There is no endpoint lost.one, which the menu entry One names.",
        "There is no endpoint lost.two, which the menu entry Two names.",
    )


def test_settings_of_a_module_have_defaults_that_the_environment_overrides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    defaults = {"KNOB_LOW": "1", "KNOB_HIGH": "9"}
    module = declare("knob", config_defaults=defaults, translations=False)
    monkeypatch.setattr(loader, "discover", lambda: {"knob": module})
    app = create_app(test_settings(tmp_path, module_settings={"KNOB_HIGH": "5"}))
    assert (app.config["KNOB_LOW"], app.config["KNOB_HIGH"]) == ("1", "5")


def test_every_wrong_setting_of_a_module_is_listed_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = declare(
        "knob",
        config_defaults={"KNOB_COUNT": 1, "KNOB_RATE": 1.5, "KNOB_WORD": "x", "KNOB_LEFT": 7},
        translations=False,
    )
    monkeypatch.setattr(loader, "discover", lambda: {"knob": module})
    given = {"KNOB_COUNT": "1.5", "KNOB_RATE": "nan", "KNOB_WORD": "y", "KNOB_LEFT": " "}
    with pytest.raises(ConfigError) as caught:
        create_app(test_settings(tmp_path, module_settings=given))
    assert caught.value.problems == (
        "ENVOI_KNOB_COUNT must be a whole number, not “1.5”.",
        "ENVOI_KNOB_RATE must be greater than 0, not “nan”.",
    )
    app = create_app(
        test_settings(tmp_path, module_settings={**given, "KNOB_COUNT": "3", "KNOB_RATE": "0.5"})
    )
    assert [app.config[key] for key in module.config_defaults] == [3, 0.5, "y", 7]


def test_core_may_be_named_among_the_enabled_modules() -> None:
    installed = {"a": declare("a")}
    assert names(loader.select(installed, ("core", "a"))) == ["a"]
    assert loader.select(installed, ("core",)) == []


def test_what_a_module_finds_wrong_in_its_settings_is_said_at_start(tmp_path: Path) -> None:
    given = {"OUTBOX_RETRY_MINUTES": "a,b", "PLAYGROUND_SMTP_PORT": "many"}
    with pytest.raises(ConfigError) as caught:
        create_app(test_settings(tmp_path, module_settings=given))
    port, retries = sorted(caught.value.problems, key=lambda sentence: "RETRY" in sentence)
    assert retries.startswith(
        "ENVOI_OUTBOX_RETRY_MINUTES must be numbers of minutes with commas between them"
    )
    assert retries.endswith("not “a,b”; ENVOI_OUTBOX_GIVE_UP_DAYS some days.")
    assert port == "ENVOI_PLAYGROUND_SMTP_PORT must be a whole number, not “many”."


@pytest.mark.parametrize("minutes", ["0", "-1, 5", "1,,5", "1e400", "nan", "50000", "1;5"])
def test_retries_that_make_no_sense_are_refused(tmp_path: Path, minutes: str) -> None:
    with pytest.raises(ConfigError):
        create_app(test_settings(tmp_path, module_settings={"OUTBOX_RETRY_MINUTES": minutes}))


def test_a_setting_that_nobody_has_is_told_with_what_was_meant(tmp_path: Path) -> None:
    settings = read_settings(
        {
            "ENVOI_DATA_DIR": str(tmp_path),
            "ENVOI_OUTBOX_RETRY_MINUTE": "1",
            "ENVOI_BASE_ULR": "http://example.com",
            "ENVOI_LIGHT": "on",
            "ENVOI_OUTBOX_KEEP_DAYS": "3",
        }
    )
    assert loader.unknown_settings(settings) == [
        "There is no setting ENVOI_BASE_ULR: it changes nothing. Is ENVOI_BASE_URL meant?",
        "There is no setting ENVOI_LIGHT: it changes nothing.",
        "There is no setting ENVOI_OUTBOX_RETRY_MINUTE: it changes nothing. Is ENVOI_OUTBOX_RETRY_MINUTES meant?",
    ]


def test_receivers_are_reached_only_in_applications_that_have_their_module(tmp_path: Path) -> None:
    everything = create_app(test_settings(tmp_path / "everything"), testing=True)
    sales_alone = create_app(test_settings(tmp_path / "sales", modules=("sales",)), testing=True)

    def reached(app: Flask) -> set[str]:
        with app.app_context():
            return {receiver.__module__ for receiver in document_issued.receivers_for(app)}

    with document_issued.connected_to(print):
        assert {"modules.distribution.dispatches", "builtins"} <= reached(everything)
        assert reached(sales_alone) == {"builtins"}
