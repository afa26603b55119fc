"""Functions written in jq itself; each is compiled when a program first calls it."""

from .scope import Compiler, Function, Scope, Unit, function_parameters
from .syntax import parse

_TEXT = r"""
values: select(. != null)
nulls: select(. == null)
booleans: select(type == "boolean")
numbers: select(type == "number")
strings: select(type == "string")
arrays: select(type == "array")
objects: select(type == "object")
iterables: select(type == "array" or type == "object")
scalars: select(type != "array" and type != "object")
map_values(f): .[] |= f
first: .[0]
last: .[-1]
nth($n): .[$n]
paths: path(..) | select(length > 0)
paths(f): path(.. | select(f)) | select(length > 0)
leaf_paths: paths(scalars)
del(f): delpaths([path(f)])
to_entries: [keys_unsorted[] as $key | {key: $key, value: .[$key]}]
with_entries(f): to_entries | map(f) | from_entries
in(xs): . as $key | xs | has($key)
inside(xs): . as $part | xs | contains($part)
combinations(n): . as $item | [range(n)] | map($item) | combinations
ascii: [.] | implode
todate: strftime("%Y-%m-%dT%H:%M:%SZ")
fromdate: fromdateiso8601
todateiso8601: todate
fromdateiso8601: strptime("%Y-%m-%dT%H:%M:%SZ") | mktime
date: todate
dateadd(unit; $n): . + $n
datesub(unit; $n): . - $n
index($x): indices($x) | .[0]
rindex($x): indices($x) | .[-1]
isvalid(f): try (f | true) catch false
error($message): $message | error
finites: select(isinfinite or isnan | not)
normals: select(isnormal)
splits($re): split($re; null) | .[]
splits($re; flags): split($re; flags) | .[]
IN(s): any(s == .; .)
IN(src; s): any(src == s; .)
INDEX(f): INDEX(.[]; f)
JOIN($idx; f): [.[] | [., $idx[f]]]
JOIN($idx; stream; f): stream | [., $idx[f]]
JOIN($idx; stream; f; join): stream | [., $idx[f]] | join
pick(f): . as $whole | reduce path(f) as $path (null; setpath($path; $whole | getpath($path)))
fromstream(f): {state: null, done: false} as $blank
  | foreach f as $event ($blank;
      (if .done then $blank else . end) as $now
      | if ($event | length) == 2
        then ($now | .state |= setpath($event[0]; $event[1]) | .done = ($event[0] | length == 0))
        else ($now | .done = ($event[0] | length == 1)) end;
      if .done then .state else empty end)
truncate_stream(f): . as $depth | null | f | select(.[0] | length > $depth) | setpath([0]; .[0][$depth:])
tostream: path(def walk: (.[]? | walk), .; walk) as $path
  | getpath($path)
  | if type == "array" or type == "object" then
      if length == 0 then [$path, .] else [$path + [keys_unsorted | last]] end
    else [$path, .] end
"""


def _sources() -> dict[tuple[str, int], tuple[str, list[str], str]]:
    sources = {}
    for chunk in _TEXT.replace("\n  ", " ").strip().splitlines():
        head, body = chunk.split(": ", 1)
        name, _, parameters = head.partition("(")
        names = [part.strip() for part in parameters.rstrip(")").split(";")] if parameters else []
        sources[(name, len(names))] = (name, names, body)
    return sources


SOURCES = _sources()


_loaded: dict[tuple[str, int], Function] = {}


def load(name: str, arity: int, compiler: Compiler) -> Function:
    """Return a function of the prelude, compiled."""
    function = _loaded.get((name, arity))
    if function is None:
        name, parameters, body = SOURCES[(name, arity)]
        function = Function(name, parameters, None)
        scope = Scope(Unit(body, compiler))
        function.body = function_parameters(scope, function).compile(parse(body))
        _loaded[(name, arity)] = function
    return function
