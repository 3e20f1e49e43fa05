"""What changes while a page is open: the page hears of it within a second, and asks nothing while nothing changes.

A page names *topics* (`watching.watched`): what it shows, in words that the server has signed. It asks once, and the
web server holds the question back, outside of its threads, until one of its topics has changed (`core.waiting_pages`).
What has changed stands in the database, in rows that are written in the transaction of the change (`changes`): one
statement now and then for all open pages of a process finds it. So a page hears of nothing that is not committed, on
every host, and without the queue.
"""
