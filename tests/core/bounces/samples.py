"""Messages that come back, written here in the forms of the servers that they are named after.

Each is what such a server writes, with names and words of our own; none is taken from anywhere.
"""

from __future__ import annotations

US = "sales@atelier.example"
HEAD = """\
Return-Path: <>
Delivered-To: sales@atelier.example
From: Mail Delivery System <MAILER-DAEMON@mx.far.example>
To: sales@atelier.example
Date: Mon, 30 Nov 2026 08:00:00 +0100
Message-ID: <report.1@mx.far.example>
MIME-Version: 1.0
"""
RETURNED = """\
Return-Path: <sales@atelier.example>
Received: from mail.atelier.example (mail.atelier.example [192.0.2.10])
	by mx.far.example with ESMTPS id 7; Mon, 30 Nov 2026 07:59:00 +0100
From: Atelier <sales@atelier.example>
To: Ann <ann@far.example>
Subject: Invoice INV/2026/00007
Message-ID: <mail.7@atelier.example>
Date: Mon, 30 Nov 2026 07:58:00 +0100

Please find the invoice attached.
"""


def report(
    words: str, fields: str, *, subject: str = "Undelivered Mail Returned to Sender", head: str = HEAD
) -> bytes:
    """Return a report as RFC 3464 wants it."""
    return (
        f"{head}Subject: {subject}\n"
        'Content-Type: multipart/report; report-type=delivery-status; boundary="=_part"\n\n'
        f"This is a MIME-encapsulated message.\n\n--=_part\nContent-Type: text/plain; charset=us-ascii\n\n{words}\n\n"
        f"--=_part\nContent-Type: message/delivery-status\n\n{fields}\n"
        f"--=_part\nContent-Type: message/rfc822\n\n{RETURNED}\n--=_part--\n"
    ).encode()


def plain(words: str, *, subject: str, head: str = HEAD, returned: str = RETURNED) -> bytes:
    """Return a report in plain text, with the message below."""
    return f"{head}Subject: {subject}\n\n{words}\n{returned}".encode()


