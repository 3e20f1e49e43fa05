"""Rules about who receives: mailboxes that are unknown, switched off, full, moved or choosy."""

from __future__ import annotations

from core.mail.advice import Advice
from core.mail.explanations import FailureKind as Kind
from core.mail.outcomes import Stage
from core.mail.rules.model import MESSAGE, SIGNED_IN, Rule

# What a server says in its greeting is never about a recipient.
_SPOKEN_TO = SIGNED_IN - {Stage.CONNECT, Stage.HELLO}
_NOT_MAIL = _SPOKEN_TO - {Stage.MAIL}

CHOOSY = (
    # "I will not relay", some add.
    Rule(
        Kind.RECIPIENT_UNKNOWN,
        r"""
        does(?: not|n't) have an? (?:\S+ )?account
        (?:account|mailbox|address|user|recipient)(?: or domain)? (?:may|might) not exist
        or (?:may|might) not exist
        """,
        stages=_NOT_MAIL,
    ),
    # Sendmail about a null MX (RFC 7505), with a code that elsewhere speaks of the sender.
    Rule(
        Kind.RECIPIENT_UNKNOWN,
        r"(?:host|domain) does not accept (?:any )?(?:mail|e?mail)",
        stages=_NOT_MAIL,
        advice=Advice.DOMAIN_UNKNOWN,
    ),
    # SES looks at the addresses only when it has the message.
    Rule(Kind.ADDRESS_INVALID, r"address…contains…(?:illegal|invalid)…char", stages=MESSAGE),
    # Exchange Online's edge: an address that its directory does not hold.
    Rule(
        Kind.RECIPIENT_UNKNOWN,
        r"recipient address(?:es)? rejected ?: access denied",
        subject=r"4\.1|1\.\d+",
        stages=_NOT_MAIL,
    ),
    # Exchange: groups and mailboxes for certain senders; mailing lists.
    Rule(
        Kind.RECIPIENT_REFUSED,
        r"""
        resolver\.rst\.(?!\w*size)
        (?:not|n't)…(?:authori[sz]ed|allowed|permitted|permission)…(?:to )?(?:send|post|e?mail
            |write)\w*(?: e?mails?| messages?)? to (?:this |the |that )?(?:mailing )?(?:<a>|recipient|group|list|mailbox
            |address
            |distribution|user|person)
        sender (?:was |is )?not authenticated (?:by|for) (?:organi[sz]ation|group|mailbox|public)
        allowed senders list
        (?:only|solely) (?:accepts?|allows?|takes?|receives?)…(?:mail|messages|e?mails?
            |from)…(?:from )?(?:people|senders|members|inside|internal|within|authenticated|authori[sz]ed
            |certain|specific)
        (?:accepts?|receives?)…(?:mail|messages|e?mails?) only from
        (?:members?|subscribers?|internal|moderators?) only
        (?:not|n't) (?:subscribed|a (?:member|subscriber)|member)\b(?! of domain| to ses)
        non ?members?
        closed (?:mailing )?list
        (?:not|n't)…(?:accept|receive|allow)\w*.{0,30}?(?:from .{0,20}?)?(?:outside|external|(?:the|from) internet
            |unknown senders|this sender|non)
        (?:not|n't) (?:allowed|permitted|authori[sz]ed|configured) to receive
        (?:restricted|limited) to (?:internal|members|certain|specific|authori[sz]ed)
        internal (?:use|mail|recipient|address)s? only
        (?:recipient|user|destinataire|empfanger)…(?:not|n't) (?:accept\w*|allow\w*)…(?:external|this|your
            |from)
        user or domain that you are sending to
        sender not pre ?approved
        (?<!ip )not (?:in|on) (?:the |our |my |recipient's )?(?:white ?list|allow ?list|approved|safe ?list)
        challenge
        """,
        stages=_SPOKEN_TO,
        advice=Advice.INTERNAL_ONLY,
    ),
    Rule(
        Kind.RECIPIENT_REFUSED,
        subject=r"7\.(?:12|124|129|13[3-6])",
        stages=_SPOKEN_TO,
        advice=Advice.INTERNAL_ONLY,
    ),
    # The recipient has blocked the sender: Exchange, Mimecast, MailMarshal, Yahoo, Orange.
    Rule(
        Kind.RECIPIENT_REFUSED,
        r"""
        (?:blocked|blacklisted|rejected|refused|denied|banned|filtered|bloque\w*|refuse) (?:by|par|durch
            |vom) (?:the |this |that |le |la |den |einen )?(?:\w+ )?(?:recipient|user|addressee|destinataire
            |mailbox owner|account holder|benutzer|empfanger|mailbox|customer|rule imposed)(?!'s (?:content
            |spam|server)| polic| filter)
        (?:recipient|user|destinataire|empfanger|mailbox owner|addressee) (?:<a> )?(?:has |have )?
            (?:blocked|blocks|chosen to block|refused to|refuses|rejects|declined|(?:does not|doesn't|did not) (?:want
            |wish)|a bloque)\b
        (?:recipient|user|customer|personal)'?s? (?:own )?(?:blocklist|blacklist|block list|block ?listed
            |kill ?file|reject list|filter|rule)
        customer blocklist
        blocked senders?
        sender ?filter ?config
        envelope blocked
        manually blocked
        (?:on|in) my (?:kill|black|block|reject|ignore) ?list
        block policy for (?:header|envelope)
        access denied, (?:rejected by recipient|banned recipient)
        recipient'?s? preferences?
        recipient (?:address )?rejected (?:for|due to|by) policy
        blacklisted (?:from|sender) (?:by|for) (?:user|recipient)
        rule imposed mailbox access
        refuses to accept (?:your )?(?:mail|message)
        """,
        stages=_SPOKEN_TO,
        advice=Advice.SENDER_BLOCKED,
    ),
    Rule(
        Kind.RECIPIENT_REFUSED, subject=r"7\.50[57]|7\.513", stages=_SPOKEN_TO, advice=Advice.SENDER_BLOCKED
    ),
    # SES, SendGrid, Mailgun, Postmark, Mailjet: asked not to send there again.
    Rule(
        Kind.RECIPIENT_REFUSED,
        r"""
        suppress(?:ion|ed)
        previously (?:bounced|unsubscribed|complained)
        (?:previously|already|marked)…(?:bounced|unsubscribed|inactive by|hard bounce)
        unsubscribed address
        \bbounced address
        recipient…(?:bounce list|marked as inactive)
        """,
        stages=_SPOKEN_TO,
        advice=Advice.SUPPRESSED,
    ),
)

