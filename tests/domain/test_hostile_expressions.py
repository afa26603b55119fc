"""Programs written to hurt: each must end in a clear error, quickly, and leave the process alive.

The limits of time here are generous, because tests share the machine; what bounds a program is counted fuel,
and the times measured alone are in docs/conformance.md.
"""

# programs and their results stay on one line

import asyncio
import random
import resource
import time
from typing import Any

import pytest

from domain.definitions.expressions import ExpressionError, FuelExhausted, Meter, compile_expression
from domain.definitions.expressions.library import FILTERS, FOLDS, VALUES
from domain.definitions.expressions.meter import EXPRESSION_FUEL
from domain.definitions.expressions.prelude import SOURCES
from tests.pace import slowness, small_heap

__all__ = ["small_heap"]  # a fixture of this whole module

SECONDS = 0.25
MEGABYTES = 256

# fmt: off
LIMIT = [
    '[limit(1e6; repeat("x" * 1000000))]',
    'def f: f; f',
    'def f: 1+f; f',
    'def f: .+1|f; 0|f',
    'def f: f,1; f',
    'def f: [f]; f',
    'def f(g): f(g|g); f(.)',
    'def f(g): g|f(g+g); 1|f(.)',
    'def f($n): f($n+1); f(0)',
    'def f: {a:f}; f',
    'def f: try f catch .; f',
    'def f: f?; f',
    'def f: (f // 1); f',
    'def f: "\\(f)"; f',
    'def f: if f then 1 else 2 end; f',
    'def f: reduce f as $x (0;.); f',
    'def f: label $a | f; f',
    'def f: .[f]; f',
    'def f: . as $x | f; f',
    'def f: path(f); f',
    'def f: .a |= f; null|f',
    'def f: def g: f; g; f',
    'def f(x): x; def g: f(g); g',
    'def f(x): def g: x|g; g; f(.)',
    'def f: walk(f); [1]|f',
    'def f: .. |= f; [1]|f',
    '[range(1000000000)]',
    '[range(1e18)]',
    'last(range(1e9))',
    '[limit(1e9;repeat(1))]',
    'repeat(empty)',
    'first(repeat(empty))',
    '[recurse(.+1)]',
    'until(false;.+1)',
    'until(false;.)',
    '[while(true;.)]',
    '[.,1]|until(false;.)',
    'reduce range(1e9) as $i (0;.+$i)',
    'foreach range(1e9) as $i (0;.+$i;empty)',
    'any(range(1e9);false)',
    'isempty(range(1e9)|select(false))',
    'add(range(1e9))',
    '[range(1e9)|select(false)]',
    'range(0;1e9;0.0000001)|empty',
    '[range(0;1;1e-300)]',
    'infinite as $x|[range($x)]',
    'first(range(infinite)|select(.<0))',
    'reduce range(60) as $i ("x"; .+.)',
    'reduce range(60) as $i ([1]; .+.)',
    'reduce range(60) as $i (1; [.,.])',
    'reduce range(60) as $i (1; [.,.]) | tojson',
    'reduce range(60) as $i (1; [.,.]) | . == .',
    'reduce range(60) as $i (1; [.,.]) | length, (.|tostring)',
    'reduce range(60) as $i (1; {a:.,b:.}) | [..]',
    'reduce range(60) as $i (1; {a:.,b:.}) | tojson',
    'reduce range(60) as $i (1; [.,.]) | flatten',
    'reduce range(60) as $i (1; [.,.]) | [paths]',
    'reduce range(60) as $i (1; [.,.]) | walk(.)',
    'reduce range(60) as $i (1; [.,.]) | [tostream]',
    'reduce range(60) as $i (1; {a:.,b:.}) | . * .',
    'reduce range(60) as $i (1; [.,.]) | sort',
    'reduce range(60) as $i (1; [.,.]) | [.,.]|unique',
    'reduce range(60) as $i (1; [.,.]) | @json',
    'reduce range(60) as $i (1; [.,.]) | @text',
    'reduce range(60) as $i (1; [.,.]) | @html',
    'reduce range(60) as $i (1; [.,.]) | . - .',
    'reduce range(60) as $i (1; [.,.]) | .[.]',
    'reduce range(60) as $i (1; [.,.]) | delpaths(.)',
    'reduce range(60) as $i (1; [.,.]) | transpose',
    'reduce range(60) as $i (1; [.,.]) | group_by(.)',
    'reduce range(60) as $i (1; [.,.]) | [combinations]',
    'reduce range(100000) as $i (0; [.])',
    'reduce range(100000) as $i (0; {a:.})|tojson',
    'reduce range(3000) as $i (0; [.])|.==.',
    'reduce range(3000) as $i (0; [.])|flatten',
    'reduce range(3000) as $i (0; [.])|[paths]|length',
    'reduce range(3000) as $i (0; [.])|walk(.)',
    'reduce range(300) as $i (0; [.])|tojson',
    '[range(3000)]|map("a")|getpath(.)',
    'setpath([range(3000)|"a"];1)',
    '[limit(3000;repeat(0))] as $p|null|setpath($p;1)',
    'reduce range(3000) as $i (null; {a:.}) * (reduce range(3000) as $i (null; {a:.}))',
    '{a:' * 2500 + '1' + '}' * 2500,
    'if 1 then ' * 700 + '1' + ' end' * 700,
    'def f: ' * 1000 + '1' + '; f' * 1000,
    '. as [$a' + ',$a' * 3000 + ']|1',
    'label $x|' * 1000 + '1',
    '("ab"*50000)|test("((a|b|ab)*?)(c?){900}d")',
    '("ab"*400000)|[match("((a?b?){100}){9}$";"g")]',
    '("a"*1000000)|[match("";"g")]|length',
    '("a"*500000)|gsub("a";"bb")',
    '("a"*100000)|[scan("a.*x|a")]|length',
    '("a"*1000000)|[scan("a.*x|a")]|length',
    '("ab"*100000)|[scan("[ab]*a[ab]{12}c|a")]|length',
    '("ab"*200000)|gsub("(?<x>a)|(?<y>b)";"\\(.x)\\(.y)")',
    '[range(1e6)|("x"|test("[\\\\p{L}\\\\p{N}]{1,200}\\(.)"))]',
    '[range(1e6)|("x"|test("a{1,900}b\\(.)"))]',
    '[range(1e6)|try ("x"|test("(\\(.)")) catch .]',
    '("é"*300000)|[match("é";"g")]|length',
    '("é"*300000)|[match("[^a]*x|.";"g")]|length',
    '"x"*1000000|split("")',
    '"x"*1000000|explode',
    '"x"*1000000|ascii_downcase|ascii_upcase|@base64|@base64d',
    '"x"*1000000|[limit(1000;repeat(@uri))]',
    '"x"*1000000|[limit(1000;repeat(explode|implode))]',
    '"ab"*500000|indices("a")|length',
    '"a"*1000000|indices("a"*500000)|length',
    '[limit(100000;repeat(1))]|indices([limit(50000;repeat(1))])',
    '"a"*1000000|. as $x|[limit(1e6;repeat($x+"b"))]',
    '"a"*1000000|. as $x|[limit(1e6;repeat($x|ltrimstr("a")))]',
    '"a"*1000000|. as $x|[limit(1e6;repeat($x==$x))]',
    '"a"*1000000|. as $x|[limit(1e6;repeat($x<$x+"b"))]',
    '"a"*1000000|. as $x|[limit(1e6;repeat($x|contains("b")))]',
    '"a"*1000000|. as $x|[limit(3000;repeat($x))]|sort|length',
    '"a"*1000000|. as $x|[limit(3000;repeat($x))]|unique|length',
    '"a"*1000000|. as $x|[limit(3000;repeat($x))]|add|length',
    '"a"*1000000|. as $x|[limit(3000;repeat($x))]|join($x)',
    '"[" * 1000000|fromjson',
    '"[" * 500000+"]"*500000|fromjson',
    '"[1" +",1"* 50000+"]"|fromjson|tojson|fromjson|tojson',
    '"%Y"*500|. as $f|0|[limit(1e6;repeat(strftime($f)))]',
    '[range(50000)]|. - .',
    '[range(3000)] as $a|[$a[]|$a|index(.[0])]',
    '[range(100000)]|sort_by(-.)',
    '[range(20000)|[.]]|sort',
    '[range(20000)|{a:.}]|group_by(.a)',
    '[range(300)]|[combinations(8)]',
    '[[range(100)],[range(100)],[range(100)],[range(100)]]|[combinations]',
    '[range(1000)] as $a|[$a[] as $x|$a[] as $y|$a[] as $z|1]',
    '.[100000]=1|.[100001]=1|[.,.,.]',
    '[limit(1e6;repeat([range(10)]|.[131071]=1))]',
    'reduce range(1e6) as $i ([];.[$i]=1)',
    'reduce range(1e6) as $i ({};.["\\($i)"]=1)',
    'reduce range(1e6) as $i ([];.+[$i])',
    '[range(30000)] as $a|[limit(1e6;repeat($a+$a))]',
    '[range(100)|{key:"\\(.)"}]|from_entries as $o|[limit(1e6;repeat($o+{a:1}))]',
    '[range(30000)|{key:"\\(.)",value:1}]|from_entries as $o|[limit(1e6;repeat($o+{a:1}))]',
    '[range(1e4)]|.[]|=(.+1)|.[]|=(.+1)',
    '[range(2000)]|(.[],.[])|=.+1',
    '[range(3000)]|to_entries|map(.key)|map([.]) as $p|[range(3000)]|delpaths($p)',
    '[range(50000)]|transpose',
    '[[range(1000)]|.[]|[range(1000)]]|transpose',
    '[[range(100000)],[],[]]|transpose',
    '[range(20000)|[]] + [[range(20000)]]|transpose',
    '[range(100000)]|@csv',
    '[range(100000)]|map([.])|flatten',
    '[range(50000)]|tojson|fromjson',
    '[limit(1e9;repeat("a")|ascii_downcase)]',
    '[path(limit(1e9;recurse(.)))]',
    'del(recurse(.a))',
    'pick(recurse(.a))',
    '[limit(1e9;recurse(if .<1e9 then .+1 else empty end))]',
    'fromstream(repeat([[0],1]))',
    '[1|truncate_stream(repeat([[0],1]))]',
    '[.[]?|=1e9]|repeat(empty)',
    'def f: def f: def f: 1; f; f; f|repeat(empty)',
    '[range(10)|. as [$a] ?// $a | repeat(empty)]',
    '. as [$a,$b,{c:$c}] ?// [$a] ?// $a | repeat(empty)',
    '[.[range(1e6)]?]',
    '[limit(1e6;repeat({a:1,b:2,c:3,d:4,e:5,f:6,g:7,h:8}))]',
    '[limit(1e6;repeat([1,2,3,4,5,6,7,8]))]',
    '[limit(1e6;repeat("\\(1)\\(2)\\(3)"))]',
    '[limit(1e6;repeat([]))]',
    '[limit(1e6;repeat({}))]',
    '[range(1e6)|tojson]',
    '[range(1e6)|sin|cos|exp|log]',
    '[range(1e6)|pow(.;.)]',
    '[range(1e6)|gmtime|mktime]',
    '[range(1e6)|todate|fromdate]',
    '[range(1e6)|"\\(.)"|test("a")]',
    '[range(1e6)|try error catch .]',
    '[range(1e6)|label $f|(1,break $f)]',
    '[range(1e6)|. as {a:$x} ?// $x|$x]',
    '[range(1e6)|[.]|sort|unique|add|length]',
    '[range(1e6)|{a:.}|to_entries|from_entries]',
    '[range(1e6)|{a:.}|with_entries(.value+=1)]',
    '[range(1e6)|{a:.}|.a|=.+1|del(.a)|.b.c=1]',
    '[range(1e6)|{a:.}|[paths],[leaf_paths]]',
    '[range(1e6)|[.,[.]]|tostream]',
    '[range(1e6)|[.]|walk(.)]',
    '[range(1e6)|splits("a")?]',
    '[range(1e6)|"a,b"|split(",")|join("-")]',
    '[range(1e6)|@html "\\(.)", @uri "\\(.)"]',
    '[range(1e6)|ascii?]',
    '[range(1e6)|IN(1,2,3)]',
    '[range(1e6)|[.]|any, all, any(.>1)]',
    '[range(1e6)|limit(3;1,2,3,4)]',
    '[range(1e6)|first(1,2)]',
    '[range(1e6)|if .>5 then 1 elif .>3 then 2 else 3 end]',
    '[range(1e6)|.<5 and .>3 or .==7|not]',
    '[range(1e6)|$x]',
    'def f(g): [range(1e6)|g]; f(.+1)',
    'def f($a;$b): $a+$b; [range(1e6)|f(.;1)]',
    '[range(1e6)|[.]|.[0],.[0:1],.[-1:]]',
    '[range(1e6)|getpath([])]',
    '[range(1e6)|[.]|implode?|explode]',
    '[range(1e6)|-(.)|abs|floor|sqrt]',
]
RUNTIME = [
    'def f: (.[]|f), .; [[[[1]]]]|f',
    'def f: sort_by(f); [1,2]|f',
    'def f: map(f); [1]|f|f',
    '"x"*1000000000',
    '"x"*1e308',
    'reduce range(100) as $i ("ab"; .*2)',
    'reduce range(60) as $i (1; [.,.]) | error',
    'reduce range(60) as $i (1; {a:.,b:.}) | error',
    'reduce range(60) as $i (1; [.,.]) | .a',
    'reduce range(60) as $i (1; [.,.]) | -.',
    'reduce range(60) as $i (1; [.,.]) | {(.):1}',
    'reduce range(60) as $i (1; [.,.]) | has(.)',
    'reduce range(60) as $i (1; [.,.]) | ltrimstr(.)|implode',
    'reduce range(60) as $i (1; [.,.]) | test(.)',
    'reduce range(60) as $i (1; [.,.]) | setpath(.;1)',
    'reduce range(60) as $i (1; [.,.]) | from_entries',
    'reduce range(60) as $i (1; [.,.]) | strftime(.)',
    'reduce range(60) as $i (1; [.,.]) | @sh',
    'reduce range(60) as $i (1; [.,.]) | @csv',
    'reduce range(60) as $i (1; [.,.]) | join(",")',
    'reduce range(60) as $i (9999999999; .*.)',
    'pow(10;1e9)',
    'pow(9999999999999999;9999999999999)',
    '[range(1000)]|reduce .[] as $i (2; .*.)',
    '"a"|test("(((((a{1,100}){1,100}){1,100}){1,100}))")',
    '"9"*100000|tonumber',
    '"9"*100000|fromjson',
    '"1e"+"9"*100000|tonumber',
    '1e300|todate',
    '-1e300|gmtime',
    '[1e300,1,1,1,1,1]|mktime',
    '[1e11,1e11,1e11,1e11,1e11,1e11]|mktime',
    '.[999999999]=1',
    '@base32d',
    'nan',
    'infinite',
    '[nan]',
    '{a:infinite}',
    '-infinite',
    '1e1000*10',
    '"\\ud800"',
    '"\\u0000"',
    '[0]|implode',
    '.[]',
    'error',
    'error(null)',
    'error({a:1})',
    'path(repeat(.))',
]
CARDINALITY = [
    '[recurse]|.[0]|recurse(.)',
    'while(true;empty),1',
    'empty',
    '1,2',
    '.a.b.c = (range(1e9))',
    'path(recurse(.a))',
    'tostream|repeat(.)',
    '{(range(1000)|tostring):range(1000)}',
    '{a:range(1000),b:range(1000),c:range(1000)}',
    '"\\(range(1000))\\(range(1000))\\(range(1000))"',
]
VALUE = [
    'reduce range(60) as $i (1; [.,.]) | contains([[1]])',
    'reduce range(60) as $i (1; [.,.]) | index(1)',
    'reduce range(60) as $i (1; [.,.]) | getpath(.)',
    'reduce range(3000) as $i (0; [.])|[..]|length',
    '999999999999999999999999999999*99999999999999999999999999999',
    '"' + '\\u0041' * 1300 + '"',
    '{' + 'a:1,' * 1800 + 'a:1}',
    '"a"*100000|test("^(a+)+$")',
    '("a"*100000+"b")|test("^(a+)+$")',
    '"a"*1000000|. as $x|{} | [limit(3000;repeat(.[$x]))]|length',
    '"%d"*400|. as $f|"1"*800|strptime($f)',
    '[range(1e4)]|(.[]|.)|=.',
    '[range(3000)]|del(.[])',
    '"="*1000000|@base64d',
    '[range(100)|{a:.}]|[.[]|.a as $x|$x]|[.,.,.]|[..]',
    '$__prog_args',
    '$nope',
]
SYNTAX = [
    '9' * 6000,
    '-' * 5000 + '1',
    '(' * 4000 + '1' + ')' * 4000,
    '[' * 4000 + ']' * 4000,
    '.a' * 4000,
    '.[0]' * 2000,
    '1+' * 4000 + '1',
    '1,' * 4000 + '1',
    '.|' * 4000 + '.',
    '1//' * 2500 + '1',
    'not|' * 1500 + '1',
    '"\\(' * 1600 + '1' + ')"' * 1600,
    '. as $x|' * 1000 + '1',
    'try ' * 2000 + '1',
    '.' * 100,
    'reduce . as $x (0;' * 400 + '1' + ')' * 400,
    '. as ' + '[' * 4000 + '$x' + ']' * 4000 + '|1',
    '.a?' * 2000,
    'f(' * 2000 + ')' * 2000,
    'def f(a;b): a; ' + 'f(' * 300 + '1;1' + ')' * 300,
    '[.[]?' * 1200 + ']' * 1200,
    '[splits("a";"b";"c")]',
    '@nope',
    'nope',
    'break $x',
    '[range(1e6)|(try error("x") catch .)?//1]',
]
FORBIDDEN = [
    'input',
    'inputs',
    'env',
    '$ENV',
    '$ENV.PATH',
    'env.PATH',
    'now',
    'localtime',
    'halt',
    'halt_error',
    'debug',
    'stderr',
    'input_filename',
    'get_search_list',
    'import "a" as b; 1',
    'include "x"; 1',
    'modulemeta',
    'input_line_number',
    'strflocaltime("%Y")',
    'builtins',
]
# fmt: on
HOSTILE = [
    *(pytest.param(source, "limit", id=f"limit-{place}") for place, source in enumerate(LIMIT)),
    *(pytest.param(source, "runtime", id=f"runtime-{place}") for place, source in enumerate(RUNTIME)),
    *(pytest.param(source, "syntax", id=f"syntax-{place}") for place, source in enumerate(SYNTAX)),
    *(pytest.param(source, "forbidden", id=f"forbidden-{place}") for place, source in enumerate(FORBIDDEN)),
    *(
        pytest.param(source, "cardinality", id=f"cardinality-{place}")
        for place, source in enumerate(CARDINALITY)
    ),
]


