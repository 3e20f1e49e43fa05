"""Later, slower, less: greylisting, rates, quotas of sending, full mailboxes, size."""

from __future__ import annotations

from core.mail.advice import Advice
from core.mail.explanations import FailureKind as Kind
from core.mail.rules.model import ENVELOPE, SIGNED_IN, Rule

GREYLISTS = (
    # Postgrey, milter-greylist, SQLgrey, rspamd, Exim, Mimecast, Yandex, GoDaddy.
    Rule(
        Kind.RATE_LIMITED,
        r"""
        gr[ae]y ?list
        postgrey
        sqlgrey
        liste grise
        graulist
        \[gl\d\d\]
        lista gris
        (?:first (?:time|contact|delivery)|unknown|new|unfamiliar) (?:sender|triplet|ip|host)…(?:later|again
            |wait|delay|defer)
        internal resources? (?:is |are )?temporarily unavailable
        (?:currently|temporarily) (?:greyed|delayed|deferred) by (?:policy|polic)
        delay(?:ed|ing) (?:first|unknown|new)
        (?:retry|try again|come back|try) (?:in|after) \d+ ?(?:s|sec|min|h)
        deferred…(?:anti ?spam|antispam) (?:measure|delay)
        you (?:are|have) (?:been )?delayed
        address verification in progress
        unverified (?:address|sender|recipient)(?!.*(?:disabled|not exist|unknown|undeliverable))
        """,
        codes=("4",),
        advice=Advice.GREYLISTED,
    ),
    # Said of one sender and one recipient, and no more: hMailServer and others greylist so.
    Rule(
        Kind.RATE_LIMITED,
        r"^(?:please )?(?:try|retry)(?: again)? (?:later|in a few minutes)\W*$",
        codes=("4",),
        stages=ENVELOPE,
        advice=Advice.GREYLISTED,
    ),
    # Also with a 5yz, by mistake of whoever set it up: nobody greylists for ever.
    Rule(
        Kind.RATE_LIMITED,
        r"""
        gr[ae]y ?list
        postgrey
        liste grise
        """,
        temporary=True,
        advice=Advice.GREYLISTED,
    ),
)

RATES = (
    # The recipient's own rate: Google, Exchange, iCloud.
    Rule(
        Kind.RATE_LIMITED,
        r"""
        (?:user|recipient|mailbox|account)…(?:is )?receiving (?:mail|messages|e?mails) (?:too (?:quickly
            |fast)|at a (?:rate|too))
        receivingrate
        (?:mailbox|recipient|user)…received too (?:much|many)
        recipient'?s? (?:per )?(?:hour(?:ly)?|message|thread|receive)…limit
        recipient…exceeded (?:their|its|the) limit
        exceeding receiving limits
        recipient thread limit
        messages to <a> deferred due to excessive volume
        too many (?:messages|mails|e?mails) (?:to|for) (?:this|the|that) (?:recipient|mailbox|user)
        """,
        temporary=True,
        advice=Advice.RECIPIENT_BUSY,
    ),
    Rule(
        Kind.RATE_LIMITED,
        subject=r"2\.12[12]",
        temporary=True,
        advice=Advice.RECIPIENT_BUSY,
    ),
    # Recipients per message or transaction: RFC 5321 §4.5.3.1.10; Postfix, Exim, Exchange, Google, docomo.
    Rule(
        Kind.RATE_LIMITED,
        r"""
        too many (?:envelope |rcpt|concurrent )?(?:recipients|rcpts|addresses|users|to:)(?!…(?:hour|day
            |minute|today))
        (?:trop de destinataires|zu viele empfanger)
        (?:max\w*|limit)…(?:number of |of )?(?:recipients|rcpts?|destinataires|empfanger)(?!…(?:hour|day
            |today|daily))…(?:exceed|reach|limit|per|for)
        recipients?…(?:limit|max\w*|count) (?:is |has been |was )?(?:exceed|reach)\w*(?!…(?:hour|day|daily))
        resolver\.adr\.recip\w*limit
        only \d+ recipients?
        recipient policy size
        separate transaction
        multiple destination domains
        rcpt limit
        more than \d+ recipients
        too much recipients
        """,
        temporary=True,
        advice=Advice.TOO_MANY_RECIPIENTS,
    ),
    # What the account may send: Google, Microsoft, OVH, IONOS, Zoho, SES, SendGrid, cPanel, Infomaniak.
    Rule(
        Kind.RATE_LIMITED,
        r"""
        (?:daily|hourly|monthly|weekly|journalier|quotidien|horaire|mensuel|tages|taglich|stundlich)…(?:limit
            |quota|quotum|message|sending|credits?|cap)\w*
        (?:sending|send|outgoing|outbound|envoi\w*|submission|smtp relay|relay(?:ing)?|mailing
            |versand)…(?:limit|quota|quotum|allowance|credits?|cap|threshold)s?\b…(?:exceed|reach|attei
            |depass|over|hit|full|used|uberschritt|erreicht)
        (?:exceed\w*|reach\w*|depass\w*|attei\w*|over|hit)…(?:sending|send|outgoing|outbound|messaging
            |submission|d'envois?|mailing|relay) ?(?:limit|quota|rate|allowance|threshold|cap)?
        (?:limite|quota|cuota) (?:\w+ )?d'?(?:e )?(?:envois?|envios?|mensa\w+|correos)
        sendelimit
        versandlimit
        exceed\w*…number of posts
        (?:exceed\w*|reach\w*|over|more than)…(?:messages?|e?mails?|recipients?|rcpts?|deliveries|posts
            |defers and failures)…{time}
        (?:messages?|e?mails?|recipients?|rcpts?) (?:sent )?{time}…(?:limit|exceed|reach|allowed|max)
        (?:max\w*|limit of|limited to|only)…\d+ (?:messages?|e?mails?|recipients?)…{time}
        too many…(?:recipients?|rcpts?|messages?|e?mails?)…(?:hour|day|minute|today|per|in a|jour|heure)
        too many to too many recipients
        maximum sending rate
        maximum credits
        (?:queue|organi[sz]ation) quota
        messages? quota…(?:exceed|reach|over)
        (?:out of|not enough|insufficient) (?:email )?credits
        submission ?quota ?exceed
        (?:account|tenant|domain|customer|plan|user|you|user <a>
            |domain [a-z0-9. ]+) (?:has |have )?(?:exceed\w*|reach\w*)…(?:limit|threshold|max\w*|allowance
            |allocation for|sending quota)(?!…(?:mailbox|storage|disk))
        tenant has exceeded
        unusual sending activity…try
        defers and failures
        plan (?:limit|allowance)
        billing limit
        nombre max\w*…(?:e?mails?|messages?|envois?|courriels?)
        maximale anzahl…(?:e?mails?|nachrichten)
        trial (?:limit|account limit|period)
        spikes?…sending
        overquota…send
        """,
        temporary=True,
        advice=Advice.DAILY_QUOTA,
        slows=True,
    ),
    Rule(
        Kind.RATE_LIMITED,
        subject=r"4\.5|1\.90|7\.23[236]|7\.705",
        codes=("5",),
        temporary=True,
        advice=Advice.DAILY_QUOTA,
        slows=True,
    ),
)

