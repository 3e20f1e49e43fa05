"""What Envoi is installed with is listed, and the list is that of the lock files."""

from __future__ import annotations

import importlib.util
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_the_list_of_third_party_software_is_that_of_the_lock_files() -> None:
    spec = importlib.util.spec_from_file_location("notices", ROOT / "tools" / "notices.py")
    assert spec is not None
    assert spec.loader is not None
    notices = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(notices)
    listed = (ROOT / "THIRD-PARTY.md").read_text()
    needed = [*notices.python_packages(), *notices.front_end()]
    assert needed
    missing = [name for name, version, _license in needed if f"| {name} | {version} |" not in listed]
    assert not missing, "make notices"
    assert listed.count("\n| ") - 2 == len(needed), "make notices"
