"""Who may do what: a closed set of permissions, seven shipped roles, and one decision in which deny wins."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Permission(StrEnum):
    ORGANIZATION_READ = "organization:read"
    ORGANIZATION_WRITE = "organization:write"
    ORGANIZATION_DELETE = "organization:delete"
    ORGANIZATION_EXPORT = "organization:export"
    STATISTICS_READ = "statistics:read"
    MEMBERS_READ = "members:read"
    MEMBERS_WRITE = "members:write"
    ROLES_READ = "roles:read"
    ROLES_WRITE = "roles:write"
    API_KEYS_READ = "api_keys:read"
    API_KEYS_WRITE = "api_keys:write"
    WORKFLOWS_READ = "workflows:read"
    WORKFLOWS_WRITE = "workflows:write"
    WORKFLOWS_PUBLISH = "workflows:publish"
    EXECUTIONS_READ = "executions:read"
    EXECUTIONS_START = "executions:start"
    EXECUTIONS_CANCEL = "executions:cancel"
    EXECUTIONS_CONTROL = "executions:control"
    TRIGGERS_READ = "triggers:read"
    TRIGGERS_WRITE = "triggers:write"
    DELIVERIES_READ = "deliveries:read"
    DELIVERIES_REPLAY = "deliveries:replay"
    EVENTS_READ = "events:read"
    EVENTS_WRITE = "events:write"
    SECRETS_READ = "secrets:read"
    SECRETS_WRITE = "secrets:write"
    TASKS_READ = "tasks:read"
    TASKS_DECIDE = "tasks:decide"
    CLIENTS_READ = "clients:read"
    CLIENTS_WRITE = "clients:write"
    CLIENTS_IMPORT = "clients:import"
    CLIENTS_EXPORT = "clients:export"
    AUDIT_READ = "audit:read"


#: Each in words for whoever gives it to somebody.
DESCRIPTIONS: Mapping[Permission, str] = {
    Permission.ORGANIZATION_READ: "See the organization and its settings.",
    Permission.ORGANIZATION_WRITE: "Change the organization's facts and settings.",
    Permission.ORGANIZATION_DELETE: "Delete the organization.",
    Permission.ORGANIZATION_EXPORT: "Export everything the organization has.",
    Permission.STATISTICS_READ: "See counts, storage and usage.",
    Permission.MEMBERS_READ: "See members and invitations.",
    Permission.MEMBERS_WRITE: "Invite, change, suspend and remove members.",
    Permission.ROLES_READ: "See roles and what they permit.",
    Permission.ROLES_WRITE: "Make, change and remove the organization's own roles.",
    Permission.API_KEYS_READ: "See one's own API keys.",
    Permission.API_KEYS_WRITE: "Make, rotate and revoke one's own API keys.",
    Permission.WORKFLOWS_READ: "See workflows and their versions.",
    Permission.WORKFLOWS_WRITE: "Write, test and archive workflows.",
    Permission.WORKFLOWS_PUBLISH: "Publish, pause and resume workflows.",
    Permission.EXECUTIONS_READ: "See executions, their steps and their log.",
    Permission.EXECUTIONS_START: "Start executions.",
    Permission.EXECUTIONS_CANCEL: "Cancel executions.",
    Permission.EXECUTIONS_CONTROL: "Pause, resume and signal executions.",
    Permission.TRIGGERS_READ: "See triggers.",
    Permission.TRIGGERS_WRITE: "Make and change triggers and their secrets.",
    Permission.DELIVERIES_READ: "See what arrived at webhooks.",
    Permission.DELIVERIES_REPLAY: "Replay what arrived at webhooks.",
    Permission.EVENTS_READ: "See events and what they started.",
    Permission.EVENTS_WRITE: "Send events, and have them looked at once more.",
    Permission.SECRETS_READ: "See the names of secrets, never their values.",
    Permission.SECRETS_WRITE: "Set and delete secrets.",
    Permission.TASKS_READ: "See the tasks that are put to one; with executions:read every task.",
    Permission.TASKS_DECIDE: "Decide tasks.",
    Permission.CLIENTS_READ: "See clients and contacts.",
    Permission.CLIENTS_WRITE: "Write clients and contacts.",
    Permission.CLIENTS_IMPORT: "Import clients and contacts from files.",
    Permission.CLIENTS_EXPORT: "Export clients and contacts to files.",
    Permission.AUDIT_READ: "See and export the log of activities.",
}


class RoleName(StrEnum):
    OWNER = "owner"
    ADMIN = "admin"
    MANAGER = "manager"
    MEMBER = "member"
    REVIEWER = "reviewer"
    CLIENT = "client"
    AUDITOR = "auditor"


ALL = frozenset(Permission)

_P = Permission

_MEMBER = frozenset(
    {
        _P.ORGANIZATION_READ,
        _P.MEMBERS_READ,
        _P.ROLES_READ,
        _P.API_KEYS_READ,
        _P.API_KEYS_WRITE,
        _P.WORKFLOWS_READ,
        _P.EXECUTIONS_READ,
        _P.EXECUTIONS_START,
        _P.TRIGGERS_READ,
        _P.DELIVERIES_READ,
        _P.EVENTS_READ,
        _P.TASKS_READ,
        _P.TASKS_DECIDE,
        _P.CLIENTS_READ,
        _P.CLIENTS_WRITE,
    }
)

#: What each shipped role may do before a membership's own override is applied.
ROLES: Mapping[RoleName, frozenset[Permission]] = {
    RoleName.OWNER: ALL,
    # Neither ending the organization nor, by a rule of changing memberships, replacing its owner.
    RoleName.ADMIN: ALL - {_P.ORGANIZATION_DELETE},
    RoleName.MANAGER: _MEMBER
    | {
        _P.WORKFLOWS_WRITE,
        _P.WORKFLOWS_PUBLISH,
        _P.EXECUTIONS_CANCEL,
        _P.EXECUTIONS_CONTROL,
        _P.TRIGGERS_WRITE,
        _P.DELIVERIES_REPLAY,
        _P.EVENTS_WRITE,
        _P.SECRETS_READ,
        _P.SECRETS_WRITE,
        _P.STATISTICS_READ,
        _P.CLIENTS_IMPORT,
        _P.CLIENTS_EXPORT,
        _P.AUDIT_READ,
    },
    RoleName.MEMBER: _MEMBER,
    RoleName.REVIEWER: frozenset(
        {_P.ORGANIZATION_READ, _P.EXECUTIONS_READ, _P.TASKS_READ, _P.TASKS_DECIDE, _P.CLIENTS_READ}
    ),
    # A client of the organization sees and answers the tasks put to it, nothing else (`domain/tasks/sight.py`).
    RoleName.CLIENT: frozenset({_P.TASKS_READ, _P.TASKS_DECIDE}),
    RoleName.AUDITOR: frozenset(
        {
            _P.ORGANIZATION_READ,
            _P.STATISTICS_READ,
            _P.MEMBERS_READ,
            _P.ROLES_READ,
            _P.WORKFLOWS_READ,
            _P.EXECUTIONS_READ,
            _P.TRIGGERS_READ,
            _P.DELIVERIES_READ,
            _P.EVENTS_READ,
            _P.SECRETS_READ,
            _P.TASKS_READ,
            _P.CLIENTS_READ,
            _P.AUDIT_READ,
        }
    ),
}


@dataclass(frozen=True, slots=True)
class Override:
    """A membership's own exceptions to its role."""

    grant: frozenset[Permission] = frozenset()
    deny: frozenset[Permission] = frozenset()

    @classmethod
    def parse(cls, stored: Mapping[str, Any] | None) -> "Override":
        """Reads `{"grant": [...], "deny": [...]}`; a word outside the closed set grants nothing.

        An unknown word under `deny` is ignored too: it names nothing that could be allowed.
        """
        stored = stored or {}
        return cls(known(stored.get("grant") or ()), known(stored.get("deny") or ()))


