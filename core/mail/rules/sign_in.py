"""The sign-in, and the tokens of OAuth."""

from __future__ import annotations

from core.mail.advice import Advice
from core.mail.explanations import FailureKind as Kind
from core.mail.outcomes import Stage
from core.mail.rules.model import SIGNED_IN, Rule

_AUTH = frozenset({Stage.AUTH})

# Words of OAuth servers (RFC 6749 §5.2), of Microsoft Entra (AADSTS) and of the SASL challenge (RFC 7628 §3.2.2).
TOKENS = (
    Rule(
        Kind.AUTH_FAILED,
        r"""
        aadsts5007[24689]\b
        aadsts50158
        multi ?factor
        interaction required
        """,
        stages=_AUTH,
        advice=Advice.MFA_REQUIRED,
    ),
    Rule(
        Kind.AUTH_FAILED,
        r"""
        aadsts5300\d\b
        aadsts530003
        conditional access
        """,
        stages=_AUTH,
        advice=Advice.CONDITIONAL_ACCESS,
    ),
    Rule(
        Kind.AUTH_FAILED,
        r"""
        aadsts5005[37]\b
        """,
        stages=_AUTH,
        advice=Advice.ACCOUNT_BLOCKED,
    ),
    Rule(
        Kind.AUTH_FAILED,
        r"""
        aadsts50055
        aadsts50144
        """,
        stages=_AUTH,
        advice=Advice.PASSWORD_EXPIRED,
    ),
    Rule(
        Kind.AUTH_FAILED,
        r"""
        aadsts50126
        aadsts50034
        aadsts50020\b
        aadsts90072
        aadsts50056
        """,
        stages=_AUTH,
        advice=Advice.CREDENTIALS,
    ),
    Rule(
        Kind.AUTH_FAILED,
        r"""
        aadsts700024
        aadsts70002[137]
        aadsts70002\b
        aadsts7000\d{3}
        aadsts700016
        aadsts90002
        invalid client\b
        unauthorized client
        client (?:secret|credentials)…(?:invalid|expired|wrong)
        deleted client
        org internal
        """,
        stages=_AUTH,
        advice=Advice.CLIENT_SECRET,
    ),
    Rule(
        Kind.AUTH_FAILED,
        r"""
        aadsts6500\d
        aadsts70011
        aadsts50105
        aadsts90094
        consent
        access denied: application
        insufficient (?:scope|permission)
        invalid scope
        access(?:token)?…insufficient…scopes
        """,
        stages=_AUTH,
        advice=Advice.CONSENT_MISSING,
    ),
    Rule(
        Kind.AUTH_FAILED,
        r"""
        aadsts700082
        aadsts70008\b
        aadsts70043
        aadsts70000\b
        aadsts500133
        """,
        stages=_AUTH,
        advice=Advice.TOKEN_EXPIRED,
    ),
    Rule(
        Kind.AUTH_FAILED,
        r"""
        aadsts50173
        revoked
        aadsts54005
        aadsts50132
        aadsts50133
        """,
        stages=_AUTH,
        advice=Advice.TOKEN_REVOKED,
    ),
    Rule(
        Kind.AUTH_FAILED,
        r"""
        invalid grant
        (?:access |refresh )?token…(?:expired|invalid|not valid)
        (?:expired|invalid)…token
        status[^a-z]{0,5}40[01]\b…schemes
        schemes…bearer
        xoauth2?…(?:failed|invalid)
        """,
        stages=_AUTH,
        advice=Advice.TOKEN_EXPIRED,
    ),
)