POSTFIX = report(
    """This is the mail system at host mx.far.example.

I'm sorry to have to inform you that your message could not
be delivered to one or more recipients.

                   The mail system

<ann@far.example>: host store.far.example[192.0.2.20] said: 550 5.1.1
    <ann@far.example>: Recipient address rejected: User unknown (in reply to RCPT TO command)
<bob@far.example>: host store.far.example[192.0.2.20] said: 552 5.2.2
    <bob@far.example>: Mailbox is full (in reply to RCPT TO command)""",
    """Reporting-MTA: dns; mx.far.example
Original-Envelope-Id: envoi-7
X-Postfix-Sender: rfc822; sales@atelier.example
Arrival-Date: Mon, 30 Nov 2026 07:59:00 +0100 (CET)

Final-Recipient: rfc822; ann@far.example
Original-Recipient: rfc822;ann.old@near.example
Action: failed
Status: 5.1.1
Remote-MTA: dns; store.far.example
Diagnostic-Code: smtp; 550 5.1.1 <ann@far.example>: Recipient address rejected:
    User unknown

Final-Recipient: rfc822; bob@far.example
Action: failed
Status: 5.2.2
Remote-MTA: dns; store.far.example
Diagnostic-Code: smtp; 552 5.2.2 <bob@far.example>: Mailbox is full
""",
)
SENDMAIL = report(
    """The original message was received at Mon, 30 Nov 2026 07:59:00 +0100
from mail.atelier.example [192.0.2.10]

   ----- The following addresses had permanent fatal errors -----
<ann@far.example>
    (reason: 550 5.1.1 <ann@far.example>... User unknown)

   ----- Transcript of session follows -----
... while talking to store.far.example.:
>>> RCPT To:<ann@far.example>
<<< 550 5.1.1 <ann@far.example>... User unknown
550 5.1.1 <ann@far.example>... User unknown""",
    """Reporting-MTA: dns; mx.far.example
Arrival-Date: Mon, 30 Nov 2026 07:59:00 +0100

Final-Recipient: RFC822; ann@far.example
Action: failed
Status: 5.1.1
Diagnostic-Code: SMTP; 550 5.1.1 <ann@far.example>... User unknown
Last-Attempt-Date: Mon, 30 Nov 2026 08:00:00 +0100
""",
    subject="Returned mail: see transcript for details",
)
BROKEN_ANEW = report(
    """<ann@far.example>: host store.far.example[192.0.2.20] said: 550-The mail server
    could not deliver mail to ann@far.example.  The account 550-or domain may
    not exist, they may be blacklisted, or missing the proper dns 550 entries.
    (in reply to RCPT TO command)
""",
    """Reporting-MTA: dns; mx.near.example

X-Postfix-Sender: rfc822; sales@atelier.example

Final-Recipient: rfc822; ann@far.example
Action: failed
Status: 5.0.0
Diagnostic-Code: smtp; 550-The mail server could not deliver mail to
    ann@far.example.  The account 550-or domain may not exist, they may be
    blacklisted, or missing the proper dns 550 entries.
""",
    subject="Undelivered Mail Returned to Sender",
)
NAMES_NOBODY = (
    f"Return-Path: <>\nDelivered-To: {US}\nFrom: Mail Delivery Subsystem <MAILER-DAEMON@far.example>\n"
    f"To: {US}\nSubject: Returned mail: see transcript for details\n\nThe mailbox is full.\n"
).encode()
QMAIL = plain(
    """Hi. This is the qmail-send program at mx.far.example.
I'm afraid I wasn't able to deliver your message to the following addresses.
This is a permanent error; I've given up. Sorry it didn't work out.

<ann@far.example>:
192.0.2.20 does not like recipient.
Remote host said: 550 5.1.1 unknown recipient
Giving up on 192.0.2.20.

<carl@gone.example>:
Sorry, I couldn't find any host named gone.example. (#5.1.2)

--- Below this line is a copy of the message.

""",
    subject="failure notice",
)
GMAIL = plain(
    """Delivery to the following recipient failed permanently:

     ann@far.example

Technical details of permanent failure:
Google tried to deliver your message, but it was rejected by the server for the recipient domain far.example by
mx.far.example. [192.0.2.20].

The error that the other server returned was:
552 5.2.2 <ann@far.example>... Mailbox full

----- Original message -----

""",
    subject="Delivery Status Notification (Failure)",
)
MICROSOFT_365 = report(
    """Your message to ann@far.example couldn't be delivered.

ann wasn't found at far.example.

Diagnostic information for administrators:

Generating server: PR3.eurprd.example
ann@far.example
Remote Server returned '550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup'""",
    """Reporting-MTA: dns;PR3.eurprd.example
Received-From-MTA: dns;mail.atelier.example
Arrival-Date: Mon, 30 Nov 2026 07:59:00 +0000

Final-Recipient: rfc822;ann@far.example
Action: failed
Status: 5.1.10
Diagnostic-Code: smtp;550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup
X-Display-Name: Ann
""",
    subject="Undeliverable: Invoice INV/2026/00007",
)
EXCHANGE_2003 = plain(
    """Your message

  To:      team@far.example
  Subject: Invoice INV/2026/00007
  Sent:    Mon, 30 Nov 2026 07:58:00 +0100

did not reach the following recipient(s):

ann@far.example on Mon, 30 Nov 2026 08:00:00 +0100
    The recipient name is not recognized
	The MTS-ID of the original message is: c=fr;a= ;p=far;l=EX1
    MSEXCH:IMS:far:PARIS:EX1 0 (000C05A6) Unknown Recipient
""",
    subject="Undeliverable: Invoice INV/2026/00007",
    head=HEAD.replace("Mail Delivery System <MAILER-DAEMON@", "System Administrator <postmaster@"),
    returned="",
)
DOMINO = plain(
    """Your message

  Subject: Invoice INV/2026/00007

was not delivered to:

  ann@far.example

because:

  User ann (ann@far.example) not listed in Domino Directory
""",
    subject="DELIVERY FAILURE: User ann (ann@far.example) not listed in Domino Directory",
    head=HEAD.replace("Mail Delivery System <MAILER-DAEMON@", "<Postmaster@"),
    returned="",
)
GROUPWISE = plain(
    """The message that you sent was undeliverable to the following:

	ann@far.example (user not found)
""",
    subject="Message status - undeliverable",
    returned="",
)
YAHOO = plain(
    """Sorry, we were unable to deliver your message to the following address.

<ann@far.example>:
554: delivery error: dd This user doesn't have a far.example account (ann@far.example) [0] - mta1.far.example

--- Below this line is a copy of the message.

""",
    subject="Failure Notice",
)
MAIL_RU = plain(
    """This message was created automatically by mail delivery software.

A message that you sent could not be delivered to one or more of its
recipients. This is a permanent error. The following address(es) failed:

  ann@far.example
    SMTP error from remote mail server after end of data:
    host mx.far.example [192.0.2.20]: 550 spam message rejected. Please visit
    http://help.far.example/notspam-support/id?c=abc or report details to abuse@far.example.

------ This is a copy of your message, including all the headers. ------

""",
    subject="Mail failure.",
    head=HEAD.replace("Mail Delivery System", "Почтовая служба"),
)
ZOHO = plain(
    """This message was created automatically by mail delivery software.
 A message that you sent could not be delivered to one or more of its recipients. This is a permanent error.

ann@far.example Invalid Address, ERROR_CODE :550, ERROR_CODE :5.1.1 <ann@far.example>... User unknown

""",
    subject="Undelivered Mail Returned to Sender",
)
SENDGRID = report(
    """Hello, this is the mail server on mx.far.example.

I am sending you this message to inform you on the delivery status of a
message you previously sent. Immediately below you will find a list of
the affected recipients.

  ann@far.example""",
    """Reporting-MTA: dns; mx.far.example
Arrival-Date: 2026-11-30 07-59-00

Final-Recipient: rfc822; ann@far.example
Action: failed
Status: 5.7.1
Diagnostic-Code: smtp; 550 5.7.1 [192.0.2.10] The IP address is listed by zen.spamhaus.example
""",
)
SES = (
    HEAD.replace("Mail Delivery System <MAILER-DAEMON@mx.far.example>", "SES <no-reply@sns.far.example>")
    + """Subject: AWS Notification Message
Content-Type: text/plain; charset=UTF-8

{"notificationType":"Bounce","bounce":{"bounceType":"Permanent","bounceSubType":"General","bouncedRecipients":[{"emailAd
dress":"ann@far.example","action":"failed","status":"5.1.1","diagnosticCode":"smtp; 550 5.1.1 user unknown"}],"reporting
MTA":"dsn; a1.smtp.far.example"},"mail":{"source":"sales@atelier.example","messageId":"0101-7","destination":["ann@far.e
xample"],"commonHeaders":{"messageId":"<mail.7@atelier.example>","subject":"Invoice INV/2026/00007"}}}
"""
).encode()
CARRIER = (
    (
        HEAD.replace("Mail Delivery System <MAILER-DAEMON@mx.far.example>", "no-reply@carrier.example")
        + "Subject: =?ISO-2022-JP?B?GyRCJWEhPCVrJSglaSE8JEokNxsoQg==?=\n"
        'Content-Type: multipart/mixed; boundary="jp"\n\n--jp\nContent-Type: text/plain; charset="ISO-2022-JP"\n\n'
    ).encode()
    + "送信先のメールボックスが一杯のため、送信できませんでした。\n".encode("iso2022_jp")
    + (f"\n--jp\nContent-Type: message/rfc822\n\n{RETURNED}\n--jp--\n").encode()
)
RECEIPT = report(
    "This is the mail system at host mx.far.example.\n\nYour message was successfully delivered.",
    """Reporting-MTA: dns; mx.far.example

Final-Recipient: rfc822; ann@far.example
Action: delivered
Status: 2.0.0
Diagnostic-Code: smtp; 250 2.0.0 OK

Final-Recipient: rfc822; bob@far.example
Action: relayed
Status: 2.0.0
Remote-MTA: dns; old.far.example

Final-Recipient: rfc822; list@far.example
Action: expanded
Status: 2.0.0
""",
    subject="Successful Mail Delivery Report",
)
DELAY = report(
    "Your message could not be delivered for more than 4 hour(s). It will be retried until it is 5 day(s) old.",
    """Reporting-MTA: dns; mx.far.example

Final-Recipient: rfc822; ann@far.example
Action: delayed
Status: 4.4.1
Diagnostic-Code: X-Postfix; connect to store.far.example[192.0.2.20]:25: Connection timed out
Will-Retry-Until: Sat, 5 Dec 2026 08:00:00 +0100
""",
    subject="Delayed Mail (still being retried)",
)
GIVEN_UP = report(
    "<ann@far.example>: connect to store.far.example[192.0.2.20]:25: Connection refused",
    """Reporting-MTA: dns; mx.far.example

Final-Recipient: rfc822; ann@far.example
Action: failed
Status: 4.4.1
Diagnostic-Code: X-Postfix; connect to store.far.example[192.0.2.20]:25: Connection refused
""",
)


