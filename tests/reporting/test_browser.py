"""The report in a real browser: headless Chromium, driven by selenium."""

from __future__ import annotations

import pytest
from sklearn.metrics import confusion_matrix

from skdpnet import explain_class
from tests.display.models import shared_linear, shared_nonlinear
from tests.reporting.browser import (
    By,
    Keys,
    Select,
    click,
    find,
    in_view,
    luminance,
    resize,
    start_browser,
    visible,
)
from tests.reporting.pages import NAMES, many_classes, report_of_shared_parts

NO_SCRIPTS = {"profile.managed_default_content_settings.javascript": 2}


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """Return a function that starts browsers, which end with the tests."""
    started = []

    def start_another(**preferences):
        profile = tmp_path_factory.mktemp("profile")
        started.append(start_browser(profile, **preferences))
        return started[-1]

    yield start_another
    for browser in started:
        browser.quit()


@pytest.fixture(scope="module")
def chromium(start):
    return start()


@pytest.fixture
def page(chromium, written):
    """The page in a browser, loaded anew."""
    resize(chromium, 1280)
    chromium.get("about:blank")
    chromium.get(written.path.as_uri())
    return chromium


def test_the_page_loads_with_all_its_images_and_runs_nothing_else(page):
    assert page.get_log("browser") == []
    assert page.execute_script("return performance.getEntriesByType('resource')") == []
    sizes = page.execute_async_script(
        """
        const done = arguments[0];
        const rules = [...document.styleSheets].flatMap((sheet) => [...sheet.cssRules]);
        const uris = rules.map((rule) => rule.style && rule.style.backgroundImage)
          .filter((uri) => uri && uri.startsWith('url('))
          .map((uri) => uri.slice(5, -2));
        const heat = [...document.querySelectorAll('svg image')];
        uris.push(...heat.map((node) => node.href.baseVal));
        Promise.all(uris.map(async (uri) => {
          const image = new Image();
          image.src = uri;
          await image.decode();
          return image.naturalWidth;
        })).then(done, (error) => done(String(error)));
        """
    )
    assert len(sizes) > 30
    assert min(sizes) > 0
    # An alert would have stopped all this: and no name became an element.
    assert page.execute_script("return document.scripts.length") == 2
    headings = [node.text for node in visible(page, ".class-section h3")]
    assert sorted(headings) == sorted(NAMES)
    drawn = page.execute_script(
        "return [...document.querySelectorAll('.crop, .pixels')].filter((node) =>"
        "!getComputedStyle(node).backgroundImage.startsWith('url(\"data:')).length"
    )
    assert drawn == 0


def test_a_blocked_script_would_not_run(page):
    page.execute_script(
        "const s = document.createElement('script'); s.textContent = 'window.ran = 1';"
        "document.body.append(s)"
    )
    assert page.execute_script("return window.ran") is None
    (refused,) = page.get_log("browser")
    assert "Content Security Policy" in refused["message"]


def test_links_lead_from_image_to_part_to_class_and_back(page):
    link = find(page, ".image.wrong .contributions a.part")
    part = link.get_attribute("hash")
    click(link)
    assert in_view(page, part)
    section = page.execute_script(
        "return document.querySelector(arguments[0]).closest('section')", part
    )
    thumbnail = section.find_element(By.CSS_SELECTOR, "a.thumbnail")
    click(thumbnail)
    image = thumbnail.get_attribute("hash")
    assert in_view(page, image)
    link = find(page, f"{image} h3 a.class")
    click(link)
    assert in_view(page, link.get_attribute("hash"))
    page.back()
    assert in_view(page, image)
    page.back()
    assert in_view(page, part)
    badge = find(page, ".image.wrong a.badge")
    click(badge)
    assert in_view(page, badge.get_dom_attribute("href"))


def test_the_search_shows_the_matching_classes_alone(page):
    box = find(page, "#sought")
    box.send_keys("PLAIN")
    assert find(page, "#found").text == "1 of 6: plain"
    assert [node.text for node in visible(page, ".class-section h3")] == ["plain"]
    assert len(visible(page, "#class-table tbody tr")) == 1
    number = find(page, "#found a").get_attribute("hash").removeprefix("#class-")
    images = visible(page, ".image")
    assert images
    for card in images:
        assert number in card.get_attribute("data-classes").split()
    box.send_keys(Keys.ENTER)
    assert in_view(page, f"#class-{number}")
    box.clear()
    box.send_keys("no such bird")
    assert find(page, "#found").text == "0 of 6"
    assert visible(page, ".class-section") == []
    # A link to what the search hides ends the search.
    page.execute_script("location.hash = 'class-0'")
    assert in_view(page, "#class-0")
    assert box.get_attribute("value") == ""
    assert len(visible(page, ".class-section h3")) == 6


