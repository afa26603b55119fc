"""The codec by itself: what it binds, what it refuses, what it lets through."""

import base64
import os
import time
from uuid import UUID

import pytest
from temporalio.api.common.v1 import Payload
from temporalio.api.failure.v1 import Failure
from temporalio.converter import ActivitySerializationContext, DataConverter, WorkflowSerializationContext
from temporalio.exceptions import ApplicationError
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput

from db.sealing import DataKey, key_id
from domain.definitions.faults import Fault
from domain.errors import NotFound
from domain.keys import KeyRing, MasterKeyMissing, Unreadable, WrongMasterKey
from workers.temporal.codec import REFUSED, UNOPENED
from workers.temporal.converter import Unopened, data_converter
from workers.temporal.errors import KeysUnavailable
from workers.temporal.refusals import RefusalInterceptor
from workers.temporal.sealing import ENCODING, SEALED_FOR, Refused, Sealing

ACME, OTHER = UUID(int=1), UUID(int=2)
HERE = f"{ACME}/workflow/{UUID(int=3)}"
SIBLING = f"{ACME}/workflow/{UUID(int=4)}"
THERE = f"{OTHER}/workflow/{UUID(int=3)}"


class Ring(KeyRing):
    """The keys of two organizations, as `db.keys` holds them once they are loaded."""

    def __init__(self) -> None:
        self.keys = {id: DataKey(id, id, os.urandom(32)) for id in (ACME, OTHER)}
        self.away: Exception | None = None

    async def seal(self, organization_id: UUID, content: bytes, bound_to: str) -> bytes:
        return self._key(organization_id).seal(content, bound_to)

    async def open(self, organization_id: UUID, sealed: bytes, bound_to: str) -> bytes:
        if self.away is not None:
            raise self.away
        key = self.keys.get(organization_id)
        if key is None or key_id(sealed) != key.id:
            raise Unreadable("no such key")
        return key.open(sealed, bound_to)

    def forget(self, organization_id: UUID) -> None:
        return None

    def _key(self, organization_id: UUID) -> DataKey:
        if self.away is not None:
            raise self.away
        if organization_id not in self.keys:
            raise NotFound
        return self.keys[organization_id]


@pytest.fixture
def ring() -> Ring:
    return Ring()


@pytest.fixture
def converter(ring: Ring) -> DataConverter:
    return data_converter(ring)


def within(converter: DataConverter, workflow_id: str, *, activity: bool = False) -> DataConverter:
    if activity:
        return converter.with_context(
            ActivitySerializationContext("default", "a", "a", "io", workflow_id, "execution", is_local=False)
        )
    return converter.with_context(WorkflowSerializationContext("default", workflow_id))


@pytest.mark.parametrize("value", [None, "plain", b"\x00\xff", {"n": [1, 2.5, None]}, "x" * 200_000])
async def test_what_is_sealed_opens_in_every_context_of_its_execution(
    converter: DataConverter, value: object
) -> None:
    sealed = await within(converter, HERE).encode([value])
    assert sealed[0].metadata["encoding"] == ENCODING
    assert sealed[0].metadata[SEALED_FOR] == HERE.encode()
    assert await within(converter, HERE, activity=True).decode(sealed) == [value]
    assert await converter.decode(sealed) == [value], "the payload itself says whose it is"


async def test_nothing_of_the_value_shows(converter: DataConverter) -> None:
    [sealed] = await within(converter, HERE).encode([{"name": "canary"}])
    everything = sealed.SerializeToString()
    assert b"canary" not in everything
    assert b"json" not in everything
    assert base64.b64encode(b"canary")[:6] not in everything


def _moved(sealed: Payload, to: str) -> Payload:
    moved = Payload.FromString(sealed.SerializeToString())
    moved.metadata[SEALED_FOR] = to.encode()
    return moved


@pytest.mark.parametrize("to", [SIBLING, THERE, f"{UUID(int=9)}/workflow/x", "nonsense", ""])
async def test_sealed_for_one_execution_it_opens_in_no_other(
    ring: Ring, converter: DataConverter, to: str
) -> None:
    [sealed] = await within(converter, HERE).encode(["value"])
    with pytest.raises(Refused):
        await Sealing(ring).open(sealed, to)
    with pytest.raises(Refused):
        await Sealing(ring).open(_moved(sealed, to), to)


async def test_a_changed_bit_is_noticed_anywhere(ring: Ring, converter: DataConverter) -> None:
    [sealed] = await within(converter, HERE).encode(["value"])
    for position in range(len(sealed.data)):
        changed = bytearray(sealed.data)
        changed[position] ^= 1
        with pytest.raises(Refused):
            await Sealing(ring).open(Payload(metadata=sealed.metadata, data=bytes(changed)), HERE)