def read_receipt(disposition: str) -> bytes:
    """Return a read receipt (RFC 8098)."""
    return f"""From: Ann <ann@far.example>
To: sales@atelier.example
Subject: Read: Invoice INV/2026/00007
Content-Type: multipart/report; report-type=disposition-notification; boundary=mdn

--mdn
Content-Type: text/plain

Your message was displayed. This is no guarantee that it was read or understood.

--mdn
Content-Type: message/disposition-notification

Reporting-UA: laptop.far.example; SomeMailer 1.0
Original-Recipient: rfc822;ann@far.example
Final-Recipient: rfc822;ann@far.example
Original-Message-ID: <mail.7@atelier.example>
Disposition: {disposition}

--mdn--
""".encode()


COMPLAINT = f"""From: <feedback@far.example>
To: abuse@atelier.example
Subject: FW: Invoice INV/2026/00007
Content-Type: multipart/report; report-type=feedback-report; boundary=arf

--arf
Content-Type: text/plain

This is an email abuse report for an email message received from 192.0.2.10.

--arf
Content-Type: message/feedback-report

Feedback-Type: abuse
User-Agent: Far/1.0
Version: 1
Original-Mail-From: <sales@atelier.example>
Original-Rcpt-To: <ann@far.example>
Reporting-MTA: dns; mx.far.example

--arf
Content-Type: message/rfc822

{RETURNED}
--arf--
""".encode()
BARE_COMPLAINT = f"""From: staff@hot.example
To: abuse@atelier.example
Subject: complaint about message from 192.0.2.10
Content-Type: multipart/mixed; boundary=jmrp

--jmrp
Content-Type: message/rfc822

X-HmXmrOriginalRecipient: ann@hot.example
{RETURNED}
--jmrp--
""".encode()
