"""What a call makes of its answer: content, the whole response, or the raw body; or a fault."""

from base64 import b64encode
from typing import Any, Literal

from activities.actions.http_exchange import Exchanged, masked
from activities.gateways.http_messages import HttpResponse
from domain.definitions.faults import Fault
from domain.definitions.values import MAX_BYTES
from domain.http import excerpt, read_content, shown_headers

Output = Literal["content", "response", "raw"]


def output_of(exchanged: Exchanged, output: Output, *, redirects: bool) -> Any:
    """Raises Fault for a status that is an error: from 300 on, or from 400 on where redirects are wanted."""
    response, mask = exchanged.response, exchanged.mask
    try:
        if response.status >= (400 if redirects else 300):
            raise failure(response)
        told = _output(exchanged, output)
    except Fault as fault:
        raise masked(fault, mask) from None
    return told if mask is None else mask.value(told)


def _output(exchanged: Exchanged, output: Output) -> Any:
    response = exchanged.response
    if output == "raw":
        return _raw(response.body)
    content = read_content(response.body, response.header("content-type"))
    if output == "content":
        return content
    return {
        "request": {
            "method": response.method,
            "uri": response.url,
            "headers": shown_headers(exchanged.headers),
        },
        "statusCode": response.status,
        "headers": shown_headers(response.headers),
        "content": content,
    }


def _raw(body: bytes) -> str:
    if len(body) > MAX_BYTES * 3 // 4 - 2:
        raise Fault(
            "communication",
            413,
            "Response too large",
            f"the body of {len(body)} bytes does not fit into the limit of {MAX_BYTES} bytes as base64",
        )
    return b64encode(body).decode()


def failure(response: HttpResponse) -> Fault:
    reason = response.reason or f"HTTP {response.status}"
    if response.status < 400:
        location = (response.header("location") or "nowhere")[:300]
        detail = f"the server redirects to {location}; set redirect: true or call that address"
        return Fault("communication", response.status, reason, detail)
    detail = excerpt(response.body) or "the response has no body"
    return Fault("communication", response.status, reason, detail)
