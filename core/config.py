"""Settings: read from `ENVOI_*` variables, checked at start, all complaints at once."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import stat
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from core.contract import Scope
from core.errors import ConfigError
from core.file_place import FilePlace, FilePlaceError, PlaceKind, read_place
from core.key_ring import SHORTEST, KeyFileError, read_keys
from core.logs import Level, LogFormat

SUPPORTED_LANGUAGES = ("en", "fr")  # those with a complete catalogue; a check of the tests holds it
MINIMUM_SECRET_LENGTH = 32  # characters; less could be guessed from one signed cookie
SHORTEST_TOKEN = 16  # characters of what lets a program read figures
# A path of a Unix socket has room for 107 characters on Linux and 103 on macOS.
LONGEST_SOCKET_PATH = 100
EVERYWHERE = frozenset({"0.0.0.0", "::"})  # noqa: S104 (compared with, not listened on)
PRIVATE_UMASK = 0o077
"""Files that any process of Envoi writes are for this user alone: they hold customers' data and keys."""
# Not the folder that TMPDIR names: every process of the installation must come to the same place.
_SHORT_FOLDER = Path("/tmp")  # noqa: S108 (what is made there is private, and refused if it is not ours)


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything an installation can set.

    Attributes:
        data_dir: The folder that holds the database (by default), files and keys.
        database_url: SQLAlchemy URL; SQLite or PostgreSQL (psycopg 3).
        redis_url: The server that keeps the queue.
        redis_embedded: True when nobody named a Redis server, so that `envoi up` starts its own.
        secret_key: Signs cookies and links; the first key that encrypts the secrets of mail servers is derived from it.
        modules: The names of the enabled modules, or None for all that are installed.
        host: Address on which the web server listens.
        port: TCP port on which the web server listens.
        base_url: The address under which people reach Envoi; https makes cookies secure.
        workers: How many worker processes `envoi up` starts.
        web_threads: How many requests the web server answers at once.
        queue: Name of the RQ queue.
        max_upload_bytes: The largest request body that is accepted, in bytes.
        default_language: Language of people and customers who have not chosen one.
        customer_reach: Whose a new customer is, unless somebody chooses otherwise: everybody's, a company's, one's own.
        trusted_hosts: Names that a request may call this server by, or None for any.
        trusted_proxies: How many proxies in front are trusted to tell the client's address.
        module_settings: Upper-case settings of modules, such as `PLAYGROUND_SMTP_PORT`.
        names: The variables that are read here; a name that nearly is one of them was probably meant to be.
        encryption_keys: Keys that encrypt secrets, the newest first; () for those of the file.
        encryption_keys_file: The file of these keys, or None for the one in the data folder.
        metrics_token: What a program says that reads figures; "" lets nobody read them.
        log_format: How lines of logs are written.
        log_level: Which of them.
        files: Where files are kept.
        files_region: Of the object storage.
        files_key: Names us there, or "".
        files_secret: Proves it.
    """

    data_dir: Path
    files: FilePlace
    database_url: str
    redis_url: str
    redis_embedded: bool
    secret_key: str = field(repr=False)
    modules: tuple[str, ...] | None
    host: str
    port: int
    base_url: str
    workers: int
    web_threads: int
    queue: str
    max_upload_bytes: int
    default_language: str
    customer_reach: Scope
    trusted_hosts: tuple[str, ...] | None
    trusted_proxies: int
    module_settings: Mapping[str, str]
    names: frozenset[str] = frozenset()
    encryption_keys: tuple[str, ...] = field(default=(), repr=False)
    encryption_keys_file: Path | None = None
    metrics_token: str = field(default="", repr=False)
    log_format: LogFormat = LogFormat.TEXT
    log_level: Level = Level.INFO
    files_region: str = ""
    files_key: str = field(default="", repr=False)
    files_secret: str = field(default="", repr=False)

    @property
    def keys_file(self) -> Path:
        """The file that `envoi key rotate` writes."""
        return self.encryption_keys_file or self.data_dir / "encryption.keys"


class _Reader:
    """Reads variables one by one and collects what is wrong with them."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = environ
        self.problems: list[str] = []
        self.read: set[str] = set()

    def value(self, name: str, default: str) -> str:
        self.read.add(name)
        return self.environ.get(name, "").strip() or default

    def whole_number(self, name: str, default: int, low: int, high: int) -> int:
        text = self.value(name, str(default))
        if text.isascii() and text.isdigit() and low <= int(text) <= high:
            return int(text)
        self.problems.append(f"{name} must be a whole number from {low} to {high}, not “{text}”.")
        return default

    def checked(self, name: str, default: str, check: Callable[[str], str | None]) -> str:
        text = self.value(name, default)
        complaint = check(text)
        if complaint:
            self.problems.append(f"{name} {complaint}, not “{_without_password(text)}”.")
            return default
        return text


