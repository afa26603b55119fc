"""What keeps a process from speaking to Temporal for a while."""

from uuid import UUID


class TemporalUnavailable(ConnectionError):
    """Temporal has not been reached yet; the outbox keeps everything until it is."""


class KeysUnavailable(TemporalUnavailable):
    """The data keys of an organization cannot be read now, so nothing of it can be sealed or opened; retry."""

    def __init__(self, organization_id: UUID) -> None:
        super().__init__(f"The data keys of organization {organization_id} cannot be read now")
