"""Commands of core for whoever looks after an installation, beside those of `core.cli`."""

from core.administration.backups import backup, restore
from core.administration.database import database
from core.administration.files import files
from core.administration.keys import key

commands = {command.name: command for command in (backup, database, files, key, restore)}