# Why a sign-in was refused, once it was tried (or should have been).
REFUSED = (
    Rule(
        Kind.AUTH_FAILED,
        r"""
        application specific password
        app(?:lication)? ?passw
        app specific
        mot de passe (?:d')?application
        anwendungsspezifisch
        invalidsecondfactor
        """,
        advice=Advice.APP_PASSWORD,
    ),
    Rule(
        Kind.AUTH_FAILED,
        r"""
        smtp ?client ?auth\w*…disabled
        smtp auth disabled
        (?:smtp|authenticated) (?:auth\w*|submission|access|service)…(?:is |has been |are )?(?:disabled
            |not enabled|deactivated|switched off|desactive)
        (?:pop3? ?(?:/|and|und|et) ?imap|imap ?(?:/|and|und) ?pop3?)…(?:enable|activ|disab|freischalt)
        auth(?:entication)?…disabled for the (?:tenant|mailbox|user)
        not enabled for (?:this|the) (?:user|account)…smtp
        please enable…smtp
        smtp…(?:please enable|not activated)
        open (?:pop3|smtp)…(?:first|service)
        """,
        advice=Advice.SMTP_AUTH_DISABLED,
    ),
    Rule(
        Kind.AUTH_FAILED,
        r"""
        basic auth\w*…(?:disabled|not supported|no longer|retired|deprecated|blocked|not allowed)
        less secure app
        password (?:based )?auth\w*…no longer
        """,
        advice=Advice.BASIC_AUTH_ENDED,
    ),
    Rule(
        Kind.AUTH_FAILED,
        r"""
        password…(?:has |is |was )?(?:expired|transition|must (?:be )?chang|too old|reset required)
        (?:expired|change your|reset your|renew) password
        mot de passe (?:a )?expire
        passwort (?:ist )?abgelaufen
        """,
        advice=Advice.PASSWORD_EXPIRED,
    ),
    Rule(
        Kind.AUTH_FAILED,
        r"""
        (?:log|sign) ?in (?:with|through|via|using) your (?:web )?browser
        web ?login ?required
        weblogin
        log in via…browser
        """,
        advice=Advice.WEB_SIGN_IN,
    ),
    Rule(
        Kind.RATE_LIMITED,
        r"""
        too many…(?:login|log in|auth\w*|password|sign in|bad auth)…(?:attempt|fail|error|tries|command)?
        (?:login|auth\w*)…(?:rate|attempts?)…(?:limit|exceed)
        (?:max\w*|exceed\w*)…(?:login|auth\w*) (?:attempts|failures)
        """,
        temporary=True,
        also=Kind.AUTH_FAILED,
        slows=True,
    ),
    Rule(
        Kind.AUTH_FAILED,
        r"""
        security defaults
        did not meet the criteria
        (?:access|policy)…blocked…by…polic
        conditional access
        (?:sign|log) ?in…(?:blocked|denied|not allowed)…(?:polic|location|country|ip)
        ip…not (?:allowed|authorized)…(?:log|sign|auth)
        unauthorized ip
        geo
        """,
        stages=_AUTH,
        advice=Advice.CONDITIONAL_ACCESS,
    ),
    # Brevo, RFC 4954's 5.7.13 and others: the account itself. "Account locked" of Exchange comes with 5.7.139.
    Rule(
        Kind.AUTH_FAILED,
        r"""
        (?:account|user|mailbox|login|smtp|compte|konto|sender)…(?:disabled|inactive|suspended|locked|blocked
            |deactivated|not (?:yet )?activ|banned|closed|terminated|expired|gesperrt|bloque|suspendu
            |desactive)
        \b(?:disabled|suspended|locked|blocked|inactive) (?:account|user|mailbox)
        """,
        stages=_AUTH,
        advice=Advice.ACCOUNT_BLOCKED,
    ),
    Rule(
        Kind.AUTH_FAILED,
        codes=("525",),
        stages=_AUTH,
        advice=Advice.ACCOUNT_BLOCKED,
    ),
    Rule(
        Kind.AUTH_FAILED,
        subject=r"7\.13",
        stages=_AUTH,
        advice=Advice.ACCOUNT_BLOCKED,
    ),
    # Exim: the words for an AUTH that was not offered; the rest from RFC 4954.
    Rule(
        Kind.AUTH_FAILED,
        r"""
        auth(?:entication)? (?:command )?(?:used )?(?:when )?not (?:advertised|available|allowed|enabled
            |supported|offered)
        auth\w*…not allowed on
        auth…not (?:implemented|recognized|recognised)
        not support\w*…auth
        """,
        stages=_AUTH,
        advice=Advice.AUTH_NOT_OFFERED,
    ),
    Rule(
        Kind.AUTH_FAILED,
        r"""
        (?:unrecogni[sz]ed|unsupported|unknown|unimplemented|invalid|weak)…(?:auth\w*|sasl)…(?:type|mechanism
            |method)?
        mechanism
        (?:too )?weak
        stronger auth
        xoauth is no longer
        """,
        stages=_AUTH,
        advice=Advice.AUTH_MECHANISM,
    ),
    Rule(
        Kind.AUTH_FAILED,
        subject=r"7\.4",
        stages=_AUTH,
        advice=Advice.AUTH_MECHANISM,
    ),
    Rule(
        Kind.AUTH_FAILED,
        subject=r"7\.12",
        stages=_AUTH,
        advice=Advice.PASSWORD_EXPIRED,
    ),
    Rule(
        Kind.AUTH_FAILED,
        subject=r"7\.9",
        stages=_AUTH,
        codes=("534",),
        advice=Advice.APP_PASSWORD,
    ),
    Rule(
        Kind.SERVER_ERROR,
        codes=("421",),
        stages=_AUTH,
    ),
    Rule(
        Kind.AUTH_FAILED,
        codes=("4",),
        stages=_AUTH,
        advice=Advice.AUTH_TEMPORARY,
        also=Kind.SERVER_ERROR,
    ),
    Rule(
        Kind.AUTH_FAILED,
        codes=("502", "503", "504"),
        stages=_AUTH,
        advice=Advice.AUTH_NOT_OFFERED,
    ),
    Rule(
        Kind.AUTH_FAILED,
        stages=_AUTH,
        advice=Advice.CREDENTIALS,
    ),
    Rule(
        Kind.SERVER_ERROR,
        codes=("421",),
        stages=frozenset({Stage.STARTTLS}),
    ),
    Rule(
        Kind.TLS_FAILED,
        stages=frozenset({Stage.STARTTLS}),
    ),
)

