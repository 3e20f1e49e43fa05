"""What Envoi is installed with is listed, and the list is that of the lock files."""

from __future__ import annotations

import importlib
import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def notices() -> Any:
    spec = importlib.util.spec_from_file_location("notices", ROOT / "tools" / "notices.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_list_of_third_party_software_is_that_of_the_lock_files(notices: Any) -> None:
    listed = (ROOT / "THIRD-PARTY.md").read_text()
    needed = [*notices.python_packages(), *notices.front_end()]
    assert needed
    missing = [name for name, version, _license in needed if f"| {name} | {version} |" not in listed]
    assert not missing, "make notices"
    assert listed.count("\n| ") - 2 == len(needed), "make notices"


def test_programs_read_the_same_list(notices: Any) -> None:
    # Imported here: it compiles grammars for seconds, which every process that collects the tests would do.
    validation = importlib.import_module("cyclonedx.validation.json")
    schema = importlib.import_module("cyclonedx.schema")
    written = (ROOT / "sbom.cdx.json").read_text()
    assert validation.JsonStrictValidator(schema.SchemaVersion.V1_6).validate_str(written) is None
    places = {one["purl"] for one in json.loads(written)["components"]}
    assert places == {one["purl"] for one in json.loads(notices.bill())["components"]}, "make notices"
    assert any(place.startswith("pkg:npm/") for place in places)
