"""The blueprint that the pages of core register with."""

from flask import Blueprint

blueprint = Blueprint("core", __name__)
