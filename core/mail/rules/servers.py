"""The server itself: full, out of breath, at work, or too slow."""

from __future__ import annotations

from core.mail.advice import Advice
from core.mail.explanations import FailureKind as Kind
from core.mail.outcomes import Stage
from core.mail.rules.model import SIGNED_IN, Rule

# The server itself is at its end; before the mailbox, since "storage" is said of both.
SYSTEM_FULL = (
    Rule(
        Kind.SERVER_ERROR,
        r"no mdb|(?:database|ldap|mysql|backend|directory|milter|scanner)…(?:unavailable|down|error|fail|unreachable)",
        codes=("4",),
        stages=SIGNED_IN,
    ),
    Rule(
        Kind.SERVER_ERROR,
        r"""
        insufficient (?:system|server) (?:storage|resources?|disk|space|memory)
        system (?:storage|is full|disk|mailbox full|load)
        (?:disk|queue|spool|file ?system|partition|server)…(?:is )?full
        no space left
        out of (?:memory|disk|resources?|swap)
        (?:not enough|low) (?:memory|disk|resources)
        load (?:average|is|too)
        overload
        resources? (?:temporarily |currently )?(?:unavailable|exhausted|low|short)
        insufficient (?:resources|memory|disk)
        back ?pressure
        queue file write
        file write error
        can(?:no|')t (?:write|allocate|create|open|store|save)
        disk (?:error|full)
        """,
        advice=Advice.SYSTEM_FULL,
    ),
    Rule(
        Kind.SERVER_ERROR,
        r"""
        exceeded storage allocation|insufficient storage
        """,
        codes=("4",),
        stages=frozenset({Stage.MAIL}),
        advice=Advice.SYSTEM_FULL,
    ),
)

# Its own trouble, where the code would rather speak of greylisting.
OWN_TROUBLE = (
    Rule(
        Kind.SERVER_ERROR,
        r"""
        (?:temporary|internal|local) (?:(?:server|system|internal|local|network|lookup) )+(?:error|problem
            |failure|fault)
        """,
        codes=("4",),
        stages=SIGNED_IN,
    ),
)

SERVER_TROUBLE = (
    Rule(
        Kind.RATE_LIMITED,
        r"\bdeferred\b(?!…(?:content|spam|reputation))",
        codes=("4",),
        stages=SIGNED_IN,
        also=Kind.SERVER_ERROR,
    ),
    Rule(
        Kind.TIMEOUT,
        r"""
        \btime ?out
        timed out
        (?:delivery|message|queue|retry)…(?:time )?expired
        took too long
        idle (?:too|for)
        connection expired
        delai depasse
        zeituberschreitung
        """,
        stages=SIGNED_IN,
    ),
    Rule(
        Kind.SERVER_ERROR,
        r"""
        temporar\w*…(?:problem|error|failure|unavailable|fault|issue|unable|local|condition|probleme|fehler
            |erreur)
        (?:local|internal|system|server|software|processing|queue|configuration|database|program|technical
            |network|ldap|dns|resolver)…(?:error|problem|failure|failed|fault|trouble|fehler|erreur)
        (?:server|service|system|host|dienst|serveur|backend|agent|filter|content|scanner|milter
            |daemon)…(?:is |are |temporarily |currently |momentan )?(?:unavailable|not available|shutting
            |going down|\bdown\b|busy|maintenance|not ready|nicht verfugbar|indisponible|not responding
            |offline|hors service)
        maintenance|wartung|out of service|try (?:it )?again|try (?:later|back)|later|ulterieurement
            |plus tard|spater
        (?:cannot|can't|unable to|could not|couldn't|failed to) (?:process|complete|accept|contact|connect
            |lookup|look up|resolve|verify|deliver|relay|queue|store|handle|get|read|find (?:an? )?(?:mx
            |server))
        lookup (?:fail|error|problem|defer)
        bad sequence
        command (?:not|unrecogni|unknown|unimplement)
        (?:unrecogni[sz]ed|unimplemented|unknown|invalid) command
        misconfigur
        incorrectly configured
        call ?back
        verify…(?:failed|defer)
        no answer from
        lost connection
        connection (?:refused|reset|dropped|closed|lost|was)
        dns (?:server|lookup|error|problem)
        crash|panic|exception|stacktrace|traceback|assert
        """,
        codes=("4",),
        stages=SIGNED_IN,
    ),
    Rule(
        Kind.SERVER_ERROR,
        r"""
        (?:bad|wrong|invalid|out of) (?:command )?sequence|sequence of commands|(?:command|parameter|option
            |syntax)…(?:not (?:implemented|recogni[sz]ed|supported|understood)|unrecogni[sz]ed|unknown
            |unimplemented)|unrecogni[sz]ed command|unknown command|(?:mail|rcpt|ehlo|helo
            |hello) (?:from )?first|no (?:such )?command|pipelin|(?:internal|software|system|configuration
            |local) (?:server )?(?:error|failure|problem)|blame it on the weather|misconfigur
            |incorrectly configured|storedrv|out of service|maintenance|qq trouble|mx list…points? back
            |service (?:is )?(?:currently |temporarily )?(?:unavailable|not available)$
        """,
        codes=("5",),
        stages=SIGNED_IN,
    ),
)
