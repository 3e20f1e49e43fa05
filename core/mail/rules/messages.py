"""Rules about what is sent: viruses, forbidden files, loops, and the form of a message."""

from __future__ import annotations

from core.mail.advice import Advice
from core.mail.explanations import FailureKind as Kind
from core.mail.rules.model import MESSAGE, SIGNED_IN, Rule

_SEEN = MESSAGE

HEAD = (
    # Said at any step, and in words that also speak of spam or signatures: Google, SES, Yahoo.
    Rule(
        Kind.MESSAGE_REFUSED,
        r"""
        (?:multiple|several|more than one|two) address(?:es)? in (?:the )?from
        (?:multiple|several|duplicate[ds]?|more than one|too many(?!.*\breceived\b))…\bheaders?\b
        (?:not|n't|non) ?(?:be )?rfc ?(?:2?822|5322)
        """,
        stages=SIGNED_IN,
        advice=Advice.MALFORMED,
    ),
)

CONTENT = (
    # "Spam or virus" is said of spam.
    Rule(
        Kind.SPAM_SUSPECTED,
        r"""
        spam\W{1,4}(?:or |and |/ ?)?(?:\w+ )?(?:virus|malware|phishing)
        virus\W{1,4}(?:or |and |/ ?)?(?:a )?spam
        """,
        stages=SIGNED_IN,
    ),
    # Google, Exchange, Barracuda, Proofpoint: kinds of files.
    Rule(
        Kind.MESSAGE_REFUSED,
        r"""
        (?:attachment|attached|file|piece jointe|anhang|dateianhang|archive|zip|document
            |macro)\w*…(?:not (?:allowed|permitted|accepted)|n't (?:allowed|permitted)|blocked|forbidden
            |prohibited|illegal|banned|denied|rejected|refused|interdit\w*|nicht (?:erlaubt|zugelassen
            |gestattet)|unzulassig|disallowed|dangerous|restricted|stripped|encrypted|password)
        (?:illegal|forbidden|prohibited|blocked|banned|dangerous|disallowed|unacceptable|suspicious|encrypted
            |invalid|unauthorized|restricted|unwanted|unsafe|harmful|executable)…(?:attach|file (?:type|ext
            |name)|extension|zip|archive|piece jointe|anhang|mime type|filename)
        executable
        banned: ?\S*\.\w
        potential(?:ly)? (?:security issue|dangerous|harmful|unsafe)
        presents a potential
        attachment (?:\w+ )?polic
        blockedmessage
        banned (?:file|name|extension|mime|attach)
        \.(?:exe|bat|js|vbs|scr|zip|docm|xlsm)\b…(?:not|block|forbid|reject|ban)
        (?:not|n't) accept\w*…(?:attachments?|images)
        """,
        stages=SIGNED_IN,
        advice=Advice.FORBIDDEN_ATTACHMENT,
    ),
    # ClamAV, Vade, GoDaddy.
    Rule(
        Kind.MESSAGE_REFUSED,
        r"""
        virus(?!total)
        \bviren
        malware
        infected
        trojan
        \bworm\b
        clamav
        ransomware
        eicar
        schadsoftware
        malicious (?:attach|file|software|code|macro|program)
        (?:win32|w97m|html|pdf|doc|js)\.\w+\.\w+ found
        \brtr:ch\b
        infect
        """,
        stages=SIGNED_IN,
        advice=Advice.VIRUS,
    ),
    # Nothing is wrong with the message: a server, or a mailbox that forwards, sends it in a circle.
    Rule(
        Kind.SERVER_ERROR,
        r"""
        too many (?:hops|received|relays)
        (?:mail|message|routing|mx|forward\w*|e?mail|delivery)? ?loop(?:s|ing|ed)?\b…(?:detect|back|found|:
            |to|$|it)?
        looping
        mxloop
        hop ?count
        (?:exceed\w*|more than|maximum|over|too many)…\bhops?\b
        boucle
        schleife
        delivered to (?:line|header)
        already has my delivered
        message depth exceeded
        """,
        stages=SIGNED_IN,
        advice=Advice.MAIL_LOOP,
    ),
    # RFC 5322; Google, Exchange, Postfix, Exim, iCloud, GMX.
    Rule(
        Kind.MESSAGE_REFUSED,
        r"""
        bare (?:lf|cr|line ?feed|newline|carriage|linefeed)
        (?:stray|bare|lone|isolated|naked) (?:<?(?:lf|cr|nl)>?|line ?feeds?|newlines?|carriage)
        smuggl
        smtplf
        (?:mal|ill) ?formed…(?:message|header|mime|mail|content|address in|date|body)
        (?:message|header|mail|mime)\w*…(?:is |are )?(?:malformed|ill ?formed|corrupt\w*|mal forme)
        (?:rfc ?)?(?:2?822|5322|2822|2045|2047)\b…(?:compl|conform|violat|format|section|requir|valid|header
            |specification)
        (?:not|non|n't)…(?:rfc|standards?|mime)…(?:compl|conform)
        rfc\w*…(?:violation|not compliant|non ?compliant)
        (?:missing|no|without|lacks?|invalid|bad|duplicate|multiple|illegal|empty|wrong|malformed|unparseable
            |unparsable|more than one|two|blank|several|required|incorrect|improper)…(?:from|date|message ?id
            |to|subject|sender|reply to|received|content type|mime|e?mail)?:?…\bheaders?\b
        (?:missing|no|invalid|duplicate|multiple|bad|blank|malformed) (?:a )?(?:valid )?(?:from|date
            |message ?id|subject|to)(?::| header| field| line)
        \bheaders?\b…(?:missing|invalid|malformed|not|n't|duplicate|too|error|illegal|bad|required|violat
            |contain|must|problem|syntax|unqualified|incorrect)
        (?:multiple|several|missing a valid) address(?:es)? in (?:the )?from
        messages missing
        improper use of 8 ?bit
        (?:8 ?bit|binary|non ?ascii|unencoded|unicode|utf ?8|control|null|nul) (?:char\w*|data|content|bytes?
            |mime|octets?)…(?:not|in|header|disallow|invalid|require|unsupported|found)
        encoded word
        contains…(?:invalid|illegal|unicode|null|nul)…(?:char|byte|header)
        nul (?:octet|char|byte)s?
        (?:mime|multipart|boundary|encoding|charset|transfer encoding)…(?:error|invalid|illegal|malformed
            |missing|not|unsupported|too|unknown|violat|depth|nest)
        invalid message (?:content|format|header|body)
        invalid characters
        message (?:is )?(?:empty|blank|not (?:valid|parsable|readable))
        empty (?:message|body)
        (?:date|time) (?:is |header )?(?:in the )?(?:future|past|too old|invalid)
        future date
        \bmff:
        must (?:contain|have|include)…(?:header|from|date|message ?id)
        nachrichtenformat|format du message
        message submission…header
        protocol violation
        (?:not|n't) (?:conform|comply|compliant)
        conversion (?:failure|failed|error|required)
        missing final
        single text value
        pdf…(?:invalid|corrupt)
        """,
        stages=_SEEN,
        advice=Advice.MALFORMED,
    ),
)
