"""How values travel to Temporal: JSON by pydantic, with one cache of type adapters for the whole process."""

from functools import lru_cache

from pydantic import TypeAdapter
from temporalio.contrib.pydantic import PydanticJSONPlainPayloadConverter
from temporalio.converter import (
    CompositePayloadConverter,
    DataConverter,
    DefaultPayloadConverter,
    JSONPlainPayloadConverter,
)

_adapters = lru_cache(maxsize=1024)(TypeAdapter)


class _Json(PydanticJSONPlainPayloadConverter):
    """The SDK makes a converter per execution; building its adapters each time cost 6 % of a node's time."""

    def __init__(self) -> None:
        super().__init__()
        self._type_adapter = _adapters


class PayloadConverter(CompositePayloadConverter):
    def __init__(self) -> None:
        converters = (
            _Json() if isinstance(converter, JSONPlainPayloadConverter) else converter
            for converter in DefaultPayloadConverter.default_encoding_payload_converters
        )
        super().__init__(*converters)


DATA_CONVERTER = DataConverter(payload_converter_class=PayloadConverter)
