"""The explorer: numbers of the tables, controls by mouse and keyboard, screen readers, legibility, no requests."""

import math
import re
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from statistics import mean
from threading import Thread
from typing import ClassVar
from urllib.parse import parse_qs

import pytest
from axe_playwright_python.sync_playwright import Axe

from pages import RESULTS, THEMES, WIDTHS

PAGE = "explorer.html"
DESK = WIDTHS["desk"]


def chosen(page) -> dict[str, str]:
    return {key: values[0] for key, values in parse_qs(page.url.partition("#")[2]).items()}


def studies(page) -> list[dict]:
    return page.evaluate("DATA.studies")


def with_pairs(page) -> dict:
    """The first study that compares two estimators and retains both."""
    return next(study for study in studies(page) if len(study["estimators"]) > 1 and study["retention"])


def table(page, name: str) -> list[list[str]]:
    """The rows of a chart's table, opened."""
    page.locator(f"#{name}-table").evaluate("element => element.open = true")
    return page.locator(f"#{name}-table tbody tr").evaluate_all(
        "rows => rows.map((row) => [...row.children].map((cell) => cell.textContent))"
    )


def number(text: str) -> float:
    cleaned = text.replace("−", "-").replace("≈ ", "").replace(",", "")
    return float(cleaned) if re.search(r"\d", cleaned) else math.nan


def test_the_page_is_one_small_file_without_connections():
    text = (RESULTS / PAGE).read_text(encoding="utf-8")
    assert len(text) < 10_000_000
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1]
    assert policy.startswith("default-src 'none'") and "unsafe" not in policy and "http" not in policy
    assert not re.search(r'(src|href)="(?!data:|#)', text)


class Welcoming(BaseHTTPRequestHandler):
    """Answers pages of every origin, and records requests."""

    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.send_response(200)
        self.send_header("Access-Control-Allow-Origin", "*")
        self.end_headers()
        self.wfile.write(b"here")

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def address() -> Iterator[str]:
    """The address of a local server that would answer the page."""
    Welcoming.asked.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Welcoming) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


TRIES = {
    "fetch": "address => fetch(address + '/fetch').then(() => 'loaded', () => 'refused')",
    "image": "address => new Promise((done) => { const image = new Image();"
    " image.onload = () => done('loaded'); image.onerror = () => done('refused'); image.src = address + '/image' })",
    "script": "address => new Promise((done) => { const script = document.createElement('script');"
    " script.onload = () => done('loaded'); script.onerror = () => done('refused'); script.src = address + '/script';"
    " document.head.append(script) })",
}
"""Ways to request a resource from a page; each returns ``loaded`` or ``refused``."""


