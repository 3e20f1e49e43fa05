"""`python -m core` is `envoi`."""

from __future__ import annotations

import sys
from importlib import import_module


def main() -> None:
    """Run the command line; what needs no application does not wait for it to load."""
    light = sys.argv[1:2] == ["inbound"] and "--explain" in sys.argv
    import_module("core.inbound" if light else "core.cli").main()


if __name__ == "__main__":
    main()
