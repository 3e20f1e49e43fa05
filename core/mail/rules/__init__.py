"""The rules that tell a failure from a server's reply, as data: one ordered table, by topic.

A rule is read against the words of a reply as `core.mail.replies` makes them plain. The first that fits decides,
so the order of the topics is part of the table: sure words, then codes that say one thing, then less sure words,
then codes that say little, and what remains by the step of the dialogue.
"""