def test_right_and_wrong_images_are_shown_apart(page):
    for which, other in (("wrong", "right"), ("right", "wrong")):
        click(find(page, f"[name=which][value={which}]"))
        assert visible(page, f".image.{which}")
        assert not visible(page, f".image.{other}")


def test_classes_are_sorted(page):
    def shown():
        rows = page.find_elements(By.CSS_SELECTOR, "#class-table tbody tr")
        return [float(row.get_attribute("data-recall")) for row in rows]

    before = shown()
    button = find(page, "#class-table [data-sort=recall] button")
    button.send_keys(Keys.ENTER)
    assert shown() == sorted(before)
    head = find(page, "#class-table [data-sort=recall]")
    assert head.get_attribute("aria-sort") == "ascending"
    button.send_keys(Keys.ENTER)
    assert shown() == sorted(before, reverse=True)


def test_two_classes_are_compared(page, written):
    a, b = written.labels.index("plain"), written.labels.index(NAMES[0])
    for name, c in (("a", a), ("b", b)):
        Select(find(page, f"#class-{name}")).select_by_value(str(c))
    heads = [find(page, f"#head-{name}").text for name in "ab"]
    assert heads == ["plain", NAMES[0]]
    rows = visible(page, "#comparison tbody tr")
    assert 2 <= len(rows) <= 4
    for row in rows:
        link = row.find_element(By.CSS_SELECTOR, "a.part").get_attribute("hash")
        part = int(link.removeprefix("#part-"))
        assert row.find_elements(By.CSS_SELECTOR, ".crop")
        for cell, c in zip(
            row.find_elements(By.CSS_SELECTOR, "td"), (a, b), strict=True
        ):
            why = explain_class(
                written.model,
                written.labels[c],
                written.X_test[written.y_test == written.labels[c]],
            )
            shown, weight = cell.text.replace("\N{MINUS SIGN}", "-").split("\nweight ")
            assert float(shown) == pytest.approx(why.contributions[part], abs=0.006)
            assert float(weight) == pytest.approx(why.weights[part], abs=0.006)
    button = find(page, "#confusions button.compare")
    click(button)
    assert in_view(page, "#compare")
    pair = button.get_attribute("data-pair").split()
    chosen = [find(page, f"#class-{name}").get_attribute("value") for name in "ab"]
    assert chosen == pair


def test_heat_maps_are_switched_on_and_rows_light_up_their_boxes(page):
    card = find(page, ".image.wrong .decision")
    heat = card.find_element(By.CSS_SELECTOR, ".heat")
    assert heat.value_of_css_property("visibility") == "hidden"
    click(card.find_element(By.CSS_SELECTOR, ".heat-switch + label"))
    assert heat.value_of_css_property("visibility") == "visible"
    row = card.find_element(By.CSS_SELECTOR, "tr[data-mark]")
    page.execute_script("arguments[0].querySelector('a').focus()", row)
    mark = row.get_attribute("data-mark")
    lit = card.find_elements(By.CSS_SELECTOR, ".lit")
    assert {node.get_attribute("data-mark") for node in lit} == {mark}
    assert len(lit) == 3  # the row, the frame and its badge


def test_the_keyboard_reaches_everything_and_shows_where_it_is(page, written):
    def press(key):
        page.switch_to.active_element.send_keys(key)
        return page.switch_to.active_element

    skip = press(Keys.TAB)
    assert skip.get_attribute("class") == "skip"
    assert skip.size["height"] > 20
    sections = ["#summary", "#confusions", "#classes", "#compare", "#images"]
    for section in sections:
        node = press(Keys.TAB)
        assert node.get_attribute("hash") == section
        assert node.value_of_css_property("outline-style") == "solid"
    press(Keys.ENTER)
    assert in_view(page, "#images")
    find(page, "nav a:last-child").send_keys(Keys.TAB)
    assert page.switch_to.active_element.get_attribute("id") == "sought"
    press(Keys.TAB)
    assert page.execute_script("return document.activeElement.closest('main') !== null")
    find(page, ".skip").send_keys(Keys.ENTER)
    assert page.switch_to.active_element.get_attribute("id") == "main"
    problems = page.execute_script(
        """
        const seen = [...document.querySelectorAll(
          'a, button, input, select, [role=img], [role=region]')]
          .filter((node) => !node.closest('[aria-hidden=true]'));
        const label = (node) => node.textContent.trim() || node.title
          || node.getAttribute('aria-label') || (node.labels && node.labels.length);
        return seen.filter((node) => !label(node)
          || (!node.matches('[role=img]') && node.tabIndex < 0)).length;
        """
    )
    assert problems == 0


