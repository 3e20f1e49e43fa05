"""The pages on which a template is edited."""

from modules.mail_config.editor.views import fields, page, text, variables

__all__ = ["fields", "page", "text", "variables"]