FORM = (
    Rule(
        Kind.ADDRESS_INVALID,
        r"""
        (?:recipient|destination|address|mailbox|rcpt|user)…(?:syntax|malformed|ill ?formed|not well formed
            |must (?:be|contain) (?:a )?(?:fully|domain|@))
        (?:bad|invalid|illegal|malformed|wrong
            |incorrect)…(?:recipient |destination |address |mailbox |e?mail |rcpt )+(?:address )?(?:syntax
            |format)
        (?:syntax|format)…(?:of |in |error in )?…(?:recipient|address|mailbox|rcpt)
        fully qualified (?:address|e?mail)
        need fully qualified
        (?:address|recipient|local ?part|mailbox)…(?:illegal|invalid|restricted|unprintable|disallowed
            |contains|non ?ascii) (?:char|symbol|8 ?bit)
        restricted characters in
        (?:missing|empty|unbalanced|more than one|two) (?:domain|local ?part|@|at sign|<|>)
        invalid rcpt to
        not a (?:valid )?(?:rfc|smtp) (?:\d+ )?(?:e?mail )?address
        unqualified (?:recipient|address|domain)
        domain (?:name )?missing
        (?:domain|host) ?name required
        colon expected|'@' expected|@ expected
        adresse…(?:syntaxe|mal formee|incorrecte)
        (?:single|top) (?:label|level) domain
        unbalanced
        """,
        stages=frozenset({Stage.RCPT}),
    ),
)

