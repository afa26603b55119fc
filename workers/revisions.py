"""Which revision the code expects, read from the migrations' own lines without loading Alembic."""

import ast
from pathlib import Path

import asyncpg

VERSIONS = Path(__file__).resolve().parents[1] / "migrations" / "versions"


def newest() -> str | None:
    """Return the revision nobody follows; None when there is none or the files do not form one line."""
    found: dict[str, object] = {}
    for file in VERSIONS.glob("*.py"):
        named = _assignments(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(revision := named.get("revision"), str):
            found[revision] = named.get("down_revision")
    heads = set(found) - {before for before in found.values() if isinstance(before, str)}
    return heads.pop() if len(heads) == 1 else None


async def present(url: str) -> str | None:
    """Return the revision of a database, None when it was never migrated."""
    connection = await asyncpg.connect(url, timeout=10)
    try:
        if await connection.fetchval("SELECT to_regclass('alembic_version')") is None:
            return None
        revision: str | None = await connection.fetchval("SELECT max(version_num) FROM alembic_version")
        return revision
    finally:
        await connection.close()


def _assignments(module: ast.Module) -> dict[str, object]:
    """Return the constants assigned at the top of a module, annotated or not."""
    named: dict[str, object] = {}
    for line in module.body:
        targets = line.targets if isinstance(line, ast.Assign) else [getattr(line, "target", None)]
        value = getattr(line, "value", None)
        if isinstance(value, ast.Constant):
            named |= {target.id: value.value for target in targets if isinstance(target, ast.Name)}
    return named