def test_the_policy_refuses_all_requests(browser, address, tmp_path):
    """The same page without the policy reaches the server."""
    text = (RESULTS / PAGE).read_text(encoding="utf-8")
    bare = tmp_path / "bare.html"
    bare.write_text(re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", text), encoding="utf-8")
    page = browser.new_page()
    page.goto((RESULTS / PAGE).as_uri())
    assert {name: page.evaluate(attempt, address) for name, attempt in TRIES.items()} == dict.fromkeys(TRIES, "refused")
    assert Welcoming.asked == []
    page.goto(bare.as_uri())
    assert page.evaluate(TRIES["fetch"], address) == "loaded"
    assert Welcoming.asked == ["/fetch"]
    page.close()


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("width", WIDTHS.values(), ids=WIDTHS)
def test_text_is_legible_with_all_tables_open(opened, legible, screenshots, width, theme):
    page = opened(PAGE, width, theme)
    page.wait_for_selector("#density svg")
    page.screenshot(path=screenshots / f"explorer-{width}-{theme}.png", full_page=True)
    page.evaluate("document.querySelectorAll('details').forEach((details) => { details.open = true })")
    legible(page)
    lines = page.locator("svg .curve, svg .whisker, svg .mean, svg .chosen").evaluate_all(
        "marks => [...new Set(marks.map((mark) => { const style = getComputedStyle(mark);"
        " return style.stroke === 'none' ? style.fill : style.stroke }))]"
    )
    assert len(lines) >= 3


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("width", WIDTHS.values(), ids=WIDTHS)
def test_axe_reports_no_violations(opened, width, theme):
    page = opened(PAGE, width, theme)
    page.wait_for_selector("#density svg")
    page.evaluate("document.querySelectorAll('details').forEach((details) => { details.open = true })")
    violations = Axe().run(page)
    assert violations.violations_count == 0, violations.generate_report()


def test_every_study_is_shown(opened):
    page = opened(PAGE)
    page.wait_for_selector("#density svg")
    for study in studies(page):
        page.select_option("#study", study["name"])
        assert chosen(page)["study"] == study["name"]
        assert page.locator("#summary").inner_text()
        if len(study["estimators"]) > 1:
            assert page.locator("#density svg").count() >= 1
            for chart in ("agreement", "layers"):  # a study without the analysis of correlation has a sentence instead
                assert page.locator(f"#{chart} svg .mean, #{chart} p").count() >= 1
        else:
            assert page.locator("#density p").inner_text()
        own = chosen(page)
        if study["retention"].keys() & {own["first"], own["second"]}:
            assert page.locator("#retention svg .marker").count() >= 1
        else:
            assert page.locator("#retention p").inner_text()


def test_a_study_that_reuses_networks_links_to_the_study_that_trained_them(opened):
    page = opened(PAGE)
    page.wait_for_selector("#density svg")
    study = next(study for study in studies(page) if study["like"] and not study["estimators"])
    page.select_option("#study", study["name"])
    page.click("#density a")
    assert page.input_value("#study") == study["like"]
    assert page.locator("#density svg").count() >= 1


def test_coefficients_equal_the_table(opened, rows):
    page = opened(PAGE)
    page.wait_for_selector("#density svg")
    study = with_pairs(page)
    page.select_option("#study", study["name"])
    coefficients = [row for row in rows("correlation") if row["study"] == study["name"]]
    for first, second in [study["estimators"][:2], study["estimators"][:-3:-1]]:
        page.select_option("#first", first)
        page.select_option("#second", second)
        for layer in (study["tensors"][0]["name"], "all"):
            page.select_option("#layer", layer)
            pair_rows = [
                row
                for row in coefficients
                if {row["estimator_a"], row["estimator_b"]} == {first, second} and row["tensor"] == layer
            ]
            drawn = [number(cells[1]) for cells in table(page, "agreement")]
            for (name, _), value in zip(page.evaluate("DATA.coefficients"), drawn, strict=True):
                values = [float(row["value"]) for row in pair_rows if row["coefficient"] == name]
                assert value == pytest.approx(mean(values), abs=6e-4, nan_ok=True)


def test_retention_equals_the_table(opened, rows):
    page = opened(PAGE)
    page.wait_for_selector("#density svg")
    study = with_pairs(page)
    page.select_option("#study", study["name"])
    name = next(name for name in study["names"] if name in study["retention"])
    page.select_option("#first", name)
    last = [
        row
        for row in rows("retention")
        if (row["study"], row["estimator"], row["split"]) == (study["name"], name, "test")
        and int(row["tasks_learnt"]) == study["tasks"]
    ]
    label = page.evaluate("name => label(name)", name)
    drawn = {cells[1]: cells for cells in table(page, "retention") if cells[0] == label}
    assert len(drawn) == len({row["lambda"] for row in last})
    chosen = {
        row["lambda"] for row in rows("selected_lambda") if (row["study"], row["estimator"]) == (study["name"], name)
    }
    for strength in {row["lambda"] for row in last}:
        cells = drawn[page.evaluate("text => plain(Number(text))", strength)]
        accuracies = [float(row["accuracy"]) for row in last if row["lambda"] == strength]
        if any(map(math.isnan, accuracies)):
            assert cells[2] == "diverged"
        else:
            assert number(cells[2]) == pytest.approx(100 * mean(accuracies), abs=0.06)
        assert (cells[6] == "yes") == (float(strength) in map(float, chosen))


def test_densities_contain_every_counted_weight(opened):
    """Compares the unpacked cells with the stored counts; cells are exact within 9 %."""
    page = opened(PAGE)
    page.wait_for_selector("#density svg")
    study = with_pairs(page)
    page.select_option("#study", study["name"])
    for tensor in study["tensors"]:
        page.select_option("#layer", tensor["name"])
        for pair in (study["estimators"][:2], study["estimators"][1::-1]):
            page.select_option("#first", pair[0])
            page.select_option("#second", pair[1])
            total = sum(number(cells[1]) for cells in table(page, "density"))
            assert total == pytest.approx(tensor["shown"][0], rel=0.0 if tensor["few"] else 0.09)
            if tensor["few"]:
                assert page.locator("#density circle").count() == tensor["shown"][0]


def test_exchanging_the_estimators_mirrors_the_density(opened):
    page = opened(PAGE)
    page.wait_for_selector("#density svg")
    study = with_pairs(page)
    page.select_option("#study", study["name"])
    large = next(tensor["name"] for tensor in study["tensors"] if not tensor["few"])
    page.select_option("#layer", large)
    cells = "(turned) => cellsOf(study().tensors.find(({ name }) => name === choice.layer), 0, turned)"
    before, after = page.evaluate(cells, False), page.evaluate(cells, True)
    assert sorted(map(tuple, before)) == sorted((row, column, count) for column, row, count in after)
    first, second = page.input_value("#first"), page.input_value("#second")
    page.click("#swap")
    assert (page.input_value("#first"), page.input_value("#second")) == (second, first)


def test_controls_work_by_mouse(opened):
    page = opened(PAGE)
    page.wait_for_selector("#density svg")
    study = with_pairs(page)
    page.select_option("#study", study["name"])
    for key, value in {
        "layer": study["tensors"][-1]["name"],
        "first": study["names"][1],
        "second": study["names"][0],
        "coefficient": "overlap_top10",
    }.items():
        page.select_option(f"#{key}", value)
        assert chosen(page)[key] == value
    page.select_option("#first", study["names"][0])
    assert page.input_value("#second") == study["names"][1], "equal choices are exchanged"
    if study["pruning"]:
        page.click("#scopes label:last-of-type")
        assert chosen(page)["scope"] == "network"
    for theme, colour in (("Dark", "rgb(16, 18, 21)"), ("Light", "rgb(246, 244, 239)")):
        page.click(f"label:text('{theme}')")
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == colour
    page.click("#density-table summary")
    assert page.locator("#density-table table").is_visible()


def test_controls_work_by_keyboard(opened):
    page = opened(PAGE)
    page.wait_for_selector("#density svg")
    page.select_option("#study", with_pairs(page)["name"])
    page.evaluate("document.activeElement.blur()")
    reached = []
    for _ in range(80):
        page.keyboard.press("Tab")
        focused = page.evaluate(
            "(() => {"
            " const at = document.activeElement, style = getComputedStyle(at);"
            " return [at.id || at.name || at.textContent.trim(), style.outlineStyle, at === document.body];"
            "})()"
        )
        if focused[2]:
            break
        reached.append(focused[0])
        assert focused[1] != "none", f"no visible focus on {focused[0]}"
    assert reached[0] == "Skip to the charts"
    wanted = ["theme", "study", "layer", "first", "swap", "second", "coefficient"]
    assert [name for name in reached if name in wanted] == wanted, "in reading order"
    assert sum(name.endswith("as a table") for name in reached) == page.locator("details:visible").count()

    for key in ("layer", "first", "coefficient"):
        before = page.input_value(f"#{key}")
        page.focus(f"#{key}")
        page.keyboard.press("ArrowDown")
        assert page.input_value(f"#{key}") != before
        assert chosen(page)[key] == page.input_value(f"#{key}")
    pair = page.input_value("#first"), page.input_value("#second")
    page.focus("#swap")
    page.keyboard.press("Enter")
    assert (page.input_value("#second"), page.input_value("#first")) == pair
    page.focus("input[name=theme]:checked")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.documentElement.dataset.theme") == "light"
    page.focus("#retention-table summary")
    page.keyboard.press("Enter")
    assert page.locator("#retention-table table").is_visible()


def test_changes_are_announced_to_screen_readers(opened):
    page = opened(PAGE)
    page.wait_for_selector("#density svg")
    study = with_pairs(page)
    page.select_option("#study", study["name"])
    status = page.get_by_role("status")
    before = status.inner_text()
    page.select_option("#layer", "all")
    assert "all parameters" in status.inner_text() and status.inner_text() != before
    for picture in page.locator("svg[role=img]").all():
        assert len(picture.get_attribute("aria-label")) > 20


def test_an_address_restores_the_view(opened):
    page = opened(PAGE)
    page.wait_for_selector("#density svg")
    study = with_pairs(page)
    page.select_option("#study", study["name"])
    page.select_option("#layer", "all")
    page.select_option("#first", study["estimators"][-1])
    page.select_option("#coefficient", "spearman")
    address, summary = page.url.partition("#")[2], page.locator("#summary").inner_text()
    again = opened(PAGE, hash=f"#{address}")
    again.wait_for_selector("#summary:has-text('all parameters')")
    assert again.locator("#summary").inner_text() == summary
    assert chosen(again) == {} or chosen(again) == chosen(page)


def test_unknown_names_in_an_address_are_reported(opened):
    page = opened(PAGE, hash="#study=nonsense&layer=%3Cb%3E")
    page.wait_for_selector("#density svg")
    assert "unknown names: study “nonsense”, layer “<b>”" in page.locator("#summary").inner_text()


def test_charts_follow_the_width_of_the_window(opened):
    page = opened(PAGE)
    page.wait_for_selector("#density svg")
    page.set_viewport_size({"width": 390, "height": 800})
    page.wait_for_function("document.querySelector('#layers svg').clientWidth < 380")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_the_page_appears_within_three_seconds(opened):
    page = opened(PAGE)
    page.wait_for_selector("#density svg")
    shown = page.evaluate(
        "performance.getEntriesByType('paint').find((entry) => entry.name.includes('contentful')).startTime"
    )
    drawn = page.evaluate("(() => { const start = performance.now(); show(); return performance.now() - start })()")
    assert shown < 3000
    assert drawn < 500
