"""What docs/writing-a-module.md shows is the example module's own code, so it works."""

from __future__ import annotations

import re
from pathlib import Path

HOUSE = Path(__file__).parent.parent.parent
PAGE = (HOUSE / "docs" / "writing-a-module.md").read_text(encoding="utf-8")
TOY = HOUSE / "tests" / "toy_module"
BLOCKS = re.findall(r"^```(python|toml)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_every_block_of_code_stands_in_the_example_module() -> None:
    files = [path for path in TOY.rglob("*") if path.suffix in {".py", ".toml"}]
    # The marks of our own linter say nothing to a reader.
    sources = [re.sub(r"  # noqa.*", "", path.read_text(encoding="utf-8")) for path in files]
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
