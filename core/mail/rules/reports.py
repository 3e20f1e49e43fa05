"""What servers say of their own attempts, when they report later: no reply of anybody, so no code says it."""

from __future__ import annotations

from core.mail.advice import Advice
from core.mail.explanations import FailureKind as Kind
from core.mail.rules.model import Rule

ATTEMPTS = (
    Rule(
        Kind.RECIPIENT_UNKNOWN,
        r"(?:account|mailbox|user) (?:is )?(?:locked|disabled|suspended|closed|inactive)",
        advice=Advice.MAILBOX_DISABLED,
    ),
    Rule(
        Kind.SERVER_ERROR,
        r"""
        (?:contact|reach|connect to|from|by) (?:the |an? )?(?:ldap|directory|database|mysql|sql|scanner|spam|virus)\b
        \bpipe to \|
        """,
    ),
    # Postfix, Exim, qmail, Sendmail, Exchange, Gmail, OpenSMTPD, DragonFly, Domino, James.
    Rule(
        Kind.RECIPIENT_UNKNOWN,
        r"""
        (?:host|domain)(?: or domain)? name (?:\S+ )?(?:not found|lookup fail\w*)
        (?:unrouteable|unroutable|unresolvable) (?:mail )?(?:address|domain)
        (?:can't|cannot|couldn't|could not|unable to) (?:find|look ?up|resolve)…(?:host|domain|mx)
        host (?:\S+ )?(?:unknown|not found|lookup failed)
        dns (?:error|lookup)…(?:nxdomain|not found|not exist|no such|no answer)
        domain (?:name )?(?:\S+ )?(?:not found|does(?:n't| not) exist|was not found|couldn't be found)
        does not have any (?:mx|mail)
        no (?:such|known|valid) (?:host|domain|mx)
        all relevant mx records point to non ?existent
        an mx or srv record indicated no smtp service
        unknown (?:host|domain)
        """,
        advice=Advice.DOMAIN_UNKNOWN,
    ),
    Rule(
        Kind.SERVER_ERROR,
        r"""
        loops? back to (?:myself|me\b|itself)
        mail (?:forwarding )?loop
        too many hops
        hop count
        routing loop
        """,
        advice=Advice.MAIL_LOOP,
    ),
    Rule(
        Kind.CONNECT_FAILED,
        r"""
        connection (?:was )?(?:refused|reset|dropped|closed|aborted)
        no route to host
        (?:network|host) (?:is )?(?:unreachable|down)
        (?:can't|cannot|couldn't|could not|unable to|failed to|wasn't able to|not able to) (?:establish|make|open
            |connect|contact|reach)
        (?:connection|connect)…(?:failed|error|unsuccessful)
        lost connection
        connection lost
        server (?:is )?(?:unreachable|not responding|unavailable)
        no hosts? available
        not accepting (?:smtp )?connections?
        no smtp connection
        hosts? have been failing
        (?:did not|didn't|does not|doesn't|not) accept our requests? to connect
        network error
        """,
    ),
    Rule(
        Kind.TIMEOUT,
        r"""
        time(?:d|s)? ?out
        timeout
        (?:delivery|message|mail|queue|retry)…expired
        \bexpired\b
        (?:has been|been|was|is|stayed)…(?:in|on) (?:the|my|our) queue…(?:too long|for|more|since)
        too (?:long|old)
        (?:not|n't|un)…deliver\w*…(?:within|for|after|in) (?:\w+ )?\d+ ?(?:h|d|m|s|w)
        for (?:more than|over) \d+ ?(?:hours?|days?)
        will no longer be retried
        (?:giving|given|gave) up
        fail\w* (?:after )?\d+ (?:attempts|times)
        aborted after \d
        (?:could not|cannot) be delivered for too long
        delivery attempts?…(?:fail|exceed|limit)
        cannot be delivered within
        no (?:answer|reply|response)
        """,
    ),
    Rule(
        Kind.SERVER_ERROR,
        r"""
        command died
        mailer error
        (?:exit|exited|failed|terminated|died)…(?:status|signal|code) \d
        can(?:'t|not) (?:create|open|write|exec|run|lock)
        input/output
        local configuration error
        child process
        configuration (?:error|problem)
        procmail|maildrop
        unable to (?:open|switch|chdir|run|forward)
        internal error
        """,
    ),
    # Of a file there; with the code of a reply it is said of whoever sends.
    Rule(Kind.SERVER_ERROR, "permission denied"),
)
"""In order; what they share with replies of servers, such as unknown users, the other rules know."""

WITH_A_CODE = ATTEMPTS[:-1]
"""Those that servers give a code to as well: "554 could not connect"."""
