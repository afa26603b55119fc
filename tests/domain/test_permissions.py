from domain.permissions import ALL, ROLES, Permission, RoleName, decide, known, may_grant, of_role


def test_every_role_is_shipped_with_members_of_the_closed_set() -> None:
    assert set(ROLES) == set(RoleName)
    assert all(permissions <= ALL for permissions in ROLES.values())
    assert of_role("owner") == ALL


def test_deny_wins_over_role_and_grant() -> None:
    override = {"grant": ["workflows:publish"], "deny": ["workflows:publish", "executions:start"]}
    allowed = decide(of_role("member"), override)
    assert Permission.WORKFLOWS_PUBLISH not in allowed
    assert Permission.EXECUTIONS_START not in allowed
    assert Permission.EXECUTIONS_READ in allowed


def test_a_grant_adds_to_the_role() -> None:
    assert Permission.AUDIT_READ not in decide(of_role("member"))
    assert Permission.AUDIT_READ in decide(of_role("member"), {"grant": ["audit:read"]})


def test_scopes_only_narrow() -> None:
    assert decide(of_role("reviewer"), None, ["tasks:read", "organization:write"]) == {Permission.TASKS_READ}
    assert decide(of_role("owner"), None, []) == frozenset()


def test_unknown_words_and_roles_allow_nothing() -> None:
    assert known(["*", "workflows:*", 7, None]) == frozenset()
    assert decide(of_role("superuser")) == frozenset()
    assert decide(of_role("client"), {"grant": ["everything"]}) == of_role("client")


def test_nobody_passes_on_what_they_lack() -> None:
    assert may_grant(of_role("auditor"), [Permission.AUDIT_READ, Permission.TASKS_DECIDE]) == {
        Permission.TASKS_DECIDE
    }
