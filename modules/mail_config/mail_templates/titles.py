"""What people read for the choices of a template: priorities, rules for recipients, fields of a mail."""

from __future__ import annotations

from core.i18n import lazy_gettext as _l
from core.mail.draft import Priority, RecipientField
from modules.mail_config.models import RecipientRule

PRIORITIES = {Priority.LOW: _l("Low"), Priority.NORMAL: _l("Normal"), Priority.HIGH: _l("High")}
RULES = {
    RecipientRule.FOLLOWERS: _l("The followers of the document"),
    RecipientRule.CUSTOMER: _l("The customer"),
    RecipientRule.BILLING: _l("The billing contacts of the customer"),
    RecipientRule.DELIVERY: _l("The delivery contacts of the customer"),
    RecipientRule.MAIN: _l("The main contact of the customer"),
    RecipientRule.FUNCTION: _l("Contacts with the function …"),
    RecipientRule.FIXED: _l("Always this address …"),
}
RULES_WITH_A_VALUE = frozenset({RecipientRule.FUNCTION, RecipientRule.FIXED})
"""Rules that need a function code, or an address, beside them."""
FIELDS = {RecipientField.TO: _l("To"), RecipientField.CC: _l("Cc"), RecipientField.BCC: _l("Bcc")}
