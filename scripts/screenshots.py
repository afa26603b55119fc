"""Pictures of every screen, for the documents: `python -m scripts.screenshots [--only NAME…] [--to FOLDER]`.

A stack is started, people open accounts and work on it as `tests/console/showcase.py` says, and Chromium looks.
"""

import argparse
import asyncio
import shutil
import sys
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path

from playwright.async_api import Page, async_playwright

from scripts.palettes import smaller
from tests.console.browsing import CHROMIUM, Console, People, Scheme, Tabs, chromium
from tests.console.showcase import SCREENS, Screen, Showcase, furnish
from workers.devstack import ports
from workers.devstack.stack import Stack

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "screenshots"
WIDTH, HEIGHT, LONGEST = 1280, 800, 1800
#: As a telephone shows it.
NARROW = 390


async def take(folder: Path, only: set[str]) -> list[Path]:
    """Write the pictures; answers which."""
    place = Path(tempfile.mkdtemp(prefix="perdure-"))
    try:
        async with async_playwright() as playwright, AsyncExitStack() as opened:
            browser = await chromium(playwright)
            if browser is None:
                sys.exit(f"There is no browser: install {CHROMIUM}, or set PERDURE_CHROMIUM.")
            stack = await opened.enter_async_context(Stack(place, port=ports.any_free()))
            people = People(stack, browser, opened)
            console = await people.house()
            made = await furnish(console)
            wanted = [screen for screen in SCREENS if not only or screen.name in only]
            return [file for screen in wanted for file in await _screen(console, made, screen, folder)]
    finally:
        shutil.rmtree(place, ignore_errors=True)


async def _screen(console: Console, made: Showcase, screen: Screen, folder: Path) -> list[Path]:
    schemes: tuple[Scheme, ...] = ("light", "dark") if screen.is_main else ("light",)
    files = []
    for scheme in schemes:
        file = folder / f"{screen.name}{'-dark' if scheme == 'dark' else ''}.png"
        files.append(await _picture(console, made, screen, scheme, file, WIDTH))
    if screen.is_main:
        file = folder / f"{screen.name}-narrow.png"
        files.append(await _picture(console, made, screen, "light", file, NARROW))
    return files


async def _picture(
    console: Console, made: Showcase, screen: Screen, scheme: Scheme, file: Path, width: int
) -> Path:
    tabs: Tabs = console.tabs()
    person = None if screen.is_public else console.grace if screen.by_grace else console.ada
    page = await tabs.open(person, screen.path(made), scheme=scheme, width=width, height=HEIGHT)
    await page.wait_for_load_state("networkidle" if not screen.is_live else "load")
    if screen.is_live:
        await page.wait_for_timeout(500)
    # A page that is as high as the window: what sticks to the window's edges ends where the page does.
    await page.set_viewport_size({"width": width, "height": await _height(page)})
    whole = await page.screenshot()
    await tabs.close()
    await asyncio.to_thread(file.write_bytes, await smaller(console.browser, whole))
    print(file.name, flush=True)
    return file


async def _height(page: Page) -> int:
    """The whole page, unless it is very long."""
    whole = int(await page.evaluate("document.documentElement.scrollHeight"))
    return max(HEIGHT // 2, min(whole, LONGEST))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="*", default=[], metavar="NAME", help="names of screens")
    parser.add_argument("--to", type=Path, default=FOLDER, metavar="FOLDER")
    given = parser.parse_args()
    unknown = set(given.only) - {screen.name for screen in SCREENS}
    if unknown:
        sys.exit(
            f"There is no screen {', '.join(sorted(unknown))}; there are: {', '.join(each.name for each in SCREENS)}."
        )
    given.to.mkdir(parents=True, exist_ok=True)
    asyncio.run(take(given.to, set(given.only)))


if __name__ == "__main__":
    main()
