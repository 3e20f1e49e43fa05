"""Why something of a run is not sent, or where it goes."""

from __future__ import annotations

from dataclasses import dataclass

from core.errors import EnvoiError
from core.mail.draft import DraftRecipient
from modules.mail_config.models import MailTemplate
from modules.outbox.compose.recipients import Proposal
from modules.outbox.models import HeldReason
from modules.outbox.private_addresses import address_hash


class HeldError(EnvoiError):
    """A document of a run is not sent.

    Args:
        reason: Why.
        detail: More words, for a person, or "".
        proposal: Who was considered, where recipients are what is missing.
        template: By which it would have been written, where that is known.
    """

    def __init__(
        self,
        reason: HeldReason,
        detail: str = "",
        proposal: Proposal | None = None,
        template: MailTemplate | None = None,
    ) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
        self.proposal = proposal
        self.seen_template = seen_template(template) if template is not None else ""


@dataclass(frozen=True, slots=True)
class Destination:
    """Where the mail of a document, or to a customer, goes.

    Attributes:
        template: By which it is written.
        recipients: To whom.
        proposal: Who was considered.
        of_several: By which a mail is written that carries it with others, where a run sends those together.
    """

    template: MailTemplate
    recipients: list[DraftRecipient]
    proposal: Proposal
    of_several: MailTemplate | None = None

    @property
    def seen_template(self) -> str:
        """Names the templates as they are now."""
        templates = [self.template, *([self.of_several] if self.of_several is not None else [])]
        return "+".join(seen_template(template) for template in templates)

    @property
    def seen_recipients(self) -> str:
        """A hash of the recipients: the same for the same people, and no way back to private addresses."""
        everybody = sorted(f"{row.field}:{row.address.key}" for row in self.recipients)
        return address_hash("\n".join(everybody), "run")


def seen_template(template: MailTemplate) -> str:
    """Name a template as it is now."""
    return f"{template.id}.{template.revision}"
