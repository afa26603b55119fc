"""The editor in a browser: mistakes are marked at their line beside the drawing, and nobody's work is lost."""

import re
from typing import Any

from playwright.async_api import Page, expect

from perdure.cli.demo_http import get, post
from tests.console.browsing import Console, Person

TEXT = """\
# A note of the author's.
do:
  - Collect:
      set: {name: '${ .name }'}
  - Decide:
      switch:
        - friend:
            when: .name == "Ada"
            then: Greet
        - other: {then: end}
  - Greet:
      set: {text: '${ "Hello " + .name }'}
"""


async def draft(person: Person, name: str, *, published: bool = False) -> str:
    made = await post(person.api, "/v1/workflows", {"name": name, "definition": TEXT})
    if published:
        await post(person.api, f"/v1/workflows/{made['id']}/publish", {})
    return f"/workflows/{made['id']}"


async def replace(page: Page, old: str, new: str) -> None:
    """Selects a text in the editor and types over it, as a person would."""
    await page.evaluate(
        """old => { const area = document.getElementById("text"), at = area.value.indexOf(old);
                    area.focus(); area.setSelectionRange(at, at + old.length); }""",
        old,
    )
    await page.keyboard.type(new)


async def test_a_mistake_is_marked_at_its_line_beside_the_live_drawing(
    console: Console, open_page: Any, axe: Any
) -> None:
    path = await draft(console.ada, "Marked")
    page: Page = await open_page(console.ada, f"{path}/edit")
    await expect(page.locator("#verdict")).to_have_text(re.compile("Can be published"))
    line = page.locator("#gutter > div").filter(has_text=re.compile("then: Greet$"))
    await replace(page, "then: Greet", "then: Nowhere")
    number = TEXT.split("\n").index("            then: Greet") + 1
    marked = page.locator("#gutter > div[data-mark=error]")
    await expect(marked.first).to_have_text(str(number))
    await expect(page.locator("#coloured > div[data-mark=error]").first).to_contain_text("then: Nowhere")
    await expect(page.locator("#problems li").first).to_contain_text(f"Line {number}")
    await expect(page.locator('#canvas [data-step="/do/1/Decide"]')).to_have_class(re.compile("has-error"))
    assert await line.count() == 0
    await axe(page)

    # The drawing follows what is written, and stays as it was while the text cannot be read.
    await replace(page, "then: Nowhere", "then: Greet")
    await expect(marked).to_have_count(0)
    await replace(page, "- Greet:", "- Welcome:")
    await expect(page.locator('#canvas [data-step="/do/2/Welcome"]')).to_be_visible()
    await replace(page, "switch:", "switch: [")
    await expect(page.locator("#outdated")).to_be_visible()
    await expect(page.locator('#canvas [data-step="/do/2/Welcome"]')).to_be_visible()

    # Line numbers lead to the place.
    await page.locator("#problems [data-line]").first.click()
    assert await page.evaluate("document.activeElement.id") == "text"


async def test_keys_indent_and_let_go_and_save(console: Console, open_page: Any) -> None:
    path = await draft(console.ada, "Keys")
    page: Page = await open_page(console.ada, f"{path}/edit")
    await page.focus("#text")
    await page.keyboard.press("Control+End")
    await page.keyboard.type("  - Last:\nset: {a: 1}")
    value = await page.input_value("#text")
    assert value.endswith("  - Last:\n      set: {a: 1}"), value[-40:]
    await page.keyboard.press("Shift+Tab")
    assert (await page.input_value("#text")).endswith("\n    set: {a: 1}")
    await page.keyboard.press("Tab")  # in the middle of a line it makes room
    await page.keyboard.press("Control+z")
    await page.keyboard.press("Control+z")
    assert (await page.input_value("#text")).endswith("\n      set: {a: 1}")
    await page.keyboard.press("Control+s")
    await expect(page.locator("#kept")).to_contain_text("Saved")
    stored = await get(console.ada.api, f"/v1{path}/source")
    assert stored["text"] == await page.input_value("#text")
    assert stored["text"].startswith("# A note")
    await page.keyboard.press("Escape")
    await page.keyboard.press("Tab")
    assert await page.evaluate("document.activeElement.id") == "save"


