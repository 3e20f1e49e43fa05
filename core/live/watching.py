"""What a page watches: topics that the server has signed for its user, and up to where the page has seen them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from flask import current_app, g
from itsdangerous import BadSignature, Signer
from markupsafe import Markup

from core.auth.permissions import signed_in_user
from core.live.changes import current_changes
from core.live.states import is_state, topic_of

PATH = "/changes"
"""Where pages ask. The web server holds back what is posted here until there is something to answer."""
MOST_PIECES = 50
"""Pieces of a page that are watched."""
SINCE, TOPICS = "since", "topics"


@dataclass(frozen=True, slots=True)
class Watched:
    """A piece of a page.

    Attributes:
        user_id: Whose page it is.
        topics: What it shows, each with the name of its source.
        states: The same of what is worked on, with what it has shown of that.
        since: What was known when it was made.
    """

    user_id: int
    topics: frozenset[str]
    states: frozenset[str]
    since: str

    def fired(self) -> bool:
        """Return True when one of its topics has changed, or may have; its states are `states.outdated`."""
        return current_changes().fired(self.since, self.topics)


def watched(module: str = "", topics: Iterable[str] = (), states: Mapping[str, Any] | None = None) -> Markup:
    """Return the attributes of an element that refreshes by the event `live` when one of its topics changes.

    The topics are signed: nobody can ask when something changes that no page has shown them.

    Args:
        module: The module whose `changes` tell of them, or one of several sources that it has.
        topics: As that source names them.
        states: What else it shows that is worked on, by the names of `states`.
    """
    standing = [topic_of(name, thing) for name, thing in (states or {}).items()]
    words = [f"{signed_in_user().id}", *([f"{module}:{' '.join(topics)}"] if module else []), *standing]
    signed = _signer().sign(" ".join(words)).decode()
    return Markup('data-live="{}" data-since="{}"').format(signed, g.get("changes_known", ""))


def remember_what_is_known() -> None:
    """Keep, before a page reads anything, up to where it will show everything."""
    g.changes_known = current_changes().now


def read_watched(since: Sequence[str], signed: Sequence[str]) -> Sequence[Watched] | None:
    """Return what a page asks about, or None where no page of ours does so."""
    if not 0 < len(signed) == len(since) <= MOST_PIECES:
        return None
    signer = _signer()
    found = []
    for mark, text in zip(since, signed, strict=True):
        try:
            user_id, *words = signer.unsign(text).decode().split()
        except BadSignature:
            return None
        topics = _with_sources(words)
        states = frozenset(filter(is_state, topics))
        found.append(Watched(int(user_id), topics - states, states, mark))
    return found


def _with_sources(words: Iterable[str]) -> frozenset[str]:
    """Return the topics in some words; the source is said once for all that follow."""
    source, found = "", set()
    for word in words:
        before, colon, after = word.partition(":")
        source, name = (before, after) if colon else (source, word)
        if name:
            found.add(f"{source}:{name}")
    return frozenset(found)


def watched_in(body: bytes) -> Sequence[Watched] | None:
    """Return the same of what was posted, before it is a request of the application."""
    try:
        given = parse_qs(body.decode("ascii"), keep_blank_values=True, max_num_fields=2 * MOST_PIECES)
    except ValueError:
        return None
    return read_watched(given.get(SINCE, []), given.get(TOPICS, []))


def _signer() -> Signer:
    return Signer(str(current_app.config["SECRET_KEY"]), salt="live")