FOREIGN = {
    "plaintext": Payload(metadata={"encoding": b"json/plain"}, data=b'"forged"'),
    "null": Payload(metadata={"encoding": b"binary/null"}),
    "nothing": Payload(),
    "sealed for nobody": Payload(metadata={"encoding": ENCODING}, data=b"x" * 64),
    "no text": Payload(metadata={"encoding": ENCODING, SEALED_FOR: b"\xff"}, data=b"x" * 64),
    "short": Payload(metadata={"encoding": ENCODING, SEALED_FOR: HERE.encode()}, data=b"x"),
    "noise": Payload(metadata={"encoding": ENCODING, SEALED_FOR: HERE.encode()}, data=b"\x01" + b"x" * 99),
    "a refusal of their own": Payload(metadata={"encoding": UNOPENED}, data=b"x"),
}


@pytest.mark.parametrize("payload", FOREIGN.values(), ids=FOREIGN.keys())
async def test_what_is_not_ours_is_refused(converter: DataConverter, payload: Payload) -> None:
    codec = within(converter, HERE).payload_codec
    assert codec is not None
    assert (await codec.decode([payload]))[0].metadata["encoding"] == REFUSED
    with pytest.raises(Fault, match="refused"):
        await within(converter, HERE).decode([payload])
    [unopened] = await within(converter, HERE, activity=True).decode([payload])
    assert isinstance(unopened, Unopened)
    with pytest.raises(Fault, match="refused"):
        _ = unopened.output


@pytest.mark.parametrize(
    "reason", [OSError("no database"), MasterKeyMissing(["lost"]), WrongMasterKey("mistaken")]
)
async def test_keys_that_are_away_are_no_refusal(
    ring: Ring, converter: DataConverter, reason: Exception
) -> None:
    sealed = await within(converter, HERE).encode(["value"])
    ring.away = reason
    with pytest.raises(KeysUnavailable):
        await within(converter, HERE).decode(sealed)
    with pytest.raises(KeysUnavailable):
        await within(converter, HERE).encode(["value"])


async def test_an_id_that_is_not_ours_gets_a_sentence_and_nothing_else(converter: DataConverter) -> None:
    for id in ("somebody's", f"{UUID(int=9)}/workflow/x", '"\\'):
        [payload] = await within(converter, id).encode(["secret"])
        assert b"names no organization" in payload.data
        assert b"secret" not in payload.data
    with pytest.raises(RuntimeError):
        await converter.encode(["outside of any execution"])


async def test_failures_are_sealed_with_their_causes(converter: DataConverter) -> None:
    error = ApplicationError("canary 1", {"detail": "canary 2"}, type="https://acme.example/canary-3")
    error.__cause__ = Fault("https://acme.example/canary-4", 400, "canary 5")
    failure = Failure()
    await within(converter, HERE).encode_failure(error, failure)
    assert "canary" not in str(failure)
    returned = await within(converter, HERE).decode_failure(failure)
    assert isinstance(returned, ApplicationError)
    assert returned.message == "canary 1"
    assert returned.details == ({"detail": "canary 2"},)
    assert "canary 5" in str(returned.cause)


async def test_our_own_types_of_failure_stay_readable(converter: DataConverter) -> None:
    for type in ("ExecutionClosed", Fault("timeout", 408, "Late").type):
        failure = Failure()
        await within(converter, HERE).encode_failure(ApplicationError("x", type=type), failure)
        assert failure.application_failure_info.type == type


async def test_sealing_and_opening_cost_microseconds(converter: DataConverter) -> None:
    """A payload of 2 KB, as a short execution has about ten of: 20 µs when nobody else computes."""
    value = {"text": "x" * 2000}
    here = within(converter, HERE)
    payloads = here.payload_converter.to_payloads([value])
    codec = here.payload_codec
    assert codec is not None
    best = 1.0
    for _ in range(50):
        begun = time.perf_counter()
        for _ in range(20):
            await codec.decode(await codec.encode(payloads))
        best = min(best, (time.perf_counter() - begun) / 20)
    assert best < 0.0005, f"{best * 1e6:.0f} µs for sealing and opening once"


class _Forbidden(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> object:
        return "reached"


async def test_an_activity_is_not_begun_with_arguments_that_were_refused(converter: DataConverter) -> None:
    inbound = RefusalInterceptor().intercept_activity(_Forbidden(None))  # type: ignore[arg-type]  # nothing follows
    here = within(converter, HERE, activity=True)
    forged = await here.decode([FOREIGN["plaintext"]])
    with pytest.raises(ApplicationError) as caught:
        await inbound.execute_activity(ExecuteActivityInput(print, forged, None, {}))
    assert caught.value.non_retryable, "trying again would not help"
    assert caught.value.details[0]["title"] == "Value refused"
    ours = await here.decode(await here.encode(["ours"]))
    assert await inbound.execute_activity(ExecuteActivityInput(print, ours, None, {})) == "reached"
