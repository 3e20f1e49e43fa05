"""Rules about who sends: authentication of the domain, relaying, the From address, names of hosts."""

from __future__ import annotations

from core.mail.advice import Advice
from core.mail.explanations import FailureKind as Kind
from core.mail.outcomes import Stage
from core.mail.rules.model import SIGNED_IN, Rule

UNCLEAR_SENDER = (
    # RFC 4407: the head names no sender that could be asked about; not that it is a wrong one.
    Rule(
        Kind.SENDER_REFUSED,
        r"(?:can(?:no|')t|could ?n[o']t|unable to|failed to) (?:determine|find|derive) (?:the )?purported responsible",
        stages=SIGNED_IN,
    ),
)

# RFC 7208, 6376, 7489; the words are the same everywhere: Google, Microsoft, Yahoo, iCloud, Orange, GMX, Mimecast.
DOMAIN_AUTHENTICATION = (
    Rule(
        Kind.SPAM_SUSPECTED,
        r"""
        \bdmarc\b
        spoof
        \bdmarc\w+
        """,
        stages=SIGNED_IN,
        advice=Advice.DMARC,
    ),
    Rule(
        Kind.SPAM_SUSPECTED,
        r"""
        \bspf\b(?!:? (?:pass|ok))
        sender policy framework
        mismatch\w* (?:the )?(?:client|source|sending) ip
        (?:invalid|unauthori[sz]ed|wrong) ip for sending
        purported responsible
        openspf
        \bsender id\b
        unauthenticated (?:e?mail|message)
        does not have authentication information
        (?:mail|message|sender|it) is unauthenticated
        (?:fails?|failed|failing|not|n't)…(?:pass )?authentication checks
        (?:either|both|neither) spf
        """,
        stages=SIGNED_IN,
        advice=Advice.SPF,
    ),
    Rule(
        Kind.SPAM_SUSPECTED,
        r"""
        \bdkim\b
        domain ?keys
        \(au0[12]\)
        \barc (?:validation|seal|chain)
        """,
        stages=SIGNED_IN,
        advice=Advice.DKIM,
    ),
)

RELAY = (
    # Exchange Online: a connector that does not know the sender.
    Rule(Kind.SENDER_REFUSED, r"tenant ?(?:inbound ?)?attribution", advice=Advice.RELAY_DENIED),
    # cPanel, qmail, MailEnable and others: not without a sign-in.
    Rule(
        Kind.AUTH_FAILED,
        r"""
        relay…(?:without|until|unless|before|first|please|requires?|must|need)…(?:auth|log ?in|log on
            |sign ?in)
        (?:please|must|you need to|have to|turn on|enable)…(?:auth\w*|log ?in\b|log on)…relay
        auth\w* (?:is )?required…relay
        relay…auth\w*…(?:required|needed|necessary|requise|first)
        (?:don't|do not|did not|didn't) authenticate
        """,
        stages=SIGNED_IN,
        advice=Advice.AUTH_REQUIRED,
        also=Kind.SENDER_REFUSED,
    ),
    # Postfix, Exim, Sendmail, qmail, Exchange, Google, Mailgun, Zoho, Mimecast.
    Rule(
        Kind.SENDER_REFUSED,
        r"""
        relay(?:ing|ed)?\b…(?:denied|not permitted|not (?:be )?allowed|prohibited|refused|rejected|forbidden
            |disallowed)(?!.*exceed)
        (?:rejected|denied|refused|unauthori[sz]ed) relay
        relay(?:ing|ed)?\b…(?:verboten|interdit\w*|non autorise\w*|unauthorized|not authorized|disabled
            |not possible)
        (?:not|isn't|aren't|unable|refus\w*|cannot|can't|won't|will not|don't|do not|denied|no)\b…\brelay
        rcpthosts
        as a relay\b
        local user only
        open relay (?:is )?not
        insecure mail relay
        credentials for relay
        deliver\w* (?:is )?not (?:allowed|permitted|authori[sz]ed) to (?:this|that) (?:address|domain|host)
        relais…(?:refus|interdit|non)
        weiterleit…(?:verweigert|nicht|abgelehnt|verboten)
        nicht…(?:weitergeleitet|weiterleiten)
        (?:we|i|this (?:host|server|system)) (?:do(?:es)?n't|do(?:es)? not|can ?not) (?:handle|accept
            |take) mail for
        not (?:a )?(?:gateway|permitted destination)
        (?:third|3rd) party…(?:relay|mail)
        recipient…non accepted domain
        you (?:are not|aren't|must be) (?:in|on) (?:our|the|my) (?:local )?network
        unregistered domains
        """,
        stages=SIGNED_IN,
        advice=Advice.RELAY_DENIED,
        also=Kind.AUTH_FAILED,
    ),
)

