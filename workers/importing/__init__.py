"""Bringing the customer's own database over: the layout of their document, with everything wrong that it let in.

    Source (read only, one snapshot) → conversion of each row → Target (one transaction per organization) → Report

A row is imported whole or refused with a reason and a mend; source = imported + known already + refused, for
every table, or the import fails. Ids that are UUIDs stay; others become what their table and text yield, and
`legacy_ids` keeps both, so that a second run goes on where the first one ended.

It runs as the login that migrates, which becomes `app_owner`. Row security hides every row from the owner too, so
for the time of the import the owner has a policy of its own on each table: the rows of the one organization that is
being imported. No role of the running product gains anything by that, and a row of another organization is refused
by PostgreSQL itself.
"""