def known(words: Iterable[Any]) -> frozenset[Permission]:
    """The members of the closed set among `words`."""
    return frozenset(Permission(word) for word in words if isinstance(word, str) and word in _VALUES)


_VALUES = frozenset(permission.value for permission in Permission)
_ROLES_BY_NAME = {role.value: permissions for role, permissions in ROLES.items()}


def of_role(role: str) -> frozenset[Permission]:
    """The permissions of a shipped role; an unknown role may do nothing."""
    return _ROLES_BY_NAME.get(role, frozenset())


def decide(
    base: Iterable[Permission], override: Mapping[str, Any] | None = None, scopes: Iterable[str] | None = None
) -> frozenset[Permission]:
    """What a member may do now: role plus granted, without denied, and within the scopes of an API key.

    `base` is `of_role(name)` of a shipped role, or `known(words)` of an organization's own.
    """
    exceptions = Override.parse(override)
    allowed = (frozenset(base) | exceptions.grant) - exceptions.deny
    return allowed if scopes is None else allowed & known(scopes)


def may_grant(grantor: Iterable[Permission], wanted: Iterable[Permission]) -> frozenset[Permission]:
    """The permissions among `wanted` that the grantor lacks and so may not pass on; empty means allowed."""
    return frozenset(wanted) - frozenset(grantor)
