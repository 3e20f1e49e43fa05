"""What Exim writes back: it gives every failure the same status, and calls delivered what it has handed on."""

from __future__ import annotations

from tests.core.bounces.samples import HEAD, plain, report

EXIM = plain(
    """This message was created automatically by mail delivery software.

A message that you sent could not be delivered to one or more of its
recipients. This is a permanent error. The following address(es) failed:

  ann@far.example
    SMTP error from remote mail server after RCPT TO:<ann@far.example>:
    host store.far.example [192.0.2.20]: 550 5.1.1 No such user here
  bob@far.example
    mailbox is full: retry timeout exceeded

------ This is a copy of the message, including all the headers. ------
""",
    subject="Mail delivery failed: returning message to sender",
    head=HEAD.replace(
        "MIME-Version", "X-Failed-Recipients: ann@far.example,\n  bob@far.example\nMIME-Version"
    ),
)
EXIM_DELAYED = plain(
    """This message was created automatically by mail delivery software.
A message that you sent has not yet been delivered to one or more of its
recipients after more than 24 hours on the queue on mx.far.example.

The address to which the message has not yet been delivered is:

  ann@far.example
    host store.far.example [192.0.2.20]
    Delay reason: Connection timed out

No action is required on your part. Delivery attempts will continue for
some time, and this warning may be repeated at intervals.
""",
    subject="Warning: message 1abc delayed 24 hours",
    returned="",
)
EXIM_GIVEN_UP = report(
    """This message was created automatically by mail delivery software.

A message that you sent could not be delivered to one or more of its
recipients. This is a permanent error. The following address(es) failed:

  ann@far.example
    host store.far.example [192.0.2.20]
    SMTP error from remote mail server after RCPT TO:<ann@far.example>:
    450 4.7.1 not now: retry timeout exceeded
""",
    """Reporting-MTA: dns; mx.near.example

Action: failed
Final-Recipient: rfc822;ann@far.example
Status: 5.0.0
Diagnostic-Code: smtp; 450 4.7.1 not now: retry timeout exceeded
""",
    subject="Mail delivery failed: returning message to sender",
)
EXIM_BANNED = report(
    """The following address(es) failed:

  ann@far.example
    host store.far.example [192.0.2.20]
    SMTP error from remote mail server after EHLO mx.near.example:
    550 Rejected
""",
    """Reporting-MTA: dns; mx.near.example

Action: failed
Final-Recipient: rfc822;ann@far.example
Status: 5.0.0
Diagnostic-Code: smtp; 550 Rejected
""",
    subject="Mail delivery failed: returning message to sender",
)
EXIM_RECEIPT = report(
    """This message was created automatically by mail delivery software.
 ----- The following addresses had successful delivery notifications -----
<ann@far.example> (relayed to non-DSN-aware mailer)
<bob@far.example> (relayed via non "Remote SMTP" router)
""",
    """Reporting-MTA: dns; mx.near.example

Action: delivered
Final-Recipient: rfc822;ann@far.example
Status: 2.0.0
Remote-MTA: dns; store.far.example
Diagnostic-Code: smtp; 250 Ok

Action: delivered
Final-Recipient: rfc822;bob@far.example
Status: 2.0.0
""",
    subject="Delivery Status Notification",
)
