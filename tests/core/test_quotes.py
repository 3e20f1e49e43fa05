"""What somebody has written, and what their program repeats below it."""

from __future__ import annotations

import time

import pytest

from core.mail.quotes import split_quoted

OUTLOOK = """________________________________
De : Maison <s@maison.example.com>
Envoyé : lundi 30 novembre 2026
À : Ann
Objet : Devis

Le devis"""


@pytest.mark.parametrize(
    ("text", "written", "quoted"),
    [
        ("Yes, please.", "Yes, please.", ""),
        ("", "", ""),
        (
            "Yes.\n\nOn Mon, 30 Nov 2026 at 08:00, Maison <sales@maison.example.com> wrote:\n> The offer.\n",
            "Yes.",
            "On Mon, 30 Nov 2026 at 08:00, Maison <sales@maison.example.com> wrote:\n> The offer.",
        ),
        (
            "Oui.\r\n\r\nLe lun. 30 nov. 2026 à 08:00, Maison\r\n<s@maison.example.com> a écrit :\r\n\r\n> Le devis.",
            "Oui.",
            "Le lun. 30 nov. 2026 à 08:00, Maison\n<s@maison.example.com> a écrit :\n\n> Le devis.",
        ),
        (
            "Ja.\n\nAm 30.11.26 um 08:00 schrieb Maison:\n> Angebot",
            "Ja.",
            "Am 30.11.26 um 08:00 schrieb Maison:\n> Angebot",
        ),
        (
            "Agreed\n\n-----Original Message-----\nFrom: Maison\nSent: Monday\n\nThe offer",
            "Agreed",
            "-----Original Message-----\nFrom: Maison\nSent: Monday\n\nThe offer",
        ),
        (f"D’accord\n\n{OUTLOOK}", "D’accord", OUTLOOK),
        ("Fine\n> one\n> two\n\n", "Fine", "> one\n> two"),
        # Below what it quotes.
        (
            "On Monday, Maison wrote:\n> The offer.\n\nYes, please.",
            "Yes, please.",
            "On Monday, Maison wrote:\n> The offer.",
        ),
        # Between the lines: neither would make sense alone.
        ("> Blue?\nYes\n> Big?\nNo", "> Blue?\nYes\n> Big?\nNo", ""),
        # Nothing but a quotation, or what only looks like one.
        ("> The offer.", "> The offer.", ""),
        (
            "From: the north. We come on Monday.\nSee you.",
            "From: the north. We come on Monday.\nSee you.",
            "",
        ),
        ("On the way I wrote: hello\nBye", "On the way I wrote: hello\nBye", ""),
    ],
)
def test_what_is_written_and_what_is_repeated(text: str, written: str, quoted: str) -> None:
    assert split_quoted(text) == (written, quoted)


@pytest.mark.parametrize(
    "line", ["On " + "a " * 200, "> " * 200, "From: x", "-" * 200, "On x\n" * 3, "Le " + "é" * 500 + ":"]
)
def test_a_text_that_is_made_for_it_costs_no_more_than_its_length(line: str) -> None:
    began = time.perf_counter()
    split_quoted(f"{line}\n" * (200_000 // len(line)))
    assert time.perf_counter() - began < 2
