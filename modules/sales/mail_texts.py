"""The mail templates that come with sales, in English and French.

They are content, not interface: a template carries each of its languages itself, and administrators change
them, so they stand here and not in the catalogues of translations.
"""

from __future__ import annotations

from core.documents.behavior import ShippedTemplate
from core.i18n import N_

ATTACHMENT_NAME = "{{ document.title }}_{{ document.number }}.pdf"

_SIGNATURE_EN = (
    "<p>Kind regards,</p>"
    "<p>{{ owner.name | default(company.name) }}<br>{{ company.name }}"
    "{% if company.phone %}<br>{{ company.phone }}{% endif %}</p>"
)
_SIGNATURE_FR = (
    "<p>Bien cordialement,</p>"
    "<p>{{ owner.name | default(company.name) }}<br>{{ company.name }}"
    "{% if company.phone %}<br>{{ company.phone }}{% endif %}</p>"
)

QUOTATION = (
    ShippedTemplate(
        name=N_("Quotation: send"),
        attachment_name=ATTACHMENT_NAME,
        texts={
            "en": (
                "{{ company.name }}: quotation {{ document.number }}",
                "<p>Dear {{ customer.name }},</p>"
                "<p>Please find attached our quotation <strong>{{ document.number }}</strong> of "
                "{{ document.date }}, amounting to "
                "<strong>{{ document.total }}</strong> including VAT.</p>"
                "{% if document.validity %}<p>It is valid until {{ document.validity }}.</p>{% endif %}"
                "<p>Do not hesitate to get in touch if you have any questions.</p>" + _SIGNATURE_EN,
            ),
            "fr": (
                "{{ company.name }}\u00a0: devis {{ document.number }}",
                "<p>Bonjour,</p>"
                "<p>Veuillez trouver ci-joint notre devis <strong>{{ document.number }}</strong> du "
                "{{ document.date }}, d’un montant de "
                "<strong>{{ document.total }}</strong> TTC.</p>"
                "{% if document.validity %}<p>Il est valable jusqu’au {{ document.validity }}.</p>{% endif %}"
                "<p>Nous restons à votre disposition pour toute question.</p>" + _SIGNATURE_FR,
            ),
        },
    ),
)

ORDER = (
    ShippedTemplate(
        name=N_("Order: confirmation"),
        attachment_name=ATTACHMENT_NAME,
        texts={
            "en": (
                "{{ company.name }}: confirmation of your order {{ document.number }}",
                "<p>Dear {{ customer.name }},</p>"
                "<p>Thank you for your order. Please find attached its confirmation "
                "<strong>{{ document.number }}</strong>, amounting to "
                "<strong>{{ document.total }}</strong> including VAT.</p>"
                "{% if document.delivery_date %}<p>Delivery is planned for "
                "{{ document.delivery_date }}.</p>{% endif %}" + _SIGNATURE_EN,
            ),
            "fr": (
                "{{ company.name }}\u00a0: confirmation de votre commande {{ document.number }}",
                "<p>Bonjour,</p>"
                "<p>Nous vous remercions de votre commande. Veuillez en trouver ci-joint la confirmation "
                "<strong>{{ document.number }}</strong>, d’un montant de "
                "<strong>{{ document.total }}</strong> TTC.</p>"
                "{% if document.delivery_date %}<p>La livraison est prévue le "
                "{{ document.delivery_date }}.</p>{% endif %}" + _SIGNATURE_FR,
            ),
        },
    ),
)

INVOICE = (
    ShippedTemplate(
        name=N_("Invoice: send"),
        attachment_name=ATTACHMENT_NAME,
        texts={
            "en": (
                "{{ company.name }}: invoice {{ document.number }}",
                "<p>Dear {{ customer.name }},</p>"
                "<p>Please find attached our invoice <strong>{{ document.number }}</strong>"
                "{% if document.order_number %} for your order {{ document.order_number }}{% endif %}, "
                "amounting to <strong>{{ document.total }}</strong> including VAT.</p>"
                "<p>Please pay by {{ document.due_date }}"
                "{% if company.bank_line %} to: {{ company.bank_line }}{% endif %}, "
                "quoting {{ document.number }}.</p>" + _SIGNATURE_EN,
            ),
            "fr": (
                "{{ company.name }}\u00a0: facture {{ document.number }}",
                "<p>Bonjour,</p>"
                "<p>Veuillez trouver ci-joint notre facture <strong>{{ document.number }}</strong>"
                "{% if document.order_number %} relative à votre commande {{ document.order_number }}{% endif %}, "
                "d’un montant de <strong>{{ document.total }}</strong> TTC.</p>"
                "<p>Merci de la régler au plus tard le {{ document.due_date }}, "
                "en rappelant le numéro {{ document.number }}"
                "{% if company.bank_line %}, par virement sur le compte&nbsp;: {{ company.bank_line }}{% endif %}.</p>"
                + _SIGNATURE_FR,
            ),
        },
    ),
)

CREDIT_NOTE = (
    ShippedTemplate(
        name=N_("Credit note: send"),
        attachment_name=ATTACHMENT_NAME,
        texts={
            "en": (
                "{{ company.name }}: credit note {{ document.number }}",
                "<p>Dear {{ customer.name }},</p>"
                "<p>Please find attached our credit note <strong>{{ document.number }}</strong>"
                "{% if document.reversed_number %} on invoice {{ document.reversed_number }}{% endif %}, "
                "amounting to <strong>{{ document.total }}</strong> including VAT.</p>" + _SIGNATURE_EN,
            ),
            "fr": (
                "{{ company.name }}\u00a0: avoir {{ document.number }}",
                "<p>Bonjour,</p>"
                "<p>Veuillez trouver ci-joint notre avoir <strong>{{ document.number }}</strong>"
                "{% if document.reversed_number %} sur la facture {{ document.reversed_number }}{% endif %}, "
                "d’un montant de <strong>{{ document.total }}</strong> TTC.</p>" + _SIGNATURE_FR,
            ),
        },
    ),
)
