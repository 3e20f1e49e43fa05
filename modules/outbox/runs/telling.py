"""What a person is told of a run: its name, how it has ended, and why it stands still."""

from __future__ import annotations

from flask_babel import force_locale, gettext, ngettext

from core import clock
from core.auth.models import User
from core.companies.service import locale_of_user
from core.db import db
from core.i18n import N_
from core.registry import current_registry
from modules.outbox.alert_rows import INSERT_ALERT, MAX_WORDS
from modules.outbox.models import ItemState, Run, RunState
from modules.outbox.runs.counts import counts_of
from modules.outbox.runs.words import unsent_words

PAUSED_BY = N_("%(name)s has paused it.")
CONTINUED_BY = N_("%(name)s has continued it.")
MOVED_BY = N_("%(name)s has moved it to another time.")


def tell_of(run: Run, by: User, words: str) -> None:
    """Tell the person of a run what somebody else has done with it; nobody is told of their own deeds."""
    if by.id != run.by_user_id:
        tell(run, words, name=by.name)


def tell(run: Run, words: str | None, **fields: str) -> None:
    """Tell the person of a run by the bell what became of it, in their language; inside the running transaction.

    Args:
        run: The run.
        words: An English sentence that the catalogues know; None for how it has ended.
        fields: What stands in the sentence.
    """
    user = db.session.get(User, run.by_user_id) if run.by_user_id else None
    if user is None:
        return
    with force_locale(locale_of_user(user)):
        said = gettext(words, **fields) if words is not None else outcome_sentence(run.id)
        text = f"{name_of(run)} – {said}"
    db.session.execute(
        INSERT_ALERT,
        {
            "user_id": user.id,
            "mail_id": None,
            "server_id": None,
            "run_id": run.id,
            "failure_kind": None,
            "words": text[:MAX_WORDS],
            "created_at": clock.now(),
            "seen_at": None,
            "mailed_at": None,
        },
    )


def outcome_sentence(run_id: int) -> str:
    """Return in words how many mails of a run were accepted, and how many documents did not go."""
    counts = counts_of(run_id)
    sent = counts.accepted
    others = sum(counts.mails.values()) - sent
    run = db.session.get_one(Run, run_id)
    words = [ngettext("%(num)d email was accepted.", "%(num)d emails were accepted.", sent)]
    if run.state is RunState.STOPPED and run.acted_by is not None:
        words.insert(0, gettext("%(name)s has stopped it.", name=run.acted_by.name))
    if others:
        words.append(ngettext("%(num)d was not.", "%(num)d were not.", others))
    if run.packs and (carried := counts.of(ItemState.SUBMITTED)):
        words.append(ngettext("They carry %(num)d document.", "They carry %(num)d documents.", carried))
    if unsent := unsent_words(run, counts):
        words.append(unsent)
    return " ".join(words)


def name_of(run: Run) -> str:
    """Return what a run is called: where its documents were selected, and how many they are."""
    from_list = run.title or title_of_list(run.list_name)
    return str(gettext("%(list)s: %(count)s", list=from_list, count=run.item_count))


def title_of_list(name: str) -> str:
    """Return the title of the list that a run's documents were selected in."""
    declared = current_registry().lists.get(name)
    return str(gettext(declared.title)) if declared is not None else name