@pytest.mark.parametrize("width", [360, 390, 768, 1280])
def test_nothing_is_wider_than_the_screen(page, width):
    resize(page, width)
    wide = page.execute_script(
        """
        for (const node of document.querySelectorAll('.class-section, .image')) {
          node.style.contentVisibility = 'visible';
        }
        const width = document.documentElement.clientWidth;
        const aside = (node) => node.closest('.unseen, .skip')
          || node.parentElement.closest('.scrolled, svg');
        return [...document.body.querySelectorAll('*')]
          .filter((node) => !aside(node))
          .filter((node) => node.getBoundingClientRect().right > width + 1)
          .map((node) => node.outerHTML);
        """
    )
    assert wide == []
    shown = page.execute_script("return document.documentElement.scrollWidth")
    assert width - 20 < shown <= width


def test_the_page_shows_everything_without_scripts(start, written):
    browser = start(**NO_SCRIPTS)
    browser.get(written.path.as_uri())
    assert [node.text for node in visible(browser, "nav a")] == [
        "Summary",
        "Confusions",
        "Classes",
        "Images",
    ]
    assert not visible(browser, "button, select, [type=search], [type=radio]")
    assert len(visible(browser, ".class-section h3")) == 6
    card = find(browser, ".image .decision")
    heat = card.find_element(By.CSS_SELECTOR, ".heat")
    click(card.find_element(By.CSS_SELECTOR, ".heat-switch + label"))
    assert heat.value_of_css_property("visibility") == "visible"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_the_page(page, scheme):
    feature = {"name": "prefers-color-scheme", "value": scheme}
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
    colours = page.execute_script(
        "const style = getComputedStyle(document.body);"
        "return [style.backgroundColor, ...['--text', '--quiet', '--link', '--right',"
        "'--wrong'].map((name) => style.getPropertyValue(name))]"
    )
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    ground, *texts = map(luminance, colours)
    assert (ground < 0.1) == (scheme == "dark")
    for text in texts:
        light, dark = max(text, ground), min(text, ground)
        assert (light + 0.05) / (dark + 0.05) >= 4.5  # WCAG 2, level AA


def test_in_print_everything_is_there_but_the_controls(page):
    find(page, "#sought").send_keys("plain")
    page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    try:
        assert len(visible(page, ".class-section h3")) == 6
        assert not visible(page, "header, button.compare, select, input")
        assert visible(page, ".image.wrong")
        assert visible(page, ".image.right")
    finally:
        page.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


def test_the_matrix_of_many_classes_says_what_its_cells_count(chromium, tmp_path):
    written = many_classes(tmp_path)
    chromium.get(written.path.as_uri())
    matrix = find(chromium, "#matrix")
    matrix.send_keys(Keys.ARROW_DOWN)  # the first key only shows the cursor
    counts = confusion_matrix(written.y_test, written.predicted, labels=written.labels)
    for steps, key in ((2, Keys.ARROW_DOWN), (3, Keys.ARROW_RIGHT)):
        matrix.send_keys(key * steps)
    total = counts[2].sum()
    text = find(chromium, "#cell").text
    expected = f"{counts[2, 3]} of {total} images of {written.labels[2]} taken for "
    assert text.removesuffix("compare").strip() == expected + written.labels[3]
    matrix.send_keys(Keys.ARROW_LEFT)
    text = find(chromium, "#cell").text
    assert text == f"{counts[2, 2]} of {total} images of {written.labels[2]} recognised"
    matrix.send_keys(Keys.ENTER)
    assert chromium.switch_to.active_element.get_attribute("hash") == "#class-2"
    assert chromium.get_log("browser") == []


@pytest.mark.parametrize("make", [shared_linear, shared_nonlinear])
def test_shared_parts_are_linked_searched_and_compared(chromium, tmp_path, make):
    written = report_of_shared_parts(tmp_path, make)
    resize(chromium, 1280)
    chromium.get(written.path.as_uri())
    entries = [f"#part-{p}" for p in (1, 4, 5)]
    for entry in entries:
        click(find(chromium, f".decision a.part[href='{entry}']"))
        assert in_view(chromium, entry)
    users = find(chromium, entries[0]).get_attribute("data-classes").split()
    for label, c in (("blue", "0"), ("green", "1"), ("red", "2")):
        box = find(chromium, "#sought")
        box.clear()
        box.send_keys(label)
        assert bool(visible(chromium, entries[0])) == (c in users)
    chromium.refresh()
    click(find(chromium, "#confusions button.compare"))
    rows = visible(chromium, "#comparison tbody tr")
    assert len(rows) > 2
    for row in rows:
        assert ("weight" in row.text) == (make is shared_linear)
    assert chromium.get_log("browser") == []