# "You must sign in first", said when a mail is already being spoken about.
REQUIRED = (
    Rule(
        Kind.AUTH_FAILED,
        r"""
        (?:must|need to|have to|please|should|required to|devez|vous)…(?:authenticat|log(?:ged)? ?in\b
            |sign(?:ed)? ?in\b|authentifi|s'identifier)
        (?:authenticat\w*|authentification|authentifizierung|authentisierung|anmeldung|smtp auth|\bauth\b
            |log ?in|sign ?in)…(?:is |are )?(?:required|needed|requise?|necessary|necessaire|obligatoire
            |mandatory|erforderlich|notwendig|first)\b
        (?:require[sd]?|requires? (?:smtp|valid|user|prior)|without|no|turn on|enable|use|after|until|provide
            |lacks?|missing) (?:an? )?(?:smtp |valid |user |prior |proper )?(?:authenticat\w*
            |authentification|\bauth\b|log ?in\b)(?! result)
        (?:client|user|sender|connection|session|you|you're|host)…(?:was |is |are |were )?(?:not|n't
            |never) (?:been )?(?:yet )?(?:authenticated|logged ?in|log ?in|signed in|authentifie|angemeldet)
        needs? (?:smtp )?auth
        log ?on first
        not (?:logged in|authenticated)\b
        (?:don't|didn't|did not|do not|not) (?:authenticate|log ?in)\b
        unauthenticated (?:sender|user|connection|client|relay|submission|access)
        anonymous (?:mail|access|user|sender|submission)
        (?:pop|imap)3? before smtp
        before smtp
        receive…mail (?:before|first)
        only…(?:with|after|by|using) (?:smtp )?(?:auth|log ?in|sign ?in)
        (?:check|read|retrieve|get|collect)…(?:your )?(?:new )?(?:mail|e?mail) first
        bitte…(?:authenti|anmeld|einlogg)
        send auth (?:command )?first
        auth(?:enticate)? first
        smtp auth\b…(?:mandatory|required|needed)
        """,
        stages=SIGNED_IN,
        advice=Advice.AUTH_REQUIRED,
    ),
    Rule(
        Kind.AUTH_FAILED,
        codes=("530",),
        stages=SIGNED_IN,
        advice=Advice.AUTH_REQUIRED,
    ),
    # Some tell only now that the sign-in was wrong.
    Rule(
        Kind.AUTH_FAILED,
        r"""
        auth\w*(?: credentials?| data)? (?:failed|failure|unsuccessful|rejected|invalid|error|incorrect)
        (?:incorrect|invalid|bad|wrong|unknown) (?:auth\w*|credential|user ?name|password|login
            |log in)(?!…relay)
        (?:user ?name|credentials?|password|login)…(?:not accepted|incorrect|invalid|wrong)
        submitter failed
        codes? d'? ?authentification invalide
        failed to authenticate
        """,
        stages=SIGNED_IN,
        advice=Advice.CREDENTIALS,
    ),
    Rule(
        Kind.AUTH_FAILED,
        r"^(?!.*too (?:big|large)\b)",
        codes=("534", "535"),
        stages=SIGNED_IN,
        advice=Advice.CREDENTIALS,
    ),
)