def attempt(source: str, meter: Meter) -> Any:
    expression = compile_expression(source)
    return expression.evaluate(None, dict.fromkeys(expression.names, 1), meter)


@pytest.mark.parametrize(("source", "kind"), HOSTILE)
def test_it_ends_in_a_clear_error_and_soon(source: str, kind: str) -> None:
    meter = Meter()
    began = time.thread_time()
    with pytest.raises(ExpressionError) as caught:
        attempt(source, meter)
    assert time.thread_time() - began <= SECONDS * slowness()
    assert caught.value.kind == kind
    assert caught.value.message.endswith((".", "?"))
    assert len(str(caught.value)) < 1_500
    assert meter.spent <= EXPRESSION_FUEL


@pytest.mark.parametrize("source", VALUE)
def test_what_looks_dear_and_is_not_has_a_result(source: str) -> None:
    meter = Meter()
    began = time.thread_time()
    attempt(source, meter)
    assert time.thread_time() - began <= SECONDS * slowness()
    assert meter.spent <= EXPRESSION_FUEL


def test_the_memory_of_all_of_them_is_bounded() -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for source in LIMIT[:120:3]:
        with pytest.raises(ExpressionError):
            attempt(source, Meter())
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024 < MEGABYTES


RECURSIVE = [
    source for source in LIMIT + SYNTAX if source.startswith(("def ", "reduce", "(", "[[", "1+", '"'))
]


