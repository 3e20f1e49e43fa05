"""The blueprint that the pages of mail configuration register with."""

from flask import Blueprint

blueprint = Blueprint(
    "mail_config", "modules.mail_config", url_prefix="/mail_config", template_folder="templates"
)
