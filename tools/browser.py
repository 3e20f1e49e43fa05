"""Make sure of the browser that the journeys drive: Debian's Chromium, with a font to draw text."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

CHROMIUM = Path("/usr/bin/chromium")
PACKAGES = ("chromium", "fonts-dejavu-core")
APT_TIMEOUT = 900


def missing() -> list[str]:
    """The packages that are not installed; the package system is asked only about what matters."""
    wanted = [] if CHROMIUM.exists() else [PACKAGES[0]]
    if not any(Path("/usr/share/fonts").rglob("*.[to]tf")):
        wanted.append(PACKAGES[1])
    return wanted


def apt_get(*arguments: str) -> None:
    """Run apt-get without ever asking anything, for a bounded time.

    Raises:
        SystemExit: It failed or took too long.
    """
    # Another apt-get may be at work, so wait for its lock instead of failing at once.
    command = ["apt-get", "-q", "-o", "DPkg::Lock::Timeout=120", "-o", "Acquire::Retries=3", *arguments]
    try:
        subprocess.run(
            command,
            check=True,
            timeout=APT_TIMEOUT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        )
    except subprocess.TimeoutExpired:
        raise SystemExit(f"{' '.join(command)} did not end within {APT_TIMEOUT} seconds.") from None
    except subprocess.CalledProcessError as error:
        raise SystemExit(f"{' '.join(command)} failed (exit {error.returncode}).") from None


def main() -> None:
    """Install what is missing, or say what to install."""
    wanted = missing()
    if not wanted:
        return
    by_hand = f"apt-get install {' '.join(wanted)}"
    if shutil.which("apt-get") is None:
        raise SystemExit(
            f"The tests drive {CHROMIUM}, which is missing, and there is no apt-get to install it."
        )
    if os.geteuid() != 0:
        raise SystemExit(f"The tests drive {CHROMIUM} with a font; as root, run: {by_hand}")
    print(f"Installing for the tests: {' '.join(wanted)}", flush=True)
    apt_get("update")
    apt_get("install", "-y", "--no-install-recommends", *wanted)
    if still := missing():
        raise SystemExit(f"Still missing after installing: {' '.join(still)}")


if __name__ == "__main__":
    main()
