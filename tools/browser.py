"""Make sure of what tests need of Debian: a browser and a font, an IMAP server, one that returns mail, a proxy.

Debian builds the browser twice from one source: `chromium-headless-shell` has the engine without the frame of a
desktop, and takes a third less time; `chromium` serves where the shell is not there and cannot be installed.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

SHELL, DESKTOP = Path("/usr/bin/chromium-headless-shell"), Path("/usr/bin/chromium")
FONT = "fonts-dejavu-core"
SERVERS = {
    Path("/usr/sbin/dovecot"): "dovecot-imapd",
    Path("/usr/sbin/exim4"): "exim4-daemon-light",
    Path("/usr/sbin/nginx"): "nginx-light",
}
"""Where what tests start stands once its package is installed."""
APT_TIMEOUT = 900


def chromium() -> Path:
    """Return the browser to drive: the one that `ENVOI_BROWSER` names, or the first of the two that is there."""
    if named := os.environ.get("ENVOI_BROWSER"):
        return Path(named)
    return next((path for path in (SHELL, DESKTOP) if path.exists()), SHELL)


def missing() -> list[str]:
    """The packages that are not installed; the package system is asked only about what matters."""
    wanted = [] if chromium() != DESKTOP and chromium().exists() else [SHELL.name]
    if not any(Path("/usr/share/fonts").rglob("*.[to]tf")):
        wanted.append(FONT)
    return wanted + [package for path, package in SERVERS.items() if not path.exists()]


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
    serves = chromium().exists() and wanted == [SHELL.name]
    try:
        install(wanted)
    except SystemExit as problem:
        if not serves:
            raise
        print(f"{problem}\nThe tests drive {chromium()} instead, which takes longer.")


def install(wanted: list[str]) -> None:
    """Install packages of Debian.

    Raises:
        SystemExit: It cannot be done here, or failed.
    """
    by_hand = f"apt-get install {' '.join(wanted)}"
    if shutil.which("apt-get") is None:
        raise SystemExit(f"The tests need {' and '.join(wanted)}, and there is no apt-get to install it.")
    if os.geteuid() != 0:
        raise SystemExit(f"The tests need a browser, a font and two mail servers; as root, run: {by_hand}")
    print(f"Installing for the tests: {' '.join(wanted)}", flush=True)
    apt_get("update")
    apt_get("install", "-y", "--no-install-recommends", *wanted)
    if still := missing():
        raise SystemExit(f"Still missing after installing: {' '.join(still)}")


if __name__ == "__main__":
    main()
