"""Where the expression language differs from jq 1.8.2 on purpose: a subject, a program, and both outcomes.

The subjects are the rows of "Different on purpose" in docs/conformance.md; a test holds the two together.
"""

# ruff: noqa: E501  # programs and their results stay on one line

from typing import Any, NamedTuple


class Difference(NamedTuple):
    """A program both sides are asked; each outcome is all its results, or "compile" or "run" for a failure."""

    subject: str
    program: str
    given: Any
    jq: Any
    ours: Any


# fmt: off
DIFFERENCES = [
    Difference("nothing from outside", "env|type", None, ["object"], "compile"),
    Difference("nothing from outside", "$ENV|type", None, ["object"], "compile"),
    Difference("nothing from outside", "input?", None, [], "compile"),
    Difference("nothing from outside", "[inputs]", None, [[]], "compile"),
    Difference("nothing from outside", "input_line_number?", None, [], "compile"),
    Difference("nothing from outside", "input_filename", None, [None], "compile"),
    Difference("nothing from outside", "now|type", None, ["number"], "compile"),
    Difference("nothing from outside", "0|localtime|length", None, [8], "compile"),
    Difference("nothing from outside", "debug", 1, [1], "compile"),
    Difference("nothing from outside", "get_search_list|type", None, ["array"], "compile"),
    Difference("big integers", "9007199254740993+0", None, [9007199254740992], [9007199254740993]),
    Difference("big integers", ".+1", 9223372036854775806, [9223372036854775808], [9223372036854775807]),
    Difference("spelling of numbers", "[1.0,1.10,1e2]|map(tojson)", None, [["1.0", "1.10", "1E+2"]], [["1", "1.1", "100"]]),
    Difference("spelling of numbers", "[100000000000000000000]|tojson", None, ["[100000000000000000000]"], ["[1e+20]"]),
    Difference("NaN and infinity", "nan", None, [None], "run"),
    Difference("NaN and infinity", "[infinite]", None, [[1.7976931348623157e308]], "run"),
    Difference("NaN and infinity", "-1|sqrt", None, [None], "run"),
    Difference("NaN and infinity", '"nan"|tonumber', None, [None], "run"),
    Difference("last digits of mathematics", "-1|exp10", None, [0.09999999999999999], [0.1]),
    Difference("NUL and halves of surrogate pairs", '"\\u0000"', None, ["\u0000"], "run"),
    Difference("regular expressions", '"ab"|test("a(?=b)")', None, [True], "run"),
    Difference("regular expressions", '"aa"|test("(a)\\\\1")', None, [True], "run"),
    Difference("regular expressions", '"a\\n"|test("a$")', None, [True], [False]),
    Difference("regular expressions", '"é"|test("\\\\w")', None, [True], [False]),
    Difference("regular expressions", '"ß"|test("SS";"i")', None, [True], [False]),
    Difference("regular expressions", '"a"|test("a**")', None, [True], "run"),
    Difference("dates", '"1969-12-31T23:59:59Z"|fromdate', None, "run", [-1]),
    Difference("dates", "[2024]|mktime", None, [1703980800], "run"),
    Difference("more than jq", "[leaf_paths]", {"a": [1]}, "compile", [[["a", 0]]]),
    Difference("more than jq", "1|toarray", None, "compile", [[1]]),
    Difference("more than jq", '"hello"|@base32|.,@base32d', None, "run", ["NBSWY3DP", "hello"]),
    Difference("more than jq", "65|ascii", None, "compile", ["A"]),
    Difference("more than jq", "0|date", None, "compile", ["1970-01-01T00:00:00Z"]),
    Difference("more than jq", '1|dateadd("seconds";10),datesub("seconds";1)', None, "compile", [11, 0]),
    Difference("more than jq", "isvalid(error)", None, "compile", [False]),
    Difference("paths", "last(.[])=0", [1, 2, 3], "run", [[1, 2, 0]]),
    Difference("paths", '(reduce ("a","b") as $k (.;.[$k]))=1', {}, "run", [{"a": {"b": 1}}]),
    Difference("paths", "path(null)", None, [[]], "run"),
    Difference("alternatives of ?//", '[(. as [$a] ?// $a|$a)|if .==1 then error("x") else . end]', [1], [[[1]]], "run"),
    Difference("formats", "@nope", None, "run", "compile"),
    Difference("words of errors", 'try ("x"|mktime) catch .', None, ["mktime requires array inputs"], ["mktime requires array of 6 numbers"]),
    Difference("words of errors", "try (1|ascii_downcase) catch .", None, ["explode input must be a string"], ["number (1) cannot be lowercased, as it is not a string"]),
    Difference("words of errors", 'try ("x"|@csv) catch .', None, ['string ("x") cannot be csv-formatted, only array'], ['string ("x") cannot be csv-formatted, only an array can be']),
    Difference("size", "[range(200000)]|length", None, [200000], "run"),
    Difference("size", '"x"*2000000|length', None, [2000000], "run"),
    Difference("recursion of functions", "def f: if .<200 then .+1|f else . end; 0|f", None, [200], "run"),
]
# fmt: on