async def test_deep_programs_end_on_a_thread_of_an_asyncio_program() -> None:
    def all_of_them() -> int:
        ended = 0
        for source in RECURSIVE:
            with pytest.raises(ExpressionError):
                attempt(source, Meter())
            ended += 1
        return ended

    assert await asyncio.to_thread(all_of_them) == len(RECURSIVE)


def test_the_caller_may_be_deep_in_the_stack_already() -> None:
    def below(frames: int, source: str) -> str:
        if frames:
            return below(frames - 1, source)
        with pytest.raises(ExpressionError) as caught:
            attempt(source, Meter())
        return caught.value.message

    for source in RECURSIVE:
        message = below(0, source)
        assert below(250, source) == message
        assert "memory" not in message, "Python's own limit was met before ours"


@pytest.mark.parametrize(
    "level",
    [
        ". as {({}): $x} ?// $x | 1",
        "reduce . as {({}): $x} (0; 1)",
        "(.a | select({})) |= 1",
        "path({})",
        "(({}) |= 1)",
        "def f: {}; f",
        "(if {} then 1 else 2 end)",
        "({} // 1)",
        "(label $x | {})",
        "sort_by({})",
    ],
)
def test_compiling_does_not_double_with_every_level(level: str) -> None:
    before, after = level.split("{}", 1)
    source = "."
    for _ in range(12):
        source = before + source + after
    began = time.thread_time()
    for _ in range(2):
        try:
            attempt(source, Meter())
        except ExpressionError:
            continue
    assert time.thread_time() - began <= SECONDS * slowness()


