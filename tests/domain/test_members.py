"""Nobody raises anybody above themselves: for any holders at all."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import DomainError, Forbidden
from domain.members import BeyondYou, Holder, OwnersOnly, RoleOf, require_grant, require_reach
from domain.permissions import ALL, ROLES, Permission, RoleName

ROLE = UUID(int=1)
permissions = st.frozensets(st.sampled_from(Permission))


@st.composite
def holders(draw: st.DrawFn) -> Holder:
    """Of a shipped role or of an organization's own, with any exceptions from it."""
    if draw(st.booleans()):
        role = RoleOf.of(ROLE, draw(st.sampled_from(RoleName)).value, None, [])
    else:
        role = RoleOf.of(ROLE, "own", UUID(int=2), draw(permissions))
    override = {"grant": sorted(draw(permissions)), "deny": sorted(draw(permissions))}
    return Holder(None, role, {} if role.is_owner else override)


def allowed(rule: object) -> bool:
    try:
        rule()  # type: ignore[operator]
    except DomainError:
        return False
    return True


@given(holders(), permissions, holders())
def test_whoever_is_made_something_holds_no_more_than_their_maker(
    actor: Holder, within: frozenset[Permission], wanted: Holder
) -> None:
    if allowed(lambda: require_grant(actor, within, wanted)):
        assert wanted.permissions <= actor.permissions & within
        assert actor.role.is_owner or not wanted.role.is_owner


@given(holders(), permissions, holders())
def test_whoever_is_reached_holds_no_more_than_who_reaches_them(
    actor: Holder, within: frozenset[Permission], target: Holder
) -> None:
    if allowed(lambda: require_reach(actor, within, target)):
        assert target.permissions <= actor.permissions & within
        assert actor.role.is_owner or not target.role.is_owner


@given(holders(), holders())
def test_an_owner_reaches_everybody(actor: Holder, target: Holder) -> None:
    if actor.role.is_owner:
        require_reach(actor, ALL, target)
        require_grant(actor, ALL, target)


def test_an_own_role_called_owner_owns_nothing() -> None:
    role = RoleOf.of(ROLE, "owner", UUID(int=2), ["tasks:read"])
    assert not role.is_owner
    assert role.permissions == {Permission.TASKS_READ}


def test_a_refusal_names_what_is_missing() -> None:
    actor = Holder(None, RoleOf.of(ROLE, "manager", None, []), {})
    admin = Holder(None, RoleOf.of(ROLE, "admin", None, []), {})
    with pytest.raises(BeyondYou, match="members:write"):
        require_grant(actor, ALL, admin)
    with pytest.raises(OwnersOnly):
        require_grant(admin, ALL, Holder(None, RoleOf.of(ROLE, "owner", None, []), {}))
    with pytest.raises(Forbidden):
        require_reach(actor, ALL, admin)


def test_denying_wins_over_granting_and_over_the_role() -> None:
    override = {"grant": ["audit:read", "clients:read"], "deny": ["clients:read", "tasks:read"]}
    holder = Holder(None, RoleOf.of(ROLE, "client", None, []), override)
    assert holder.permissions == ROLES[RoleName.CLIENT] - {Permission.TASKS_READ} | {Permission.AUDIT_READ}