def _without_password(text: str) -> str:
    """Hide the passwords of a URL, since complaints end up in logs."""
    scheme, mark, rest = text.partition("://") if "://" in text else ("", "", text)
    account, at, place = rest.rpartition("@")
    place, query, _secret = place.partition("?")  # a password may stand among the options as well
    shown = f"{account.partition(':')[0]}:…@" if at else ""
    return f"{scheme}{mark}{shown}{place}{'?…' if query else ''}"


def _host_of(text: str) -> str | None:
    """Return the host of a URL, None when there is none or the URL makes no sense."""
    try:
        parts = urlsplit(text)
        _ = parts.port  # raises for a port that is no number
    except ValueError:
        return None
    return parts.hostname


def _check_database_url(text: str) -> str | None:
    """Return what is wrong with a database URL, as the end of a sentence; None when nothing is."""
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        return "must be a database URL such as sqlite:///data/envoi.db or postgresql+psycopg://…"
    if url.get_backend_name() not in {"sqlite", "postgresql"}:
        return "must name SQLite or PostgreSQL"
    if url.get_backend_name() == "postgresql" and url.drivername != "postgresql+psycopg":
        return "must use the driver psycopg (postgresql+psycopg://…)"
    return None


def _check_redis_url(text: str) -> str | None:
    scheme, _, path = text.partition("://")
    if not (scheme in {"redis", "rediss"} and _host_of(text)) and not (scheme == "unix" and path):
        return "must be a Redis URL such as redis://127.0.0.1:6379/0"
    return None


def _check_base_url(text: str) -> str | None:
    if text.partition("://")[0] not in {"http", "https"} or not _host_of(text):
        return "must be an address such as https://envoi.example.com"
    parts = urlsplit(text)
    if parts.path.strip("/") or parts.query or parts.fragment:
        # Its pages, cookies and scripts are at the root; below a path half of them would work.
        return "must end with the name of the host: Envoi needs a host name of its own and runs below no path"
    return None


def _one_of(choices: Iterable[str]) -> Callable[[str], str | None]:
    return lambda text: None if text in list(choices) else f"must be one of {', '.join(choices)}"


def _check_secret(text: str) -> str | None:
    # The value itself is never repeated in a complaint, see `read_settings`.
    return None if len(text) >= MINIMUM_SECRET_LENGTH else "too short"


def redis_socket(data_dir: Path) -> Path:
    """Return where the server that `envoi up` starts listens, for this user alone.

    In the data folder, or, where that path is too long for a socket, in a private folder with a short one. Never on a
    port: whoever reaches the queue tells the worker what to do, and every local user reaches a port.
    """
    usual = data_dir / "redis" / "redis.sock"
    if len(os.fsencode(usual)) <= LONGEST_SOCKET_PATH:
        return usual
    # By the folder, so that two installations on one machine never share a queue.
    name = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:16]
    return _SHORT_FOLDER / f"envoi-{os.getuid()}-{name}" / "redis.sock"


def make_private(folder: Path) -> str | None:
    """Make a folder that only this user enters; return what is wrong with one that is there already, or None."""
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    if stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o077:
        return None
    return f"{folder} is not a private folder of this user: remove it, or shorten ENVOI_DATA_DIR."


def close_to_others(folder: Path) -> None:
    """Take from others what they may do in a folder of this user; what lies in it is then out of their reach."""
    found = folder.stat()
    if found.st_uid == os.geteuid() and found.st_mode & 0o007:
        folder.chmod(stat.S_IMODE(found.st_mode) & ~0o007)


def open_to_others(settings: Settings) -> list[str]:
    """Return a sentence for each place of this installation that every user of the machine can read."""
    keys = [(path, 0o077) for path in (settings.data_dir / "secret.key", settings.keys_file)]
    return [
        f"{path} can be read by other users of this machine: take that from them (chmod {taken} {path})."
        for (path, rights), taken in zip(
            [(settings.data_dir, 0o007), *keys], ("o-rwx", "go-rwx", "go-rwx"), strict=True
        )
        if path.exists() and path.stat().st_mode & rights
    ]


def embedded_redis_url(data_dir: Path) -> str:
    """Return the URL of the server that `envoi up` starts."""
    return f"unix://{quote(str(redis_socket(data_dir)))}?db=0"


