"""The names of what partners are and want, for people."""

from __future__ import annotations

from collections.abc import Mapping

from core.i18n import lazy_gettext as _l
from core.partners.models import MailConsent, PartnerType

CONTACT_TITLES: Mapping[PartnerType, object] = {
    PartnerType.CONTACT: _l("Contact"),
    PartnerType.BILLING: _l("Billing contact"),
    PartnerType.DELIVERY: _l("Delivery contact"),
}
"""The kinds that a contact of a customer can have, translated when shown."""

PARTNER_TITLES: Mapping[PartnerType, object] = {PartnerType.CUSTOMER: _l("Customer"), **CONTACT_TITLES}
"""All kinds, translated when shown."""

CONSENT_TITLES: Mapping[MailConsent, object] = {
    MailConsent.PROMOTIONAL: _l("Also promotional emails"),
    MailConsent.NECESSARY: _l("Only what concerns their own orders"),
    MailConsent.NONE: _l("Opted out of emails"),
}
"""Which emails somebody wants, translated when shown."""
