"""Scripts, styles and pictures: the shell's under `/static/`, each module's under `/static/<module>/`.

All of them are served alike, so that a module that travels as a wheel is cached and guarded as the shell is.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from flask import Flask, Response, send_from_directory

FOLDER = "static"
"""The folder of a module's package, and of the shell, that browsers may read."""


def endpoint_of(module: str) -> str:
    """Return the endpoint that serves the static files of a module."""
    return f"{module}.{FOLDER}"


def is_static(endpoint: str | None) -> bool:
    """Return True for the endpoints that serve static files, which are open to everybody and may be cached."""
    return endpoint is not None and (endpoint == FOLDER or endpoint.endswith(f".{FOLDER}"))


def serve(app: Flask, module: str, folder: Path) -> None:
    """Let browsers read a module's folder, with the age and the headers that the shell's files have."""

    def send(filename: str) -> Response:
        return send_from_directory(folder, filename, max_age=app.get_send_file_max_age(filename))

    app.add_url_rule(f"/{FOLDER}/{module}/<path:filename>", endpoint_of(module), send)


def missing(folder: Path, names: Sequence[str]) -> list[str]:
    """Return those of the names that are no files in the folder; a name cannot lead out of it."""
    root = folder.resolve()
    return [
        name
        for name in names
        if not (found := (folder / name).resolve()).is_file() or not found.is_relative_to(root)
    ]
