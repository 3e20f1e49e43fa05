"""Names that would leave the archive, hide in it, write over what is there, or be too long for it."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
from flask import Flask

from core.auth.models import User
from core.documents.models import Document
from core.errors import UserError
from core.partners.models import Partner
from core.partners.service import save_partner
from modules.distribution import archive
from modules.distribution import dispatches as verbs
from modules.distribution.models import Way
from tests.distribution.conftest import *  # noqa: F403 (fixtures)
from tests.distribution.conftest import dispatches


@pytest.mark.parametrize(
    "folder",
    [
        "../..",
        "a/../../b",
        "/etc",
        "\\\\server\\share",
        "..\\..",
        "C:\\x",
        "a\0b",
        "a\nb",
        "{password}",
        " .. ",
    ],
)
def test_a_folder_that_leads_elsewhere_is_refused(app: Flask, folder: str) -> None:
    with pytest.raises(UserError) as refused:
        archive.check_pattern(folder, "archive_folder", folder=True)
    assert refused.value.field == "archive_folder"


@pytest.mark.parametrize("name", ["../x", "a/b", "a\\b", "{number", "a\0", "{nobody}"])
def test_a_name_that_is_a_path_is_refused_or_harmless(app: Flask, name: str) -> None:
    if name == "{number":
        assert archive.check_pattern(name, "archive_name", folder=False) == name
        return
    with pytest.raises(UserError):
        archive.check_pattern(name, "archive_name", folder=False)


@pytest.mark.parametrize(
    "name",
    [
        "../../evil",
        "/etc/passwd",
        "..",
        ".hidden",
        "a\\..\\b",
        "x" * 160,
        "é" * 160,
        "a\u202eb",
        "CON",
        "…",
        "-rf",
    ],
)
def test_a_customer_called_anything_stays_in_the_archive(
    app: Flask, archive_dir: Path, quotation: Document, customer: Partner, name: str
) -> None:
    save_partner(customer, {"name": name})
    folder, stem = archive.path_of(quotation, "{customer}/{customer}", "{customer}" * 5)
    path = archive.store(folder, stem, b"%PDF-", lambda _path, _sha256: None)
    assert len(Path(path).parts) == 3
    assert all(len(part.encode()) <= 255 and not part.startswith(".") for part in Path(path).parts)
    assert (archive_dir / path).resolve().is_relative_to(archive_dir.resolve())
    assert list(archive_dir.parent.rglob("*.pdf")) == [archive_dir / path]


def test_nothing_is_written_over(app: Flask, archive_dir: Path) -> None:
    (archive_dir / "INV.pdf").write_bytes(b"theirs")
    (archive_dir / "INV (2).pdf").symlink_to("nowhere")
    assert archive.store(Path(), "INV", b"ours", lambda _path, _sha256: None) == "INV (3).pdf"
    assert archive.store(Path(), "INV", b"ours", lambda _path, _sha256: None) == "INV (4).pdf"
    assert (archive_dir / "INV.pdf").read_bytes() == b"theirs"
    assert sorted(one.name for one in archive_dir.iterdir()) == [
        "INV (2).pdf",
        "INV (3).pdf",
        "INV (4).pdf",
        "INV.pdf",
    ]


def test_a_name_taken_at_the_last_moment_is_not_written_over(app: Flask, archive_dir: Path) -> None:
    def take(path: str, _sha256: str) -> None:
        if path == "INV.pdf":
            (archive_dir / path).write_bytes(b"theirs")

    assert archive.store(Path(), "INV", b"ours", take) == "INV (2).pdf"
    assert (archive_dir / "INV.pdf").read_bytes() == b"theirs"


def test_a_link_that_leads_out_is_not_followed(app: Flask, archive_dir: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (archive_dir / "2026").symlink_to(outside)
    with pytest.raises(archive.ArchiveError, match="leads out"):
        archive.store(Path("2026"), "INV", b"ours", lambda _path, _sha256: None)
    assert not list(outside.iterdir())


def test_a_full_disk_leaves_no_part_of_a_file_and_is_told(
    app: Flask,
    archive_dir: Path,
    quotation: Document,
    seller: User,
) -> None:
    verbs.want([quotation], Way.ARCHIVE, seller)
    with pytest.MonkeyPatch.context() as patch:

        def full(_descriptor: int) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        patch.setattr(archive.os, "fsync", full)
        verbs.go()
    (row,) = dispatches()
    assert (row.state, row.detail) == ("held", "The disk of the archive is full.")
    assert not list(archive_dir.rglob("*.*"))
