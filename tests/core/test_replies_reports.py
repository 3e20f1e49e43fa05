"""Replies as they come back in bounces, which must not be taken for what they resemble."""

# ruff: noqa: E501 (replies are quoted whole, one a line)

from __future__ import annotations

import pytest

from core.mail.outcomes import FailureKind as K
from core.mail.outcomes import Reply, Stage
from core.mail.replies import explain_report
from tests.core.replies import PERM, TEMP, B, D, M, R, Row, check, name

# fmt: off
REPLIES: list[Row] = [
    # A loop is made by servers; nothing is wrong with the message.
    (R, 554, "5.4.6 Too many hops", K.SERVER_ERROR, PERM, {"advice": "mail_loop"}),
    (M, 554, "5.4.6 Hop count exceeded", K.SERVER_ERROR, PERM, {"advice": "mail_loop"}),
    (R, 450, "4.4.6 mail for far.example loops back to myself", K.SERVER_ERROR, TEMP, {"advice": "mail_loop"}),
    # The head, at whatever step it is said.
    (M, 550, "5.7.1 [192.0.2.1 13] Messages with multiple addresses in From:\n5.7.1 header are not accepted.", K.MESSAGE_REFUSED, PERM, {"advice": "malformed"}),
    (R, 550, "5.7.1 Messages with multiple addresses in From: header are not accepted", K.MESSAGE_REFUSED, PERM, {"advice": "malformed"}),
    (R, 550, "5.7.1 This message is not RFC 5322 compliant. There are multiple Subject headers. To reduce the amount of spam it has been blocked", K.MESSAGE_REFUSED, PERM, {"advice": "malformed"}),
    (B, 554, "Transaction failed: Duplicate header 'DKIM-Signature'.", K.MESSAGE_REFUSED, PERM, {"advice": "malformed"}),
    # Our address on a list, not the sender on the recipient's.
    (R, 550, "5.7.1 IP address blacklisted by recipient", K.SPAM_SUSPECTED, PERM, {"advice": "block_list"}),
    (M, 550, "5.7.1 Client host [192.0.2.1] is blocked by the recipient", K.SPAM_SUSPECTED, PERM, {"advice": "block_list"}),
    (R, 550, "5.7.1 Blacklisted by recipient", K.RECIPIENT_REFUSED, PERM, {"advice": "sender_blocked_by_recipient"}),
    (R, 421, "4.7.0 Deferred due to IP reputation", K.SPAM_SUSPECTED, TEMP, {"advice": "block_list"}),
    (M, 450, "service permits 2 unverifyable sending IPs - mail.far.example is not 192.0.2.1", K.SPAM_SUSPECTED, TEMP, {"advice": "reverse_dns"}),
    # No sender can be told from the head.
    (M, 550, "5.7.1 can't determine Purported Responsible Address", K.SENDER_REFUSED, PERM, {}),
    (B, 550, "5.7.1 Could not determine the Purported Responsible Address", K.SENDER_REFUSED, PERM, {}),
    (B, 550, "5.7.1 Purported Responsible Address check failed", K.SPAM_SUSPECTED, PERM, {"advice": "spf"}),
    # Cut off after its first line, as Sendmail reports it.
    (B, 550, "5.7.1 This message does not have authentication information or fails to pass", K.SPAM_SUSPECTED, PERM, {"advice": "spf"}),
    (R, 550, "5.7.1 This message does not have authentication information or fails to pass", K.SPAM_SUSPECTED, PERM, {"advice": "spf"}),
    # The mailbox, though the code also speaks of accounts that send.
    (D, 525, "5.7.13 Disabled recipient address", K.RECIPIENT_UNKNOWN, PERM, {"advice": "mailbox_disabled"}),
    (R, 554, "5.3.0 <ann@example.com>: Recipient address rejected: Mailer error", K.RECIPIENT_REFUSED, PERM, {}),
    (R, 550, "5.0.0 宛先のユーザーが見つかりません", K.RECIPIENT_UNKNOWN, PERM, {}),
    (R, 550, "5.0.0 メールボックスがいっぱいです", K.MAILBOX_FULL, PERM, {}),
    (B, 451, "message has been in the queue too long", K.SERVER_ERROR, TEMP, {}),
    # Words that resemble others: a limit of a score, a size with the code of a sign-in, a rule about size and not about who.
    (B, 554, "5.7.1 Mail appears to be unsolicited - Score (61) over MessageScoringUpperLimit (50)", K.SPAM_SUSPECTED, PERM, {}),
    (M, 534, "SIZE=Message too big.", K.MESSAGE_TOO_LARGE, PERM, {}),
    (M, 534, "5.7.9 Application-specific password required", K.AUTH_FAILED, PERM, {}),
    (B, 554, "5.7.1 Message Rejected Class=size limit=10485760 Subclass=reject size=11534336", K.MESSAGE_TOO_LARGE, PERM, {}),
    (R, 550, "5.2.3 RESOLVER.RST.SendSizeLimit.Org; message too large for this organization", K.MESSAGE_TOO_LARGE, PERM, {}),
    (B, 554, "5.7.7 too many equal X-headers (X-Sent-By:)", K.MESSAGE_REFUSED, PERM, {"advice": "malformed"}),
    (R, 550, "5.1.1 <ann@relay.example>: unauthorized sender", K.SENDER_REFUSED, PERM, {}),
    (R, 550, "5.7.27 Host does not accept mail", K.RECIPIENT_UNKNOWN, PERM, {"advice": "domain_unknown"}),
    (R, 550, "Esta cuenta ha sido desactivada", K.RECIPIENT_UNKNOWN, PERM, {"advice": "mailbox_disabled"}),
    (R, 550, "Esta casilla ha expirado por falta de uso", K.RECIPIENT_UNKNOWN, PERM, {"advice": "mailbox_disabled"}),
    (R, 552, "La casella di posta è piena", K.MAILBOX_FULL, PERM, {}),
    (R, 552, "Cota esgotada: a caixa postal está cheia", K.MAILBOX_FULL, PERM, {}),
]
SAID: list[tuple[str, bool, K]] = [
    ("connect to store.far.example[192.0.2.20]:25: Connection refused", False, K.CONNECT_FAILED),
    ("all hosts have been failing for a long time and were last tried after this message arrived", False, K.CONNECT_FAILED),
    ("Message could not be delivered for 5 days. Message will be deleted from queue", True, K.TIMEOUT),
    ("conversation with mx.far.example timed out while sending RCPT TO", False, K.TIMEOUT),
    ("Sorry, I couldn't find any host named far.example. (#5.1.2)", True, K.RECIPIENT_UNKNOWN),
    ("Host or domain name not found. Name service error for name=far.example type=MX: Host not found", True, K.RECIPIENT_UNKNOWN),
    ("mail for far.example loops back to myself", True, K.SERVER_ERROR),
    ("mailbox is full: retry timeout exceeded", False, K.MAILBOX_FULL),
    ("Command died with status 12: \"/usr/local/bin/sort\"", True, K.SERVER_ERROR),
    ("unknown user: \"ann\"", True, K.RECIPIENT_UNKNOWN),
    ("Unable to contact LDAP server. (#4.4.3)", False, K.SERVER_ERROR),
    ("Name service error for name=far.example type=MX: Malformed or unexpected name server reply", True, K.RECIPIENT_UNKNOWN),
    ("pipe to |/usr/local/bin/vacation ann", True, K.SERVER_ERROR),
]
# fmt: on


@pytest.mark.parametrize("row", REPLIES, ids=name)
def test_a_reply_in_a_bounce_means_what_its_server_means(row: Row) -> None:
    check(row)


@pytest.mark.parametrize(("words", "permanent", "kind"), SAID)
def test_what_a_server_says_of_its_own_attempts(words: str, permanent: bool, kind: K) -> None:
    failure, sure = explain_report(Reply(int(permanent), "", words), Stage.RCPT)
    assert (failure.kind, failure.temporary, sure) == (kind, not permanent, True)


@pytest.mark.parametrize(
    ("code", "words", "kind"),
    [
        (554, "could not connect and send the mail to 192.0.2.9", K.CONNECT_FAILED),
        (554, "unknown mailer error 255", K.SERVER_ERROR),
        (554, "permission denied", K.RECIPIENT_REFUSED),
    ],
)
def test_the_trouble_of_the_reporting_server_is_known_by_its_words_whatever_code_it_gives(
    code: int, words: str, kind: K
) -> None:
    assert explain_report(Reply(code, "", words), Stage.RCPT)[0].kind is kind