def read_or_make_secret(path: Path) -> str:
    """Return the secret kept in the file, and make it on the first start with mode 0600.

    Raises:
        OSError: The file cannot be read or written.
    """
    if not path.exists():
        draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}.tmp")
        try:
            descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.write(secrets.token_urlsafe(48) + "\n")
                file.flush()
                os.fsync(file.fileno())
            # A link appears whole or not at all, and never over another: of two processes that start at once,
            # one makes the key and both use it.
            with contextlib.suppress(FileExistsError):
                path.hardlink_to(draft)
        finally:
            draft.unlink(missing_ok=True)
    return path.read_text(encoding="ascii", errors="replace").strip()


def _encryption_keys(reader: _Reader, data_dir: Path) -> tuple[tuple[str, ...], Path | None]:
    """Return the keys that encrypt, and the file of them; no key is ever repeated in a complaint."""
    keys = tuple(reader.value("ENVOI_ENCRYPTION_KEYS", "").replace(",", " ").split())
    named = reader.value("ENVOI_ENCRYPTION_KEYS_FILE", "")
    path = Path(named).expanduser().absolute() if named else None
    if any(len(key) < SHORTEST for key in keys):
        reader.problems.append(
            f"Each key of ENVOI_ENCRYPTION_KEYS must have at least {SHORTEST} characters; commas stand between them."
        )
    if len(set(keys)) < len(keys):
        reader.problems.append("ENVOI_ENCRYPTION_KEYS names a key twice.")
    if keys and path is not None:
        reader.problems.append(
            "Set either ENVOI_ENCRYPTION_KEYS or ENVOI_ENCRYPTION_KEYS_FILE: keys come from one place."
        )
    if path is None and not data_dir.is_dir():
        return keys, path  # which is complained of elsewhere
    try:
        in_file = read_keys(path or data_dir / "encryption.keys")
    except KeyFileError as error:
        reader.problems.append(str(error))
    else:
        if keys and path is None and not {key.text for key in in_file} <= set(keys):
            reader.problems.append(
                f"ENVOI_ENCRYPTION_KEYS lacks keys that stand in {data_dir / 'encryption.keys'}: add them behind the "
                "others, or remove the file if nothing is encrypted under them any more."
            )
    return keys, path


def _metrics_token(reader: _Reader) -> str:
    token = reader.value("ENVOI_METRICS_TOKEN", "")
    if token and (
        len(token) < SHORTEST_TOKEN or not token.isascii() or not token.isprintable() or " " in token
    ):
        reader.problems.append(
            f"ENVOI_METRICS_TOKEN must have at least {SHORTEST_TOKEN} letters, digits and signs, without blanks."
        )
    return token


def _files(reader: _Reader) -> dict[str, Any]:
    """Return where files are kept, and what is wrong with it; no key is ever repeated in a complaint."""
    text = reader.value("ENVOI_FILES", "")
    try:
        place = read_place(text)
    except FilePlaceError as error:
        reader.problems.append(f"ENVOI_FILES {error}, not “{_without_password(text)}”.")
        place = FilePlace(PlaceKind.FOLDER)
    key, secret = reader.value("ENVOI_FILES_KEY", ""), reader.value("ENVOI_FILES_SECRET", "")
    if bool(key) != bool(secret):
        reader.problems.append("Set both ENVOI_FILES_KEY and ENVOI_FILES_SECRET, or none of them.")
    region = reader.value("ENVOI_FILES_REGION", "us-east-1")
    return {"files": place, "files_region": region, "files_key": key, "files_secret": secret}


def _problems_of_folders(data_dir: Path, *, embedded: bool) -> list[str]:
    """Make the data folder, and that of a socket with a short path, and return what is wrong with them."""
    try:
        data_dir.mkdir(mode=0o750, parents=True, exist_ok=True)
    except OSError as error:
        return [f"ENVOI_DATA_DIR {data_dir} cannot be made: {error.strerror}."]
    if not os.access(data_dir, os.W_OK | os.X_OK):
        return [f"ENVOI_DATA_DIR {data_dir} is not writable."]
    close_to_others(data_dir)
    short = redis_socket(data_dir).parent
    wrong = make_private(short) if embedded and short.parent == _SHORT_FOLDER else None
    return [wrong] if wrong else []


def _trusted_hosts(reader: _Reader, host: str) -> tuple[str, ...] | None:
    """Return the names in the header Host that are ours; links in pages and redirects are built from it.

    Nobody knows the names of a server that listens everywhere and was not told its address.
    """
    base = reader.environ.get("ENVOI_BASE_URL", "").strip()
    named = [name.strip() for name in reader.value("ENVOI_TRUSTED_HOSTS", "").split(",") if name.strip()]
    if not base and not named and host in EVERYWHERE:
        return None
    return tuple(
        dict.fromkeys([*named, *filter(None, [_host_of(base)]), host, "localhost", "127.0.0.1", "[::1]"])
    )


