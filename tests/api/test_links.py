"""Addresses in a task are links: only http and https, shown whole, and nothing else that an author may write."""

import re
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.console.frame.links import LONGEST, linked
from domain.tasks import digest_of
from tests.api.house import House, house
from tests.api.people import people
from tests.api.test_inbox_pages import Inbox, browser, inbox
from tests.api.test_tasklink_pages import mailed

__all__ = ["browser", "house", "inbox", "people"]  # fixtures

PAPER = "https://papers.example/engagement?year=2026&for=a"
REL = "noreferrer noopener nofollow"


class Read(HTMLParser):
    """All text, the links with their words, and any other element."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.text = ""
        self.links: list[tuple[str, str]] = []
        self.others: list[str] = []
        self.feed(markup)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag != "a" or given.keys() != {"href", "dir", "rel"} or given["rel"] != REL:
            self.others.append(tag)
        self.links.append((given.get("href") or "", ""))

    def handle_data(self, data: str) -> None:
        self.text += data
        if self.get_starttag_text() and self.links and not self.links[-1][1]:
            self.links[-1] = (self.links[-1][0], data)


@pytest.mark.parametrize(
    ("text", "addresses"),
    [
        (f"Look at {PAPER}.", [PAPER]),
        (
            "(see http://a.example/b_(c), https://d.example:8443/)",
            ["http://a.example/b_(c)", "https://d.example:8443/"],
        ),
        ("HTTPS://A.Example/X and http://[::1]/y", ["HTTPS://A.Example/X", "http://[::1]/y"]),
        ("“https://a.example/é?q='x'”", ["https://a.example/é?q='x"]),
        ("two:\nhttps://a.example\nhttps://b.example", ["https://a.example", "https://b.example"]),
    ],
)
def test_addresses_are_links_with_their_own_words(text: str, addresses: list[str]) -> None:
    read = Read(str(linked(text)))
    assert (read.text, read.links, read.others) == (text, [(each, each) for each in addresses], [])


@pytest.mark.parametrize(
    "text",
    [
        "javascript:alert(1)",
        "JaVaScRiPt://%0aalert(1)",
        "data:text/html,<script>alert(1)</script>",
        "vbscript:x ftp://a.example file:///etc/passwd //a.example mailto:a@b.example",
        "<a href='https://'>x</a> https:// http://?",
        "https://bank.example@evil.example/",  # leads to another host than it begins with
        "https://bank.example:pay@evil.example",
        "https://b\u0430nk.example/",  # a letter of another script
        "https://[/ https://a.example:port/",
        "https://a.example/" + "a" * LONGEST,
        "[click](javascript:alert(1)) xhttps://a.example",
    ],
)
def test_what_is_no_honest_address_stays_text(text: str) -> None:
    read = Read(str(linked(text)))
    assert (read.text, read.links, read.others) == (text, [], [])


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ('https://a.example/"onmouseover="alert(1)', "https://a.example/"),
        ("https://a.example/'onmouseover='alert(1)", "https://a.example/'onmouseover='alert(1)"),
        ("https://a.example/<script>alert(1)</script>", "https://a.example/"),
        ("https://a.example\\@evil.example", "https://a.example"),
        ("https://a.example/\u202egpj.exe", "https://a.example/"),
        ("\u202ehttps://a.example/", "https://a.example/"),
        ("javascript:https://a.example", "https://a.example"),
    ],
)
def test_an_address_ends_where_it_would_be_disguised(text: str, address: str) -> None:
    read = Read(str(linked(text)))
    assert (read.text, read.links, read.others) == (text, [(address, address)], [])


PIECES = [
    "http://",
    "https://",
    "HTTP://",
    "javascript:",
    "a.example",
    "@",
    "<",
    ">",
    '"',
    "'",
    "&",
    "&#58;",
    "(",
    ")",
    " ",
    "\\",
    "/",
]


@given(st.lists(st.sampled_from(PIECES) | st.text(max_size=3), max_size=12).map("".join))
def test_whatever_is_written_no_character_is_lost_and_links_lead_where_they_say(text: str) -> None:
    text = text.replace("\r", "")
    read = Read(str(linked(text)))
    assert (read.text, read.others) == (text, [])
    for href, words in read.links:
        assert href == words
        assert re.match(r"https?://[A-Za-z0-9\[_.-]", href, re.IGNORECASE)
        assert "@" not in urlsplit(href).netloc


def told(**arguments: Any) -> dict[str, Any]:
    arguments = {
        "paper": f"{PAPER}.",
        "bad": 'javascript:alert(1) https://x.example/"onclick="y',
        **arguments,
    }
    return {"arguments": arguments, "description": f"Compare with {PAPER}, then <b>say</b>."}


LINK = f'<a href="{PAPER.replace("&", "&amp;")}" dir="ltr" rel="{REL}">{PAPER.replace("&", "&amp;")}</a>'


def check(page: str) -> None:
    assert page.count(LINK) == 3
    assert f"Compare with {LINK}, then &lt;b&gt;say&lt;/b&gt;." in page
    assert f"<td>{LINK}</td>" in page
    assert 'href="javascript' not in page
    assert 'onclick="y' not in page


async def test_the_page_of_a_task_links_its_description_and_arguments(
    browser: httpx2.AsyncClient, inbox: Inbox
) -> None:
    given = told(lines=[{"where": PAPER}])
    task = await inbox.put(arguments_digest=digest_of(given["arguments"]), **given)
    check((await browser.get(f"/tasks/{task['id']}")).text)


async def test_so_does_the_page_behind_a_signed_link(house: House) -> None:
    path, _ = await mailed(house, **told(lines=[{"where": PAPER}]))
    async with httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app=house.app), base_url="http://test"
    ) as http:
        page = await http.get(path)
    check(page.text)
    assert page.headers["referrer-policy"] == "no-referrer"