GONE = (
    # Google, Yahoo, Hotmail, Orange, La Poste, GoDaddy, GMX: it was there once.
    Rule(
        Kind.RECIPIENT_UNKNOWN,
        r"""
        (?:account|mailbox|mail ?box|user|recipient|address|alias|addressee|inbox|compte|boite|destinataire
            |utilisateur|postfach|konto|empfanger|benutzer|adresse)(?: <a>
            |:)?.{0,35}?(?:disabled|inactive|in ?actif|suspend(?:ed|s)?|deactivated
            |closed|locked|expired|discontinued|terminated|archive[de]?e?|gesperrt|deaktiviert|geschlossen
            |desactivee?|bloquee?|suspendue?|ferme|frozen|cancell?ed|retired|dormant|abandoned|not active
            |no longer active|un ?activated|not activated|not in service|ceased)\b
        (?:disabled|inactive|suspended|deactivated|closed|expired|locked|discontinued|dormant|blocked|frozen
            |terminated) (?:user|account|mailbox|recipient|address|alias|e?mail|mail ?box|inbox)
        disabled ?user
        (?:cuenta|casilla|buzon|casella|conta|caixa)\b…(?:(?:des|in)(?:h?abilita|ati?va|activa|activ)\w*
            |inactiv\w+|inativ\w+|suspen\w+|sospes\w+|expira\w*|scadut\w+|vencid\w+|cerrad\w+|chius\w+|bloque?a?d\w+
            |bloccat\w+|cancelad\w+|encerrad\w+)
        (?:not|not an?|no longer) active
        no longer (?:in (?:use|service)|employed|works?|with (?:us|the company)|available|accept\w*|valid
            |on (?:this )?server|here|monitored|exists?|used)
        n'est plus (?:valide|actif|active|utilise|en service|disponible)
        nicht mehr (?:aktiv|gultig|verfugbar|in gebrauch|vorhanden)
        receiving…disabled
        has left
        deleted
        account (?:closed|not active)
        too old
        overquotaperm
        """,
        stages=_NOT_MAIL,
        advice=Advice.MAILBOX_DISABLED,
    ),
    Rule(
        Kind.RECIPIENT_UNKNOWN,
        r"""
        (?:has|have|was|is) moved
        (?:user|mailbox|recipient|address)…(?:moved|changed|relocated)…(?:to|address|new)?
        please try <
        new (?:e?mail )?address is
        forwarding (?:address )?(?:has )?expired
        demenage|verzogen
        """,
        stages=_NOT_MAIL,
        advice=Advice.MAILBOX_MOVED,
    ),
)

DOMAINS = (
    Rule(
        Kind.RECIPIENT_UNKNOWN,
        r"""
        (?:recipient|destination|rcpt)…(?:domain|host)…(?:not|n't|no|invalid|unknown|unresolv|lookup|nonexist
            |does|must)
        (?:domain|host|site|domaine|hostname)(?: name)?…(?:not found|unknown|does(?: not|n't) exist|not exist
            |invalid|is not (?:valid|local|hosted)|not (?:hosted|handled|served|known|configured|registered
            |resolve)|unresolv|inconnue?|unbekannt|n'existe pas|inexistant|existiert nicht|does(?: not
            |n't) (?:resolve|accept|have)|expired|dead|lookup failed|no such)
        (?:unknown|no such|invalid|illegal|bad|non ?existent|unroutable|unrouteable|unresolvable
            |dead) (?:mail |recipient |destination )*(?:domain|host|site)
        null mx
        (?:no|without|have no|missing|has no|empty)…(?:mx|valid mx|a or mx|dns|mail exchanger
            |mail server)\b…(?:record|host|entr|found|for)?
        mx records?…(?:invalid|non ?existent|point|null|local|empty|resolve)
        dns\.nonexistentdomain
        (?:name server|name service|dns)…(?:host not found|nxdomain|no such|non ?existent|malformed)
        nxdomain
        all relevant mx
        no smtp service(?= indicated| for)
        mx or srv record indicated
        host or domain name
        (?:host|domain) (?:/ ?domain )?does not accept (?:any )?(?:mail|e?mail)
        (?:not|n't|un) ?rout(?:e|ea)?able
        unable to route
        cannot route
        no route to (?:host|domain|destination|recipient)
        no (?:mail )?hosts? (?:found|for)
        cannot find your (?:recipient|destination)
        domaine…(?:inconnu|inexistant)
        dead domain
        domain (?:is )?not used
        bad destination (?:system|host|domain)
        tenant or domain not found
        reserved by rfc
        """,
        stages=_NOT_MAIL,
        advice=Advice.DOMAIN_UNKNOWN,
    ),
)

