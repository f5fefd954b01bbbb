"""The report in a real browser: charts draw, runs switch, values show, nothing leaves the page, phones and dark."""

import json

import pytest

from tests.support.browsers import NO_BROWSER, browser_paths

OPTIONS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars")
PHONE, DESKTOP = (400, 850), (1280, 900)


@pytest.fixture(scope="module")
def browser():
    """A headless Chromium, or a skip that the end of the run repeats in red."""
    paths = browser_paths() or pytest.skip(NO_BROWSER)
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = paths[0]
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    for option in OPTIONS:
        options.add_argument(option)
    driver = webdriver.Chrome(options=options, service=Service(paths[1]))
    yield driver
    driver.quit()


@pytest.fixture
def show(browser):
    """Open a report at a size and in a colour scheme; the browser, its charts drawn."""

    def open_page(folder, size=DESKTOP, scheme="light", media=""):
        width, height = size
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": media, "features": features})
        browser.get((folder / "index.html").as_uri())
        failed = "clipbenchReport.ready.then(() => arguments[0](), (error) => arguments[0](error.stack))"
        assert browser.execute_async_script(failed) is None
        return browser

    return open_page


@pytest.fixture
def desktop(show, report):
    return show(report)


def count(browser, selector):
    return browser.execute_script("return document.querySelectorAll(arguments[0]).length", selector)


def of_run(number):
    """Lines of a run in the loss chart, by the colour that is its own."""
    return f'#chart-epoch_loss .mark-line path[stroke="var(--run{number})"]'


def said(browser):
    return [entry["message"] for entry in browser.get_log("browser")]


def settle(browser):
    """Let what a click began come to its end: two frames."""
    browser.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(() => arguments[0]()))")


def choose(browser, name, value):
    script = (
        "const s = document.getElementById(arguments[0]); s.value = arguments[1]; s.dispatchEvent(new Event('change'))"
    )
    browser.execute_script(script, f"history-{name}", value)
    settle(browser)


CHARTS = {"epoch_loss": 2, "epoch_recall": 4, "learning_rate": 1, "throughput": 1, "data_wait": 1}


def test_every_chart_draws_every_run(desktop):
    for name, curves in CHARTS.items():
        lines = desktop.execute_script(
            f"return [...document.querySelectorAll('#chart-{name} .mark-line path')].map(p => p.getBBox().width)"
        )
        assert len(lines) == 6 * curves, name
        assert min(lines) > 100, name
    assert count(desktop, "#chart-comparison .mark-symbol path") >= 6
    assert desktop.execute_script("return clipbenchReport.failures.length") == 0


def test_the_console_stays_silent(desktop):
    assert said(desktop) == []


def test_no_request_leaves_the_page(show, report, browser):
    browser.get_log("performance")
    show(report)
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
    assert asked == [(report / "index.html").as_uri()]


def test_a_run_switches_off_and_on(desktop):
    assert count(desktop, of_run(2)) == 2
    box = desktop.find_element("css selector", 'input[data-switch="1"]')
    desktop.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", box)
    box.click()
    settle(desktop)
    assert count(desktop, of_run(2)) == 0 and count(desktop, of_run(1)) == 2
    assert count(desktop, 'td[data-run="1"]:not([hidden])') == 0
    box.send_keys(" ")  # by the keyboard too
    settle(desktop)
    assert count(desktop, of_run(2)) == 2
    assert said(desktop) == []


def test_all_runs_off_leaves_empty_charts_and_no_complaint(desktop):
    desktop.execute_script("for (const box of document.querySelectorAll('input[data-switch]')) box.click()")
    settle(desktop)
    assert count(desktop, "#chart-epoch_loss .mark-line path") == 0
    assert said(desktop) == []


