"""How values travel to Temporal: JSON by pydantic, then sealed."""

import copy
from functools import lru_cache
from typing import Any, NoReturn

from pydantic import TypeAdapter
from temporalio.api.common.v1 import Payload
from temporalio.api.failure.v1 import Failure
from temporalio.contrib.pydantic import PydanticJSONPlainPayloadConverter
from temporalio.converter import (
    CompositePayloadConverter,
    DataConverter,
    DefaultFailureConverterWithEncodedAttributes,
    DefaultPayloadConverter,
    EncodingPayloadConverter,
    JSONPlainPayloadConverter,
    SerializationContext,
)
from temporalio.converter import PayloadConverter as AnyPayloadConverter

from domain.definitions.faults import Fault, is_standard
from domain.keys import KeyRing
from workers.temporal.codec import REFUSED, UNOPENED, SealingCodec
from workers.temporal.sealing import Sealing

#: One cache of type adapters for the whole process: the SDK makes a converter per execution, and building its
#: adapters each time cost 6 % of a node's time.
_adapters = lru_cache(maxsize=1024)(TypeAdapter)


class _Json(PydanticJSONPlainPayloadConverter):
    def __init__(self) -> None:
        super().__init__()
        self._type_adapter = _adapters


class Unopened:
    """A value that the codec refused, where raising at once would leave the execution's row without an end.

    Whoever looks at it raises the fault.
    """

    def __init__(self, fault: Fault) -> None:
        self.__dict__["fault"] = fault

    def __getattr__(self, _: str) -> NoReturn:
        raise self.__dict__["fault"]


class _Refusal(EncodingPayloadConverter):
    encoding = REFUSED.decode()

    def to_payload(self, value: Any) -> Payload | None:
        return None

    def from_payload(self, payload: Payload, type_hint: type | None = None) -> Any:
        raise _fault(payload)


class _UnopenedRefusal(_Refusal):
    encoding = UNOPENED.decode()

    def from_payload(self, payload: Payload, type_hint: type | None = None) -> Any:
        return Unopened(_fault(payload))


def _fault(payload: Payload) -> Fault:
    reason = payload.data.decode()
    return Fault("runtime", 403, "Value refused", f"A value found in Temporal was refused: {reason}")


class PayloadConverter(CompositePayloadConverter):
    def __init__(self) -> None:
        converters = (
            _Json() if isinstance(converter, JSONPlainPayloadConverter) else converter
            for converter in DefaultPayloadConverter.default_encoding_payload_converters
        )
        super().__init__(*converters, _Refusal(), _UnopenedRefusal())


class FailureConverter(DefaultFailureConverterWithEncodedAttributes):
    """Messages and stack traces are sealed like payloads. The type stays readable, unless a tenant wrote it."""

    def to_failure(
        self, exception: BaseException, payload_converter: AnyPayloadConverter, failure: Failure
    ) -> None:
        super().to_failure(exception, payload_converter, failure)
        type = failure.application_failure_info.type
        if ":" in type and not is_standard(type):
            failure.application_failure_info.type = "fault"


class _DataConverter(DataConverter):
    def with_context(self, context: SerializationContext) -> "_DataConverter":
        """Only the codec needs the context; the SDK would build all converters anew for each command."""
        clone = copy.copy(self)
        object.__setattr__(clone, "payload_codec", self.payload_codec.with_context(context))  # type: ignore[union-attr]  # always a SealingCodec
        return clone


def data_converter(keys: KeyRing) -> DataConverter:
    """What every client, worker and replayer of the product uses."""
    return _DataConverter(
        payload_converter_class=PayloadConverter,
        failure_converter_class=FailureConverter,
        payload_codec=SealingCodec(Sealing(keys)),
    )
