"""The names of the permissions that queries ask for, as the module declares them."""

READ = "distribution.rule.read"
EDIT = "distribution.rule.edit"
DISTRIBUTE = "distribution.document.distribute"