def test_hovering_shows_the_values_of_every_run(desktop, results):
    from selenium.webdriver import ActionChains

    chart = desktop.find_element("css selector", "#chart-epoch_loss svg")
    desktop.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", chart)
    width = chart.size["width"]
    ActionChains(desktop).move_to_element_with_offset(chart, 0, 0).perform()
    ActionChains(desktop).move_to_element_with_offset(chart, width // 2 - 20, 10).perform()
    settle(desktop)
    tip = desktop.find_element("id", "vg-tooltip-element")
    assert tip.is_displayed()
    assert "epoch 4" in tip.text and "validation" in tip.text
    newest = max(results, key=lambda result: result.started).epochs[-1]
    assert f"{newest.train_loss:.3g}" in tip.text and f"{newest.val_loss:.3g}" in tip.text
    assert len(tip.find_elements("css selector", "tr")) == 7  # a head and six runs


def test_values_are_there_as_a_table(desktop):
    desktop.execute_script("document.querySelector('details.values').open = true")
    settle(desktop)
    settle(desktop)
    assert count(desktop, "details.values[open] tbody tr") == 4 * 6


def column(browser, table, number):
    """What is in a column of a table, row by row, of those that are shown."""
    rows = f"[...document.querySelectorAll('#{table} tbody tr:not([hidden])')]"
    return browser.execute_script(f"return {rows}.map((row) => row.cells[{number}].textContent)")


def test_the_table_of_runs_sorts_by_click_and_by_keyboard_and_filters(desktop):
    heads = desktop.find_elements("css selector", "#run-table thead th")
    recall = next(number for number, head in enumerate(heads) if head.text.startswith("Recall"))
    as_written = column(desktop, "run-table", recall)
    button = heads[recall].find_element("css selector", "button")
    button.click()
    *passing, lost = column(desktop, "run-table", recall)
    figures = [float(text[:5]) for text in passing]
    assert heads[recall].get_attribute("aria-sort") == "descending" and figures == sorted(figures, reverse=True)
    assert lost.startswith("✕ 8")  # twelve points
    button.send_keys(" ")
    assert heads[recall].get_attribute("aria-sort") == "ascending"
    assert column(desktop, "run-table", recall)[0] == lost
    button.send_keys("\n")
    assert heads[recall].get_attribute("aria-sort") is None
    assert column(desktop, "run-table", recall) == as_written
    box = desktop.find_element("css selector", "[data-filter=run-table]")
    box.send_keys("PASS other")  # every word, in any case
    assert len(column(desktop, "run-table", 0)) == 2
    assert desktop.find_element("css selector", "[data-found=run-table]").text == "2 of 12"
    box.send_keys(" nothing")
    assert column(desktop, "run-table", 0) == []
    assert said(desktop) == []


def test_the_history_has_every_result_of_its_series_and_the_band_and_sorts(desktop):
    choose(desktop, "series", "1")
    assert count(desktop, "#chart-history .mark-symbol path") == 10
    assert count(desktop, "#chart-history .mark-area path") == 1
    assert count(desktop, '#chart-history .mark-symbol path[fill="var(--fail)"]') == 1
    key = desktop.find_element("id", "history-key").text
    assert "pass" in key and "fail" in key
    assert "reference 96.38" in desktop.find_element("id", "history-band").text
    assert count(desktop, "#history-table tbody tr") == 10
    head = desktop.find_element("css selector", "#history-table thead th:nth-child(4) button")
    desktop.execute_script("arguments[0].click()", head)
    figures = [float(text.split()[0]) for text in column(desktop, "history-table", 3)]
    assert len(figures) == 10 and figures == sorted(figures, reverse=True)
    desktop.find_element("css selector", "[data-filter=history-table]").send_keys("fail")
    assert [float(text.split()[0]) for text in column(desktop, "history-table", 3)] == [min(figures)]


def test_the_history_goes_by_commit_and_other_metrics(desktop, results):
    choose(desktop, "series", "1")
    choose(desktop, "by", "commit")
    labels = desktop.find_element("css selector", "#chart-history svg").get_attribute("textContent")
    assert results[0].clipbench.commit[:10] in labels
    throughput = desktop.execute_script(
        "return [...document.getElementById('history-metric').options].find(o => o.text === 'Throughput').value"
    )
    choose(desktop, "metric", throughput)
    assert desktop.find_element("id", "history-title").text == "Throughput"
    assert count(desktop, "#chart-history .mark-symbol path") == 10
    assert said(desktop) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_scrolls_sideways_on_a_phone(show, report, scheme):
    phone = show(report, PHONE, scheme)
    phone.execute_script("for (const box of document.querySelectorAll('details')) box.open = true")
    settle(phone)
    wide = """return [...document.querySelectorAll('body *')].filter((e) => {
        const box = e.getBoundingClientRect();
        return box.width && box.right > innerWidth + 1 && !e.closest('.scroll, .switch, svg, table.cards thead');
    }).map((e) => e.tagName + '.' + e.className)"""
    assert phone.execute_script("return document.documentElement.scrollWidth") <= PHONE[0]
    assert phone.execute_script(wide) == []


def contrast(one, other):
    """WCAG 2's contrast ratio of two CSS colours."""
    levels = []
    for colour in (one, other):
        channels = [int(part) / 255 for part in colour[colour.index("(") + 1 : -1].split(",")[:3]]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        levels.append(0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] + 0.05)
    return max(levels) / min(levels)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_and_lines_stand_out_in_both_schemes(show, report, scheme):
    page = show(report, DESKTOP, scheme)
    style = "return getComputedStyle(document.querySelector(arguments[0]))[arguments[1]]"
    behind = page.execute_script(style, "body", "backgroundColor")
    assert (contrast(behind, "rgb(255,255,255)") < 1.5) == (scheme == "light")
    for selector in ("h1", ".quiet", ".badge.pass", "#chart-epoch_loss .role-axis-label text"):
        colour = page.execute_script(style, selector, "fill" if "text" in selector else "color")
        assert contrast(behind, colour) >= 4.5, selector
    for number in range(1, 7):
        assert contrast(behind, page.execute_script(style, of_run(number), "stroke")) >= 3, number


def test_print_is_light_and_has_the_charts(show, report):
    page = show(report, (794, 1100), "dark", "print")
    behind = page.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert contrast(behind, "rgb(255,255,255)") == 1
    assert count(page, "#chart-epoch_loss .mark-line path") == 12
    assert page.execute_script("return getComputedStyle(document.querySelector('nav')).display") == "none"
    # The right side of what does not fit is lost on paper.
    assert page.execute_script("return document.documentElement.scrollWidth") <= 794


def test_runs_differ_in_more_than_colour(desktop):
    shapes = desktop.execute_script(
        "return [...document.querySelectorAll('#chart-learning_rate .mark-symbol path')].map(p => p.getAttribute('d'))"
    )
    dashes = desktop.execute_script(
        "return [...document.querySelectorAll('#chart-epoch_recall .mark-line path')]"
        ".map(p => p.getAttribute('stroke-dasharray'))"
    )
    assert len(set(shapes)) == 6 and len(set(dashes)) == 4


def test_what_a_user_wrote_runs_nowhere(show, hostile_report):
    page = show(hostile_report)
    choose(page, "by", "commit")
    page.execute_script("document.querySelector('details.values').open = true")
    settle(page)
    assert page.execute_script("return window.pwned === undefined")
    assert count(page, "img") == 0
    assert said(page) == []