def test_swallowing_every_error_does_not_swallow_a_limit() -> None:
    for source in (
        "try range(1e9) catch 1 | empty",
        "[range(1e9)]?",
        "(last(range(1e9)) // 1)",
        "def f: f; try f catch 1",
    ):
        with pytest.raises(ExpressionError) as caught:
            attempt(source, Meter())
        assert caught.value.kind == "limit"


_ATOMS = [
    *(
        ".",
        "null",
        "true",
        "1",
        "-1",
        "2.5",
        "1e300",
        '"a"',
        '"ab1"',
        "[]",
        "{}",
        ".a",
        ".b",
        ".[0]",
        ".[]",
        "..",
    ),
    *(
        "[1,2,3]",
        "{a:1,b:[1,{c:2}]}",
        "$x",
        '"\\(.)"',
        "@base64",
        "@csv",
        "empty",
        '"%Y-%m-%d"',
        '"(a)(?<n>b)?"',
    ),
    *("nan", "infinite", ".[1:]", '["a",0]', '[["a"],[0]]', ".a?", "[.[]?]", "9007199254740993", "error"),
]
_SHAPES = [
    *(
        "({}|{})",
        "({},{})",
        "({}+{})",
        "({}-{})",
        "({}*{})",
        "({}/{})",
        "({}%{})",
        "({}=={})",
        "({}<{})",
        "({}//{})",
    ),
    *("[{}]", "{{a:({}),({}|tostring):1}}", "(try ({}) catch ({}))", "(if {} then {} else {} end)", "({})?"),
    *(
        "(reduce ({}) as $x ({};{}))",
        "(foreach ({}) as [$x] ({};{};{}))",
        "(({}) as $x | {})",
        "(({}) |= ({}))",
    ),
    *(
        "(({}) = ({}))",
        "(({}) += ({}))",
        "(label $l | {} | (., break $l))",
        "(({}) as {{a:$x}} ?// [$x] | {})",
    ),
    *("(def f(g;$y): ({})|g; f({};{}))", '"x\\({})y\\({})"'),
]
_SIGNATURES = sorted({*VALUES, *FOLDS, *FILTERS, *SOURCES})


