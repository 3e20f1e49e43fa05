"""Rules about reputation: block lists, bad names, and what is taken for spam."""

from __future__ import annotations

from core.mail.advice import Advice
from core.mail.explanations import FailureKind as Kind
from core.mail.outcomes import Stage
from core.mail.rules.model import GREETING, MESSAGE, SIGNED_IN, Rule

OUR_ADDRESS = (
    # The recipient's server has blocked the address of ours, not the recipient the sender.
    Rule(
        Kind.SPAM_SUSPECTED,
        r"""
        (?:\bips?\b|ip address|client host|sending (?:host|server))(?: \[?[\d.:a-f]+\]?)?
            (?: is| was| has been| has)? (?:blacklisted|black ?listed|blocked|banned|rejected|denied|refused)
            (?: by (?:the |this )?(?:recipient|user|customer|domain))
        """,
        stages=SIGNED_IN,
        advice=Advice.BLOCK_LIST,
    ),
)

# "Slower, since we do not trust you": that is the cause, and what must be mended.
REPUTATION = (
    Rule(
        Kind.SPAM_SUSPECTED,
        r"""
        (?:low|poor|bad|negative)…reputation
        due to (?:ip |domain |sender |the )*reputation
        unsolicited.{0,150}has been blocked
        """,
        stages=SIGNED_IN,
        advice=Advice.BLOCK_LIST,
    ),
    # A score has a limit, which is none of how much may be sent.
    Rule(
        Kind.SPAM_SUSPECTED,
        r"""
        appears? to be (?:unsolicited|spam|junk|bulk)
        (?:spam|messages?) ?(?:score|scoring)…(?:over|above|exceed)
        """,
        stages=SIGNED_IN,
    ),
    # Found in what was read, not a mailbox that is closed, whatever the code.
    Rule(
        Kind.SPAM_SUSPECTED,
        r"""
        content filter (?:agent|reject|rule|block)
        quarantined
        (?:message|e?mail|content|it)…(?:classified|identified|detected|flagged|marked|considered|judged)…spam
        """,
        stages=MESSAGE,
    ),
)

BLOCK_LISTS = (
    # Spamhaus, SpamCop, Barracuda, Cloudmark, Proofpoint, UCEPROTECT, Abusix, Trend Micro, Cisco, Postscreen, GMX.
    Rule(
        Kind.SPAM_SUSPECTED,
        r"""
        blacklist
        black ?listed
        blocklist
        block ?listed
        listes? noires?
        schwarze liste
        auf einer (?:sperr|black)
        sperrliste
        dnsbl
        (?:\bip\b|client|host)…not (?:allowed|permitted|authori[sz]ed) to (?:send|connect|deliver|submit)
        \brbl\b
        \brbls\b
        \bdnswl\b
        block list
        real ?time block
        spamhaus
        spamcop
        \bsorbs\b
        barracuda\w*…(?:block|reputation|central|list)
        b\.barracuda
        csi\.cloudmark
        cloudmark
        uce ?protect
        senderscore
        abusix
        surbl
        uribl
        invaluement
        ivmsip
        mailspike
        \bpsbl\b
        manitu
        spamrl
        spameatingmonkey
        hostkarma
        trend ?micro
        drbl
        \baup#
        rhsbl
        exploits? block
        nixspam
        truncate\.gbudb
        (?<!not )listed (?:at|in|on|by)\b
        (?:is|are|was|been|were|being|currently) listed\b
        (?:found|present|appears?|entry|entered|included) (?:in|on)…(?:list|database|bl\b)
        (?:blocked|rejected|refused|denied) (?:using|by|at|from|via)…(?:\bbl\b|list|zen|\bcbl\b|xbl|sbl|pbl
            |dbl|\.org|\.net|\.com|\.de)
        reputation
        banned (?:sending ip|sender|ip|host)
        sender \[?\d+\.\d+\.\d+\.…(?:banned|blocked|rejected|denied)
        (?:bad|wrong) (?:sender |client |source )?ip\b(?! name)
        listed as (?:an? )?(?:abus|spam|source|open|known|bad|dynamic|suspicious|bl[ao]ck)
        mail from \[?\d+\.\d+\.\d+\.\d+…(?:not allowed|deferred)
        (?:dictionary|harvest\w*|directory|bounce) attack
        """,
        stages=SIGNED_IN,
        advice=Advice.BLOCK_LIST,
    ),
)

