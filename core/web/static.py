"""Scripts, styles and pictures: the shell's under `/static/`, each module's under `/static/<module>/`.

All of them are served alike, so that a module that travels as a wheel is cached and guarded as the shell is.

The addresses that pages name carry a version, `/static/~<version>/…`: a hash over all these files. Whatever they import
or show by a relative address carries it too, so a browser keeps each of them for ever and never mixes two releases.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from flask import Flask, Response, current_app, g, send_from_directory

from core.kept import kept

FOLDER = "static"
"""The folder of a module's package, and of the shell, that browsers may read."""
ICON_STYLES = ("vendor/bootstrap-icons/used.css", "vendor/bootstrap-icons/bootstrap-icons.min.css")
"""The icons that pages show, as set-up takes them from all of them (`tools/icons.py`); or all, where it could not."""
FOR_EVER_SECONDS = 365 * 24 * 3600
LOOKED_AT_SECONDS = 5.0
"""So often is looked whether somebody has changed a file."""
_SPARED = ("Expires", "Last-Modified", "Content-Disposition")
"""Lines of a head that the version and the ETag make needless: a page loads twenty files, and waits for each line."""
_VERSION = f"/{FOLDER}/~<version>"
_FOLDERS = "envoi_static"


def endpoint_of(module: str) -> str:
    """Return the endpoint that serves the static files of a module."""
    return f"{module}.{FOLDER}"


def is_static(endpoint: str | None) -> bool:
    """Return True for the endpoints that serve static files, which are open to everybody and may be cached."""
    return endpoint is not None and (endpoint == FOLDER or endpoint.endswith(f".{FOLDER}"))


def register(app: Flask) -> None:
    """Serve the shell's files, and let the addresses of all carry their version."""
    folder = Path(app.static_folder or FOLDER)
    app.extensions[_FOLDERS] = [folder]
    app.add_url_rule(f"{_VERSION}/<path:filename>", FOLDER, app.view_functions[FOLDER])
    app.url_defaults(_name_version)
    app.url_value_preprocessor(_take_version)
    app.after_request(_let_keep)
    used = next((name for name in ICON_STYLES if (folder / name).is_file()), ICON_STYLES[-1])
    app.jinja_env.globals["icon_style"] = used


def serve(app: Flask, module: str, folder: Path) -> None:
    """Let browsers read a module's folder, with the age and the headers that the shell's files have."""

    def send(filename: str) -> Response:
        return send_from_directory(folder, filename, max_age=app.get_send_file_max_age(filename))

    app.extensions[_FOLDERS].append(folder)
    for beginning in (f"/{FOLDER}", _VERSION):
        app.add_url_rule(f"{beginning}/{module}/<path:filename>", endpoint_of(module), send)


def missing(folder: Path, names: Sequence[str]) -> list[str]:
    """Return those of the names that are no files in the folder; a name cannot lead out of it."""
    root = folder.resolve()
    return [
        name
        for name in names
        if not (found := (folder / name).resolve()).is_file() or not found.is_relative_to(root)
    ]


def version() -> str:
    """Return what tells the files of this release from those of any other; the same on every host."""
    found: str = kept("static version", partial(_look, current_app.extensions[_FOLDERS]))
    return found


def _look(folders: Sequence[Path], _before: str | None) -> tuple[str, float]:
    digest = hashlib.sha256()
    for folder in folders:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            stat = path.stat()
            content = _hash_of(str(path), stat.st_size, stat.st_mtime_ns)
            digest.update(f"{path.relative_to(folder)} {content}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()[:12], LOOKED_AT_SECONDS


@lru_cache(maxsize=4096)
def _hash_of(path: str, _size: int, _changed: int) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def _name_version(endpoint: str, values: dict[str, Any]) -> None:
    if is_static(endpoint):
        values.setdefault("version", version())


def _take_version(endpoint: str | None, values: dict[str, Any] | None) -> None:
    if is_static(endpoint) and values:
        g.static_version = values.pop("version", None)


def _let_keep(response: Response) -> Response:
    """Let a browser keep what will never be different at this address; ask each time for what another host may have."""
    asked = g.get("static_version")
    if asked is None or response.status_code not in {200, 206, 304}:
        return response
    cache = response.cache_control
    for name in _SPARED:
        response.headers.pop(name, None)
    if asked == version():
        cache.max_age, cache.immutable = FOR_EVER_SECONDS, True
    else:
        cache.max_age, cache.public, cache.no_cache = None, False, True
    return response
