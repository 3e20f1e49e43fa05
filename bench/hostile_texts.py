"""`python -m bench.hostile_texts`: how the time for a hostile text grows when the text gets twice as long.

What people paste, import or receive goes through parsers whose worst case somebody will find. For each of them,
and for texts that once were slow or that look as if they might be: CPU time at a length, at twice and at four times
the length, in turns, the best of several. 2.0 is linear, 4.0 is the square of the length.
"""

from __future__ import annotations

import argparse
import gc
import time
from collections.abc import Callable

from core.mail.addresses import parse_addresses
from core.mail.html import clean_html, plain_text
from core.mail.outcomes import Reply, Stage
from core.mail.reader import read_message
from core.mail.replies import explain_reply
from modules.mail_config.editor.from_editor import from_editor


def _twin(html: str) -> None:
    plain_text(clean_html(html, pictures=True))


def _explain(text: str) -> None:
    explain_reply(Reply.parse(550, text), Stage.RCPT)


def _read(text: str) -> None:
    read_message(b"To: ann@example.com\r\nSubject: x\r\nContent-Type: text/html\r\n\r\n" + text.encode())


CASES: list[tuple[str, Callable[[str], object], int, list[str]]] = [
    (
        "HTML and its twin",
        _twin,
        40_000,
        ["<div>", "<ul><li>", "<p>", "x<br>", "<", "<img src='\"", "<td>x</td>"],
    ),
    ("addresses", parse_addresses, 40_000, ['"', "<", "(", '\\"@<>(', "a@example.com,"]),
    ("replies of servers", _explain, 40_000, ["not ", "<a@b> ", "550-5.1.1 x\n", '"<"']),
    (
        "template in the editor",
        from_editor,
        10_000,
        ["{{", "<p>", "<div>", "{% if a %}", "<", "<a ", "<!--", "&"],
    ),
    ("mailbox", _read, 100_000, ["cid:", "<a href=x>", "=?utf-8?q?=C3=A9?= "]),
]
"""What reads, with how many characters to begin with and the texts that are repeated."""


def cpu_seconds(work: Callable[[str], object], text: str) -> float:
    """Return the CPU time of one call, in seconds, without the collector's turns."""
    gc.collect()
    gc.disable()
    begun = time.process_time()
    work(text)
    spent = time.process_time() - begun
    gc.enable()
    return spent


def main() -> None:
    """Print a line for each text; lines that grow faster than the text are marked."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--turns", type=int, default=5)
    turns = parser.parse_args().turns
    print(f"{'':24}{'text':22}{'characters':>11}{'ms':>9}{'x2':>7}{'x4 / x2':>9}")
    for name, work, length, units in CASES:
        for unit in units:
            texts = [unit * (length * times // len(unit)) for times in (1, 2, 4)]
            turned = ([cpu_seconds(work, text) for text in texts] for _turn in range(turns))
            once, twice, four_times = (min(several) for several in zip(*turned, strict=True))
            first, second = twice / once, four_times / twice
            mark = "  faster than the text" if second > 3 else ""
            print(
                f"{name:24}{unit!a:22}{length:>11,}{once * 1000:>9.1f}{first:>7.1f}{second:>9.1f}{mark}",
                flush=True,
            )


if __name__ == "__main__":
    main()
