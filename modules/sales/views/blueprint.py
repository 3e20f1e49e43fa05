"""The blueprint that the pages of sales register with."""

from flask import Blueprint

blueprint = Blueprint("sales", "modules.sales", url_prefix="/sales", template_folder="templates")
