"""What activity logs tell, in one closed set of words.

A row that changed is told by the database itself: `insert`, `update` or `delete` of a table's row. What people do
beyond a row, or what a row does not say, has a word of its own: `<noun>.<verb in the past>`. Whoever needs another
one adds it here; `tests/architecture/test_activities.py` compares the set with the code, in both directions.
"""

from enum import StrEnum
from typing import Final


class RowChange(StrEnum):
    """What `audit_trigger()` writes."""

    INSERT = "insert"
    UPDATE = "update"
    DELETE = "delete"


class Act(StrEnum):
    """What is noted besides."""

    # Signing in
    SESSION_OPENED = "session.opened"
    SESSION_REFUSED = "session.refused"
    SESSION_CONFIRMED = "session.confirmed"
    SESSION_ENDED = "session.ended"
    SESSIONS_ENDED = "sessions.ended"
    DEVICE_TRUSTED = "device.trusted"
    DEVICE_FORGOTTEN = "device.forgotten"
    DEVICES_FORGOTTEN = "devices.forgotten"
    MFA_ENROLLED = "mfa.enrolled"
    MFA_REMOVED = "mfa.removed"
    BACKUP_CODES_RENEWED = "backup_codes.renewed"
    # One's own account
    PASSWORD_CHANGED = "password.changed"  # noqa: S105 - a word, no password
    PASSWORD_RESET = "password.reset"  # noqa: S105
    EMAIL_CHANGE_ASKED = "email.change_asked"
    EMAIL_CHANGED = "email.changed"
    PHONE_CHANGE_ASKED = "phone.change_asked"
    PHONE_CHANGED = "phone.changed"
    PROFILE_CHANGED = "profile.changed"
    DEFAULT_ORGANIZATION_CHANGED = "default_organization.changed"
    API_KEY_CREATED = "api_key.created"
    API_KEY_ROTATED = "api_key.rotated"
    API_KEY_REVOKED = "api_key.revoked"
    # Organizations and their people
    ORGANIZATION_CREATED = "organization.created"
    ORGANIZATION_CHANGED = "organization.changed"
    ORGANIZATION_TRANSFERRED = "organization.transferred"
    ORGANIZATION_DELETED = "organization.deleted"
    ORGANIZATION_RESTORED = "organization.restored"
    SETTINGS_CHANGED = "settings.changed"
    MEMBER_INVITED = "member.invited"
    MEMBER_JOINED = "member.joined"
    MEMBER_CHANGED = "member.changed"
    MEMBER_SUSPENDED = "member.suspended"
    MEMBER_RESUMED = "member.resumed"
    MEMBER_REMOVED = "member.removed"
    MEMBER_LEFT = "member.left"
    INVITATION_ACCEPTED = "invitation.accepted"
    INVITATION_RESENT = "invitation.resent"
    INVITATION_REVOKED = "invitation.revoked"
    ROLE_CREATED = "role.created"
    ROLE_CHANGED = "role.changed"
    ROLE_REMOVED = "role.removed"
    ERASURE_PLANNED = "erasure.planned"
    ERASURE_CANCELLED = "erasure.cancelled"
    EXPORT_STARTED = "export.started"
    EXPORT_FETCHED = "export.fetched"
    EXPORT_REMOVED = "export.removed"
    # What leaves the house, or lets somebody look inside
    AUDIT_READ = "audit.read"
    AUDIT_EXPORTED = "audit.exported"
    AUDIT_DOWNLOADED = "audit.downloaded"
    CLIENTS_IMPORTED = "clients.imported"
    CLIENTS_EXPORTED = "clients.exported"
    CONTACTS_IMPORTED = "contacts.imported"
    CONTACTS_EXPORTED = "contacts.exported"
    PAYLOADS_DECODED = "payloads.decode"
    PAYLOADS_ENCODED = "payloads.encode"
    SECRET_SET = "secret.set"  # noqa: S105
    SECRET_DELETED = "secret.delete"  # noqa: S105
    # Executions: their rows mirror the engine and have no trigger
    EXECUTION_CANCELLED = "execution.cancelled"
    EXECUTION_PAUSED = "execution.paused"
    EXECUTION_RESUMED = "execution.resumed"
    EXECUTION_SIGNALLED = "execution.signalled"
    # Schedules: their rows move with every fire
    SCHEDULE_PAUSED = "schedule.paused"
    SCHEDULE_RESUMED = "schedule.resumed"
    SCHEDULE_BACKFILLED = "schedule.backfilled"
    SCHEDULE_BACKFILL_WITHDRAWN = "schedule.backfill_withdrawn"
    SCHEDULE_RUN = "schedule.run"
    EXECUTION_RERUN = "execution.rerun"
    EXECUTIONS_CANCELLED = "executions.cancelled"
    EXECUTIONS_RERUN = "executions.rerun"


#: Everything that stands in `activity_logs.action`.
WORDS: Final = frozenset(word.value for words in (RowChange, Act) for word in words)
