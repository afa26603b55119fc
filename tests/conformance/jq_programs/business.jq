# What automation builders write: invoices, clients, deadlines, reminders.
{number:.invoice.number,total:([.invoice.lines[]|.quantity*.price]|add)}
  {"invoice":{"number":"2024-001","lines":[{"quantity":2,"price":9.99},{"quantity":1,"price":100}]}}
.lines|group_by(.vat)|map({vat:.[0].vat,net:(map(.net)|add),tax:((map(.net)|add)*.[0].vat/100)})
  {"lines":[{"vat":19,"net":100},{"vat":7,"net":50},{"vat":19,"net":20.5}]}
if .total>=10000 then "partner" elif .total>=1000 then "manager" else "clerk" end
  {"total":15000}
  {"total":1000}
  {"total":5}
[.clients[]|select(.status=="active" and (.email|test("@")))|.email]
  {"clients":[{"status":"active","email":"a@b.c"},{"status":"closed","email":"x@y.z"},{"status":"active","email":"none"}]}
.clients|map({key:.id,value:.name})|from_entries
  {"clients":[{"id":"c1","name":"A"},{"id":"c2","name":"B"}]}
[.documents[]|select(.required and (.uploaded|not))|.name]
  {"documents":[{"name":"id","required":true,"uploaded":true},{"name":"tax","required":true,"uploaded":false},{"name":"x","required":false}]}
(.missing|length)==0
  {"missing":[]}
  {"missing":["id"]}
"Dear \(.contact.name // "client"), invoice \(.number) is \(.days) days late."
  {"contact":{},"number":"7","days":3}
  {"contact":{"name":"Ada"},"number":"7","days":3}
.iban|gsub(" ";"")|ascii_upcase|.[0:4]
  {"iban":"de89 3704 0044 0532 0130 00"}
[.ledger[]|select(.date>="2024-01-01" and .date<"2025-01-01")|.amount]|add
  {"ledger":[{"date":"2023-12-31","amount":1},{"date":"2024-06-30","amount":2.5},{"date":"2024-12-31","amount":3}]}
.+{approved:(.decision=="approve"),by:(.user//"system")}
  {"decision":"approve"}
  {"decision":"reject","user":"ada"}
[.a,.b]|map(select(.!=null))|unique
  {"a":"x"}
  {"a":"x","b":"x"}
.amounts|{count:length,sum:add,average:(add/length),least:min,greatest:max}
  {"amounts":[1,2,6]}
[.rows[]|[.date,.text,.amount]|@csv]|join("\n")
  {"rows":[{"date":"2024-01-01","text":"a, \"b\"","amount":1.5}]}
.text|split("\n")|map(select(length>0)|split(";")|{date:.[0],amount:(.[1]|sub(",";".")|tonumber)})
  {"text":"2024-01-01;1,50\n2024-01-02;2,00\n"}
(.due|fromdate) as $due|(.today|fromdate) as $today|if $today>$due then (($today-$due)/86400|floor) else 0 end
  {"due":"2024-01-01T00:00:00Z","today":"2024-01-15T12:00:00Z"}
  {"due":"2024-02-01T00:00:00Z","today":"2024-01-15T12:00:00Z"}
[limit(2;.items|sort_by(-.score)|.[]|.id)]
  {"items":[{"id":"a","score":1},{"id":"b","score":3},{"id":"c","score":2}]}
.checks|to_entries|map(select(.value|not)|.key)
  {"checks":{"identity":true,"address":false,"sanctions":null}}
all(.checks[];.==true)
  {"checks":{"a":true,"b":true}}
  {"checks":{"a":true,"b":false}}
any(.people[];.country|IN("IR","KP"))
  {"people":[{"country":"DE"},{"country":"KP"}]}
[.people[]|.address as {$city,$zip}|"\($zip) \($city)"]
  {"people":[{"address":{"city":"Ulm","zip":"89073"}}]}
reduce .payments[] as $p (.open;.-$p.amount)
  {"open":100,"payments":[{"amount":30},{"amount":20.5}]}
.tree|[recurse(.children[]?)|.name]
  {"tree":{"name":"a","children":[{"name":"b"},{"name":"c","children":[{"name":"d"}]}]}}
del(.secret,.nested.secret)
  {"secret":1,"nested":{"secret":2,"x":3}}
with_entries(select(.key|startswith("x_")|not))
  {"x_a":1,"b":2}
[paths(type=="string" and test("^\\d{4}-"))|map(tostring)|join(".")]
  {"a":{"d":"2024-01-01"},"l":["x","2023-05-05"]}
.a as $a|.b|map(. as $x|$a|index($x))
  {"a":["x","y"],"b":["y","z"]}
[.[]|select(.tags|index("urgent"))|.id]
  [{"id":1,"tags":["urgent"]},{"id":2,"tags":[]}]
map(.amount|tostring|split(".")|.[1]//"00"|.[0:2])
  [{"amount":1.5},{"amount":2},{"amount":3.255}]
[.[]|{n:.name,i:(.name|split(" ")|map(.[0:1])|join(""))}]
  [{"name":"Ada King Lovelace"}]
INDEX(.clients[];.id) as $c|[.invoices[]|{n,client:$c[.client].name}]
  {"clients":[{"id":"1","name":"A"}],"invoices":[{"n":5,"client":"1"},{"n":6,"client":"2"}]}
.old as $o|.new|with_entries(select(.value!=$o[.key]))
  {"old":{"a":1,"b":2},"new":{"a":1,"b":3,"c":4}}
[.[]|.+{late:(.paid==null and .due<"2024-05-01")}]
  [{"due":"2024-04-01","paid":null},{"due":"2024-04-01","paid":"2024-03-30"}]
(.net*1.19*100|round/100)
  {"net":99.99}
.hours|to_entries|map("\(.key): \(.value)h")|join("; ")
  {"hours":{"mon":8,"tue":7.5}}
[.files[]|select(.name|test("\\.pdf$";"i"))|.name]
  {"files":[{"name":"a.PDF"},{"name":"b.txt"}]}
.phone|gsub("[^0-9+]";"")
  {"phone":"+49 (0)30 / 12-34"}
[.a[],.b[]]|group_by(.id)|map(add)
  {"a":[{"id":1,"x":1}],"b":[{"id":1,"y":2},{"id":2,"y":3}]}
.matrix|transpose|map(add)
  {"matrix":[[1,2],[3,4]]}
[range(1;13)|select(.%3==0)]
{q:((.month-1)/3|floor+1)}
  {"month":5}
.period|capture("^(?<year>\\d{4})-Q(?<quarter>[1-4])$")|{year:(.year|tonumber),quarter:(.quarter|tonumber)}
  {"period":"2024-Q3"}
first(.approvers[]|select(.limit>=1000)|.name)//"board"
  {"approvers":[{"name":"a","limit":500},{"name":"b","limit":2000}]}
  {"approvers":[]}
