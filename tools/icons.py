"""Take from the font of icons those that pages show: a tenth of it, which is what a slow line waits for.

`icons.txt` names them; `python tools/icons.py` writes it anew from the source. An icon that it does not name comes from
the whole font: `static/envoi.js` loads that where a page shows one.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NAMES = Path(__file__).with_name("icons.txt")
LOCK = ROOT / "requirements" / "icons.lock"
PIP_TIMEOUT = 900
STYLE = "bootstrap-icons.min.css"
USED = "used.css"
"""What pages load in place of the style of all icons, where it could be made."""
EVERYDAY = frozenset(
    """
    alarm-fill arrow-clockwise arrow-counterclockwise arrow-down arrow-repeat arrow-up arrow-up-circle at
    bag-check bell bell-fill bookmark box-seam bug building calendar-event caret-down-fill caret-up-fill
    check-circle check-circle-fill check-lg check2-square chevron-down chevron-left chevron-right circle clock
    clock-history collection dash download envelope envelope-check envelope-paper envelope-plus
    exclamation-octagon-fill exclamation-triangle-fill file-earmark file-earmark-pdf file-earmark-spreadsheet
    filter funnel hourglass hourglass-split inbox info-circle info-circle-fill keyboard list list-ul lock
    lock-fill mailbox paperclip pause-circle pencil person-circle person-lines-fill plus plus-lg printer
    question-circle question-circle-fill search send send-fill signpost-split slash-circle sort-down sort-up stack
    stop-circle three-dots trash union unlock upload x x-circle x-circle-fill x-lg x-octagon-fill
    """.split()  # noqa: SIM905 (a list would be a page long)
)
"""Of the shell and of lists, in a font of their own."""
_RULE = re.compile(r'\.bi-([a-z0-9-]+)::before\{content:"\\([0-9a-f]+)"\}')
_QUOTED = re.compile(r"""["']([a-z0-9]+(?:-[a-z0-9]+)*)["']""")
_CLASS = re.compile(r"\bbi-([a-z0-9-]+)")
_COMPOSED = re.compile(r"\bbi-([a-z0-9-]*)[$]?\{+[^}]*\}+([a-z0-9-]*)")


def named_in_source(known: Iterable[str]) -> list[str]:
    """Return the icons that the source names: by their class, or by a word in quotes that is one's name."""
    found: set[str] = set()
    for folder in ("templates", "modules", "core", "static"):
        for path in (ROOT / folder).rglob("*"):
            if path.suffix in {".html", ".py", ".js"} and "vendor" not in path.parts:
                text = path.read_text()
                words = _QUOTED.findall(text)
                found.update(_CLASS.findall(text), words)
                found.update(
                    f"{before}{word}{after}" for before, after in _COMPOSED.findall(text) for word in words
                )
    return sorted(found & set(known))


def used() -> list[str]:
    """Return the icons that pages show."""
    return NAMES.read_text().split()


def take_used(folder: Path) -> None:
    """Write beside the style of all icons one of those that are used, and their fonts; pages do without."""
    try:
        _take_used(folder)
    except subprocess.SubprocessError as error:
        print(f"Pages load the whole font of icons: it could not be made smaller ({error}).", file=sys.stderr)


def _take_used(folder: Path) -> None:
    style = (folder / STYLE).read_text()
    codes = {name: int(code, 16) for name, code in _RULE.findall(style)}
    names = [name for name in used() if name in codes]
    # Of several the last that has a character is asked: the others only by pages that show one of them.
    parts = {
        "others": [name for name in names if name not in EVERYDAY],
        "everyday": [name for name in names if name in EVERYDAY],
    }
    whole = folder / "fonts" / "bootstrap-icons.woff2"
    faces = []
    with tempfile.TemporaryDirectory(prefix="icons-") as library:
        install = [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-input",
            "--no-deps",
            "--require-hashes",
        ]
        command = [*install, "--target", library, "-r", str(LOCK)]
        subprocess.run(command, check=True, timeout=PIP_TIMEOUT, stdin=subprocess.DEVNULL)
        for part, several in parts.items():
            codepoints = ",".join(f"U+{codes[name]:X}" for name in several)
            target = folder / "fonts" / f"{part}.woff2"
            subset = [sys.executable, "-m", "fontTools.subset", str(whole), f"--unicodes={codepoints}"]
            options = [
                "--flavor=woff2",
                "--layout-features=",
                "--name-IDs=",
                "--no-hinting",
                "--no-glyph-names",
            ]
            subprocess.run(
                [*subset, *options, f"--output-file={target}"],
                check=True,
                timeout=PIP_TIMEOUT,
                stdin=subprocess.DEVNULL,
                env={"PYTHONPATH": library},
            )
            some = f";unicode-range:{codepoints}" if part == "everyday" else ""
            faces.append(
                "@font-face{font-display:block;font-family:bootstrap-icons;"
                f'src:url("fonts/{part}.woff2") format("woff2"){some}}}'
            )
    begin, end = style.index(".bi::before"), style.index("}", style.index(".bi::before")) + 1
    rules = "".join(f'.bi-{name}::before{{content:"\\{codes[name]:x}"}}' for name in names)
    (folder / USED).write_text(
        f"{style[: style.index('@font-face')]}{''.join(faces)}{style[begin:end]}{rules}\n"
    )


def main(arguments: Sequence[str]) -> None:
    """Write the names anew, from the style of all icons."""
    style = Path(arguments[0]) if arguments else ROOT / "static" / "vendor" / "bootstrap-icons" / STYLE
    names = named_in_source(name for name, _code in _RULE.findall(style.read_text()))
    NAMES.write_text("\n".join(names) + "\n")
    print(f"{NAMES.name}: {len(names)} icons.")


if __name__ == "__main__":
    main(sys.argv[1:])
