"""A call's parameters as an operation wants them on the wire: path, query, headers, and body."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Final
from urllib.parse import quote

from domain.definitions.faults import Fault
from domain.definitions.values import Json
from domain.http import simple_text
from domain.openapi import Body, Operation, Parameter

_DELIMITERS: Final = {"spaceDelimited": "%20", "pipeDelimited": "%7C", "tabDelimited": "%09"}
_RESERVED: Final = ":/?#[]@!$&'()*+,;="
#: A document may write these as parameters, but a call has its own places for them.
_ELSEWHERE: Final = frozenset({"accept", "content-type", "authorization"})


@dataclass(frozen=True, slots=True)
class Arranged:
    """`uri` with the query; the body is None when none is sent."""

    uri: str
    headers: dict[str, str]
    body: Json
    media_type: str | None


def arrange(operation: Operation, given: Mapping[str, Json]) -> Arranged:
    """Raises Fault validation 400 that names everything missing, unknown or in a form that cannot be sent."""
    values = {name: value for name, value in given.items() if value is not None}
    body = _body(operation.body, values, {each.name for each in operation.parameters})
    _refuse_unknown(operation, values)
    missing = [each for each in operation.parameters if each.required and each.name not in values]
    missing = [each for each in missing if each.place != "header" or each.name.lower() not in _ELSEWHERE]
    wanted = [f"{each.name!r} ({each.place})" for each in missing]
    if operation.body is not None:
        if operation.body.required and body is None:
            wanted.append(f"{operation.body.name!r} (the request body)")
        elif isinstance(body, dict):
            wanted += [f"{name!r} (form)" for name in sorted(operation.body.needed - body.keys())]
    if wanted:
        raise _refused(f"operation {operation.id!r} needs {', '.join(wanted[:20])}; add it to /parameters")
    path, query, headers, cookies = operation.path, [], dict[str, str](), []
    for each in operation.parameters:
        if each.name not in values:
            continue
        value = values[each.name]
        if each.place == "path":
            path = path.replace("{" + each.name + "}", _path(each, value))
        elif each.place == "query":
            query += _query(each, value)
        elif each.place == "cookie":
            cookies += _query(each, value)
        elif each.name.lower() not in _ELSEWHERE:
            headers[each.name] = _simple(each, value, str)
    if "{" in path or "}" in path:
        raise _refused(f"the path of operation {operation.id!r} has a part that no parameter fills")
    if cookies:
        headers["Cookie"] = "; ".join(cookies)
    uri = f"{operation.server}/{path.lstrip('/')}" + ("?" + "&".join(query) if query else "")
    return Arranged(uri, headers, body, None if operation.body is None else operation.body.media_type)


def _body(body: Body | None, values: Mapping[str, Json], taken: set[str]) -> Json:
    if body is None:
        return None
    # Swagger names its body as it likes; `body` is understood everywhere.
    name = next((each for each in (body.name, "body") if each in values and each not in taken), None)
    fields = {each: values[each] for each in values if each in body.fields and each != name}
    if name is not None and fields and name not in body.fields:
        told = ", ".join(repr(each) for each in sorted(fields)[:5])
        raise _refused(
            f"/parameters gives the request body {name!r} and its fields {told} besides; choose one way"
        )
    if name is not None and name not in body.fields:
        return values[name]
    return {each: values[each] for each in values if each in body.fields} or None


def _refuse_unknown(operation: Operation, values: Mapping[str, Json]) -> None:
    known = {each.name for each in operation.parameters}
    if operation.body is not None:
        known |= {operation.body.name, "body"} | operation.body.fields
    for name in values:
        if name not in known:
            close = get_close_matches(name[:100], sorted(known)[:200], 1)
            hint = (
                f"did you mean {close[0]!r}?"
                if close
                else f"it takes {', '.join(sorted(known)[:20]) or 'none'}"
            )
            raise _refused(f"operation {operation.id!r} has no parameter {name[:100]!r}; {hint}")


def _path(parameter: Parameter, value: Json) -> str:
    text = _simple(parameter, value, _encoded)
    if text in ("", ".", ".."):
        raise _refused(
            f"/parameters/{parameter.name} cannot be {text!r}: it would change which path is called"
        )
    if parameter.style == "label":
        return "." + (text.replace(",", ".") if parameter.explode else text)
    if parameter.style == "matrix":
        name = _encoded(parameter.name)
        if parameter.explode and isinstance(value, list):
            return "".join(f";{name}={_encoded(each)}" for each in value)
        if parameter.explode and isinstance(value, dict):
            return ";" + text.replace(",", ";")
        return f";{name}={text}"
    return text


def _simple(parameter: Parameter, value: Json, write: Any) -> str:
    if parameter.media_type is not None:
        return str(write(_content(value)))
    if isinstance(value, list):
        return ",".join(write(_text(parameter, each)) for each in value)
    if isinstance(value, dict):
        joint = "=" if parameter.explode else ","
        return ",".join(f"{write(key)}{joint}{write(_text(parameter, each))}" for key, each in value.items())
    return str(write(_text(parameter, value)))


def _query(parameter: Parameter, value: Json) -> list[str]:
    name = _encoded(parameter.name)

    def written(each: Json) -> str:
        text = _text(parameter, each)
        return (
            quote(text, safe=_RESERVED.replace("&", "").replace("#", ""))
            if parameter.reserved
            else _encoded(text)
        )

    if parameter.media_type is not None:
        return [f"{name}={_encoded(_content(value))}"]
    if isinstance(value, list):
        if parameter.explode:
            return [f"{name}={written(each)}" for each in value]
        return [f"{name}=" + _DELIMITERS.get(parameter.style, ",").join(written(each) for each in value)]
    if isinstance(value, dict):
        if parameter.style == "deepObject":
            return [f"{name}%5B{_encoded(key)}%5D={written(each)}" for key, each in value.items()]
        if parameter.explode:
            return [f"{_encoded(key)}={written(each)}" for key, each in value.items()]
        return [f"{name}=" + ",".join(f"{_encoded(key)},{written(each)}" for key, each in value.items())]
    return [f"{name}={written(value)}"]


def _text(parameter: Parameter, value: Json) -> str:
    if isinstance(value, list | dict):
        raise _refused(
            f"/parameters/{parameter.name} is nested deeper than its form in the document can hold"
        )
    return "" if value is None else simple_text(value)


def _content(value: Json) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _encoded(value: Any) -> str:
    return quote(value if isinstance(value, str) else simple_text(value), safe="")


def _refused(detail: str) -> Fault:
    return Fault("validation", 400, "Parameters refused", detail)
