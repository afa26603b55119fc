"""Which columns hold sealed values, and where in them each is at home: rotation seals all of them again."""

import base64
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, LargeBinary, Table, func, literal

from db.base import Base
from db.clients import Client
from db.deliveries import Delivery
from db.events import Event
from db.factors import UserMfa
from db.gateways import PaymentGatewayConfig
from db.identity import User
from db.sealing import prefix
from db.secrets import SecretVersion
from db.session import Access, Role
from db.tenants import PLATFORM, Organization
from db.transfers import TransferPart
from db.triggers import TriggerSecret
from domain.keys import KeyRing, Unreadable
from domain.tenants import ActorType


@dataclass(frozen=True, slots=True)
class SealedColumn:
    """A column of a table with a `uuid` id, sealed for `place(table, column, id)`: bytea, or text in base64.

    `index` is the column of its blind index, when values can be looked up. Workers need SELECT on the table and
    UPDATE of the columns, within their organization. What belongs to people is sealed with the key of the
    platform's own organization; a column that no worker may read is sealed again by the system instead.
    """

    model: type[Base]
    column: str
    index: str | None = None
    by_system: bool = False

    def access(self, organization_id: UUID) -> Access | None:
        """Who seals again what the organization's key sealed; None when it sealed nothing here.

        It acts as the system: so the activity log does not take what is sealed anew for a change.
        """
        if not self.by_system:
            return Access(Role.WORKER, organization_id, actor=ActorType.SYSTEM)
        return Access(Role.SYSTEM) if organization_id == PLATFORM else None

    @property
    def table(self) -> Table:
        table = self.model.__table__
        assert isinstance(table, Table)
        return table

    @property
    def is_binary(self) -> bool:
        return isinstance(self.table.c[self.column].type, LargeBinary)

    def sealed_by(self, key: UUID) -> ColumnElement[bool]:
        """Whether the key sealed the value; 14 bytes of a key's id are as good as all 16."""
        column, wanted = self.table.c[self.column], prefix(key)[:15]
        if self.is_binary:
            return func.substring(column, 1, len(wanted)) == literal(wanted, LargeBinary)
        text = base64.b64encode(wanted).decode()
        return func.left(column, len(text)) == text

    def read(self, stored: Any) -> bytes:
        """The sealed bytes of what the column holds. Raises Unreadable for a text that is no base64."""
        return stored if isinstance(stored, bytes) else from_text(stored)

    def written(self, sealed: bytes) -> bytes | str:
        """What the column holds of sealed bytes."""
        return sealed if self.is_binary else to_text(sealed)

    @property
    def name(self) -> str:
        return f"{self.table.name}.{self.column}"


#: Every column that `db.base` calls Sealed; whoever seals another one adds it here, and a test sees to that. Large
#: bodies of deliveries lie in the blob store and keep their key, for as long as they are kept: a month.
SEALED_COLUMNS = (
    SealedColumn(SecretVersion, "value"),
    SealedColumn(Client, "tax_id", index="tax_id_index"),
    SealedColumn(TriggerSecret, "sealed"),
    SealedColumn(Delivery, "body"),
    SealedColumn(Event, "content"),
    SealedColumn(Organization, "tax_id"),
    SealedColumn(PaymentGatewayConfig, "credentials"),
    SealedColumn(User, "national_id", by_system=True),
    # People's, sealed for the platform's organization.
    SealedColumn(UserMfa, "totp_secret", by_system=True),
    SealedColumn(UserMfa, "pending_secret", by_system=True),
    SealedColumn(TransferPart, "content"),
    SealedColumn(TransferPart, "report"),
)


def place(table: str, column: str, id: UUID) -> str:
    """What a sealed value is bound to: moved to another row or column it does not open."""
    return f"{table}.{column}/{id}"


async def seal_text(keys: KeyRing, organization_id: UUID, where: str, value: str) -> str:
    """What a text column of the customer's holds of a value; `where` is its `place`."""
    return to_text(await keys.seal(organization_id, value.encode(), where))


async def open_text(keys: KeyRing, organization_id: UUID, where: str, stored: str) -> str:
    """The value again. Raises Unreadable, MasterKeyMissing."""
    return (await keys.open(organization_id, from_text(stored), where)).decode()


def to_text(sealed: bytes) -> str:
    """Sealed bytes for a column of the customer's that is text."""
    return base64.b64encode(sealed).decode()


def from_text(stored: str) -> bytes:
    """Raises Unreadable."""
    try:
        return base64.b64decode(stored, validate=True)
    except ValueError:
        raise Unreadable("the text is no sealed value") from None
