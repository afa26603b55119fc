"""Who acts across organizations: a closed list. Whoever is added here needs a reason that a tenant would accept."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]
FLOORS = ("perdure", "workers", "api", "activities", "workflows", "db", "domain")
#: Module → why it reads or writes rows of several organizations.
SYSTEM = {
    "activities/erasing.py": "removes one organization or person, through functions that demand an erasure",
    "db/keys.py": "loads and makes data keys",
    "db/sealed.py": "seals what belongs to people again while keys are rotated",
    "perdure/cli/organizations.py": "an operator says what is verified about an organization",
    "workers/deadlines.py": "finds tasks of all about which something is due; acts as the worker of each",
    "workers/firing.py": "finds schedules of all that are due; acts as the worker of each",
    "workers/routing.py": "claims events and ends of executions of all; acts as the worker of each",
    "workers/relay.py": "claims the outbox of all",
    "workers/reconciler.py": "compares the open rows of all with Temporal; writes as the worker of each",
    "workers/mending.py": "finds one row by its id, whose organization it then enters",
    "workers/sweeps.py": "forgets what is old",
    "workers/metrics.py": "counts the outbox of all",
}


def _uses(file: Path) -> bool:
    return any(
        isinstance(node, ast.Attribute)
        and node.attr == "SYSTEM"
        and isinstance(node.value, ast.Name)
        and node.value.id == "Role"
        for node in ast.walk(ast.parse(file.read_text()))
    )


def test_only_these_modules_act_for_all_organizations() -> None:
    files = (file for floor in FLOORS for file in (ROOT / floor).rglob("*.py"))
    found = {str(file.relative_to(ROOT)) for file in files if _uses(file)}
    assert found == set(SYSTEM)