SPEED = (
    # How fast, and how many at once.
    Rule(
        Kind.RATE_LIMITED,
        r"""
        (?:temporar\w*|been|is|are) (?:been )?rate ?limit
        rate ?limit\w*…(?:exceed|reach|hit|appl|activ|enforc|for|on|by)
        \brate ?limit(?:ed|ing)?\b
        ratelimit
        (?:rate|frequency|speed|volume|concurren\w*|connections?|messages?|e?mails?|sessions?
            |throughput)…(?:limit|quota|threshold|max\w*)s?\b…(?:exceed|reach|attei|hit|uberschritt)
        \b(?:exceed\w*|reach\w*|over|hit|above)\b…(?:rate|frequency|volume|concurren\w*|connections?
            |sessions?|throughput)…(?:limit|quota|threshold|max\w*|allowed)?
        (?:max\w*|limit)…(?:connections?|sessions?|messages?|e?mails?|transactions?)…(?:exceed|reach|per|for
            |from|allowed)
        too many…{things}
        zu viele…{things}
        trop (?:de |d')…{things}
        trop (?:de |d')\w+
        too (?:fast|frequent\w*|quick\w*|often|much (?:mail|traffic|load)|rapid\w*)
        trop (?:vite|frequent)
        zu (?:schnell|haufig|oft)\b
        throttl
        frequency limit
        slow(?:er| down)
        unusual (?:rate|traffic|amount)
        (?:unexpected|excessive|high|unusual) (?:volume|rate|number|amount)
        unexpected volume
        excessive (?:connections?|messages?|errors?|failures?|unknown|rcpt|recipients|mail)
        concurrency
        simultaneous (?:connections?|sessions?)
        exceeded permitted limits
        mail flood
        flood
        connection (?:rate|count|limit|frequency)
        connections? (?:from|per)…limit
        outbound thread limit
        numerous attempts
        (?:already )?connected…too
        max(?:imum)? (?:message|e?mail)s? per (?:connection|session)
        reduce (?:your )?(?:sending |message |connection )?(?:rate|volume)
        back ?off
        \bdyn:t\d
        \brp 00[123]\b
        server busy\. please try again later from
        receiving rate
        """,
        temporary=True,
        slows=True,
    ),
    Rule(
        Kind.RATE_LIMITED,
        codes=("4",),
        subject=r"7\.28",
        temporary=True,
        also=Kind.SPAM_SUSPECTED,
        slows=True,
    ),
)

# Before what is said of the server, since both have a disk.
MAILBOX_SPACE = (
    Rule(
        Kind.MAILBOX_FULL,
        r"""
        (?:user|recipient|mailbox|account|<a>) (?:<a> )?(?:has |have )?(?:no|not enough|insufficient) (?:free )?dis[ck]
        larger than the (?:space|room)
        """,
        stages=SIGNED_IN,
    ),
)

