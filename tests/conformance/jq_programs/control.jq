# Conditions, alternatives, errors, loops, functions, variables, destructuring.
if . then 1 else 2 end
  true
  false
  null
  0
  ""
  []
if . then 1 end
  false
  true
if .>5 then "big" elif .>2 then "mid" else "small" end
  9
  3
  1
if .>5 then "big" elif .>2 then "mid" end
  1
if (true,false) then 1 else 2 end
if empty then 1 else 2 end
if (.a,.b) then "y" else "n" end
  {"a":1}
[if .[] then 1 else 0 end]
  [true,null,3]
if error("x") then 1 else 2 end
.a // "d"
  {"a":null}
  {"a":false}
  {"a":0}
  {}
  {"a":""}
(false,null,1) // 2
(false,null) // 2
empty // 5
(1,null,2) // 3
.a // .b // .c
  {"c":1}
  {}
1 // error("x")
error("x") // 1
(1,error("x")) // 2
(false,error("x")) // 2
[.[] // "none"]
  [null,1]
  [null]
  []
first(.[]|select(.>2)) // "none"
  [1,2]
  [1,3]
.a.b // "x"
  {"a":5}
1 // 2 | . + 1
null // empty
try error("x") catch .
try error({a:1}) catch .a
try error catch .
  "boom"
  {"a":1}
  null
try error(null) catch .
try 1 catch 2
try (1,error("x"),3) catch .
[.[]|try if .>1 then error("big") else . end catch "caught"]
  [1,2,3]
try .a catch "no"
  [1]
try error("\(.)") catch .
  5
(try error("a") catch error("b"))
try (try error("a") catch error("b")) catch .
[.[]|tonumber?]
  ["1","x"]
.a?
  1
  {"a":2}
[.[]|.a?]
  [{"a":1},5]
[(1,error("x"),2)?]
error
  "x"
error("x")?
(error("x"))?
[error("x")?]
try error catch (.|length)
  "abc"
try ([1]|.a) catch .
try ({}|.[0]) catch .
try (1|.[]) catch .
try ("a"-1) catch .
try ([]+1) catch .
try ("x"|tonumber) catch .
try ([1]|join(",")|tonumber|error) catch .
try ([1,[2]]|join(",")) catch .
try ({a:1}|has(0)) catch .
try (1|test("a")) catch .
try ([1]|implode) catch .
try ("a"|fromjson) catch "bad"
try ([]|.["a"]=1) catch .
try (1|keys) catch .
try (true|length) catch .
try ("x"*{}) catch .
try ([1]/2) catch .
try (5%0) catch .
try (1/0) catch .
try ({}|sort) catch .
try (1|startswith("a")) catch .
try ("a"|split(1)) catch .
try ({(1):2}) catch .
try ([range(3)]|.[1:]="x") catch .
try (null|.[-1]=1) catch .
try ([1]|flatten(-1)) catch .
try ([{}]|@sh) catch .
try (1|from_entries) catch .
try ("a"|contains(1)) catch .
try ([1,2]|getpath(["a"])) catch .
try ("x"|todate) catch .
try ("abcdefghijklmnopqrstuvwxyz"|.[0]) catch .
try ({"a":"abcdefghijklmnopqrstuvwxyz"}|.[0]) catch .
try ([1,2,3,4,5,6,7,8,9,10,11,12]-{}) catch .
try ("ééééééééééééééééééééé"+1) catch .
try ("abcdefghij"+12345) catch .
try error("x\(1+1)") catch .
def f: .+1; f
  1
def f: def g: 3; g; f
def f(x): x*2; f(.a)
  {"a":2}
def f($x): $x*2; f(.a)
  {"a":2}
def f($x): x*2; f(.a)
  {"a":2}
def f(x;$y): [x,$y]; f(1,2;3,4)
[def f(x;$y): x,$y; f(1,2;3,4)]
def f(g): [g,g]; f(.,1)
  0
def fac: if .<=1 then 1 else .*(.-1|fac) end; fac
  10
def fib: if .<2 then . else (.-1|fib)+(.-2|fib) end; [range(10)|fib]
def f: 1; def g: f+1; def f: 10; [f,g]
def f(x): def g: x; g|g; f(.+1)
  1
def f(x): x|x; f(.*3)
  2
def map2(f): [.[]|f]; map2(.+1)
  [1,2]
def f: reduce .[] as $x (0;.+$x); f
  [1,2]
def f($a;$b;$c): $a+$b*$c; f(1;2;3)
def f(x): x as $y|$y+1; f(5)
def apply(f;g): f|g; 3|apply(.+1;.*2)
1 as $x|(2 as $x|$x),$x
def f: . as $x|[$x,.]; 5|f
. as $x|[.[]|.+$x[0]]
  [1,2]
[.[] as $x|$x*2]
  [1,2]
(1,2) as $x|(3,4) as $y|[$x,$y]
. as [$a,$b]|$a+$b
  [1,2]
  [1]
  null
. as {a:$x}|$x
  {"a":1}
  null
. as {$a,b:[$c,$d]}|[$a,$c,$d]
  {"a":1,"b":[2,3]}
. as {"a":$x,"b c":$y}|[$x,$y]
  {"a":1,"b c":2}
. as {(.k):$x}|$x
  {"k":"v","v":7}
. as {$a:[$b]}|[$a,$b]
  {"a":[5]}
. as [[$a]]|$a
  [[1]]
. as [$a]|$a
  {"a":1}
. as {$a}|$a
  [1]
[.[] as [$a,{b:$c}]|$a+$c]
  [[1,{"b":2}],[3,{"b":4}]]
. as [$a] ?// $a|[$a]
  [1]
  5
  {"x":1}
. as {a:$x} ?// [$x]|$x
  {"a":1}
  [2]
[.[] as [$a] ?// {a:$a} ?// $a|$a]
  [[1],{"a":2},3]
. as [$a] ?// {b:$b}|[$a,$b]
  [1]
  {"b":2}
[[1]] as [[$a]] ?// [$b]|[$a,$b]
. as [$a] ?// $a|if ($a|type)=="number" then error("x") else $a end
  [1]
reduce .[] as $x (0;.+$x)
  [1,2,3]
  []
  {"a":1}
reduce range(5) as $i ([];.+[$i*$i])
reduce .[] as [$k,$v] ({};.[$k]=$v)
  [["a",1],["b",2]]
reduce empty as $x (5;.+1)
reduce (1,2) as $x (0;empty)
reduce (1,2,3) as $x (0;.,$x)
[reduce (1,2) as $x (0,10;.+$x)]
reduce .[] as $x (null;if $x>. then $x else . end)
  [3,9,2]
[foreach .[] as $x (0;.+$x)]
  [1,2,3]
[foreach .[] as $x (0;.+$x;[$x,.])]
  [1,2,3]
[foreach range(5) as $i (0;.+$i;select(.%2==0))]
[foreach (1,2) as $x (0;(.+$x,.*10))]
[foreach (1,2) as $x (0,5;.+$x)]
[foreach .[] as [$a,$b] (0;.+$a;.*$b)]
  [[1,2],[3,4]]
[foreach (1,2,3) as $x (0;empty;.)]
[label $f|range(10)|.,(select(.==2)|break $f)]
label $a|label $b|1,break $a,2
[label $a|(label $b|1,break $b,2),3]
[.[]|label $f|if .>1 then break $f else . end]
  [1,2,0]
break $x
[limit(3;label $f|repeat(1))]
first(range(10;0;-1))
[first(range(5)),last(range(5)),nth(2;range(5))]
[limit(5;repeat(.*2))]
  1
[repeat(.*2;.>100)]?
  1
[limit(4;repeat("x"))]
until(.>100;.*2)
  3
until(true;error("x"))
  1
[while(.>0;.-1)]
  3
[while(false;.)]
  1
[.[]|until(.>5;.+2)]
  [1,6]
[range(3)|[range(.)]]
[recurse(if . < 2 then .+1 else empty end)]
  0
1,2|.+1
1,(2|.+1)
[1,2|.,.*10]
"a","b"|.+"x"
1|.,.
empty
1,empty,2
(1,2)|(3,4)
[(1,2)+(10,20)]
[(1,2)*(3,4)-(1,1)]
[(1,2)==(1,2)]
[{a:(1,2)}|.a]
1 as $x|[$x,$x+1]
[1,2]|.[0] as $a|.[1] as $b|$a-$b
. as $d|keys|map($d[.])
  {"a":1,"b":2}
[.[]|. as {n:$n}|$n]
  [{"n":1},{}]
reduce .[] as {$n} (0;.+$n)
  [{"n":1},{"n":2}]
def f(x): if x then "t" else "f" end; [f(true),f(null)]
def f: if .<3 then .+1|f else . end; 0|f
[.[]|if type=="number" then "n" elif type=="string" then "s" else "o" end]
  [1,"a",null]
@text "a\(if . then 1 else 2 end)b"
  true
.. as $x|$x
  1
[..] as [$a,$b]|$b
  [5]
not
  1
  null
true and not
  false
1 # one
1as $x|2as $y|[$x,$y]
reduce range(3) as $x (0; . + $x) | . * 2
try error("x") catch . | length
-1 as $x|$x
[-1,-(1)]
1 - 1
.a-1
  {"a":3}
.a -1
  {"a":3}
[.a,-.a]
  {"a":3}
1?
[1]?
{a:1}?
{a:(1|.+1)}
{a:1|2}
{a:1,b:.a}
  {"a":9}
{(1,2|tostring):3}
{a:if . then 1 else 2 end}
  true
{a:try error("x") catch 5}
{a:reduce (1,2) as $x (0;.+$x)}
{a:.b.c,"d":.e[0]}
  {"b":{"c":1},"e":[2]}
{a:-1}
{a:1+1}
{a:"x" * 2}
{"a":1 , }
[1,]
1+
)(
.a.
.[
{a:}
if 1 then 2
"abc
"\(1"
def f: 1
. as x|1
.a b
$x
f(1)
$__prog_args
map()
map(1;2)
&& 1
1 === 1
'a'
.a[1
%
..a
.[]a
reduce . (0;1)
try
label x|1
.a // error("none")
  {"a":1}
  {}
(.a,error("x")) // 2
  {"a":null}
  {"a":1}
[.a.b?] // 1
  {"a":5}
try (.a.b // "x") catch "failed"
  {"a":5}
[foreach (1,2,3) as $x (0; if $x==2 then empty else .+$x end)]
[foreach (1,2,3) as $x (0; if $x==2 then empty else .+$x end; [$x,.])]
reduce (1,2,3) as $x (0; if $x==2 then empty else .+$x end)
reduce (1,2) as $x (0,10; if .==0 then empty else .+$x end)
{a:1,}
{a:1,b:2,}|keys
{,}
[. as [$a] ?// {$a} ?// $a|$a]
  {"a":3}
{([]):1}
{(1):1}