BLOCKED = (
    # The same, in words that are said of other things too.
    Rule(
        Kind.SPAM_SUSPECTED,
        r"""
        permanent failure…:blocked
        temporarily blocked
        blocked by…anti spam system
        server (?:at )?\S+ (?:is |has been )?blocked
        no access from
        \d+\.\d+\.\d+\.\d+[\])]*(?: is| was| has been|:)? (?:refused|rejected|blocked|denied|banned)\b
        (?:refused|denied|rejected) from \[?\d+\.\d+\.\d+
        ip not in white ?list
        (?:\bip\b|ip address|adresse ip|client (?:host|address)|(?:your|this|sending|source|sender) (?:mail ?
            |smtp )?(?:server|host|network|domain|mta|address|range|isp|gateway
            |connection))…(?:is |has been |was |are |been |temporarily |permanently |currently )*(?:blocked
            |banned|blacklisted|denied access|rejected|bloquee?|gesperrt|blockiert|refused
            |barred)(?! (?:by (?:the )?(?:recipient|user)))(?! attach)
        (?:blocked|banned|rejected|refused|denied)…(?:your|sending|source|client|sender|this|the|from
            |mail) (?:ip|ip address|server|host|network|domain|mta)
        (?:not|n't|no longer)…(?:accept\w*|allow\w*|permit\w*|welcome).{0,90}?\bfrom\b(?!:| address
            | header)…(?:ip|your|this|host|dynamic|server|network|address|client|\d+\.\d+)
        (?:all )?messages from…(?:permanently|weren't sent|were not sent|not accepted|blocked|rejected
            |deferred)
        connections? (?:from|will)…not (?:be )?accepted
        not accepting connections
        not allowed to connect
        dynamic…(?:ip|address|range|pool|host|client|user|assigned)
        \b(?:residential|dial ?up|consumer|broadband|dsl|cable)\b…(?:ip|address|host|range|pool|client|user)
        client host rejected: (?!cannot|was not)
        part of their network
        \((?:s|as)\d{3,}\)…(?:block|spam|ban)
        \bs31[45]0\b
        \b(?:sc|ou|dy) 00[1-4]\b
        \b(?:bl|ts|tss)\d\d\b
        \b(?:con|rtr|rly|hvu|dnsbl):\w\w
        \bats(?:rbl)?\b
        access…(?:to )?(?:this|our|the) (?:mail|e?mail|smtp)?…(?:system|server)…(?:rejected|denied|refused
            |blocked)
        access to submit messages
        spamm(?:er|ing)\b
        spam source
        known spam
        (?:originat\w*|sen[dt]\w*|source) (?:of )?(?:too much |so much )?spam
        currently sending spam
        go away
        bad (?:neighbou?rhood|host|ip|behaviou?r)
        (?:suspicious\b|compromised|infected|zombie|botnet|open relay|open proxy)…(?:ip|host|server|machine
            |network)
        open proxy
        open relay
        country
        geographic
        host network,? not allowed
        not accepted (?:due to|because of)…(?:ip|host|network)
        ip=.*problem occurred
        accept email over ipv6
        is not authorized to send (?:e?mail )?directly
        tosa@|\(bl\)
        use (?:the|your) (?:smtp|mail) ?(?:server|relay)? of your (?:isp|provider)
        (?:service refuse|service refused)…(?:blocked|bad behavior|comportement|spam)
        adresse ip source bloquee
        """,
        stages=SIGNED_IN,
        advice=Advice.BLOCK_LIST,
    ),
)

SPAM = (
    # The message itself: SpamAssassin, rspamd, Gmail, Free, IONOS, GMX, Vade, Proofpoint, Barracuda, cPanel.
    Rule(
        Kind.SPAM_SUSPECTED,
        r"""
        spam(?!trap)
        banned content
        \bdt:s\w\w\b
        unsolicited
        \bube\b
        \buce\b
        junk
        bulk (?:mail|e?mail|message|advert)
        phish
        \bscam\b
        fraud
        pourriel
        indesirable
        unerwunscht
        werbung
        (?:content|inhalt|contenu)…(?:reject|denied|refus|not (?:acceptable|accepted|allowed)|filter reject
            |abgelehnt|unacceptable|restriction|polic|judged|blocked|not permitted|prohibited|forbidden|nicht)
        (?:reject\w*|denied|refus\w*|blocked|unacceptable|bann?ed|prohibited|objectionable
            |offensive)…(?:content|contenu|inhalt|url|link|phrase|keyword|word|pattern)
        message (?:was |has been )?(?:filtered|quarantined|blocked|held)
        \bunacceptable\b
        \bwords?\b…(?:blocked|banned|forbidden|not allowed)
        filtered
        quarantin
        suspicious\b
        suspected
        suspicion
        malicious (?:url|link|content|site)
        (?:blocked|rejected|refused|caught|stopped) (?:by|due to|because of)…(?:filter|score|fingerprint
            |signature|pattern|heuristic|bayes|razor|pyzor|dcc)
        (?:high|low|bad|too) (?:probability|score|confidence)
        score
        recurrent pattern
        nature of the content
        message looks like
        mass mail
        (?:local|security|content|organi[sz]ation\w*|site|mail|company|our|admin\w*|server|corporate|usage
            |use|anti ?abuse|filter\w*|inbound) polic(?:y|ies)
        polic(?:y|ies) (?:reasons?|restrict\w*|violations?|reject\w*|block\w*|filter\w*|prohibit\w*|rejection)
        (?:for|due to|by|because of|violat\w*|against) (?:\w+ )?(?:polic(?:y|ies))
        policy analysis
        raisons? de (?:politique|securite)
        richtlinie
        \[(?:ph|cs|hm|hme|cm|ctt|hc|sc)\d+\]
        (?:\baup\b|acceptable use|terms of (?:service|use))
        mail rejete
        mail rejected
        message rejete
        message rejected\b…(?:abuse|reason|filter|as\d|id|see|$)
        abus(?:e|ive)
        \bhvu:
        0\.0\.0 unwanted
        unwanted
        permanently rejected message
        not (?:rfc|legit)
        """,
        stages=SIGNED_IN,
    ),
)

SPAM_BY_STEP = (
    Rule(Kind.SENDER_REFUSED, r"\bmx\b|\bdns\b|domain|resolv|not exist", codes=("5",), stages=frozenset({Stage.MAIL}),
         advice=Advice.SENDER_DOMAIN),
    Rule(Kind.SPAM_SUSPECTED, r"administrative prohibition|prohibit", stages=MESSAGE),
    Rule(Kind.SPAM_SUSPECTED, r"denied|refused|not authori[sz]ed|not allowed|forbidden|rejected|banned",
         stages=GREETING, codes=("5",), advice=Advice.BLOCK_LIST),
)  # fmt: skip
