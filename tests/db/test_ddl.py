"""What migrations share may grow, and never says anything else than it did when they were released."""

import hashlib
import re

from workers import migrate

#: The last migration of the release before this one, and its way there and back.
RELEASED = "0022"
THERE = "14008e60a116f8fbdaa562267525a132b214d63d96057d126b6b497cbb63f8c3"
BACK = "02789dbd5d6f47bd2ffba244202edbd886a44a2ad7b89904b8155a9311686a4a"


def digest(sql: str) -> str:
    """Of the statements, in whatever order and layout, without Alembic's own."""
    statements = [" ".join(each.split()) for each in re.sub(r"(?m)^--.*$", "", sql).split(";\n")]
    ours = sorted(each for each in statements if "alembic_version" not in each)
    return hashlib.sha256("\n".join(ours).encode()).hexdigest()


def test_migrations_that_were_released_say_what_they_said() -> None:
    """A database that has them does not run them again: what is to change needs a migration of its own."""
    assert digest(migrate.sql(RELEASED)) == THERE
    assert digest(migrate.sql(RELEASED, down=True)) == BACK
