"""What a wheel holds beside `core` and `modules`: the shell, with its front end; or why it cannot be built.

Called by hatchling (`[tool.hatch.build.hooks.custom]`). A wheel without the front end or without French would install
well, and show it to users only.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

TEST_TOOLS = frozenset({"axe"})
"""Folders of static/vendor that only tests read."""


def problems(root: Path) -> list[str]:
    """Return what a build of this folder lacks, one sentence each."""
    found = []
    if not (root / "static" / "vendor" / ".complete").is_file():
        found.append("The front end (static/vendor) is not there.")
    for written in sorted(root.glob("[cm]o*/**/translations/*/LC_MESSAGES/*.po")):
        compiled = written.with_suffix(".mo")
        if not compiled.is_file():
            found.append(f"{written.relative_to(root)} is not compiled.")
        elif compiled.stat().st_mtime < written.stat().st_mtime:
            found.append(f"{written.relative_to(root)} was changed since it was compiled.")
    return found


class WheelHook(BuildHookInterface):  # type: ignore[type-arg]
    """Refuses to build half of it, and says which files of the shell go in."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Look before a wheel is built; an editable installation reads everything in its place."""
        if version == "editable" or self.target_name != "wheel":
            return
        root = Path(self.root)
        if found := problems(root):
            raise SystemExit("\n".join([*found, "`make wheel` makes what is missing, and the wheel."]))
        shell = root / "static"
        for file in shell.rglob("*"):
            inside = file.relative_to(shell)
            if file.is_file() and not TEST_TOOLS & set(inside.parts) and not file.name.startswith("."):
                build_data["force_include"][str(file)] = f"core/shell/static/{inside}"
