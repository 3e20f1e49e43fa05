"""What a page has shown of something that is worked on, and whether that still holds.

Work that goes on writes how far it is into its own row. A page names that row, with a word for what it has shown of it;
one statement for all pages that wait compares. Nobody has to publish anything, however many steps there are, and
nothing is asked of rows that no page shows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

from flask import current_app
from sqlalchemy import select
from sqlalchemy.orm import InstrumentedAttribute

from core.db import db
from core.registry import current_registry, resolve

MOST_KEYS = 500  # in one statement


class States(Protocol):
    """One kind of thing that is worked on."""

    def shown(self, thing: Any) -> tuple[str, str]:
        """Return the key of a thing, and a word for what a page shows of it."""

    def now(self, keys: Collection[str]) -> Mapping[str, str]:
        """Return the word of each key as it is now; one that is not there has none."""


@dataclass(frozen=True, slots=True)
class RowStates:
    """Rows that say themselves how far they are.

    Attributes:
        id: The column of their ids.
        columns: What pages show of them, or what changes with each step.
    """

    id: InstrumentedAttribute[int]
    columns: Sequence[InstrumentedAttribute[Any]]

    def shown(self, thing: Any) -> tuple[str, str]:
        """Return the id of a row, and a word for its columns."""
        return str(thing.id), word_for([getattr(thing, column.key) for column in self.columns])

    def now(self, keys: Collection[str]) -> Mapping[str, str]:
        """Return the words of some rows, as they are committed."""
        ids = sorted(int(key) for key in keys if key.isascii() and key.isdigit())
        found: dict[str, str] = {}
        with db.engine.connect() as connection:
            for start in range(0, len(ids), MOST_KEYS):
                some = self.id.in_(ids[start : start + MOST_KEYS])
                rows = connection.execute(select(self.id, *self.columns).where(some))
                found |= {str(row[0]): word_for(row[1:]) for row in rows}
        return found


def word_for(values: Iterable[object]) -> str:
    """Return a short word that is another one as soon as one of the values is."""
    return hashlib.sha256(repr([str(value) for value in values]).encode()).hexdigest()[:12]


def current_states() -> Mapping[str, States]:
    """Return the states that the enabled modules declare, by name."""
    extensions = current_app.extensions
    if "envoi_states" not in extensions:
        declared = [
            resolve(module.states) for module in current_registry().modules if module.states is not None
        ]
        extensions["envoi_states"] = {
            name: states for several in declared for name, states in several.items()
        }
    return cast("Mapping[str, States]", extensions["envoi_states"])


def topic_of(name: str, thing: Any) -> str:
    """Return the topic of a thing as a page shows it now, with the name of its states."""
    key, word = current_states()[name].shown(thing)
    return f"{name}:{key}@{word}"


def is_state(topic: str) -> bool:
    """Return True for what `topic_of` returns, False for the topic of a change."""
    return "@" in topic


def outdated(topics: Iterable[str]) -> frozenset[str]:
    """Return those of some topics that do not hold any more."""
    wanted: dict[str, dict[str, str]] = {}
    for topic in topics:
        name, _, rest = topic.partition(":")
        wanted.setdefault(name, {})[topic] = rest
    found: set[str] = set()
    for name, several in wanted.items():
        if name in (states := current_states()):
            now = states[name].now({rest.partition("@")[0] for rest in several.values()})
            pairs = {f"{key}@{word}" for key, word in now.items()}
            found |= {topic for topic, rest in several.items() if rest not in pairs}
    return frozenset(found)
