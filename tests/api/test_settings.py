"""The settings of an organization: a closed set, replaced as a whole, never overwritten unseen."""

from tests.api.conftest import Account, World

DEFAULTS = {
    "mfa_required": False,
    "session_idle_minutes": None,
    "retention": {"executions_days": None, "deliveries_days": None, "audit_days": None},
    "allowed_email_domains": [],
}


def place(who: Account) -> str:
    return f"/v1/organizations/{who.organization_id}/settings"


async def test_settings_nobody_set_have_their_defaults(account: Account) -> None:
    answer = await account.get(place(account))
    assert answer.status_code == 200
    assert answer.json() == DEFAULTS
    assert answer.headers["ETag"]


async def test_what_is_put_is_what_is_read(account: Account) -> None:
    seen = (await account.get(place(account))).headers["ETag"]
    wanted = {
        "session_idle_minutes": 30,
        "retention": {"audit_days": 400},
        "allowed_email_domains": [" Lind.Example. "],
    }
    put = await account.request("PUT", place(account), json=wanted, headers={"If-Match": seen})
    assert put.status_code == 200, put.text
    kept = await account.get(place(account))
    assert (
        kept.json()
        == put.json()
        == DEFAULTS
        | {
            "session_idle_minutes": 30,
            "retention": DEFAULTS["retention"] | {"audit_days": 400},  # type: ignore[operator]
            "allowed_email_domains": ["lind.example"],
        }
    )
    assert kept.headers["ETag"] == put.headers["ETag"] != seen


async def test_nobody_overwrites_what_they_have_not_seen(account: Account) -> None:
    seen = (await account.get(place(account))).headers["ETag"]
    first = await account.request("PUT", place(account), json={}, headers={"If-Match": seen})
    second = await account.request(
        "PUT", place(account), json={"mfa_required": True}, headers={"If-Match": seen}
    )
    unseen = await account.request("PUT", place(account), json={})
    assert [first.status_code, second.status_code, unseen.status_code] == [200, 412, 428]
    assert (await account.get(place(account))).json() == DEFAULTS


async def test_an_unknown_or_impossible_setting_is_refused_where_it_stands(account: Account) -> None:
    seen = (await account.get(place(account))).headers["ETag"]
    body = {
        "mfa_requird": True,
        "session_idle_minutes": 1,
        "retention": {"audit_days": 1},
        "allowed_email_domains": ["lind.example", "@lind"],
    }
    answer = await account.request("PUT", place(account), json=body, headers={"If-Match": seen})
    assert answer.status_code == 422
    assert {each["pointer"] for each in answer.json()["errors"]} == {
        "#/mfa_requird",
        "#/session_idle_minutes",
        "#/retention/audit_days",
        "#/allowed_email_domains/1",
    }


async def test_a_foreign_organization_is_an_unknown_one(world: World) -> None:
    ada, mallory = await world.account(), await world.account()
    assert (await mallory.get(place(ada))).status_code == 404
