"""One uploaded file: the body itself, or the part `file` of a form."""

import hashlib
from dataclasses import dataclass
from typing import Any

from fastapi import Request
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException

from api.bodies import FILE_TOO_LARGE, PARSED
from api.errors import PayloadTooLarge, UnsupportedMediaType
from domain.errors import Invalid, Problem
from domain.imports import MAXIMUM_FILE

#: As which systems send CSV.
_CSV = frozenset(
    {"text/csv", "application/csv", "text/plain", "application/vnd.ms-excel", "text/tab-separated-values"}
)
FORM = "multipart/form-data"
#: What OpenAPI says of the body.
DOCUMENTED: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "text/csv": {"schema": {"type": "string"}},
            FORM: {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {"file": {"type": "string", "format": "binary"}},
                }
            },
        },
    }
}


@dataclass(frozen=True, slots=True)
class Upload:
    content: bytes
    filename: str | None


async def uploaded(request: Request) -> Upload:
    """A dependency: the file, at most 10 MB. Raises UnsupportedMediaType, PayloadTooLarge, Invalid.

    Repeated with the same Idempotency-Key, the same file is the same request, however the form was put together.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == FORM:
        upload = await _of_form(request)
    elif kind in _CSV:
        upload = Upload(await request.body(), None)
    else:
        raise UnsupportedMediaType(
            f"The body is sent as {kind or 'nothing in particular'}; send the file as text/csv, or as the part "
            f"`file` of {FORM}."
        )
    if len(upload.content) > MAXIMUM_FILE:
        raise PayloadTooLarge(FILE_TOO_LARGE)
    request.scope[PARSED] = {"file": hashlib.sha256(upload.content).hexdigest()}
    return upload


async def _of_form(request: Request) -> Upload:
    try:
        async with request.form(max_files=1, max_fields=5) as form:
            file = form.get("file")
            if not isinstance(file, UploadFile):
                raise _no_file("The form has no file in the part `file`.")
            return Upload(await file.read(), (file.filename or "")[-200:] or None)
    except HTTPException as error:
        raise _no_file(f"The form cannot be read: {error.detail}") from None


def _no_file(message: str) -> Invalid:
    return Invalid(
        problems=[Problem("#/file", message, "Send exactly one file, in the part `file`, with a boundary.")]
    )
