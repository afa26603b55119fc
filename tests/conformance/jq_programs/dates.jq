# Dates within what both sides define.
todate
  0
  1425599621
  -1
  1425599621.678
  "x"
fromdate
  "2015-03-05T23:53:41Z"
  "2015-03-05"
todateiso8601
  1425599621
fromdateiso8601
  "2015-03-05T23:53:41Z"
gmtime
  0
  1425599621
  1425599621.25
  -1
gmtime|mktime
  1425599621
mktime
  [2024,1,29,0,0,0,4,59]
  [1970,0,1,0,0,0]
  [2024,12,1,0,0,0,0,0]
  "x"
gmtime|todate
  1700000000
strftime("%Y-%m-%dT%H:%M:%SZ")
  1425599621
  [2015,2,5,23,51,47,4,63]
strftime("%A %B %d %j %U %e %I %p %y")
  1425599621
strftime("%H:%M|%D|%F|%T|%R")
  1425599621
strftime("%a %b %h %C %u %w %s %%")
  1425599621
strftime("%G-W%V %g")
  1704067200
  1609459200
strftime(1)
  0
strptime("%Y-%m-%d")|mktime
  "2024-02-29"
strptime("%Y-%m-%dT%H:%M:%SZ")
  "2015-03-05T23:51:47Z"
strptime("%d.%m.%Y %H:%M")|mktime
  "31.12.2023 10:15"
strptime("%d %B %Y")|mktime
  "5 March 2015"
strptime("%a, %d %b %Y")|mktime
  "Thu, 05 Mar 2015"
strptime("%Y")
  "x"
strptime("%j %Y")|mktime
  "60 2024"
[.[]|fromdate]|max|todate
  ["2015-03-05T23:51:47Z","2020-01-01T00:00:00Z"]
((.b|fromdate)-(.a|fromdate))/86400
  {"a":"2024-02-01T00:00:00Z","b":"2024-03-01T00:00:00Z"}
(fromdate+86400*30)|todate
  "2024-01-31T12:00:00Z"
fromdate|strftime("%d.%m.%Y")
  "2024-01-31T12:00:00Z"
fromdate|gmtime|.[7]
  "2024-03-01T00:00:00Z"