MAILBOX_FULL = (
    # Microsoft and others put both into one sentence.
    Rule(
        Kind.MAILBOX_FULL,
        r"""
        (?:larger|too (?:large|big))…(?:or|/)…(?:mailbox|quota)…full
        mailbox…full…or…(?:too )?(?:large|big)
        """,
        also=Kind.MESSAGE_TOO_LARGE,
    ),
    Rule(
        Kind.MAILBOX_FULL,
        r"""
        (?:mailbox|mail ?box|inbox|mail ?folder|mail ?drop|maildir|mail file|account|recipient|user
            |destinataire|postfach|boite|quota|address
            |storage)…(?:is |are |was |etait |est |ist )?(?:too )?(?:full\b|plein\w*|voll\b|satur\w*|overfull
            |uberfullt|uber ?quota|\blleno)(?! (?:name|address|header|qualified))
        (?:full|overfull|plein\w*|volle\w*|saturee?) (?:mailbox|inbox|postfach|boite|mail ?box)
        mailfull
        mbox ?full
        (?:over|exceed\w*|exceeds|depass\w*|out of|beyond|uber\w*)
            …(?:(?:dis[ck]|mailbox|storage|mail|its|their|the|allowed|allocated|le|de) )*(?:quota|storage)
            (?!…(?:send|submission|envoi))
        \b(?:over|uber|sur) ?quota\b
        quota…(?:exceed|violat|depass|full|overdrawn|attei|reached|uberschritt|erschopft|usage)
        (?:disk|disc|mailbox|storage|user|mail) ?quota\b
        overquota
        (?:insufficient|not enough|no|lack of|out of)…(?:storage|space|room)…(?:mailbox|user|recipient
            |account|inbox|<a>|left|available)?(?<!system)
        (?:mailbox|inbox|storage|mail file|account (?:storage|size))…(?:limit|size|space|capacity|allocation
            |allowance|blocks)…(?:exceed|exeed|reach|used up|limit)
        space has been used up
        (?:exceed\w*)…(?:disk space|mailbox (?:size|limit)|storage (?:limit|allocation|space)
            |maximum (?:allowed )?(?:storage|mailbox))
        too many messages (?:on the server|in (?:the )?(?:mailbox|inbox))
        too much mail data
        mailbox (?:has )?(?:exceeded|exceeds|reached|over)
        (?:over|exceed\w*)…(?:number of messages|message count)(?!…(?:per|session|connection|hour|day))
        (?:not able to|unable to|cannot|can't) receive (?:any )?more
        plus d'espace|espace (?:disque )?insuffisant|speicher(?:platz|volumen)
        does not have enough space
        exhaust\w*…(?:storage|space|quota)
        (?:append|mailbox|/mail/)…file too large
        memory quota
        (?:cuota|quota|limite)…(?:superad|excedid|agotad|esgotad|ultrapassad|esaurit)
        (?:buzon|casilla|cuenta|casella|caixa|espacio|espaco|spazio)…(?:lleno|llena|pien[oa]|chei[oa]|agotad|esgotad
            |esaurit|insufficiente|insuficiente)
        一杯|いっはい|容量
        """,
        stages=SIGNED_IN,
    ),
)

SIZE = (
    Rule(
        Kind.MESSAGE_REFUSED,
        r"""
        headers?…(?:too (?:large|big|long)|size)
        header…exceeds
        (?:too many|number of) (?:headers|mime)
        line…too long
        line (?:length|limit)
        lines? longer than
        """,
        stages=SIGNED_IN,
        advice=Advice.MALFORMED,
    ),
    Rule(
        Kind.MESSAGE_TOO_LARGE,
        r"""
        (?:message|e?mail|mail|msg|data|body|content|attachments?|size|nachricht|courriel|piece jointe|anhang
            |file)…(?<!queue )(?:too|trop|zu) (?:large|big|long|volumineu\w*|gross?\w*
            |lourd\w*|gro)(?:\b|…)
        (?:too|trop|zu) (?:large|big|volumineu\w*|gross?\w*|lourd\w*)…(?:message|mail|courriel|nachricht
            |e?mail|attachment)
        message (?:is )?too big
        too (?:large|big)\b
        (?:message|mail|e?mail|attachments?|fixed|content|data) ?(?:file )?size…(?:exceed|limit|max|over
            |larger|greater|not allowed|too|depass|uberschr)
        exceed\w*…(?:fixed |maximum |max |allowed |our |the |google's )*(?:message |mail |e?mail )?size
        size (?:limit|exceed|of)…(?:exceed|limit|max|bytes)
        taille (?:limite|maxim\w*)?…(?:message|depass|attei|max)
        larger than…(?:limit|system|allowed|max|permitted|accept|\d)
        (?:maximum|max|allowed|limit)…(?:message|mail|e?mail|attachment) ?size
        sizelimit
        class=size\b
        (?:too many|number of) attachments
        attachment count
        \d+ ?(?:mb|kb|bytes|mo|octets)…(?:limit|max)
        nachrichtengro|maximale gro
        exceeds…(?:\d+ ?(?:mb|kb|bytes))
        """,
        stages=SIGNED_IN,
    ),
)
