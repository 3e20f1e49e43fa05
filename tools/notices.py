"""Write THIRD-PARTY.md and sbom.cdx.json: what Envoi is installed with, and by which licenses, from the lock files.

The one is for people, the other (CycloneDX 1.6, ECMA-424) for programs that look for known weaknesses.
Names and versions come from requirements/runtime.lock and package-lock.json, licenses from what is installed: the
environment must be the one of the lock (`make setup`).
"""

from __future__ import annotations

import json
import re
import sys
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "THIRD-PARTY.md"
BILL = ROOT / "sbom.cdx.json"
_PINNED = re.compile(r"^([A-Za-z0-9._-]+)==([^ ;\\]+)")

HEAD = """# Third-party software

Written by `make notices` from the lock files; do not edit. Nothing of it is part of this repository: it is installed
beside Envoi (Python), or copied into its wheel with its license files (front end).

"""


def _license(name: str) -> str:
    """Return the license of an installed package, by its own words."""
    try:
        said = metadata(name).json
    except PackageNotFoundError:
        return "(not installed on this system)"
    if expression := said.get("license_expression"):
        return str(expression)
    classified = [
        one.rpartition(" :: ")[2] for one in said.get("classifier", []) if one.startswith("License ::")
    ]
    words = str(said.get("license", "")).strip().partition("\n")[0]
    # A whole license in this field begins with its title.
    return ", ".join(classified) or words[:80] or "(unsaid)"


def python_packages() -> list[tuple[str, str, str]]:
    """Return name, version and license of what Envoi needs to run."""
    lines = (ROOT / "requirements" / "runtime.lock").read_text(encoding="utf-8").splitlines()
    found = [match.groups() for line in lines if (match := _PINNED.match(line))]
    return [(name, version, _license(name)) for name, version in sorted(found)]


def front_end() -> list[tuple[str, str, str]]:
    """Return the same of what pages load."""
    lock = json.loads((ROOT / "package-lock.json").read_text(encoding="utf-8"))
    return sorted(
        (path.rpartition("node_modules/")[2], entry["version"], str(entry.get("license", "(unsaid)")))
        for path, entry in lock["packages"].items()
        if path and not entry.get("dev")
    )


def _table(rows: list[tuple[str, str, str]]) -> str:
    lines = ["| package | version | license |", "|---|---|---|"]
    return "\n".join([*lines, *(f"| {name} | {version} | {words} |" for name, version, words in rows)]) + "\n"


def text() -> str:
    """Return the whole file."""
    return f"{HEAD}## Python\n\n{_table(python_packages())}\n## Front end\n\n{_table(front_end())}"


def _component(kind: str, package: tuple[str, str, str]) -> dict[str, Any]:
    name, version, words = package
    # Of a name with a scope the sign is written by its number (purl).
    place = f"pkg:{kind}/{name.lower() if kind == 'pypi' else name.replace('@', '%40')}@{version}"
    known = {} if words.startswith("(") else {"licenses": [{"license": {"name": words}}]}
    return {"type": "library", "bom-ref": place, "name": name, "version": version, **known, "purl": place}


def bill() -> str:
    """Return the same for programs. It has no date and no number of its own: it changes when the lock files do."""
    components = [_component("pypi", one) for one in python_packages()]
    components += [_component("npm", one) for one in front_end()]
    document = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {"type": "application", "bom-ref": "envoi", "name": "envoi"}},
        "components": components,
        "dependencies": [{"ref": "envoi", "dependsOn": [one["bom-ref"] for one in components]}],
    }
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def main() -> int:
    """Write the files."""
    TARGET.write_text(text(), encoding="utf-8")
    BILL.write_text(bill(), encoding="utf-8")
    print(f"{TARGET.name} and {BILL.name} are written.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
