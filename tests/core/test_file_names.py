"""Names of files: made of values, or given by another program."""

from __future__ import annotations

import pytest

from core.mail.draft import safe_file_name


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("Café/Bar Lumen.pdf", "Café-Bar Lumen.pdf"),
        ("A\\B.pdf", "A-B.pdf"),
        ("INV/2026/00001.pdf", "INV-2026-00001.pdf"),
        ("../../etc/passwd", "-..-etc-passwd"),
        ("a:b*c?.pdf", "a_b_c_.pdf"),
        ("\x92", "\x92"),
        (" . ", "file"),
        ("/", "-"),
    ],
)
def test_a_separator_in_a_value_is_no_path(value, name):
    assert safe_file_name(value) == name


@pytest.mark.parametrize(
    ("value", "name"),
    [("C:\\fakepath\\a.pdf", "a.pdf"), ("../../x/y.pdf", "y.pdf"), ("folder/", "file"), ("a.pdf", "a.pdf")],
)
def test_of_what_another_program_names_the_last_part_is_kept(value, name):
    assert safe_file_name(value, may_be_path=True) == name


@pytest.mark.parametrize("letter", ["a", "é", "報", "👩"])
@pytest.mark.parametrize("extension", [".pdf", "", ".averylongextension"])
def test_every_name_can_be_stored_and_keeps_its_extension(letter, extension):
    name = safe_file_name(letter * 300 + extension)
    assert len(name) <= 120
    assert len(name.encode()) <= 240
    assert name.startswith(letter * 50)
    assert name.endswith(extension) or len(extension) > 10
