"""Files of documents in a folder of the house: what they are called, and how they appear there, whole or not at all.

The installation says below which folder (`ENVOI_DISTRIBUTION_ARCHIVE_DIR`); nothing is written anywhere else, whatever
a customer is called. What exists is never written over: a file of the same name gets a number behind it.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from flask import current_app
from flask_babel import gettext

from core.documents.models import Document
from core.documents.service import kind_title
from core.errors import EnvoiError, UserError
from core.i18n import lazy_gettext as _l
from core.mail.draft import safe_file_name
from core.partners.service import customer_of

FIELDS = ("number", "customer", "customer_number", "kind", "date", "year", "month", "company")
"""What may stand in braces in the names of folders and files."""
_FIELD = re.compile(r"\{([^{}]*)\}")
MOST_BYTES = 200
"""Of a name: file systems take 255, and a number and an extension come behind."""
MOST_NUMBERED = 1000
"""Files of one name in a folder."""
_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}


class ArchiveError(EnvoiError):
    """A file could not be archived; says why."""


class AwayError(ArchiveError):
    """The archive cannot take any file at this moment: it is away, full, or not writable."""


def root() -> Path | None:
    """Return the folder below which files are archived, or None where the installation has set none."""
    folder: str = current_app.config["DISTRIBUTION_ARCHIVE_DIR"]
    return Path(folder) if folder else None


def settings_problems(settings: Mapping[str, object]) -> list[str]:
    """Return what is wrong with the settings of the archive."""
    folder = str(settings["DISTRIBUTION_ARCHIVE_DIR"])
    if folder and (not Path(folder).is_absolute() or "\0" in folder):
        return ["ENVOI_DISTRIBUTION_ARCHIVE_DIR must be the whole path of a folder, beginning with a slash."]
    return []


def problem() -> str:
    """Return why nothing can be archived at this moment, or ""."""
    folder = root()
    if folder is None:
        return str(gettext("This installation has no archive: an administrator sets its folder."))
    if not folder.is_dir():
        return str(gettext("The folder of the archive is not there."))
    if not os.access(folder, os.W_OK | os.X_OK):
        return str(gettext("The folder of the archive cannot be written to."))
    return ""


def check_pattern(text: str, field: str, *, folder: bool) -> str:
    """Return the pattern of a folder or file name, tidied.

    Raises:
        UserError: It names a field that there is not, is a path from the root or upwards, or holds control characters.
    """
    tidy = text.strip()
    if not tidy.isprintable():
        raise UserError(_l("A name holds no control characters."), field)
    for name in _FIELD.findall(tidy):
        if name not in FIELDS:
            known = ", ".join(f"{{{one}}}" for one in FIELDS)
            raise UserError(
                _l("There is no field {%(name)s}. There are: %(known)s.", name=name, known=known), field
            )
    if not folder and re.search(r"[/\\]", tidy):
        raise UserError(_l("The name of a file has no slash; folders stand in their own field."), field)
    parts = tidy.replace("\\", "/").split("/")
    if tidy and (tidy[0] in "/\\" or ".." in [part.strip() for part in parts] or ":" in parts[0]):
        raise UserError(_l("The folder is below that of the archive: no slash first, and no “..”."), field)
    return "/".join(part.strip() for part in parts if part.strip() not in {"", "."})


def path_of(document: Document, folder: str, name: str, *, usual: str = "") -> tuple[Path, str]:
    """Return the folder below the root, and the name without its extension, of the file of a document.

    Args:
        document: The document.
        folder: The pattern of the folder.
        name: The pattern of the name, or "".
        usual: What it is called where there is no pattern, without an extension; "" for kind and number.
    """
    parts = [_part(_filled(part, document)) for part in folder.split("/") if part]
    if not name and usual:
        return Path(*parts), _part(usual)
    return Path(*parts), _part(_filled(name or "{kind}_{number}", document))


def _filled(pattern: str, document: Document) -> str:
    customer = customer_of(document.partner) if document.partner is not None else None
    values = {
        "number": document.number or str(document.id),
        "customer": customer.name if customer is not None else "",
        "customer_number": customer.number if customer is not None else "",
        "kind": str(gettext(kind_title(document.kind))),
        "date": document.date.isoformat(),
        "year": f"{document.date.year:04d}",
        "month": f"{document.date.month:02d}",
        "company": document.company.name,
    }
    # A slash in a value would make a folder of it.
    return _FIELD.sub(lambda match: re.sub(r"[/\\]", "-", values.get(match[1], "")), pattern)


def _part(text: str) -> str:
    """Return a text as the name of a folder or file: no way up, nothing hidden, not too long."""
    name = safe_file_name("".join(char for char in text if char.isprintable())).strip(". ")
    return name.encode()[:MOST_BYTES].decode(errors="ignore").strip(". ") or "_"


def is_there(path: str, sha256: str) -> bool:
    """Return True when the file that was noted before a crash has appeared in the archive."""
    folder = root()
    if folder is None or not path or not sha256:
        return False
    with suppress(OSError):
        return hashlib.sha256((folder / path).read_bytes()).hexdigest() == sha256
    return False


def remove(path: str, sha256: str) -> bool:
    """Delete a file of ours from the archive; return False where it is not there, or says something else by now."""
    base = root()
    if base is None or not is_there(path, sha256):
        return False
    file = base / path
    if not file.resolve().is_relative_to(base.resolve()):
        return False
    with suppress(OSError):
        file.unlink()
        return True
    return False


def store(folder: Path, name: str, data: bytes, note: Callable[[str, str], None]) -> str:
    """Write a file, and return its path below the root.

    Args:
        folder: Below the root.
        name: Without its extension.
        data: The PDF.
        note: Is told the path and the SHA-256 before the file appears, to be known again after a crash.

    Raises:
        ArchiveError: The root is not there, the disk is full, or the folder cannot be written to. No part of a file is
            left behind.
    """
    base = root()
    why = problem()
    if base is None or why:
        raise AwayError(why)
    where = base / folder
    temporary = where / f".{secrets.token_hex(8)}.tmp"
    try:
        where.mkdir(parents=True, exist_ok=True)
        # A link inside may lead out again.
        if not where.resolve().is_relative_to(base.resolve()):
            raise ArchiveError(gettext("This folder leads out of the archive."))
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        return _appear(base, where, name, temporary, data, note)
    except OSError as error:
        words = (
            gettext("The disk of the archive is full.")
            if error.errno in {errno.ENOSPC, errno.EDQUOT}
            else gettext("The archive could not be written to (%(why)s).", why=error.strerror or "?")
        )
        raise AwayError(words) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _appear(
    base: Path, where: Path, name: str, temporary: Path, data: bytes, note: Callable[[str, str], None]
) -> str:
    """Give the file its name, the first that nothing has."""
    sha256 = hashlib.sha256(data).hexdigest()
    for number in range(1, MOST_NUMBERED):
        final = where / (f"{name}.pdf" if number == 1 else f"{name} ({number}).pdf")
        if os.path.lexists(final):
            continue
        path = final.relative_to(base).as_posix()
        note(path, sha256)
        try:
            os.link(temporary, final)  # fails where somebody has taken the name meanwhile; a rename would not
        except FileExistsError:
            continue
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            # Some network file systems have no links: there the name is taken first, then filled.
            try:
                final.touch(exist_ok=False)
            except FileExistsError:
                continue
            temporary.replace(final)
        _sync(where)
        return path
    raise ArchiveError(gettext("There are too many files of this name."))


def _sync(folder: Path) -> None:
    """Make the new name itself durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
