"""All pages of mail configuration: importing this registers them with its blueprint."""

from modules.mail_config.accounts import status as accounts
from modules.mail_config.blueprint import blueprint
from modules.mail_config.domains import views as domains
from modules.mail_config.editor import views as editor
from modules.mail_config.mail_templates import views as mail_templates
from modules.mail_config.senders import views as senders
from modules.mail_config.servers import views as servers

__all__ = ["accounts", "blueprint", "domains", "editor", "mail_templates", "senders", "servers"]
