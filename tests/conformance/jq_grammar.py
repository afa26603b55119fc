"""Programs of the expression language drawn at random, with inputs they can do something with.

Every kind of value has its own grammar, so that most programs succeed; now and then a part of another kind
is put in its place, so that errors are met as well. Nothing drawn here loops without end or is large.
"""

# ruff: noqa: E501  # programs and their results stay on one line

import json
import re
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

Draw = Callable[[Any], Any]

INPUTS: list[Any] = [
    None,
    3,
    "ab,c",
    [3, 1, 2],
    ["b", "a", "b"],
    [{"a": 1, "b": "x"}, {"a": 2}, {"a": 1, "b": None}],
    {"a": 1, "b": "x", "c": [1, [2], "y"], "d": {"a": {"b": 2}}},
    {"items": [{"n": 2, "p": 9.5, "tags": ["x"]}, {"n": 0, "p": 3, "tags": []}], "name": "Ada King"},
    [[1, 2], [3], []],
    {"a": None, "b": False, "c": {}, "d": []},
    [None, True, False, 0, -1.5, "", "é", [], {}],
]

_NUMBERS = ["0", "1", "2", "-1", "2.5", "10", "length", "(.a|numbers)", "(tostring|length)"]
_TEXTS = ['"a"', '"x,y"', '""', '"é"', "tojson", "type", '"\\(.)"', "(.b|tostring)", '("a"*2)']
_ARRAYS = ["[]", "[1,2,3]", '["b","a"]', "[.]", "[.[]?]", "[.[]?]", "[..|numbers]", "[paths]", "[[1],[0]]"]
_OBJECTS = ["{}", "{a:1}", '{a:.,b:"x"}', '{"a":{"b":[1,2]}}', "{a:1,b:null}", "{(type):1}"]
_CONDITIONS = ["true", "false", "null", '(type=="array")', "(length>1)", "(.==null)", "isempty(.[]?)"]
_ANY = [".", ".a?", ".b?", ".[0]?", ".[-1]?", ".c[1:]?", ".[]?", "..", ".d.a?", ".items[]?", "first(.[]?)"]

_STEPS = [
    ".a",
    ".b",
    ".[0]",
    ".[-1]",
    ".[]",
    ".[1:]",
    ".[:1]",
    ".d",
    '.["a"]',
    ".a?",
    ".[]?",
    ".[0]?",
    "..",
    "first",
]