async def test_a_colleague_saves_in_between(console: Console, open_page: Any, axe: Any) -> None:
    path = await draft(console.ada, "Shared")
    mine: Page = await open_page(console.ada, f"{path}/edit")
    theirs: Page = await open_page(console.grace, f"{path}/edit")
    await replace(theirs, "- Greet:", "- Welcome:")
    await replace(theirs, "then: Greet", "then: Welcome")
    await theirs.keyboard.press("Control+s")
    await expect(theirs.locator("#kept")).to_contain_text("Saved")
    await replace(mine, "# A note of the author's.", "# Mine.")
    await mine.keyboard.press("Control+s")
    await expect(mine.locator("#overtaken")).to_be_visible()
    assert (await mine.input_value("#text")).startswith("# Mine.")
    await expect(mine.locator(".changes")).to_contain_text("Greet")
    await axe(mine)
    await mine.click("#save")
    await expect(mine.locator("#kept")).to_contain_text("Saved")
    assert (await get(console.ada.api, f"/v1{path}/source"))["text"].startswith("# Mine.")


async def test_without_scripts_it_is_a_text_area_with_a_list_of_problems(
    console: Console, open_page: Any
) -> None:
    path = await draft(console.ada, "Plain")
    page: Page = await open_page(console.ada, f"{path}/edit", javascript=False)
    await page.fill("#text", TEXT.replace("then: Greet", "then: Nowhere"))
    await page.click("#check")
    await expect(page.locator("#problems li").first).to_contain_text("Line 9")
    await page.fill("#text", TEXT.replace("Hello", "Good day"))
    await page.click("text=Save and publish")
    await expect(page.locator(".notice")).to_contain_text("Published")


async def test_what_was_left_unsaved_comes_back(console: Console, open_page: Any) -> None:
    path = await draft(console.ada, "Left")
    page: Page = await open_page(console.ada, f"{path}/edit")
    page.on("dialog", lambda dialog: dialog.accept())
    await replace(page, "# A note of the author's.", "# Unsaved.")
    await page.goto(path)
    await page.goto(f"{path}/edit")
    assert (await page.input_value("#text")).startswith("# Unsaved.")
    await page.get_by_role("button", name="Discard it").click()
    assert (await page.input_value("#text")).startswith("# A note")
    await replace(page, "# A note of the author's.", "# Saved twice.")
    for _ in range(2):
        await page.keyboard.press("Control+s")
    await expect(page.locator("#kept")).to_contain_text("Nothing has changed")
    await page.goto(path)
    await page.goto(f"{path}/edit")
    assert (await page.input_value("#text")).startswith("# Saved twice.")
    await expect(page.locator("#kept")).to_be_empty()


BLOCKS = """\
document:
  summary: >-
    Note: what is written here
      key: is text

    of ${ .the } summary.
  title: Blocks
do:
  - The client's letter:
      set:
        letter: |  # as it is sent
          dear: ${ .name }
        sent: true
"""


async def test_text_in_blocks_is_coloured_as_text(console: Console, open_page: Any) -> None:
    path = await draft(console.ada, "Blocks")
    page: Page = await open_page(console.ada, f"{path}/edit")
    await page.fill("#text", BLOCKS)
    keys = page.locator("#coloured .key")
    names = ["document", "summary", "title", "do", "The client's letter", "set", "letter", "sent"]
    await expect(keys).to_have_text(names)
    await expect(page.locator("#coloured .expression")).to_have_text(["${ .the }", "${ .name }"])
    # Lines that nobody touched follow the line that opens the block.
    await replace(page, ">-", "so")
    await expect(keys).to_have_text([*names[:2], "Note", "key", *names[2:]])
    await replace(page, "summary: so", "summary: |")
    await expect(keys).to_have_text(names)
