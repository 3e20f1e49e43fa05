"""Other users of the same machine: they read no file of the data folder, and reach no queue."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from core import config
from core.config import embedded_redis_url, read_settings, redis_socket
from core.errors import ConfigError
from core.files import FolderStore

LONG = (
    "a-folder-with-a-name-that-is-too-long-for-a-socket-and-goes-on-and-on/and-there-is-still-more-of-it/data"
)


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder in which private folders with short paths are made."""
    folder = Path(tempfile.mkdtemp(prefix="envoi-", dir=config._SHORT_FOLDER))
    monkeypatch.setattr(config, "_SHORT_FOLDER", folder)
    yield folder
    shutil.rmtree(folder)


def read(data_dir: Path) -> config.Settings:
    return read_settings({"ENVOI_DATA_DIR": str(data_dir)})


def test_a_long_path_leads_to_a_socket_in_a_private_folder_and_never_to_a_port(tmp_path, short):
    settings = read(tmp_path / LONG)
    assert settings.redis_url.startswith("unix://")
    path = Path(unquote(urlsplit(settings.redis_url).path))
    assert (path.parent.parent, len(os.fsencode(path)) <= config.LONGEST_SOCKET_PATH) == (short, True)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert read(tmp_path / LONG).redis_url == settings.redis_url, "every process comes to the same one"
    assert read(tmp_path / LONG / "other").redis_url != settings.redis_url


def test_a_short_path_stays_in_the_data_folder(short):
    assert redis_socket(Path("/srv/envoi")) == Path("/srv/envoi/redis/redis.sock")
    assert embedded_redis_url(Path("/srv/envoi")) == "unix:///srv/envoi/redis/redis.sock?db=0"


@pytest.mark.parametrize("trap", ["open", "link", "file"])
def test_a_folder_that_somebody_has_made_before_is_refused(tmp_path, short, trap):
    folder = redis_socket(tmp_path / LONG).parent
    if trap == "open":
        folder.mkdir()
        folder.chmod(0o777)
    elif trap == "link":
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir(mode=0o700)
        folder.symlink_to(elsewhere)
    else:
        folder.touch()
    with pytest.raises(ConfigError, match="not a private folder of this user"):
        read(tmp_path / LONG)


def test_a_folder_of_somebody_else_is_refused(tmp_path, short, monkeypatch):
    folder = redis_socket(tmp_path / LONG).parent
    folder.mkdir(mode=0o700)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    assert config.make_private(folder) is not None


def test_a_folder_that_was_there_before_is_closed_to_others(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir(mode=0o755)
    folder.chmod(0o755)
    read(folder)
    assert not folder.stat().st_mode & 0o007


def everything(folder: Path) -> Iterator[Path]:
    yield from folder.rglob("*")


def test_whatever_the_command_line_writes_is_for_its_user_alone(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir(mode=0o755)
    folder.chmod(0o755)
    environment = {**os.environ, "ENVOI_DATA_DIR": str(folder)}
    subprocess.run([sys.executable, "-m", "core", "db", "upgrade"], env=environment, check=True, timeout=120)
    open_ones = [path.name for path in everything(folder) if path.lstat().st_mode & 0o077]
    assert (open_ones, (folder / "envoi.db").exists()) == ([], True)


def test_whatever_the_store_writes_is_for_its_user_alone(tmp_path):
    before = os.umask(config.PRIVATE_UMASK)
    try:
        FolderStore(tmp_path / "files").put(b"customers")
    finally:
        os.umask(before)
    assert not [path for path in everything(tmp_path / "files") if path.stat().st_mode & 0o077]
