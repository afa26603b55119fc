"""The cheap reading of revisions agrees with Alembic's own."""

from alembic.script import ScriptDirectory

from tests.conftest import Cluster, aside
from workers import revisions
from workers.devstack.databases import OWNER
from workers.migrate import configuration


def test_the_newest_revision_is_the_one_alembic_names() -> None:
    scripts = ScriptDirectory.from_config(configuration("postgresql://offline/offline"))
    assert revisions.newest() == scripts.get_current_head()


def test_a_migrated_database_is_at_the_newest_revision(postgres: Cluster) -> None:
    assert aside(revisions.present(postgres.url("perdure", OWNER))) == revisions.newest()


def test_a_database_that_was_never_migrated_has_no_revision(postgres: Cluster) -> None:
    assert aside(revisions.present(postgres.url("postgres", "postgres"))) is None
