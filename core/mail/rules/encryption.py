"""Encryption that is asked for, or that fails."""

from __future__ import annotations

from core.mail.advice import Advice
from core.mail.explanations import FailureKind as Kind
from core.mail.outcomes import Stage
from core.mail.rules.model import MESSAGE, Rule

ENCRYPTION = (
    # Mimecast and others: encrypted, but not as safely as they ask for.
    Rule(
        Kind.TLS_FAILED,
        r"""
        (?:tls|ssl)(?: version| protocol)? ?v?1\.[0-3]
        (?:tls|ssl|protocol) version
        cipher
        """,
        advice=Advice.TLS_TOO_OLD,
    ),
    # RFC 3207 §4, RFC 4954 §4, Postfix, Exim, Dovecot, Exchange, Google, Mimecast.
    Rule(
        Kind.TLS_FAILED,
        r"""
        (?:must|please|need to|have to)…(?:issue|use|do|enable|start|run)…(?:starttls|\btls\b|\bssl\b|encrypt)
        starttls…(?:first|required|requis|mandatory|needed|necessary|erforderlich)
        (?:\btls\b|\bssl\b|encrypt\w*|secure (?:connection|channel)|verschlusselung|chiffre\w*
            |connexion securisee)…(?:is |are )?(?:requie?red|mandatory|needed|necessary|erforderlich|benotigt
            |obligatoire|requise?)\b
        require[sd]?(?: an?| the| use of)?…(?:starttls|\btls\b|\bssl\b|encryption|encrypted (?:connection
            |session)|secure connection|session encryption)
        (?:plain ?text|clear ?text|unencrypted|insecure|non secure)…(?:not|dis|den|forbid|prohibit)
        (?:only|not) (?:allowed|available|permitted|accepted|possible)…(?:over|via|with|without|unless
            |using)…(?:\btls\b|\bssl\b|encrypt|secure)
        senders to use tls
        (?:not|n't) sent over…(?:tls|ssl|encrypt)
        without (?:tls|ssl|encryption)\b
        encryption (?:required|needed)
        switch to ssl
        use (?:tls|ssl|starttls) (?:first|to)
        """,
        advice=Advice.STARTTLS_REQUIRED,
    ),
    Rule(
        Kind.TLS_FAILED,
        codes=("523", "538"),
        stages=frozenset(Stage) - MESSAGE,
        advice=Advice.STARTTLS_REQUIRED,
    ),
    Rule(
        Kind.TLS_FAILED,
        r"""
        (?:starttls|\btls\b|\bssl\b)…(?:handshake|negotiat|not available|unavailable|fail|error|problem
            |disabled|not (?:currently )?(?:supported|offered|possible|active|ready)|unable|cannot|can't
            |temporar)
        (?:cannot|can't|unable to|failed to|could not) (?:start|initiali[sz]e|negotiate|load
            |establish)…(?:tls|ssl|certificate|encrypt)
        certificate…(?:expired|invalid|verif|mismatch|not (?:trusted|valid)|untrusted|unknown|host)
        dane validation
        tlsa
        dnssec
        """,
    ),
)
