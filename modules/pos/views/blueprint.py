"""The blueprint that the pages of the till register with."""

from flask import Blueprint

blueprint = Blueprint("pos", "modules.pos", url_prefix="/pos", template_folder="templates")