def invented(chance: random.Random, depth: int) -> str:
    """Return a program put together at random from everything the language has."""
    if depth <= 0 or chance.random() < 0.15:
        return chance.choice(_ATOMS)
    if chance.random() < 0.5:
        name, arity = chance.choice(_SIGNATURES)
        arguments = ";".join(invented(chance, depth - 1) for _ in range(arity))
        return f"{name}({arguments})" if arity else name
    shape = chance.choice(_SHAPES)
    return shape.format(*(invented(chance, depth - 1) for _ in range(shape.count("{}"))))


@pytest.mark.parametrize("seed", range(20))
def test_invented_programs_end_with_a_value_or_a_clear_error(seed: int) -> None:
    chance = random.Random(seed)
    inputs: list[Any] = [
        None,
        1,
        "ab1",
        [1, 2, [3]],
        {"a": [1, {"c": "x"}], "b": "2020-01-01"},
        [["a"], [1, 2]],
    ]
    for _ in range(100):
        source = invented(chance, chance.randrange(1, 5))
        value = chance.choice(inputs)
        began = time.thread_time()
        spent = []
        for _ in range(2):
            meter = Meter()
            try:
                compile_expression(source).evaluate(value, {"x": [1, "a"]}, meter)
            except ExpressionError as problem:
                unclear = [word for word in ("cannot be evaluated", "memory") if word in problem.message]
                if unclear:
                    pytest.fail(f"{problem.message} {source}")
            except FuelExhausted:
                pytest.fail(f"an unlimited meter ran out: {source}")
            spent.append(meter.spent)
        assert spent[0] == spent[1], source
        assert time.thread_time() - began <= 2 * SECONDS * slowness(), source