ModulesCheck = Callable[[tuple[str, ...] | None, Mapping[str, str]], list[str]]
"""Takes the names of the enabled modules, or None for all, and what is set for them; returns what is wrong."""


def read_settings(
    environ: Mapping[str, str] | None = None, check_modules: ModulesCheck | None = None
) -> Settings:
    """Read and check the settings.

    Args:
        environ: Variables to read instead of those of the process.
        check_modules: Looks at the settings of modules, so that all that is wrong is told together.

    Raises:
        ConfigError: With every missing or wrong setting in one list.
    """
    reader = _Reader(os.environ if environ is None else environ)
    data_dir = Path(reader.value("ENVOI_DATA_DIR", "data")).expanduser().absolute()
    embedded = not reader.environ.get("ENVOI_REDIS_URL", "").strip()
    reader.problems += _problems_of_folders(data_dir, embedded=embedded)
    secret = reader.value("ENVOI_SECRET_KEY", "")
    if secret and _check_secret(secret):
        reader.problems.append(f"ENVOI_SECRET_KEY must have at least {MINIMUM_SECRET_LENGTH} characters.")
    host = reader.value("ENVOI_HOST", "127.0.0.1")
    port = reader.whole_number("ENVOI_PORT", 8000, 1, 65535)
    place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    names = [name.strip() for name in reader.value("ENVOI_MODULES", "").split(",") if name.strip()]
    encryption_keys, keys_file = _encryption_keys(reader, data_dir)
    fields: dict[str, Any] = {
        "data_dir": data_dir,
        "database_url": reader.checked(
            "ENVOI_DATABASE_URL", f"sqlite:///{data_dir / 'envoi.db'}", _check_database_url
        ),
        "redis_url": reader.checked("ENVOI_REDIS_URL", embedded_redis_url(data_dir), _check_redis_url),
        "redis_embedded": embedded,
        "modules": tuple(names) if names else None,
        "host": host,
        "port": port,
        "base_url": reader.checked("ENVOI_BASE_URL", f"http://{place}", _check_base_url).rstrip("/"),
        "workers": reader.whole_number("ENVOI_WORKERS", 1, 0, 64),
        "web_threads": reader.whole_number("ENVOI_WEB_THREADS", 16, 1, 256),
        "queue": reader.value("ENVOI_QUEUE", "envoi"),
        "max_upload_bytes": reader.whole_number("ENVOI_MAX_UPLOAD_MB", 40, 1, 1024) * 1024 * 1024,
        "default_language": reader.checked("ENVOI_DEFAULT_LANGUAGE", "en", _one_of(SUPPORTED_LANGUAGES)),
        "customer_reach": Scope(reader.checked("ENVOI_CUSTOMER_REACH", Scope.ALL, _one_of(Scope))),
        "trusted_hosts": _trusted_hosts(reader, host),
        "trusted_proxies": reader.whole_number("ENVOI_TRUSTED_PROXIES", 0, 0, 8),
        "metrics_token": _metrics_token(reader),
        "log_format": LogFormat(reader.checked("ENVOI_LOG_FORMAT", LogFormat.TEXT, _one_of(LogFormat))),
        "log_level": Level(reader.checked("ENVOI_LOG_LEVEL", Level.INFO, _one_of(Level))),
        "encryption_keys": encryption_keys,
        "encryption_keys_file": keys_file,
        **_files(reader),
    }
    module_settings = {
        name.removeprefix("ENVOI_"): value
        for name, value in reader.environ.items()
        if name.startswith("ENVOI_") and name not in reader.read
    }
    if not secret and data_dir.is_dir():
        try:
            secret = read_or_make_secret(data_dir / "secret.key")
        except OSError as error:
            reader.problems.append(f"The key in {data_dir / 'secret.key'} is unusable: {error.strerror}.")
        else:
            if _check_secret(secret) or not secret.isascii():
                reader.problems.append(
                    f"The key in {data_dir / 'secret.key'} is damaged: restore it from a backup."
                )
    if check_modules is not None:
        reader.problems += check_modules(fields["modules"], module_settings)
    if reader.problems:
        raise ConfigError(reader.problems)
    read = frozenset(reader.read)
    return Settings(secret_key=secret, module_settings=module_settings, names=read, **fields)
