"""Loading demonstration data, each module's part by itself."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from flask import Flask
from sqlalchemy import select

from core.companies.models import Company
from core.contract import Module
from core.db import db, transaction
from core.declarations import package_folder
from core.documents.checked import fields_of
from core.documents.locale import speaking
from core.documents.models import Document
from core.errors import EnvoiError
from core.installation.turns import alone
from core.manifest import CORE
from core.registry import current_registry, resolve_function

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LoadedDemo:
    """What became of the demonstration data.

    Attributes:
        faults: A sentence for each module whose part could not be loaded, by name.
    """

    faults: Mapping[str, str]


def load_demo(app: Flask) -> LoadedDemo | None:
    """Load demonstration data, unless there are companies already; then return None.

    Each module's part is a transaction of its own: one that fails is taken back and logged, and the others go on. The
    documents of a part must be able to say what their mails will ask, so that a fault is told by whom it belongs to.
    """
    with alone():
        return _load_demo(app)


def _load_demo(app: Flask) -> LoadedDemo | None:
    db.session.rollback()  # what was read before one's turn came
    # Anything at all means that people work here: demonstration data must never come between theirs.
    if db.session.scalar(select(Company.id).limit(1)) is not None:
        return None
    faults: dict[str, str] = {}
    for module in current_registry().modules:
        if module.demo is None:
            continue
        try:
            with transaction():
                resolve_function(module.demo)(app)
                _ask_documents(module)
        except Exception as error:
            if module.name == CORE.name:
                raise  # there would be nothing to build on
            faults[module.name] = (
                f"The demonstration of the module {module.name} was not loaded: {_told(error, module)}"
            )
            logger.warning("%s", faults[module.name], exc_info=True)
    return LoadedDemo(faults)


def _ask_documents(module: Module) -> None:
    """Ask every document of a module's kinds for its fields.

    Raises:
        BehaviorError: One cannot say them.
    """
    kinds = [kind.name for kind in module.document_kinds]
    for document in db.session.scalars(
        select(Document).where(Document.kind.in_(kinds)).order_by(Document.id)
    ):
        with speaking(document):
            fields_of(document)


def _told(error: Exception, module: Module) -> str:
    """Return what went wrong, and for what nobody has put in words where in the module that was."""
    if isinstance(error, EnvoiError):
        return str(error)
    folder = package_folder(module)
    frames = traceback.extract_tb(error.__traceback__)
    places = [frame for frame in frames if Path(frame.filename).is_relative_to(folder)]
    place = f" ({Path(places[-1].filename).name}, line {places[-1].lineno})" if places else ""
    return f"{type(error).__name__}: {error}{place}."
