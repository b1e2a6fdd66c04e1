"""Snakemake's report: graph, run times, and every result with its caption."""

import base64

import pytest

from pages import RESULTS, WIDTHS

PAGE = "report.html"
CATEGORIES = ["Explorer", "Figures", "Notebooks", "Paper"]
SHOWN = "iframe:not(#before)"


def results(page) -> dict[str, dict]:
    return page.evaluate(
        "Object.fromEntries(Object.entries(results).map(([path, { data_uri, ...rest }]) => [path, rest]))"
    )


def to_menu(page) -> None:
    page.locator("nav a").nth(1).click()


@pytest.mark.parametrize("width", WIDTHS.values(), ids=WIDTHS)
def test_the_first_page_shows_title_and_graph(opened, legible, screenshots, width):
    page = opened(PAGE, width)
    page.wait_for_selector("#rulegraph svg, #rulegraph canvas")
    page.screenshot(path=screenshots / f"report-{width}.png")
    assert page.get_by_role("heading", name="Importance Atlas").is_visible()
    for category in CATEGORIES:
        assert page.locator("nav").get_by_text(category, exact=True).is_visible()
    legible(page)


def test_the_graph_contains_rules_with_their_commands(opened):
    page = opened(PAGE)
    page.wait_for_selector("#rulegraph canvas, #rulegraph svg")
    names = page.evaluate("Object.keys(rules)")
    assert {"baseline", "importance", "retention", "correlation", "notebook_correlation", "explorer", "paper"} <= set(
        names
    )
    assert page.evaluate("rules['importance'].code !== undefined")


def test_statistics_show_run_times(opened, screenshots):
    page = opened(PAGE)
    page.get_by_text("Statistics", exact=True).first.click()
    page.wait_for_selector("#runtimes canvas, #runtimes svg")
    page.wait_for_selector("#timeline canvas, #timeline svg")
    page.screenshot(path=screenshots / "report-statistics.png")


def test_every_result_has_caption_label_and_content(opened):
    page = opened(PAGE)
    results_shown = results(page)
    kinds = {
        "figures/": "application/pdf",
        "notebooks/": "text/html",
        "paper/": "application/pdf",
        "explorer": "text/html",
    }
    for start, kind in kinds.items():
        of_kind = {path: one for path, one in results_shown.items() if path.startswith(f"results/{start}")}
        assert of_kind, f"no results/{start}"
        assert {one["mime_type"] for one in of_kind.values()} == {kind}
    assert {path.removeprefix("results/") for path in results_shown} == {
        str(file.relative_to(RESULTS))
        for pattern in ("figures/*.pdf", "notebooks/*.html", "paper/main.pdf", "explorer.html")
        for file in RESULTS.glob(pattern)
    }
    for path, one in results_shown.items():
        assert len(one["caption"]) > 30, f"{path} has no caption"
        assert one["labels"], f"{path} has no label"
        address = page.evaluate("path => results[path].data_uri", path)
        content = base64.b64decode(address.partition("base64,")[2])
        assert content == (RESULTS / path.removeprefix("results/")).read_bytes(), f"{path} differs from the report"


# number of pages in the browser's PDF viewer, once all are loaded
PAGES = """
() => {
  const bar = document.querySelector("pdf-viewer")?.shadowRoot?.querySelector("viewer-toolbar");
  return bar?.loadProgress === 100 ? bar.docLength : 0;
}
"""


def pages_in_viewer(page) -> int:
    """Pages of the displayed PDF file; 0 if none is displayed or readable."""
    for _ in range(40):
        page.wait_for_timeout(100)
        viewers = [frame for frame in page.frames if frame.url.startswith("chrome-extension:")]
        pages = viewers[-1].evaluate(PAGES) if viewers else 0
        if pages:
            return pages
    return 0


@pytest.mark.parametrize("category", CATEGORIES)
def test_every_result_opens_from_the_menu(opened, screenshots, category):
    page = opened(PAGE)
    page.get_by_text(category, exact=True).first.click()
    folders = page.evaluate("category => Object.keys(categories[category])", category)
    for folder in sorted(folders):
        if len(folders) > 1:
            page.locator("nav").get_by_text(folder, exact=True).first.click()
        rows = page.locator("nav tbody tr")
        assert rows.count() == len(page.evaluate("([a, b]) => categories[a][b]", [category, folder]))
        for place in range(rows.count()):
            row = rows.nth(place)
            assert len(row.locator("td").first.inner_text()) > 5
            page.evaluate("document.querySelector('iframe')?.setAttribute('id', 'before')")
            row.locator("a").first.click()
            page.wait_for_selector(SHOWN)
            if category in ("Notebooks", "Explorer"):
                assert page.frame_locator(SHOWN).locator("h1").first.inner_text()
            else:
                assert pages_in_viewer(page) >= (2 if category == "Paper" else 1)
        page.screenshot(path=screenshots / f"report-{category.lower()}-{folder}.png")
        if len(folders) > 1:
            page.evaluate("category => app.showCategory(category)", category)


def test_a_figure_has_its_caption(opened):
    page = opened(PAGE)
    path, one = next((path, one) for path, one in results(page).items() if "correlation_matrix-" in path)
    page.evaluate("path => app.showResultInfo(path)", path)
    assert "pair of estimators" in page.locator("nav").first.inner_text() and one["caption"]
