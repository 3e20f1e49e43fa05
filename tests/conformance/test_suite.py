"""The conformance suite itself: it notices what it is there to notice, and says so in a sentence."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from flask import Blueprint, Flask, render_template
from flask.testing import FlaskClient
from sqlalchemy import text

from core.auth.permissions import public, requires, signed_in
from core.contract import JobSpec, MenuItem, Module, Permission, Receiver, Scope, SlotFill
from core.db import transaction
from core.registry import resolve
from core.testing import catalogues, template_rules
from core.testing.conformance import (
    ModuleConformance,
    administrator,  # noqa: F401 (a fixture of the suite)
    declaration,
    demonstration,  # noqa: F401 (a fixture of the suite)
    leaks,  # noqa: F401 (a fixture of the suite)
    pages,
    templates,
    tour,  # noqa: F401 (a fixture of the suite)
)
from core.testing.conformance.given_names import watch_names

SUITE = ModuleConformance()
BAD = Module(name="bad", version="1", title="Bad", package="core", migrations=False)


def complaint(rule: Callable[..., None], *arguments: object) -> str:
    """Return what a rule says about what breaks it."""
    with pytest.raises(pytest.fail.Exception) as caught:
        rule(*arguments)
    return str(caught.value)


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("<p>{{ name }}</p>", []),
        ('<script src="{{ url }}"></script>', []),
        ('<a href="{{ url }}"{% if on %} class="on"{% endif %}>one</a>', []),
        ('{# <p style="x"> #}<p>{{ "<script>" }}</p>', []),
        ("<script>alert(1)</script>", ["an inline <script>"]),
        ("<style>p { }</style>", ["a <style> element"]),
        ('<p {% if a %}style="color: {{ color }}"{% endif %}>', ["style= on <p>"]),
        ("<button ONCLICK='go()'>", ["onclick= on <button>"]),
        ('<a href=" JavaScript:go()">', ["javascript: in href= of <a>"]),
    ],
)
def test_inline_code_is_noticed(source: str, found: list[str]) -> None:
    assert template_rules.inline_code(source) == found


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ('<form method="get"><input name="q"></form><form></form>', 0),
        ('<form method="post"><input name="csrf_token" value="{{ csrf_token() }}"></form>', 0),
        ("<form class=x method=POST>{{ form.hidden_tag() }}</form>", 0),
        ('<form method="post"><input></form>', 1),
        ('<form\n method="{{ method }}"><input></form>', 1),
        ('<form method="post">{# csrf_token #}</form><form method=post></form>', 2),
        ('<form method="post">{{ csrf_token() }}</form><form method="post"></form>', 1),
    ],
)
def test_a_form_without_a_token_is_noticed(source: str, count: int) -> None:
    assert template_rules.forms_without_token(source) == count


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("<p>{{ _('Weight') }}: {{ weight }} – 2 ×</p>", []),
        ("<title>{{ title }} – Envoi</title>", []),
        ("<p>{% trans %}Weight{% endtrans %}</p>{# a remark #}", []),
        ("<style>p { color: red }</style><script src='x'>let a</script>", []),
        ("<tr{% if on %} class=\"on\"{% endif %}><h{{ level }} class='x'></tr>", []),
        ("{% for a in ['{{ b }}', 'words'] %}{{ a }}{% endfor %}", []),
        ("{% raw %}<p>Weight</p>{% endraw %}", ["Weight"]),
        ("<p>Weight: {{ weight }} kg</p>", ["Weight:"]),
        ("<p>{% if heavy %}Very heavy{% endif %}</p>", ["Very heavy"]),
        ('<input placeholder="Weight" value="Weight" title="{{ _(\'x\') }}">', ["Weight"]),
    ],
)
def test_text_that_is_not_marked_is_noticed(source: str, found: list[str]) -> None:
    assert template_rules.unmarked_text(source, {"Envoi", "kg"}) == found


def test_text_that_is_not_marked_is_told_with_its_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bad" / "pdf").mkdir(parents=True)
    (tmp_path / "bad" / "pdf" / "note.html").write_text("<p>Weight: {{ weight }} kg</p>")
    monkeypatch.setattr(templates, "template_folders", lambda _module: [tmp_path])
    monkeypatch.setattr(ModuleConformance, "same_everywhere", frozenset({"kg"}))
    assert complaint(SUITE.test_text_is_marked_for_translation, BAD) == (
        "The template bad/pdf/note.html says “Weight:”, which nobody can translate: write {{ _('…') }}, or name the "
        "word in `same_everywhere` where it is a name or a unit."
    )


def test_grants_that_cannot_be_are_noticed() -> None:
    permissions = (
        Permission("bad.a.b", "A", granted={"emperor": Scope.OWN}),
        Permission("bad.c.d", "C", scopes=(Scope.ALL, Scope.OWN)),
    )
    said = complaint(SUITE.test_permissions_are_granted_to_known_roles, replace(BAD, permissions=permissions))
    assert said.splitlines() == [
        "The permission bad.a.b is granted to the unknown role emperor.",
        "The permission bad.a.b is granted to emperor with the reach “own”, which it cannot have.",
        "The permission bad.c.d must list its scopes once, narrowest first.",
    ]


def test_functions_that_cannot_be_called_are_noticed() -> None:
    here = __name__
    bad = replace(
        BAD,
        install=f"{here}:takes_nothing",
        jobs=(
            JobSpec("bad.periodic", f"{here}:takes_one", every=60),
            JobSpec("bad.keyword", f"{here}:takes_keyword"),
            JobSpec("bad.value", f"{here}:BAD", timeout=0),
        ),
        receivers=(Receiver("mail_server_ready", f"{here}:takes_one"),),
    )
    assert complaint(SUITE.test_functions_take_what_they_are_given, bad).splitlines() == [
        f"{here}:takes_nothing must take the application.",
        f"The job bad.periodic is periodic, so {here}:takes_one must work without arguments.",
        "The job bad.keyword has a keyword argument; the queue carries positions only.",
        f"The job bad.value names {here}:BAD, which cannot be called.",
        f"{here}:takes_one must take a sender, and server_id by name.",
    ]


def takes_nothing() -> None: ...


def takes_one(_one: object) -> None: ...


def takes_keyword(*, needed: object) -> None: ...


def test_a_slot_that_is_not_there_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    bad = replace(
        BAD,
        slots=(
            SlotFill("document.nowhere", f"{__name__}:takes_one"),
            SlotFill("partner.aside", f"{__name__}:takes_one"),
            SlotFill("bad.own", f"{__name__}:takes_one"),
        ),
    )
    monkeypatch.setattr(declaration, "with_what_it_needs", lambda module: [module])
    first, second = complaint(SUITE.test_slots_exist, bad).splitlines()
    assert first.startswith("There is no slot document.nowhere; core has document.actions, ")
    assert second == f"{__name__}:takes_one must take partner."


@pytest.fixture
def bad_pages(app: Flask) -> Module:
    """A module whose pages break every rule, mounted."""
    blueprint = Blueprint("bad", __name__)

    def page(rule: str, name: str, view: Callable[..., str], *methods: str) -> None:
        blueprint.add_url_rule(rule, name, view, methods=methods or ("GET",))

    def write() -> str:
        with transaction() as session:
            session.execute(text("UPDATE core_role SET name = name"))
        return "done"

    page("/elsewhere", "elsewhere", signed_in(lambda: "x"))
    page("/bad/open", "open", lambda: "x")
    page("/bad/unknown", "unknown", requires("bad.thing.read")(lambda: "x"))
    page("/bad/delete", "thing_delete", signed_in(lambda: "x"), "GET", "POST")
    page("/bad/put", "put", signed_in(lambda: "x"), "PUT")
    page("/bad/<int:n>", "one", signed_in(lambda n: f"{n}"))
    page("/bad/writes", "writes", signed_in(write))
    page("/bad/breaks", "breaks", signed_in(lambda: str(1 / 0)))
    page("/bad/public", "public", public(lambda: "x"))
    app.register_blueprint(blueprint)
    globals()["bad_blueprint"] = blueprint
    menu = (
        MenuItem("One", "bad.one", None, "Bad"),
        MenuItem("Unknown", "bad.unknown", "core.developer", "Bad"),
    )
    resolve.cache_clear()
    return replace(BAD, blueprint=f"{__name__}:bad_blueprint", menu=menu)


def test_pages_that_break_the_rules_are_noticed(
    app: Flask, bad_pages: Module, make_user: Callable[..., object], sign_in: Callable[..., FlaskClient]
) -> None:
    said = complaint(SUITE.test_pages_belong_to_the_module, bad_pages, app)
    assert said == "The address /elsewhere of bad.elsewhere must begin with /bad/."
    said = complaint(SUITE.test_every_page_declares_who_may_open_it, bad_pages, app)
    assert sorted(said.splitlines()) == [
        "The page bad.open does not declare a permission.",
        "The page bad.unknown declares the unknown permission bad.thing.read.",
    ]
    said = complaint(SUITE.test_menu_entries_lead_somewhere, bad_pages, app)
    assert said.splitlines() == [
        "The menu entry One leads to bad.one, which needs arguments.",
        "The menu entry Unknown is shown for core.developer, but its page needs bad.thing.read.",
    ]
    said = complaint(SUITE.test_only_post_changes_something, bad_pages, app)
    assert sorted(said.splitlines()) == [
        "The page bad.put takes PUT; use POST.",
        "The page bad.thing_delete is named by the verb “delete”, so it must take POST only.",
    ]
    client = sign_in(make_user("administrator"))
    said = complaint(SUITE.test_pages_answer_and_reading_changes_nothing, bad_pages, app, client)
    assert sorted(said.splitlines()) == [
        "Asking for /bad/writes changes the database: UPDATE core_role SET name = name.",
        "The page bad.breaks fails: ZeroDivisionError: division by zero",
        "The page bad.open answers an administrator with 403 at /bad/open.",
        "The page bad.unknown answers an administrator with 403 at /bad/unknown.",
    ]


def test_a_name_that_nobody_gives_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "page.html").write_text(
        "{# Context: `given`; `maybe`, or absent. #}{{ given }}{% if maybe %}x{% endif %}"
        "{% if gone is defined %}x{% endif %}{{ given.nothing }}{% if companies|length > 1 %}x{% endif %}"
    )
    monkeypatch.setattr(pages, "template_folders", lambda _module: [tmp_path])
    app = Flask("bad", template_folder=str(tmp_path))
    watch_names(app)
    with app.test_request_context():
        assert render_template("page.html", given="1") == "1"
    said = complaint(SUITE.test_pages_show_what_they_are_given, BAD, app, None)
    assert said.startswith("The template page.html reads “companies”, which nobody gives.")
    assert len(said.splitlines()) == 1


def test_a_catalogue_that_was_not_compiled_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = catalogues.part_of_package("bad", tmp_path)
    monkeypatch.setattr(templates, "translated_part", lambda _module: part)
    source = part.catalogue("fr")
    source.parent.mkdir(parents=True)
    head = 'msgid ""\nmsgstr "Content-Type: text/plain; charset=utf-8\\nPlural-Forms: nplurals=2; plural=(n > 1);\\n"\n'
    plural = 'msgid "day"\nmsgid_plural "days"\nmsgstr[0] "jour"\nmsgstr[1] "jours"\n\n'
    doubtful = '#, fuzzy\nmsgid "Who"\nmsgstr "Qui"\n\n'
    told_apart = 'msgctxt "paper"\nmsgid "Number"\nmsgstr "Numéroté"\n\n'
    source.write_text(f'{head}\n{plural}{doubtful}{told_apart}msgid "Number"\nmsgstr "Nombre"\n')
    said = complaint(SUITE.test_catalogues_are_compiled, BAD)
    assert said == (
        "bad (fr): messages.mo is missing beside messages.po, so people read the former words: run "
        f"`python -m core.testing.catalogues compile {tmp_path}`."
    )
    catalogues.compile_all([part])
    SUITE.test_catalogues_are_compiled(BAD)
    source.write_text(source.read_text().replace("Nombre", "Numéro"))
    assert "messages.mo says otherwise than messages.po" in complaint(SUITE.test_catalogues_are_compiled, BAD)


def test_two_catalogues_that_say_one_string_differently_are_noticed(tmp_path: Path) -> None:
    parts = []
    for name, word in (("till", "Rendu"), ("composer", "Modifier")):
        parts.append(catalogues.part_of_package(name, tmp_path / name))
        source = parts[-1].catalogue("fr")
        source.parent.mkdir(parents=True)
        head = 'msgid ""\nmsgstr "Content-Type: text/plain; charset=utf-8\\n"\n'
        source.write_text(
            f'{head}\nmsgid "Change"\nmsgstr "{word}"\n\nmsgctxt "x"\nmsgid "Who"\nmsgstr "{word}"\n'
        )
    first, second = catalogues.conflicts(parts, "fr")
    assert first.startswith("“Change” is translated in several ways (till: Rendu; composer: Modifier)")
    assert "“Who”" in second


@pytest.mark.parametrize("said", ["Objet : {}", "Objet\u00a0: « {}\u00a0»", "Un e-mail", "Deux E-mails"])
def test_french_that_breaks_a_line_before_its_colon_or_in_a_word_is_noticed(
    tmp_path: Path, said: str
) -> None:
    part = catalogues.part_of_package("bad", tmp_path)
    (tmp_path / "views.py").write_text('_("Subject")\n')
    source = part.catalogue("fr")
    source.parent.mkdir(parents=True)
    head = 'msgid ""\nmsgstr "Content-Type: text/plain; charset=utf-8\\n"\n'
    source.write_text(f'{head}\nmsgid "Subject"\nmsgstr "{said}"\n')
    assert [words.rpartition(": ")[2] for words in catalogues.problems(part, "fr")] == ["'Subject'"]
    source.write_text(f'{head}\nmsgid "Subject"\nmsgstr "Objet de l’e\u2011mail\u00a0: «\u00a0{{}}\u00a0»"\n')
    assert not list(catalogues.problems(part, "fr"))
