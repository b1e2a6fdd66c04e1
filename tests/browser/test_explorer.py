"""The explorer: numbers as in the tables, every control by mouse and by keyboard, read aloud, legible, silent."""

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


def test_it_is_one_small_file_that_may_connect_to_nothing():
    text = (RESULTS / PAGE).read_text(encoding="utf-8")
    assert len(text) < 10_000_000
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1]
    assert policy.startswith("default-src 'none'") and "unsafe" not in policy and "http" not in policy
    assert not re.search(r'(src|href)="(?!data:|#)', text)


class Welcoming(BaseHTTPRequestHandler):
    """Answers every page of every origin, and remembers what it was asked for."""

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
    """Of a server on this machine that would answer the page."""
    Welcoming.asked.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Welcoming) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


TRIES = {
    "fetch": "address => fetch(address + '/fetch').then(() => 'had', () => 'refused')",
    "image": "address => new Promise((done) => { const image = new Image();"
    " image.onload = () => done('had'); image.onerror = () => done('refused'); image.src = address + '/image' })",
    "script": "address => new Promise((done) => { const script = document.createElement('script');"
    " script.onload = () => done('had'); script.onerror = () => done('refused'); script.src = address + '/script';"
    " document.head.append(script) })",
}
"""Ways in which a page can ask for something, each of which says in the end whether it had it."""


def test_what_the_page_tries_to_fetch_is_refused(browser, address, tmp_path):
    """By its own policy alone: the same page without the policy reaches the server."""
    text = (RESULTS / PAGE).read_text(encoding="utf-8")
    bare = tmp_path / "bare.html"
    bare.write_text(re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", text), encoding="utf-8")
    page = browser.new_page()
    page.goto((RESULTS / PAGE).as_uri())
    assert {name: page.evaluate(attempt, address) for name, attempt in TRIES.items()} == dict.fromkeys(TRIES, "refused")
    assert Welcoming.asked == []
    page.goto(bare.as_uri())
    assert page.evaluate(TRIES["fetch"], address) == "had"
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
def test_axe_finds_nothing(opened, width, theme):
    page = opened(PAGE, width, theme)
    page.wait_for_selector("#density svg")
    page.evaluate("document.querySelectorAll('details').forEach((details) => { details.open = true })")
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


def test_every_study_is_shown(opened):
    page = opened(PAGE)
    page.wait_for_selector("#density svg")
    for study in studies(page):
        page.select_option("#study", study["name"])
        assert chosen(page)["study"] == study["name"]
        assert page.locator("#summary").inner_text()
        if len(study["estimators"]) > 1:
            assert page.locator("#density svg").count() >= 1
            assert page.locator("#agreement svg .mean").count() >= 1
            assert page.locator("#layers svg .mean").count() >= 1
        else:
            assert page.locator("#density p").inner_text()
        if study["retention"]:
            assert page.locator("#retention svg .marker").count() >= 1


def test_a_study_without_networks_of_its_own_leads_to_the_one_that_has_them(opened):
    page = opened(PAGE)
    page.wait_for_selector("#density svg")
    study = next(study for study in studies(page) if study["like"] and not study["estimators"])
    page.select_option("#study", study["name"])
    page.click("#density a")
    assert page.input_value("#study") == study["like"]
    assert page.locator("#density svg").count() >= 1


def test_coefficients_are_those_of_the_table(opened, rows):
    page = opened(PAGE)
    page.wait_for_selector("#density svg")
    study = with_pairs(page)
    page.select_option("#study", study["name"])
    found = [row for row in rows("correlation") if row["study"] == study["name"]]
    for first, second in [study["estimators"][:2], study["estimators"][:-3:-1]]:
        page.select_option("#first", first)
        page.select_option("#second", second)
        for layer in (study["tensors"][0]["name"], "all"):
            page.select_option("#layer", layer)
            here = [
                row
                for row in found
                if {row["estimator_a"], row["estimator_b"]} == {first, second} and row["tensor"] == layer
            ]
            drawn = [number(cells[1]) for cells in table(page, "agreement")]
            for (name, _), value in zip(page.evaluate("DATA.coefficients"), drawn, strict=True):
                values = [float(row["value"]) for row in here if row["coefficient"] == name]
                assert value == pytest.approx(mean(values), abs=6e-4, nan_ok=True)


def test_retention_is_that_of_the_table(opened, rows):
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


def test_densities_hold_every_weight_that_is_counted(opened):
    """What the browser unpacks, against the counts that stand beside it; cells tell counts within 9 %."""
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


def test_every_control_works_by_mouse(opened):
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
    assert page.input_value("#second") == study["names"][1], "they change places, as both the same would show nothing"
    if study["pruning"]:
        page.click("#scopes label:last-of-type")
        assert chosen(page)["scope"] == "network"
    for theme, colour in (("Dark", "rgb(16, 18, 21)"), ("Light", "rgb(246, 244, 239)")):
        page.click(f"label:text('{theme}')")
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == colour
    page.click("#density-table summary")
    assert page.locator("#density-table table").is_visible()


def test_every_control_works_by_keyboard(opened):
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
    assert [name for name in reached if name in wanted] == wanted, "in the order in which they stand"
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


def test_what_is_shown_is_read_aloud(opened):
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


def test_an_address_leads_back_to_what_was_seen(opened):
    page = opened(PAGE)
    page.wait_for_selector("#density svg")
    study = with_pairs(page)
    page.select_option("#study", study["name"])
    page.select_option("#layer", "all")
    page.select_option("#first", study["names"][-1])
    page.select_option("#coefficient", "spearman")
    address, summary = page.url.partition("#")[2], page.locator("#summary").inner_text()
    again = opened(PAGE, hash=f"#{address}")
    again.wait_for_selector("#summary:has-text('all parameters')")
    assert again.locator("#summary").inner_text() == summary
    assert chosen(again) == {} or chosen(again) == chosen(page)


def test_an_address_of_something_else_is_told(opened):
    page = opened(PAGE, hash="#study=nonsense&layer=%3Cb%3E")
    page.wait_for_selector("#density svg")
    assert "unknown names: study “nonsense”, layer “<b>”" in page.locator("#summary").inner_text()


def test_charts_follow_the_width_of_the_window(opened):
    page = opened(PAGE)
    page.wait_for_selector("#density svg")
    page.set_viewport_size({"width": 390, "height": 800})
    page.wait_for_function("document.querySelector('#layers svg').clientWidth < 380")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_it_is_there_at_once(opened):
    page = opened(PAGE)
    page.wait_for_selector("#density svg")
    shown = page.evaluate(
        "performance.getEntriesByType('paint').find((entry) => entry.name.includes('contentful')).startTime"
    )
    drawn = page.evaluate("(() => { const start = performance.now(); show(); return performance.now() - start })()")
    assert shown < 3000
    assert drawn < 500
