"""What docs/writing-a-module.md shows is the example module's own code, so it works; and what it names is there."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

from flask import Flask

from core.scaffold.make import TEMPLATE
from core.testing.conformance.house import installed_modules

HOUSE = Path(__file__).parent.parent.parent
PAGE = (HOUSE / "docs" / "writing-a-module.md").read_text(encoding="utf-8")
TOY = HOUSE / "tests" / "toy_module"
BLOCKS = re.findall(r"^```(python|toml)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_every_block_of_code_stands_in_the_example_module() -> None:
    files = [path for path in TOY.rglob("*") if path.suffix in {".py", ".toml"}]
    files.append(HOUSE / "tests" / "core" / "test_form_page.py")
    files.append(HOUSE / "modules" / "distribution" / "followed.py")
    files += (HOUSE / "tests" / "mail_config" / "sendmail").glob("*.py")
    # The marks of our own linters say nothing to a reader.
    sources = [re.sub(r"  # (noqa|type:).*", "", path.read_text(encoding="utf-8")) for path in files]
    strange = [
        block
        for language, block in BLOCKS
        if not any(_holds(source, block, whole=language == "python") for source in sources)
    ]
    assert strange == []


def _holds(source: str, block: str, *, whole: bool) -> bool:
    """True when a block stands in a file: as it is, or, of a configuration, each of its lines."""
    if whole:
        return block.strip() in source
    lines = set(source.splitlines())
    return all(line in lines for line in block.splitlines())


def test_model_view_behavior_and_declaration_are_shown_whole() -> None:
    shown = {block.strip() for _language, block in BLOCKS}
    for name in ("models.py", "views.py", "behavior.py"):
        assert (TOY / "src" / "envoi_toy" / name).read_text(encoding="utf-8").strip() in shown, name


def test_it_begins_with_the_shortest_way() -> None:
    first = PAGE.index("\n## ")
    assert PAGE[first:].startswith("\n## A mailable kind of document of your own in half an hour\n")
    assert "envoi module new delivery_note" in PAGE
    for name in ("next_number", "get_readable", "touch", "lock", "PartnerField", "ProductField", "UserField"):
        assert re.search(rf"`[\w.]*\b{name}\b", PAGE), name


DOCS = [path.read_text(encoding="utf-8") for path in (HOUSE / "docs").glob("*.md")]
SCAFFOLD = [path.read_text(encoding="utf-8") for path in TEMPLATE.rglob("*.tmpl")]
QUOTED = re.findall(r"`([^`\n]+)`", PAGE)


def test_every_name_of_our_python_resolves() -> None:
    """What a reader would import: `core.…` and `modules.…` in every page, and in the scaffold."""
    names = {
        name.rstrip(".")
        for text in [*DOCS, *SCAFFOLD]
        for quoted in re.findall(r"`([^`\n]+)`", text)
        for name in re.findall(r"(?<![\w./'\"-])(?:core|modules)\.[a-z_][\w.]*", quoted)
    }
    assert "core.documents.following.follower_panel" in names
    assert sorted(name for name in names if not _resolves(name)) == []


def _resolves(name: str) -> bool:
    """True for a Python module, what stands in one, or a name that a module declares: an endpoint, a permission."""
    *path, last = name.split(".")
    found: object = import_module(path[0])
    for depth, part in enumerate([*path[1:], last], start=2):
        if not hasattr(found, part):
            try:
                import_module(".".join(name.split(".")[:depth]))
            except ModuleNotFoundError:
                return name in DECLARED
        found = getattr(found, part)
    return True


DECLARED = {
    name
    for module in installed_modules().values()
    for name in [
        *(permission.name for permission in module.permissions),
        *(kind.name for kind in module.document_kinds),
        *(kind.endpoint for kind in module.document_kinds),
    ]
}


def test_every_template_and_file_that_is_named_is_there() -> None:
    named = {
        name for text in [*QUOTED, *SCAFFOLD] for name in re.findall(r"[\"'`]?(core/[\w/]+\.html)", text)
    }
    assert named >= {"core/followers/_panel.html", "core/form.html"}
    assert sorted(name for name in named if not (HOUSE / "templates" / name).is_file()) == []
    files = (
        {name for name in QUOTED if re.fullmatch(r"(core|modules|tests|docs)/[\w/.-]+", name)} - named - MADE
    )
    assert sorted(name for name in files if not (HOUSE / name).exists()) == []


# What a module by others has in its own folder.
MADE = {"tests/conftest.py", "tests/test_conformance.py"}


def test_every_filter_and_macro_is_listed(app: Flask) -> None:
    macros = set(
        re.findall(r"{% macro (\w+)", (HOUSE / "templates" / "macros.html").read_text(encoding="utf-8"))
    )
    assert sorted(macros - {"facet_line"} - set(re.findall(r"`ui\.(\w+)", PAGE))) == []
    ours = {
        name for name, function in app.jinja_env.filters.items() if function.__module__ == "core.web.formats"
    }
    table = PAGE[PAGE.index("| filter |") : PAGE.index("**Macros**")]
    assert sorted(ours - set(re.findall(r"`(\w+)", table))) == []


def test_every_macro_that_is_named_is_there() -> None:
    there = set(
        re.findall(r"{%-? macro (\w+)", (HOUSE / "templates" / "macros.html").read_text(encoding="utf-8"))
    )
    named = {name for text in [PAGE, *SCAFFOLD] for name in re.findall(r"\bui\.(\w+)\(", text)}
    assert named >= {"path", "search_box", "pager"}
    assert named - there == set()


def test_every_page_that_the_scaffold_leads_to_is_there(app: Flask) -> None:
    led_to = {name for text in SCAFFOLD for name in re.findall(r"url_for\(['\"](core\.\w+)", text)}
    assert led_to
    assert led_to - set(app.view_functions) == set()
