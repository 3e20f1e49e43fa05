from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

import pytest

from core.config import read_or_make_secret, read_settings
from core.errors import ConfigError


def complaints(**changes: str) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        read_settings(changes)
    return caught.value.problems


def test_nothing_set_is_enough(tmp_path: Path) -> None:
    settings = read_settings({"ENVOI_DATA_DIR": str(tmp_path)})
    assert settings.database_url == f"sqlite:///{tmp_path / 'envoi.db'}"
    assert settings.base_url == "http://127.0.0.1:8000"
    assert settings.modules is None
    assert settings.redis_embedded


def test_an_empty_variable_is_an_unset_one(tmp_path: Path) -> None:
    settings = read_settings({"ENVOI_DATA_DIR": str(tmp_path), "ENVOI_PORT": " ", "ENVOI_REDIS_URL": ""})
    assert settings.port == 8000
    assert settings.redis_embedded


def test_every_wrong_setting_is_listed_at_once(tmp_path: Path) -> None:
    (tmp_path / "secret.key").write_text("short")
    wrong = {
        "ENVOI_DATABASE_URL": "mysql://host/envoi",
        "ENVOI_REDIS_URL": "http://host",
        "ENVOI_PORT": "0",
        "ENVOI_BASE_URL": "envoi.example.com",
        "ENVOI_WORKERS": "many",
        "ENVOI_WEB_THREADS": "-1",
        "ENVOI_MAX_UPLOAD_MB": "1e3",
        "ENVOI_DEFAULT_LANGUAGE": "de",
        "ENVOI_TRUSTED_PROXIES": "²",
        "ENVOI_CUSTOMER_REACH": "everybody",
    }
    found = complaints(ENVOI_DATA_DIR=str(tmp_path), **wrong)
    for name in wrong:
        assert sum(name in problem for problem in found) == 1, (name, found)
    assert any("secret.key is damaged" in problem for problem in found)
    assert len(found) == len(wrong) + 1
    assert all(problem.endswith(".") for problem in found)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ENVOI_REDIS_URL", "redis://[::1"),
        ("ENVOI_REDIS_URL", "redis://host:port"),
        ("ENVOI_REDIS_URL", "redis://"),
        ("ENVOI_BASE_URL", "http://["),
        ("ENVOI_BASE_URL", "https://host:99999"),
        ("ENVOI_BASE_URL", "https://"),
        ("ENVOI_BASE_URL", "https://host/envoi"),
        ("ENVOI_DATABASE_URL", "nonsense"),
        ("ENVOI_DATABASE_URL", "postgresql://host/db"),
        ("ENVOI_DATABASE_URL", "postgresql+psycopg://host:port/db"),
        ("ENVOI_SECRET_KEY", "too short"),
    ],
)
def test_a_wrong_setting_is_a_complaint_not_a_traceback(tmp_path: Path, name: str, value: str) -> None:
    (problem,) = complaints(ENVOI_DATA_DIR=str(tmp_path), **{name: value})
    assert problem.startswith(name)


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("ENVOI_DATABASE_URL", "mysql://anna:hunter2@host/db"),
        ("ENVOI_DATABASE_URL", "mysql://anna:hun:hunter2@host/db"),
        ("ENVOI_DATABASE_URL", "mysql://anna:a@hunter2@host/db"),
        ("ENVOI_DATABASE_URL", "mysql://anna:hunter2@host/db?password=hunter2"),
        ("ENVOI_DATABASE_URL", "mysql://host/db?user=anna&password=hunter2"),
        ("ENVOI_DATABASE_URL", "anna:hunter2@host"),
        ("ENVOI_REDIS_URL", "http://:hunter2@host"),
        ("ENVOI_BASE_URL", "ftp://anna:hunter2@host"),
        ("ENVOI_SECRET_KEY", "hunter2"),
    ],
)
def test_a_complaint_repeats_no_password(tmp_path: Path, name: str, url: str) -> None:
    (problem,) = complaints(ENVOI_DATA_DIR=str(tmp_path), **{name: url})
    assert "hunter2" not in problem
    assert ":hun" not in problem


def test_a_folder_that_cannot_be_made_is_a_complaint(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (problem,) = complaints(ENVOI_DATA_DIR=str(tmp_path / "file" / "data"))
    assert "cannot be made: Not a directory" in problem


def test_the_secret_is_made_once_and_only_for_the_owner(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        first = read_settings({"ENVOI_DATA_DIR": str(tmp_path)}).secret_key
    finally:
        os.umask(old)
    key = tmp_path / "secret.key"
    assert key.stat().st_mode & 0o777 == 0o600
    assert len(first) >= 64
    assert read_settings({"ENVOI_DATA_DIR": str(tmp_path)}).secret_key == first
    assert [path.name for path in tmp_path.iterdir()] == ["secret.key"]


def test_the_secret_of_the_environment_comes_first(tmp_path: Path) -> None:
    given = "x" * 40
    assert read_settings({"ENVOI_DATA_DIR": str(tmp_path), "ENVOI_SECRET_KEY": given}).secret_key == given
    assert not (tmp_path / "secret.key").exists()


@pytest.mark.parametrize("content", [b"", b"short", b"\xff" * 64])
def test_a_damaged_secret_is_never_replaced(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "secret.key").write_bytes(content)
    (problem,) = complaints(ENVOI_DATA_DIR=str(tmp_path))
    assert "damaged: restore it from a backup" in problem
    assert (tmp_path / "secret.key").read_bytes() == content


def _read(arguments: tuple[str, int]) -> list[str]:
    folder, count = arguments
    return [read_or_make_secret(Path(folder) / f"{number}.key") for number in range(count)]


def test_processes_that_start_at_once_agree_on_the_secret(tmp_path: Path) -> None:
    # Each of many keys is made by whoever comes first; nobody may see one that is half written.
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        answers = pool.map(_read, [(str(tmp_path), 100)] * 4, chunksize=1)
    assert all(answer == answers[0] for answer in answers)
    assert all(len(key) == 64 for key in answers[0])
    assert len(list(tmp_path.iterdir())) == 100


def test_modules_are_named_once_and_without_blanks(tmp_path: Path) -> None:
    settings = read_settings({"ENVOI_DATA_DIR": str(tmp_path), "ENVOI_MODULES": " sales , outbox,, "})
    assert settings.modules == ("sales", "outbox")


def test_what_core_does_not_know_goes_to_the_modules(tmp_path: Path) -> None:
    settings = read_settings({"ENVOI_DATA_DIR": str(tmp_path), "ENVOI_TOY_SIZE": "3", "HOME": "/"})
    assert dict(settings.module_settings) == {"TOY_SIZE": "3"}