# Said of the From, in words that speak of authentication or of what is verified.
IDENTITY = (
    # SES, SendGrid, Mailgun, Postmark, Brevo, Mailjet, Yahoo: prove first that it is yours.
    Rule(
        Kind.SENDER_REFUSED,
        r"""
        (?<!recipient )(?:address|addresses|identit\w*|domain|sender|from|signature)…(?:is |are |not |been )*(?:not|n't
            |un) ?(?:been )?(?:verified|confirmed|validated)
        verif(?:y|ied)…sender identit
        (?:verified|approved|validated|active|registered) (?:sender|domain|identit|from)
        sender (?:signature|identity)…(?:not|invalid|unknown|confirm)
        sandbox (?:sub)?domain
        (?:free|trial|test) (?:accounts?|subdomain)…(?:test|authorized)
        authorized recipients
        demo domains?\b
        unconfigured (?:sending )?domain
        sender (?:is )?not valid
        """,
        stages=SIGNED_IN,
        advice=Advice.VERIFY_IDENTITY,
    ),
    Rule(
        Kind.SENDER_REFUSED,
        r"""
        (?:from|sender|domain|return path|envelope|absender\w*|expediteur)…(?:must|does not|doesn't|do not|has to
            |not) (?:match|be (?:the )?same|be identical|equal|correspond)
        mismatch…(?:from|sender)
        conform with (?:the )?auth
        (?:from|sender)…mismatch(?!\w* (?:the )?(?:client|source|sending) ip)
        """,
        stages=SIGNED_IN,
        advice=Advice.FROM_NOT_YOURS,
    ),
)

SENDER = (
    # The account that sends is blocked: Exchange Online, OVH, IONOS, cPanel, Brevo, SendGrid, SES.
    Rule(
        Kind.SENDER_REFUSED,
        r"""
        bad outbound sender
        (?:your|sending|sender|sender's|from|smtp|ses|this sending|customer) (?:e?mail )?(?:account|mailbox
            |user|compte|plan|subscription)…(?:is |has been |was )?(?:currently |temporarily )?(?:disabled
            |suspended|blocked|locked|paused|banned|deactivated|terminated|frozen|restricted|compromised
            |under review|not (?:yet )?activ|bloque|suspendu|desactive|gesperrt)
        (?:sending|envoi\w*|outgoing mail|outbound)…(?:is |has been |are |was )?(?:disabled|suspended|paused
            |shut ?down|blocked|deactivated|bloque\w*|suspendu\w*|gesperrt|desactive\w*)…(?:account|compte
            |user|mailbox|for|pour|konto|until|\.|$)
        mail sending denied
        compte…(?:bloque|suspendu|desactive)…(?:spam|envoi)
        account…(?:compromised|hacked)
        not (?:subscribed|authorized) to (?:ses|perform ses|perform)
        versand…gesperrt
        outgoing mail from…(?:suspended|blocked|disabled|held)
        account outbounds disabled
        outgoing mail suspen
        unusual sending activity
        ^disabled by (?:the )?(?:user|admin\w*|owner) from
        """,
        stages=SIGNED_IN,
        advice=Advice.ACCOUNT_BLOCKED,
        also=Kind.SPAM_SUSPECTED,
    ),
    # Not with this From: Postfix, Exchange, OVH, IONOS, GMX, iCloud, Infomaniak, Zoho, La Poste.
    Rule(
        Kind.SENDER_REFUSED,
        r"""
        not owned by
        send ?as ?denied
        (?:not|n't|isn't|no)…(?:allowed|permitted?|permission|permissions?|authori[sz]ed|right|autorise\w*
            |berechtigt|erlaubt)…(?:to )?(?:send|use|envoyer|senden|submit)\w*…(?:as|on behalf|from|using
            |with|de|als|sender|this|behalf|that|avec)
        (?:not|n't) (?:allowed|permitted|authori[sz]ed) to (?:send|use|submit) (?:e?mails?|messages?|this
            |from|as|the|that|your)
        from (?:address|header|field)…(?:not|n't)…(?:your|match|owned|belong|allowed|associated|permitted
            |authori[sz]ed)
        sender(?: address)?…(?:not|n't)…(?:your|match|owned|belong|allowed|associated|permitted|authori[sz]ed)
        sender(?: address)?…(?:does not|doesn't|must|has to) match
        (?:mail ?from|envelope from|return path|from|sender)…(?:does not|doesn't|must|has to|mismatch
            |not) (?:match|equal|be the same)
        (?:mail|sender|from)…(?:mismatch(?!\w* (?:the )?(?:client|source|sending) ip)|does not belong)
        (?:authenticated|login|logged in|account|user)…(?:does not|doesn't|must|not|differ)…(?:match|same
            |equal)…(?:sender|from|address)
        no identity changes
        envelope sender…(?:auth|login|account)
        expediteur…(?:non autorise|pas autorise|refuse|interdit)
        absender\w*…(?:nicht (?:erlaubt|berechtigt|zugelassen|gestattet)|abgelehnt|verweigert)
        client does ?n[o']t? have permissions?
        """,
        stages=SIGNED_IN,
        advice=Advice.FROM_NOT_YOURS,
    ),
    # The sender's domain: Postfix 4.1.8, Sendmail, Exim's callout, Yahoo, GoDaddy, Orange.
    Rule(
        Kind.SENDER_REFUSED,
        r"""
        sender address rejected…(?:domain|host|mx|dns|null|unverified|undeliverable|not found|malformed|fully)
        (?:sender|from|return|mail ?from)…domain…(?:not|n't|no|invalid|unresolv|fail|unknown|must|empty
            |nonexist|rout)
        domain of (?:the )?sender…(?:not|n't|invalid|unknown|unresolv)
        unresolvable…(?:from|sender|rfc)
        (?:sender|from) (?:domain|host)…resolv
        without a (?:valid )?sender domain
        ^domain may not exist
        emetteur invalide
        expediteur (?:invalide|inconnu)
        (?:unknown|unroutable|unrouteable|invalid|bad|undeliverable|illegal|bogus|forged|fake|missing|empty
            |non ?existent) (?:envelope )?(?:sender|return path|mail ?from|from (?:address|domain)
            |reverse path|originator)
        sender (?:is |e?mail |address )*(?:unknown|invalid|unroutable|undeliverable|bogus|does not exist
            |doesn't exist|not exist|not found)
        sender verif\w*…(?:fail|error|problem)
        sender (?:address )?(?:callout|verify|verification)
        (?:could not|cannot|can't|unable to|failed to) (?:complete )?(?:sender )?verif\w*…(?:sender|return
            |mail from)
        (?:sender|from)…(?:syntax|malformed|not a valid)
        no (?:valid )?sender
        null sender
        unknown user in sender
        """,
        stages=SIGNED_IN,
        advice=Advice.SENDER_DOMAIN,
    ),
    Rule(
        Kind.SENDER_REFUSED,
        r"""
        sender…(?:address )?(?:rejected|denied|refused|refuse|blocked|banned|not allowed|not accepted
            |not permitted|abgelehnt)
        (?:rejected|denied|refused|invalid|unauthori[sz]ed) sender
        badmailfrom
        envelope (?:sender|from)…(?:denied|rejected|blocked|refused|in my)
        mail from…(?:denied|rejected|refused|not allowed|not accepted|not permitted|disallowed)
        \brly:sn\b
        not (?:a )?(?:registered|known|valid|permitted|authori[sz]ed) (?:gateway|sender)
        from: domain is invalid
        """,
        stages=SIGNED_IN,
    ),
)

