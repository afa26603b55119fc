"""Tasks: the inbox, one of them, and the pages that links in mails lead to."""
