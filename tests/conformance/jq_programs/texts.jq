# Texts: literals, interpolation, splitting, joining, conversion.
"x\(1+1)y"
"\(1,2)-\(3,4)"
"a\("b\("c")")"
"\(.)"
  "x"
  1
  null
  {"a":[1,"b"]}
"tab\tnew\nline \"q\" \\ \u00e9 \/ \b\f\r"
"\u0041\ud83d\ude00"
"é€😀"|length
"a"+"b"*2
ascii_downcase
  "AbCÉ"
  1
ascii_upcase
  "abcé"
  null
ltrimstr("a")
  "abc"
  "xab"
  ""
rtrimstr("c")
  "abc"
  "c"
ltrimstr("")
  "abc"
trimstr("a")
  "aba"
  "aa"
  "a"
trim
  "  a b \t\n"
  " a "
  1
ltrim
  "  a "
rtrim
  "  a "
startswith("a")
  "abc"
  "xyz"
  ""
  1
startswith(1)
  "a"
endswith("c")
  "abc"
  null
split(",")
  "a,b,,c"
  ""
  ","
  "äöü"
  1
split("")
  "aé😀"
split(", ";null)
  "a, b,c"
split(" +";"")
  "a  b c"
split("A";"i")
  "xaYAz"
split(1)
  "a"
join(",")
  ["a","b"]
  []
  ["a",1,null,true,1.5]
  ["a"]
  [[1]]
  [null]
  "abc"
join(1)
  ["a","b"]
  []
join(", ","-")
  ["a","b"]
explode
  "aé😀"
  ""
  1
implode
  [97,233,128512]
  []
  ["a"]
  [1114112]
  "x"
explode|implode
  "abc"
explode|map(.+1)|implode
  "HAL"
tostring
  "a"
  1
  [1,"a"]
  null
tonumber
  "1"
  "1.5"
  "-1e3"
  " 1 "
  "1x"
  ""
  "0x10"
  "+1"
  "01"
  ".5"
  "5."
  5
  null
  [1]
[.[]|tonumber?]
  ["1","x","2.50",null,3]
toboolean
  "true"
  "false"
  true
  "yes"
  1
  null
tojson
  "a\"b\\\n\u0001é"
  {"b":1,"a":[true,null]}
  []
fromjson
  "{\"a\":[1,2.5,null]}"
  "1"
  "x"
  ""
  "[1"
  "1 2"
  " [1] "
  1
  "\"\\u00e9\""
  "'a'"
  "[1,]"
  "{a:1}"
tojson|fromjson
  {"a":[1,"é",{"b":null}]}
[.[]|ascii_downcase]|unique
  ["A","a","b"]
test("b")
  "abc"
  "x"
  1
test("B";"i")
  "abc"
test("B";null)
  "abc"
test(["B","i"])
  "abc"
test("a.c";"x")
  "abc"
test("^\\d{3}-\\d{2}$")
  "123-45"
  "123-456"
test("")
  ""
test("a","x")
  "abc"
[match("a";"g").offset]
  "banana"
match("(a)(?<n>b)?")
  "ab"
  "ac"
[match("";"g")|.offset]
  "ab"
[match("é";"g")]
  "aéé"
[match("a|b";"gi")|.string]
  "AxB"
match("(x)?y")
  "y"
[match(["a","g"])|.offset]
  "aba"
[match("z")]
  "abc"
capture("(?<y>\\d+)-(?<m>\\d+)")
  "on 2024-05"
capture("(?<a>a)|(?<b>b)")
  "b"
[capture("(?<x>[a-z])";"g")]
  "ab1"
[scan("[0-9]+")]
  "a1b22"
[scan("([a-z])([0-9])")]
  "a1b2"
[scan("A";"i")]
  "aA"
[scan("")]
  "ab"
[splits(", *")]
  "a, b,c"
[splits("a+";"i")]
  "xAAyaz"
sub("b";"X")
  "abcb"
sub("(?<x>b)";"<\(.x)>")
  "abcb"
gsub("b";"X")
  "abcb"
gsub("(?<d>\\d)";"\(.d|tonumber+1)")
  "a1b8"
gsub("";"-")
  "ab"
gsub("^";">")
  "ab"
gsub("$";"!")
  "ab"
gsub("A";"x";"i")
  "aAb"
sub("a";"x";"g")
  "aa"
gsub("\\s+";" ")
  "a  b \t c"
gsub("[^a-z]";"")
  "a1-b2"
[sub("(?<x>a)";"1\(.x)","2\(.x)")]
  "ab"
[gsub("(?<x>[ab])";"\(.x)1","\(.x)2")]
  "ab"
gsub("a";"b")
  "xyz"
gsub("é";"e")
  "éaé"
gsub("(?<a>.)(?<b>.)";"\(.b)\(.a)")
  "abcd"
sub("x";1)
  "x"
@text
  [1,"a"]
@json
  [1,"a",{"b":null}]
@html
  "<a href='x'>&\"</a>"
  [1,"<"]
@uri
  "a b/ü?&=~-_.!*'()"
@urid
  "a%20b%C3%BC+c"
@csv
  [1,"a\"b",null,true,1.5]
  [[1]]
  "x"
@tsv
  [1,"a\tb\n\\",null,false]
@sh
  "it's"
  ["a b",1,null]
  {"a":1}
@base64
  "héllo"
  ""
  [1]
@base64d
  "aMOpbGxv"
  "YQ"
  "YQ=="
  "!"
@html "<b>\(.)</b>"
  "a&b"
@uri "q=\(.a)&r=\(.b)"
  {"a":"x y","b":[1]}
@json "v=\(.)"
  [1,"x"]
@csv "\([1,"a"])!"
@base64 "\("a"):\("b")"
@text "\(1)"
@sh "echo \(.)"
  "a'b"
[.[]|@text]
  [1,"a",null]
ltrimstr("a","b")
  "abc"
"abc"|.[1:2]
"x"|[.,.]|join("-")
[.[]|select(startswith("a"))]
  ["ab","b","a"]
[.[]|test("^a")]
  ["ab","b"]
.name|split(" ")|{first:.[0],last:.[-1]}
  {"name":"Ada Lovelace"}
[.[]|.[0:1]|ascii_upcase]
  ["ada","bob"]
"\(.first) \(.last // "?")"
  {"first":"A"}
  {"first":"A","last":"B"}
ascii_downcase|gsub("[^a-z0-9]+";"-")|ltrimstr("-")|rtrimstr("-")
  " Hello, World! "
[limit(2;splits(","))]
  "a,b,c"
getpath(["a"])|tostring
  {"a":{"b":1}}
@base64|@base64d
  "über"
"a,b"/","
[.[]|tojson]
  [1,"a",[1,2],{"a":1},null,true]
utf8bytelength
  ""