HOST_NAMES = (
    Rule(
        Kind.SPAM_SUSPECTED,
        r"""
        unverif\w+ (?:sending )?(?:ips?|hosts?)\b
        reverse ?(?:dns|lookup|name|hostname|resolution|mapping)
        \br ?dns\b
        \bptr\b
        (?:cannot|can't|could not|unable to) (?:find|resolve|lookup
            |verify)…(?:your |client |sending )?(?:reverse )?(?:host ?name|\bip\b(?! address of)|dns name)
        (?:cannot|can't) (?:find|resolve) your (?:reverse )?(?:host|address)
        (?:ip|client|host|server)…(?:does not|doesn't|has no|without|lacks|have a)…(?:reverse|rdns|ptr
            |hostname)
        ip name lookup failed
        forward confirmed
        \brtr:rd\b
        unresolvable relay host
        generic…(?:dns|hostname|ptr|rdns)
        """,
        stages=SIGNED_IN,
        advice=Advice.REVERSE_DNS,
    ),
    Rule(
        Kind.SPAM_SUSPECTED,
        r"""
        (?:helo|ehlo)…(?:reject|invalid|bad|denied|not|n't|must|mismatch|need|require|fail|forged|refus
            |access|own|pretend|syntax|argument|block|hostname|resolv|does)
        (?:bad|invalid|forged|fake|your|wrong|illegal|malformed) (?:helo|ehlo)
        rejected.{0,20}(?:helo|ehlo)
        """,
        codes=("45", "50", "55", "57", "42"),
        stages=SIGNED_IN,
        advice=Advice.HELO_NAME,
    ),
    # In reply to EHLO, nothing else has a name.
    Rule(
        Kind.SPAM_SUSPECTED,
        r"\b(?:domain|host ?name|host|name|fqdn|argument|parameter)\b",
        codes=("501", "504", "55"),
        stages=frozenset({Stage.HELLO}),
        advice=Advice.HELO_NAME,
    ),
)
