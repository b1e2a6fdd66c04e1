"""Fixtures that open pages of a finished run in a real browser and record every error and request."""

import csv
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from pages import REPOSITORY, RESULTS, WIDTHS

Open = Callable[..., Page]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    program = shutil.which("chromium")
    assert program, "there is no program 'chromium': run envs/install-chromium.sh"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program)
        yield browser
        browser.close()


@pytest.fixture
def opened(browser: Browser) -> Iterator[Open]:
    """Opens a page of the results; fails at the end if a page reported an error or requested anything but itself."""
    contexts, complaints = [], []

    def open_page(name: str, width: int = WIDTHS["desk"], theme: str = "light", hash: str = "") -> Page:
        file = RESULTS / name
        assert file.is_file(), f"there is no {file}: run `make paper docs` first, or name a folder of results"
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=theme)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(f"error: {error}"))
        page.on("request", lambda request: asked(request.url, file))
        page.goto(file.as_uri() + hash)
        return page

    def asked(url: str, file: Path) -> None:
        site = RESULTS / "docs"
        itself = url.partition("#")[0] == file.as_uri()
        itself |= file.is_relative_to(site) and url.startswith(site.as_uri())
        # content embedded in the page, and the browser's PDF viewer
        if not itself and not url.startswith(("data:", "blob:", "about:", "chrome-extension:", "chrome:")):
            complaints.append(f"request: {url}")

    yield open_page
    for context in contexts:
        context.close()
    assert not complaints


@pytest.fixture(scope="session")
def rows() -> Callable[[str], list[dict[str, str]]]:
    """The rows of a table of the results."""

    def read(table: str) -> list[dict[str, str]]:
        with open(RESULTS / "summary" / f"{table}.csv", newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))

    return read


@pytest.fixture(scope="session")
def screenshots() -> Path:
    """Folder for screenshots of the pages."""
    folder = REPOSITORY / "results/screenshots"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def legible() -> Callable[[Page], None]:
    """Asserts that all visible text has 12 px or more and a contrast of 4.5, is not cut off, and fits the width."""

    measure = Path(__file__).with_name("legibility.js").read_text(encoding="utf-8")

    def check(page: Page) -> None:
        page.evaluate("document.getAnimations().forEach((animation) => animation.finish())")  # text that fades in
        texts = page.evaluate(measure)
        assert texts
        small = {f"{text['text']}: {text['size']} px" for text in texts if text["size"] < 12}
        faint = {
            f"{text['text']}: {text['contrast']:.2f}"
            for text in texts
            if text["contrast"] < 4.5 and not text["disabled"]
        }
        assert not small
        assert not faint
        assert not {text["text"] for text in texts if text["cut"]}
        wide = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
        assert wide[0] <= wide[1], f"the page is {wide[0]} px wide on a screen of {wide[1]}"

    return check
