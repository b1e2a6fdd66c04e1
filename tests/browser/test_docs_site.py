"""The documentation site: no broken links, no requests to the network, legible in both themes."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from pages import RESULTS, THEMES, WIDTHS

SITE = RESULTS / "docs"
# without copies of pages tested elsewhere, and without the 404 page, whose links need a server
LEFT_OUT = {"finished", "404.html"}
PAGES = sorted(file.relative_to(SITE).as_posix() for file in SITE.rglob("*.html") if not LEFT_OUT & {*file.parts})
ADDRESSES = "[...document.querySelectorAll('[href], [src]')].map((one) => one.href?.baseVal ?? one.href ?? one.src)"
IDENTIFIERS = "[...document.querySelectorAll('[id]')].map((one) => one.id)"


def test_every_link_has_a_target(opened):
    links, places = set(), {}
    for name in PAGES:
        page = opened(f"docs/{name}")
        places[(SITE / name).as_uri()] = set(page.evaluate(IDENTIFIERS))
        links |= {(name, address) for address in page.evaluate(ADDRESSES) if address.startswith("file:")}
        page.context.close()
    assert len(PAGES) > 30 and links
    broken = set()
    for name, address in links:
        parts = urlsplit(address)
        place, target = parts.fragment, parts._replace(fragment="", query="").geturl()
        known = place in places[target] | {"", "__search"} if target in places else not place
        if not (known and Path(unquote(parts.path)).is_file()):
            broken.add((name, address))
    assert not broken


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("width", WIDTHS.values(), ids=WIDTHS)
@pytest.mark.parametrize(
    "name", ["index", "estimators", "api/estimate", "api/Accumulator", "docs/library", "results", "gallery"]
)
def test_a_page_is_legible(opened, legible, screenshots, name, width, theme):
    page = opened(f"docs/{name}.html", width, theme)
    page.screenshot(path=screenshots / f"docs-{name.replace('/', '-')}-{width}-{theme}.png", full_page=True)
    page.wait_for_timeout(500)  # parts of the header fade while the window is resized for the screenshot
    legible(page)
    assert page.locator("h1:visible").count() == 1
    assert page.locator("img:not([alt])").count() == 0


def test_the_text_can_be_searched_and_read_by_keyboard(opened):
    page = opened("docs/index.html")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.matches('.md-skip')")
    page.keyboard.press("Enter")
    assert page.url.endswith("#importance-atlas")
    page.wait_for_timeout(500)  # a jump closes the search
    page.keyboard.press("/")
    page.keyboard.type("Synaptic Intelligence")
    page.wait_for_selector(".md-search-result__link")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_url("**/*.html?h=**")


def test_colours_are_switched_by_keyboard(opened):
    page = opened("docs/index.html")
    for scheme in ("slate", "default"):
        page.locator("label[for^=__palette]:visible").focus()
        page.keyboard.press("Enter")
        page.wait_for_selector(f"body[data-md-color-scheme={scheme}]")
