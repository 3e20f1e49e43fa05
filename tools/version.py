"""The version of a build: the one in core, and how many commits have led to it, so that a later build has a later one.

Read by hatchling (`[tool.hatch.version]`). An archive without git's history has the version of core alone.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def _git(*arguments: str) -> str:
    try:
        found = subprocess.run(
            ("git", "-C", str(ROOT), *arguments), capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        return ""
    return found.stdout.strip() if found.returncode == 0 else ""


def version() -> str:
    """Return `0.1.2345`: 0.1 of core, 2345 commits; with `+changed` where files differ from the last commit."""
    written = (ROOT / "core" / "__init__.py").read_text(encoding="utf-8")
    release = re.search(r'^__version__ = "(\d+\.\d+)\.\d+"$', written, re.MULTILINE)
    if release is None:
        raise SystemExit('core/__init__.py has no line __version__ = "X.Y.Z".')
    # Another project's history, in which this is only a folder, counts nothing of ours.
    ours = _git("rev-parse", "--show-toplevel") == str(ROOT)
    # A clone without its history would count from somewhere.
    whole = _git("rev-parse", "--is-shallow-repository") == "false"
    count = _git("rev-list", "--count", "HEAD") if ours and whole else ""
    changed = "+changed" if count and _git("status", "--porcelain", "--untracked-files=no") else ""
    return f"{release[1]}.{count or 0}{changed}"


__version__ = version()
