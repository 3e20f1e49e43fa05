"""What vouchers put into the pages of others."""

from __future__ import annotations

from flask import render_template

from core.auth.permissions import signed_in_user
from core.partners.models import Partner
from envoi_toy import service


def partner_vouchers(partner: Partner) -> str:
    """Return the panel with the number of a customer's vouchers."""
    user = signed_in_user()
    if not user.can("toy.voucher.read"):
        return ""
    return render_template("toy/partner_vouchers.html", count=service.count_for(user, partner.id))
