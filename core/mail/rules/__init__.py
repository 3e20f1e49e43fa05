"""What servers mean by their replies, as data: one table of ordered rules, by topic.

A rule is read against the words of a reply as `core.mail.replies` makes them plain. The first that fits decides,
so the order of the topics is part of the table: sure words, then codes that say one thing, then less sure words,
then codes that say little, and what remains by the step of the dialogue.
"""
