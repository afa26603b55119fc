"""Who sees which tasks.

Whoever may read executions sees every task of the organization, because tasks are steps of them. Anybody else, a
client above all, sees the tasks that name them or their role, those they have claimed or decided, and those in whose
history they have a line; any other is to them as if it did not exist. A task that names nobody is for those who see
every one. The policies `visible` on tasks, their histories and links enforce it for the API and the pages alike.
"""

from collections.abc import Collection

from domain.permissions import Permission


def sees_every_task(permissions: Collection[Permission]) -> bool:
    """By what a membership permits; an API key sees as its owner does."""
    return Permission.EXECUTIONS_READ in permissions
