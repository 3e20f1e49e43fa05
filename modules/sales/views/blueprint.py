"""The blueprint that the pages of sales register with."""

from flask import Blueprint

from modules.sales.state_words import badges, canceled, issued

blueprint = Blueprint("sales", "modules.sales", url_prefix="/sales", template_folder="templates")

blueprint.add_app_template_filter(badges, "sales_badges")
blueprint.add_app_template_filter(canceled, "sales_canceled")
blueprint.add_app_template_filter(issued, "sales_issued")
