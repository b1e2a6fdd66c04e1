"""The documentation site (make docs): every link leads somewhere, no page complains, the content is one key away."""

import re
from urllib.parse import unquote

import pytest

from pages import RESULTS, WIDTHS

SITE = RESULTS / "docs"
PAGES = ("index.html", "gallery.html", "api/library.html", "api/estimators.html", "docs/library.html")


def targets(page: str) -> list[str]:
    return re.findall(r'(?:href|src)="?([^" >]+)', page)


def test_every_link_within_the_site_leads_to_a_file_and_an_anchor():
    broken = []
    for file in SITE.rglob("*.html"):
        if file.is_relative_to(SITE / "run") or file.name == "404.html":
            continue
        for target in targets(file.read_text(encoding="utf-8")):
            path, _, anchor = unquote(target).partition("#")
            if re.match(r"[a-z]+:", path):
                continue
            to = (file.parent / path).resolve() if path else file
            there = to.is_file() and (not anchor or f'id="{anchor}"' in to.read_text(encoding="utf-8"))
            if not there and anchor != "__skip":
                broken.append(f"{file.relative_to(SITE)}: {target}")
    assert not broken


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS.values(), ids=WIDTHS)
@pytest.mark.parametrize("name", PAGES)
def test_pages_are_legible_and_fit_the_screen(opened, screenshots, name, width, theme):
    page = opened(f"docs/{name}", width, theme)
    page.screenshot(path=screenshots / f"docs-{name.replace('/', '-')}-{width}-{theme}.png")
    assert page.locator("h1").first.is_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_the_keyboard_goes_to_the_content_first(opened):
    page = opened("docs/docs/library.html")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent.trim()") == "Skip to content"
