"""The executed notebooks as pages: complete and legible, every figure with a description."""

import pytest

from pages import RESULTS, WIDTHS

PAGES = sorted(file.relative_to(RESULTS) for file in RESULTS.glob("notebooks/*.html"))


def test_pages_exist():
    assert PAGES


@pytest.mark.parametrize("width", WIDTHS.values(), ids=WIDTHS)
@pytest.mark.parametrize("name", PAGES, ids=str)
def test_a_page_is_legible_and_its_figures_load(opened, legible, screenshots, name, width):
    page = opened(name, width)
    page.screenshot(path=screenshots / f"{name.stem}-{width}.png", full_page=True)
    legible(page)
    pictures = page.locator("img")
    assert pictures.count() or name.stem.startswith("variants"), "a notebook without a figure"
    for natural, alternative, shown in pictures.evaluate_all(
        "pictures => pictures.map((one) => [one.naturalWidth, one.alt, one.clientWidth])"
    ):
        assert natural > 100
        assert len(alternative) > 10
        assert shown * 7 / (6.5 * 72) >= 12, "the smallest text of a figure has 7 pt, and the figure is 6.5 inches wide"
    assert page.title().endswith(f"({name.stem})")
    assert page.locator("blockquote").first.inner_text().startswith("This run."), "the answer, before any figure"
    assert page.locator("details.code").count() > 2 and not page.locator("details[open]").count(), "code is folded"
    assert page.get_attribute("html", "lang") == "en"
