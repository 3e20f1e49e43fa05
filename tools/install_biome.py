"""Install Biome, which formats and looks through scripts and styles, into the environment of this checkout.

It comes from the npm registry as the front-end's files do: tools/biome names the version, its lock file the hashes.
Its program needs no Node.js to run. It is a tool for developing: what `make run` needs is without it, and nothing of
it comes to static/vendor.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from vendor import ROOT, fetch

SOURCE = ROOT / "tools" / "biome"
TARGET = Path(sys.executable).parent / "biome"
START_TIMEOUT = 60


def starts(program: Path) -> bool:
    """True when the program works on this machine: packages come for several kinds of C library."""
    try:
        done = subprocess.run([program, "--version"], capture_output=True, timeout=START_TIMEOUT, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def main() -> None:
    """Put the program beside the interpreter.

    Raises:
        SystemExit: No package has a program for this machine.
    """
    scratch = ROOT / ".setup"
    scratch.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="biome-", dir=scratch) as temporary:
        modules = fetch(Path(temporary), SOURCE)
        for program in sorted(modules.glob("@biomejs/cli-*/biome*")):
            program.chmod(0o755)
            if starts(program):
                fresh = TARGET.with_name("biome.new")
                shutil.move(program, fresh)
                fresh.replace(TARGET)
                return
    raise SystemExit("The packages of Biome hold no program for this machine.")


if __name__ == "__main__":
    main()
