"""What a person is told of a run: its name, how it has ended, and why it stands still."""

from __future__ import annotations

from flask_babel import force_locale, gettext, ngettext

from core import clock
from core.auth.models import User
from core.companies.service import locale_of_user
from core.db import db
from core.registry import current_registry
from modules.outbox.alert_rows import INSERT_ALERT, MAX_WORDS
from modules.outbox.models import ItemState, Run
from modules.outbox.runs.counts import counts_of


def tell(run: Run, words: str | None) -> None:
    """Tell the person of a run by the bell what became of it, in their language; inside the running transaction."""
    user = db.session.get(User, run.by_user_id) if run.by_user_id else None
    if user is None:
        return
    with force_locale(locale_of_user(user)):
        text = gettext(words) if words is not None else outcome_sentence(run.id)
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
    sent, held = counts.accepted, counts.of(ItemState.HELD)
    others = sum(counts.mails.values()) - sent
    words = [ngettext("%(num)d email was accepted.", "%(num)d emails were accepted.", sent)]
    if others:
        words.append(ngettext("%(num)d was not.", "%(num)d were not.", others))
    run = db.session.get_one(Run, run_id)
    if run.packs and (carried := counts.of(ItemState.SUBMITTED)):
        words.append(ngettext("They carry %(num)d document.", "They carry %(num)d documents.", carried))
    if held and run.of_customers:
        words.append(ngettext("%(num)d customer got none.", "%(num)d customers got none.", held))
    elif held:
        words.append(ngettext("%(num)d document was not sent.", "%(num)d documents were not sent.", held))
    return " ".join(words)


def title_of_list(name: str) -> str:
    """Return the title of the list that a run's documents were selected in."""
    declared = current_registry().lists.get(name)
    return str(gettext(declared.title)) if declared is not None else name
