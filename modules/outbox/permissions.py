"""The names of the permissions that queries ask for, as the module declares them."""

READ = "outbox.mail.read"
RESEND = "outbox.mail.resend"
