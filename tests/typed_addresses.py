"""What people type and paste for one email address, and what it is: for the office and for the till."""

from __future__ import annotations

ADDRESSES: list[tuple[str, str]] = [
    ("anna@example.com", "anna@example.com"),
    (" anna@example.com ", "anna@example.com"),
    ("a\u200bnna@example.com\ufeff", "anna@example.com"),
    ("\u202aanna@example.com\u202c", "anna@example.com"),
    ("anna@example.com\u2069\ufe0f", "anna@example.com"),
    ("mailto:anna@example.com?subject=Hello", "anna@example.com"),
    ("anna@example.com.", "anna@example.com"),
    ("anna@example.com…", "anna@example.com"),
    ("'anna@example.com'", "anna@example.com"),
    ("“anna@example.com”", "anna@example.com"),
    ("[anna@example.com]", "anna@example.com"),
    ("(anna@example.com)", "anna@example.com"),
    ("anna＠example．com", "anna@example.com"),
    ("anna@example。com", "anna@example.com"),
    ("Anna <anna@example.com>", "anna@example.com"),
    ("Anna <anna@example.com>.", "anna@example.com"),
    ("<anna@example.com>", "anna@example.com"),
    ("<anna@example.com", "anna@example.com"),
    ("anna@example.com>", "anna@example.com"),
    ("anna@example.com (Anna)", "anna@example.com"),
    ("jose\u0301@example.com", "josé@example.com"),
]
"""A text, and the address in it."""
NO_ADDRESSES = [
    "anna", "anna@", "@example.com", "anna@@example.com", "anna b@example.com", "anna@exam ple.com",
    "an..na@example.com",
    ".anna@example.com", "anna.@example.com", "anna@example..com", "anna@localhost", "anna@-example.com",
    "anna@example.com-", "anna@example,com", "anna@example.123",
    "anna@example.com, ben@example.com", "anna@[127.0.0.1]",
]  # fmt: skip
SLIPS = [
    "a@gmial.com", "a@gmail.com", "a@gmai.com", "a@gmail.fr", "a@gmx.fr", "a@orange.ft", "a@x.con", "a@hotmial.fr",
    "a@yahooo.fr", "a@example.co", "a@me.con", "a@outlok.com", "a@fre.fr", "a@sfr.com", "a@client.example",
    "a@yahoo.de",
    "a@live.be", "a@hotmail.it", "a@Gmial.Com", "a@gmail", "@gmial.com", "gmial.com", "a@", "a@" + "x" * 70 + ".con",
]  # fmt: skip
