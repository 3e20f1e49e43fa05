"""The blueprint that the pages of the outbox register with."""

from flask import Blueprint

blueprint = Blueprint("outbox", "modules.outbox", url_prefix="/outbox", template_folder="templates")
