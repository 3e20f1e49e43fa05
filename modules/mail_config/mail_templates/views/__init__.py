"""The pages around templates: their list, their history, export and import."""

from modules.mail_config.mail_templates.views import history, import_export, listing

__all__ = ["history", "import_export", "listing"]
