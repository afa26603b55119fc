"""What a call says of its secrets when something goes wrong: never a part of one."""

from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text

from activities.secrets import Arguments, CallSecrets
from db.engine import create_engine
from db.keys import DataKeys
from db.sealed import place
from db.session import Access, Database, Role
from domain.definitions.commands import CallAction
from domain.definitions.faults import Fault
from tests.factories import rows
from tests.factories.driver import execute
from workers.secret_values import MasterKey

PARTNER = "sk_canary-0123456789abcdef"
Complete = Callable[[str], Awaitable[Arguments]]


@pytest.fixture
async def complete(database_url: str, admin_url: str) -> AsyncIterator[Complete]:
    """Completes the call `look` with this `id`, in an organization with the secret `partner`."""
    database = Database(database_url, pool_size=2)
    admin = create_engine(admin_url)
    keys = DataKeys(database, [MasterKey("test", b"m" * 32)])
    async with admin.begin() as connection:
        acme = (await rows.organization(connection))["id"]
    version = uuid4()
    sealed = await keys.seal(acme, PARTNER.encode(), place("secret_versions", "value", version))
    async with admin.begin() as connection:
        secret = (await rows.row(connection, "secrets", acme))["id"]
        await connection.execute(text("UPDATE secrets SET name = 'partner'"))
        given: dict[str, Any] = {"id": version, "secret_id": secret, "number": 1, "value": sealed}
        await rows.row(connection, "secret_versions", acme, **given)
    await admin.dispose()

    async def complete(id: str) -> Arguments:
        execution = execute(f"- ask: {{call: look, with: {{id: {id}}}}}", {"who": "ada"}, {"ask": {"n": 1}})
        [command] = [each for each in execution.commands if isinstance(each, CallAction)]
        access = Access(Role.WORKER, acme)
        return await CallSecrets(database, access, keys, thread).arguments(execution.program, command)

    with ThreadPoolExecutor(1) as thread:
        yield complete
    await database.close()


@pytest.mark.parametrize(
    "expression",
    [
        "'${ \"Bearer \" + $secrets.partner + 5 }'",
        "'${ {t: $secrets.partner} + \"x\" }'",
        "'${ $secrets.partner | tonumber }'",
        "'${ $secrets.partner[3:] | error }'",
    ],
)
async def test_an_expression_that_fails_quotes_nothing(complete: Complete, expression: str) -> None:
    with pytest.raises(Fault) as refusal:
        await complete(expression)
    assert refusal.value.type.endswith("expression")
    assert "might quote the secret" in str(refusal.value.detail)
    told = f"{refusal.value} {refusal.value.as_json()}"
    assert not [PARTNER[at : at + 4] for at in range(len(PARTNER) - 3) if PARTNER[at : at + 4] in told]
    assert refusal.value.__suppress_context__, "a log that prints the causes must not quote it either"


async def test_what_an_expression_makes_of_a_secret_is_masked_and_nothing_else(complete: Complete) -> None:
    arguments = await complete(
        "{sent: '${ $secrets.partner | explode | reverse | implode }', half: '${ $secrets.partner[:13] }', "
        "plan: '${ {kind: \"partner\", who: .who} + {key: $secrets.partner} }', who: '${ .who }'}"
    )
    assert arguments.mask is not None
    made = arguments.values["id"]
    assert made["plan"] == {"kind": "partner", "who": "ada", "key": PARTNER}
    answer = {
        "sent": made["sent"],
        "half": made["half"].upper(),
        "kind": "partner",
        "who": "ada",
        "key": PARTNER,
    }
    shown = "[secret partner]"
    assert arguments.mask.value(answer) == {**answer, "sent": shown, "half": shown, "key": shown}
