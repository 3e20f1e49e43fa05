"""`python -m core` is `envoi`."""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

OURS = "envoi"
"""What `core` and `modules` say that they belong to; others may have packages of these names (docs/adr/0016)."""


def strangers() -> list[str]:
    """Return a sentence for each of our two packages in whose place another project's is found."""
    here = Path(__file__).parent.parent
    found = []
    for name in ("core", "modules"):
        try:
            package = import_module(name)
        except ImportError:
            found.append(f"The package “{name}” of Envoi is not there: install Envoi anew.")
            continue
        places = [Path(folder).parent for folder in getattr(package, "__path__", [])]
        if getattr(package, "DISTRIBUTION", "") != OURS or places != [here]:
            where = ", ".join(map(str, places)) or "?"
            found.append(
                f"The package “{name}” in {where} is not that of Envoi ({here}): another project has one of this name. "
                "Give Envoi an environment of its own (python -m venv), and no PYTHONPATH."
            )
    return found


def main() -> None:
    """Run the command line; what needs no application does not wait for it to load."""
    if found := strangers():
        sys.exit("\n".join(f"envoi: {sentence}" for sentence in found))
    if sys.argv[1:] == ["--version"]:
        try:
            print(OURS, version(OURS))  # noqa: T201 (what was asked for)
        except PackageNotFoundError:
            print(OURS, import_module("core").__version__)  # noqa: T201
        return
    import_module("core.memory").load_undisturbed()
    light = sys.argv[1:2] == ["inbound"] and "--explain" in sys.argv
    import_module("core.inbound" if light else "core.cli").main()


if __name__ == "__main__":
    main()