# §n stands for a number, t a text, a an array, o an object, b a condition, v anything, p a path.
_PART = re.compile("§(.)")
_NUMBER_FORMS = [
    "(§n+§n)", "(§n-§n)", "(§n*§n)", "(§n/§n)", "(§n%§n)", "-(§n)", "(§n|floor)", "(§n|abs)",
    "(§n|round)", "(§n|ceil)", "(§a|length)", "(§t|length)", "(§a|add)", "(§a|index(§v))", "(§o|length)",
    "(§n|if .<0 then 0 else sqrt|floor end)", "(§t|tonumber?)", "(§a|map(numbers)|min)", "(§t|utf8bytelength)", "(§a|bsearch(§v))",
    "(reduce §a[] as $x (0;.+($x|numbers)))", "(§t|index(§t))", "(§n|until(.>=5;.+2))", "pow(§n;2)",
]  # fmt: skip
_TEXT_FORMS = [
    "(§t+§t)", "(§v|tojson)", "(§v|tostring)", "(§t|ascii_downcase)", "(§t|ascii_upcase)", "(§t|trim)",
    "(§t|ltrimstr(§t))", "(§t|rtrimstr(§t))", "(§a|join(§t))", '"<\\(§v)>"', "(§t|.[1:])", "(§t|.[:§n])",
    '(§t|sub("a";"b"))', '(§t|gsub("[a-c]";"-"))', "(§v|type)", "(§t|@base64)", "(§t|@uri)", "(§t|@html)",
    "(§v|@json)", "(§a|map(scalars)|@csv)", "(§a|map(scalars)|@sh)", "(§t|explode|implode)", "(§t*§n)",
    "(§t|@base64|@base64d)", '(§t|gsub("(?<x>.)";"\\(.x).";"g"))', "(§t|trimstr(§t))", "(§a|map(scalars)|@tsv)",
]  # fmt: skip
_ARRAY_FORMS = [
    "[§v,§v]", "(§a+§a)", "(§a-§a)", "(§a|map(§v))", "(§a|map(select(§b)))", "(§a|sort)", "(§a|unique)",
    "(§a|reverse)", "(§a|flatten)", "(§a|sort_by(§v))", "(§a|group_by(§v))", "(§o|keys)", "(§a|.[1:])",
    "(§a|.[:-1])", "(§t|split(§t))", "(§t/§t)", "[limit(2;§a[])]", "[§a[]|§v]", "(§o|to_entries)",
    "[§v|paths]", "[§v|tostream]", "(§a|unique_by(§v))", "(§a|indices(§v))", "[§a[] as $x|§n|.,$x]",
    "[range(§n;5)]", "[foreach §a[] as $x (0;.+1;[.,$x])]", '[§t|match("[a-c]";"g").string]', "(§t|explode)",
    '[§t|scan("[a-z]")]', "[§v|..]", "(§a|del(.[0]))", "(§a|.[0]=§v)", "(§a|.[]|=(§v))", "(§a|map_values(§v))",
    "[§a|first,last]", "[label $f|§a[]|if §b then .,break $f else . end]", "[while(§b;empty)]", "[§a|.[§n]?]",
    "(§a|[.[]|arrays]|transpose)", "[§a|recurse(.[]?)]", "[skip(1;§a[])]", "(§a|to_entries)", "[splits(§t)?]",
    "[§v|getpath([\"a\",\"b\"])?]", "[§v as [$x,$y]|$x,$y]", "[try (§v|§v) catch \"caught\"]", "[.[]?|=§v]",
    "[§v,§v|select(§b)]", "(§a|[.[]|arrays|select(length>0)]|[limit(9;combinations)])", "[§v|path(..)]",
]  # fmt: skip
_OBJECT_FORMS = [
    "(§o+§o)", "(§o*§o)", "{a:§v,b:§v}", "(§o|.a=§v)", "(§o|.a|=(§v))", "(§o|del(.a))", "(§o|.a+=§n)",
    "(§o|with_entries(.value|=§v))", "(§o|map_values(§v))", "(§a|INDEX(§v))", "(§o|.c.d=§v)", "(§o|.a//=§v)",
    "(§a|map({key:tojson,value:.})|from_entries)", "(§o|pick(.a))", "(§o|setpath([\"z\",0];§v))",
    '(§t|capture("(?<f>.)(?<g>b)?"))', "(§o|delpaths([[\"a\"],[\"b\"]]))", "(reduce §a[] as $x ({};.[$x|type]+=1))",
    "(§o|to_entries|from_entries)", "(§o|(.a,.b)=§v)", "(§o|walk(if type==\"number\" then .+1 else . end))",
    "(§o|with_entries(select(§b)))", "{((§t)):§v}", "(§a|{l:length,f:first})", "((§o|.a.b)?//{})",
]  # fmt: skip
_CONDITION_FORMS = [
    "(§v==§v)", "(§v!=§v)", "(§v<§v)", "(§v<=§v)", "(§v>§v)", "(§b and §b)", "(§b or §b)", "(§b|not)",
    "(§a|any(§b))", "(§a|all(§b))", "(§o|has(§t))", "(§a|contains(§a))", "(§t|startswith(§t))",
    '(§t|test("a"))', "(§v|IN(§v,§v))", "isempty(§v)", "(§t|endswith(§t))", "(§a|inside(§a))", "any(§a[];§b)",
]  # fmt: skip
_ANY_FORMS = [
    "(if §b then §v else §v end)", "(§v//§v)", "(§v|§v)", "(try (§v) catch §v)", "(§v)?", "(§a|first)",
    "(§a|.[§n])", "(§o|.a)", "(§o|.[§t])", "(§v as $x|§v|[.,$x])", "(def f: §v; f|f?)", "(§a[])",
    "(def f(g): g|g?; f(§v))", "(first(§v))", "(last(§v))", "(§v,§v)", "(§a|min_by(§v))", "(§a|max)",
    "(§v|getpath([\"a\"])?)", "[§v as {a:$x} ?// [$x] ?// $x|$x]", "(§v|fromjson?)", "(§v|.a?.b?)", "(empty)",
    "(reduce (§v) as $x (null;$x))", "(if §b then §v end)", "(§v|(.a,.b)?|=§v)", "(§v|.[]?|=(§v))", "(§v|tojson|fromjson)",
    "(if §b then error(§v) else §v end)", "(§v|(..|numbers)|=.+1)", "(§v|del(..|select(§b)?))", "(nth(§n;§v))",
    "(def f($x;g): $x|g; f(§v;§v))", "(§v|(§p)|=§v)", "(§v|(§p)=§v)", "(§v|[path(§p)])", "(§v|del(§p))",
    "(§v|§p)", "(§v|[(§p)?])", "(§v|[paths(§b)])", "(limit(§n;§v))", "(§v|[(§p)]|length)", "(§v|pick(§p))",
]  # fmt: skip
_REACH_FORMS = ["§p|§p", "§p,§p", "(§p)|§p", "§p//§p", "§p|select(§b)", "if §b then §p else §p end", "first(§p)",
    "§p|getpath([\"a\"])", "(§p)?", "limit(1;§p)", "recurse(.[]?)|§p", "try (§p) catch .", "§p|empty"]  # fmt: skip

_LEAVES = {
    "n": _NUMBERS, "t": _TEXTS, "a": _ARRAYS, "o": _OBJECTS, "b": _CONDITIONS, "v": _ANY, "p": _STEPS,
}  # fmt: skip
_FORMS = {
    "n": _NUMBER_FORMS, "t": _TEXT_FORMS, "a": _ARRAY_FORMS, "o": _OBJECT_FORMS, "b": _CONDITION_FORMS, "v": _ANY_FORMS,
    "p": _REACH_FORMS,
}  # fmt: skip


def _part(draw: Draw, kind: str, depth: int) -> str:
    if kind != "p" and draw(st.integers(0, 11)) == 0:
        kind = draw(st.sampled_from("ntaobv"))
    elif kind == "v":
        kind = draw(st.sampled_from("vvvntaob"))
    if depth <= 0 or draw(st.integers(0, 5)) == 0:
        return str(draw(st.sampled_from(_LEAVES[kind])))
    form = str(draw(st.sampled_from(_FORMS[kind])))
    pieces = _PART.split(form)
    pieces[1::2] = [_part(draw, kind, depth - 1) for kind in pieces[1::2]]
    return "".join(pieces)


@st.composite
def programs(draw: Draw, depth: int = 4) -> tuple[str, Any]:
    """Draw a program and an input for it."""
    given = json.loads(json.dumps(draw(st.sampled_from(INPUTS))))
    return _part(draw, draw(st.sampled_from("vvntaob")), draw(st.integers(1, depth))), given
