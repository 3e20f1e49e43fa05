"""How a mailbox for trying things out answers: its address says what shall go wrong.

| Address       | At RCPT       | At the end of DATA | Meaning                           |
|---------------|---------------|--------------------|-----------------------------------|
| `refused+…@…` | 550 5.1.1     |                    | no such mailbox: refused for good |
| `later+…@…`   | 451 4.7.1     |                    | greylisted: refused for now       |
| `full+…@…`    | 552 5.2.2     |                    | the mailbox is full               |
| `garbage+…@…` | no SMTP reply |                    | the server is broken              |
| `spam+…@…`    |               | 550 5.7.1          | the content is refused            |
| `big+…@…`     |               | 552 5.3.4          | the size is refused               |
| `slow+…@…`    |               | accepted, but late | the sender may have given up      |
| `drop+…@…`    |               | closed, no reply   | nobody knows what became of it    |
| anything else | accepted      | accepted           |                                   |

The word before the `+` decides, in any case of letters; what follows it is free, so that each try can have
an address of its own. The word alone (`full@…`) is an ordinary address.
"""

from __future__ import annotations

from typing import Literal

Stage = Literal["rcpt", "data"]
Behaviour = Literal["slow", "drop"]

_REPLIES: dict[tuple[Stage, str], str] = {
    ("rcpt", "refused"): "550 5.1.1 <{address}>: there is no such mailbox here",
    ("rcpt", "later"): "451 4.7.1 <{address}>: greylisted, try again later",
    ("rcpt", "full"): "552 5.2.2 <{address}>: the mailbox is full",
    # Neither a code nor a continuation: what a proxy in the way, or a broken server, may say.
    ("rcpt", "garbage"): "It works! This is no SMTP reply",
    ("data", "spam"): "550 5.7.1 The message looks like spam and was refused",
    ("data", "big"): "552 5.3.4 The message is too big for this server",
}
_BEHAVIOURS: dict[str, Behaviour] = {"slow": "slow", "drop": "drop"}


def _word(addr_spec: str) -> str:
    """The word before the first `+` of the local part, or nothing."""
    local_part, _, _domain = addr_spec.rpartition("@")
    word, plus, _rest = local_part.partition("+")
    return word.lower() if plus else ""


def scripted_reply(addr_spec: str, stage: Stage) -> str | None:
    """The refusal that an address asks for by its local part; see the table above.

    Args:
        addr_spec: The recipient, as in `RCPT TO`, without angle brackets.
        stage: The reply to `RCPT`, or to the end of `DATA`.

    Returns:
        The whole reply line, or None when the stage is to be answered with acceptance (or, for what
        `scripted_behaviour` names, in no ordinary way).
    """
    reply = _REPLIES.get((stage, _word(addr_spec)))
    # An address may hold anything but line ends; ASCII keeps the reply legal without SMTPUTF8.
    return reply and reply.replace("{address}", addr_spec.encode("ascii", "replace").decode("ascii"))


def scripted_behaviour(addr_spec: str) -> Behaviour | None:
    """What an address asks for at the end of DATA beyond a reply: to be late, or to hang up."""
    return _BEHAVIOURS.get(_word(addr_spec))
