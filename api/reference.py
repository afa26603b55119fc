"""`/docs`: every operation and every error code on one page of our own, without scripts or foreign hosts."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from api.console.frame.templates import render
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
    paragraphs = document["info"]["description"].split("\n\n")
    return render("docs.html", info=document["info"], paragraphs=paragraphs, groups=groups, codes=codes)


def _shown(path: str, method: str, operation: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    body = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema")
    return {
        "id": operation["operationId"],
        "method": method.upper(),
        "path": path,
        "title": operation.get("summary", ""),
        "description": operation.get("description", ""),
        "parameters": [_parameter(each, document) for each in operation.get("parameters", [])],
        "fields": _fields(body, document) if body else [],
        "answers": _answers(operation["responses"], document),
        "needs_auth": bool(operation.get("security")),
    }


def _answers(responses: dict[str, Any], document: dict[str, Any]) -> list[dict[str, Any]]:
    """What it answers when it succeeds, with the names of the members; refusals are alike everywhere."""
    answers = []
    for status, response in sorted(responses.items()):
        if status.startswith("2"):
            schema = response.get("content", {}).get("application/json", {}).get("schema", {})
            answers.append(
                {"status": status, "names": list(_resolved(schema, document).get("properties", {}))}
            )
    return answers


def _parameter(parameter: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": parameter["name"],
        "place": parameter["in"],
        "required": parameter.get("required", False),
        "kind": _kind(_resolved(parameter["schema"], document), document),
        "description": parameter.get("description", ""),
    }


def _fields(schema: dict[str, Any], document: dict[str, Any]) -> list[dict[str, Any]]:
    schema = _resolved(schema, document)
    required = schema.get("required", [])
    return [
        {
            "name": name,
            "place": "body",
            "kind": _kind(field, document),
            "required": name in required,
            "description": field.get("description", ""),
        }
        for name, field in schema.get("properties", {}).items()
    ]


def _resolved(schema: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    """The schema itself where it is named elsewhere, or where only its absence is the alternative."""
    options = [each for each in schema.get("anyOf", []) if each.get("type") != "null"]
    if len(options) == 1:
        return _resolved(options[0], document)
    if "$ref" in schema:
        named: dict[str, Any] = document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
        return named
    return schema


def _kind(schema: dict[str, Any], document: dict[str, Any]) -> str:
    if "anyOf" in schema:
        return " or ".join(_kind(option, document) for option in schema["anyOf"])
    schema = _resolved(schema, document)
    if "enum" in schema:
        return "one of " + ", ".join(map(str, schema["enum"]))
    if "const" in schema:
        return str(schema["const"])
    kind = str(schema.get("format") or schema.get("type") or "any JSON")
    if kind != "array" or not schema.get("items"):
        return kind
    return f"list of {_kind(schema['items'], document)}"
