"""Keep the catalogues of core and of every module in step with their source.

`compile` makes the .mo files, `update` merges new strings into the .po files and drops those that are gone,
`check` fails when a string has no finished translation. What they do is in `core.testing.catalogues`, which
modules by others use as well.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # set-up compiles the catalogues before the project itself is installed

from core.testing.catalogues import COMMANDS, Part, part_of_package  # noqa: E402


def parts() -> Iterator[Part]:
    """Core, then every module, in order of name."""
    # The shell's templates stand outside the package, but core is who shows them.
    yield part_of_package("core", ROOT / "core", ROOT / "templates")
    for folder in sorted((ROOT / "modules").iterdir()):
        if (folder / "__init__.py").exists():
            yield part_of_package(folder.name, folder)


def main() -> int:
    """Run one of the three commands."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=sorted(COMMANDS))
    return COMMANDS[parser.parse_args().command](parts())


if __name__ == "__main__":
    sys.exit(main())