UNKNOWN = (
    Rule(
        Kind.RECIPIENT_UNKNOWN,
        r"""
        (?:user|mailbox|mail ?box|recipient|address|account|alias|addressee|inbox|person|name|id|e?mail
            |local ?part|destination|rcpt|virtual user|compte|boite|destinataire|utilisateur|postfach|konto
            |empfanger|benutzer|adresse|usuario|utente|destinatario|mail drop|<a>|user id|login|customer
            |member)…(?:is |are |was |were |est |ist |has been )*(?:unknown|not found|not known|not exist
            |does(?: not|n't) exist|do(?: not|n't) exist|doesn?t exist|didn't exist|not listed|not present
            |not recogni[sz]ed|unrecogni[sz]ed|not valid|invalid|not local|not here|not a valid|non ?existent
            |undeliverable|(?<!temporarily )(?<!currently )un(?:availa|avaia)ble|not available|no exist
            |unallocated|inconnue?|unbekannt|existiert nicht|nicht (?:gefunden|bekannt|vorhanden|verfugbar)
            |n'existe pas|introuvable|invalide|inexistante?|no existe|desconocid|sconosciut|inesistente
            |bestaat niet|onbekend|could not be found|couldn't be found|cannot be found|was not found|missing
            |not our|unroutable|notfound|not registered|not defined|unassigned|has no mailbox|nie istnieje
            |not exists|wrong)
        (?:unknown|no such|invalid|non ?existent|unrecogni[sz]ed|illegal|unrouteable|unroutable|undeliverable
            |bad|unkown|unbekannte\w*|inconnu\w*|wrong|no|not a|not an?|not (?:a |any )?valid|not known
            |aucun\w*|kein\w*|ungultige\w*
            |nessun) (?:\w+ )?(?:(?:local|virtual|destination|recipient|e?mail|user|valid|active|known|usable
            |final|delivery|or) )*
            (?:user|mailbox|recipients?|address|account|alias|person|people|local ?part|id\b|rcpt|one here|inbox
            |mail drop|login|destinataire|utilisateur|empfanger|benutzer|postfach|adresse|utente
            |entry in directory|customer)
        user (?:<[^>]*>|\([^)]*\)|\S+) (?:unknown|not found|does not exist|doesn't exist|not known|invalid)
        does(?: not|n't) have (?:an?|such an?)…(?:account|mailbox|address)
        doesn't have an?…account
        not our customer
        (?:no|isn't any|not any) (?:one|body|person|user|mailbox)…(?:here|by that name|at this|with that
            |in name)
        by that name
        badrcptto|badrecipientto|validrcptto
        cannot deliver (?:mail )?(?:for|to)
        recipient(?:s)?…(?:rejected|refused|not accepted|denied|not ok|undeliverable)(?=.*(?:unknown
            |not exist|invalid))
        address rejected(?!.*(?:access|policy|spam|block|sender|temporar|later|tempfail
            |mailer error|system error|internal))
        recip(?:ient)? ?not ?found
        nosuchuser
        resolver\.adr
        several matches|ambiguous
        recipient verif\w*…fail
        (?:not|n't|nicht|pas) (?:exist|existe|existiert)
        there is no (?:one|user|mailbox|such)
        user unknown
        unknown user
        mailbox unavailable
        no mailbox
        (?<!to )(?:check|verify|correct|misspell|typo).{0,40}(?:address|recipient|spelling)
        rcpt…(?:not exist|doesn't exist|unknown)
        permanent failure for one or more recipients
        no valid recipients
        nobody…(?:here|name|lives|that)
        見つかりません|存在しません|リストにありません|宛先不明|あて先
        """,
        stages=_NOT_MAIL,
    ),
)

REFUSED = (
    Rule(
        Kind.RECIPIENT_REFUSED,
        r"""
        recipient…(?:rejected|refused|denied|not allowed|not accepted|blocked|prohibited|not ok|not permitted
            |banned)
        (?:rejected|refused|denied|blocked) recipient
        recipient…(?:polic|access)
        destinataire…(?:refuse|rejete|interdit)
        empfanger…(?:abgelehnt|verweigert|nicht akzeptiert)
        administrative prohibition
        misconfigured forward|forward\w*…(?:misconfigured|invalid|failed)
        (?:account|user) (?:<a> )?is (?:not allowed|not permitted)
        (?:account|user|address|mailbox)…(?:restricted|prohibited)
        ^\W*(?:<a>\W*)?(?:blocked|rejected|denied|refused|access denied|not allowed|forbidden|no permit|prohibited)\W*$
        envelope recipient
        (?:does not|doesn't|not) accept (?:mail|messages|e?mail)
        """,
        stages=frozenset({Stage.RCPT, Stage.DATA, Stage.BODY}),
        codes=("5",),
    ),
)
