"""`/docs`: every operation and every error code on one page of our own, without scripts or foreign hosts."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from api.console.templates import render
from api.errors import every_kind, status_of

router = APIRouter(include_in_schema=False)
_METHODS = ("get", "post", "put", "patch", "delete")


@router.get("/docs", response_class=HTMLResponse)
async def docs(request: Request) -> HTMLResponse:
    document: dict[str, Any] = request.app.openapi()
    groups: dict[str, list[dict[str, Any]]] = {}
    for path, methods in document["paths"].items():
        for method in _METHODS:
            if method in methods:
                operation = methods[method]
                tag = (operation.get("tags") or ["other"])[0]
                groups.setdefault(tag, []).append(_shown(path, method, operation, document))
    codes = [
        {"code": kind.code, "status": status_of(kind()), "text": kind().message} for kind in every_kind()
    ]
    return render("docs.html", info=document["info"], groups=groups, codes=codes)


def _shown(path: str, method: str, operation: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    return {
        "id": operation["operationId"],
        "method": method.upper(),
        "path": path,
        "description": operation.get("description") or operation.get("summary", ""),
        "parameters": [_parameter(each) for each in operation.get("parameters", [])],
        "fields": _fields(body, document) if body else [],
        "needs_auth": bool(operation.get("security")),
    }


def _parameter(parameter: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": parameter["name"],
        "place": parameter["in"],
        "required": parameter.get("required", False),
        "kind": _kind(parameter["schema"]),
        "description": parameter.get("description", ""),
    }


def _fields(schema: dict[str, Any], document: dict[str, Any]) -> list[dict[str, Any]]:
    if "$ref" in schema:
        schema = document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
    required = schema.get("required", [])
    return [
        {
            "name": name,
            "kind": _kind(field),
            "required": name in required,
            "description": field.get("description", ""),
        }
        for name, field in schema.get("properties", {}).items()
    ]


def _kind(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        return str(schema["$ref"].rsplit("/", 1)[1])
    if "anyOf" in schema:
        return " or ".join(_kind(option) for option in schema["anyOf"])
    kind = str(schema.get("format") or schema.get("type") or "any")
    return f"list of {_kind(schema['items'])}" if kind == "array" and schema.get("items") else kind
