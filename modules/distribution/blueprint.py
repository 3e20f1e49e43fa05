"""The blueprint that the pages of distribution register with."""

from flask import Blueprint

blueprint = Blueprint(
    "distribution", "modules.distribution", url_prefix="/distribution", template_folder="templates"
)
