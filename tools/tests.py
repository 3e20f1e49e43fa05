"""Run all tests in two processes: the journeys, which share a browser and a house, and everything else beside them.

The journeys go first where both want a core: somebody waits for a page in them, and in the others mostly processes
do. Both write to a file; the second is shown once the first has ended. The last line sums up, as pytest's own would.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
JOURNEYS = "tests/journeys"
POLITE = ("nice", "-n", "10")
PARTS = (
    (*POLITE, sys.executable, "-m", "pytest", f"--ignore={JOURNEYS}"),
    (sys.executable, "-m", "pytest", JOURNEYS),
)
_CLOSING = re.compile(r"^=* ?(.*\d+ (?:passed|failed|error).*) in [\d.]+s.*$", re.MULTILINE)
_COUNT = re.compile(r"(\d+) (passed|failed|errors?|skipped|deselected|xfailed|xpassed|warnings?)")


def main() -> int:
    """Run both parts and return the worse exit code."""
    started = time.monotonic()
    counts: Counter[str] = Counter()
    worst = 0
    with tempfile.TemporaryDirectory() as folder:
        running = []
        for number, part in enumerate(PARTS):
            path = Path(folder) / f"{number}.log"
            with path.open("wb") as log:
                command = [*part, *sys.argv[1:]]
                process = subprocess.Popen(
                    command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
                )
            running.append((process, path))
        for process, path in running:
            worst = max(worst, abs(process.wait()))
            text = path.read_text(errors="replace")
            print(text, flush=True)
            closing = _CLOSING.findall(text)
            for count, what in _COUNT.findall(closing[-1] if closing else ""):
                counts[what.removesuffix("s") if what.startswith("error") else what] += int(count)
    summary = ", ".join(f"{counts[what]} {what}" for what in counts) or "no tests ran"
    print(f"=== {summary} in {time.monotonic() - started:.2f}s ===", flush=True)
    return worst


if __name__ == "__main__":
    sys.exit(main())
