"""The report in headless Chromium, at desktop and phone width, light, dark and on paper; skipped without one."""

import importlib.util
import os
import shutil
from itertools import pairwise
from pathlib import Path

import pytest

from bayespref.report import plots_style
from bayespref.report.html import write_report

pytestmark = pytest.mark.slow  # once is enough: what a browser does hangs on no version of Python

EVIL = (
    "<script>alert('x')</script>",
    "M" * 300,
    "שלום עולם",
    "🙂 & \"two\" 'one'",
    "evil \u202etxt.exe",
    "line\nbreak \x0b </svg><img src=x onerror=alert(1)>",
)
CONTRAST = """() => {
  const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const rgb = (text) => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = text; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data]; };
  const f = (c) => c / 255 <= .03928 ? c / 255 / 12.92 : ((c / 255 + .055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => {
    return .2126 * f(r) + .7152 * f(g) + .0722 * f(b); };
  const behind = (node) => { for (; node; node = node.parentElement) {
    const c = rgb(getComputedStyle(node).backgroundColor); if (c[3] === 255) return c; } return [255, 255, 255, 255]; };
  const found = [];
  for (const node of document.querySelectorAll('body *')) {
    if (![...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim())) continue;
    const [a, b] = [light(rgb(getComputedStyle(node).color)), light(behind(node))].sort((x, y) => y - x);
    found.push([(a + .05) / (b + .05), node.tagName + ': ' + node.textContent.trim().slice(0, 40)]);
  }
  return found;
}"""


def _chromium():
    named = os.environ.get("BAYESPREF_CHROMIUM")
    return named or next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture(scope="module")
def browser():
    if importlib.util.find_spec("playwright") is None:
        pytest.skip("playwright is not installed")
    if _chromium() is None:
        pytest.skip("no Chromium on PATH (apt install chromium, or name one in BAYESPREF_CHROMIUM)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as play:
        opened = play.chromium.launch(executable_path=_chromium(), args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def files(browser, tmp_path_factory):
    """Pages: a large table, a small one, and labels that mean harm; no fit is needed."""
    spec = importlib.util.spec_from_file_location("trees", Path(__file__).with_name("test_large.py"))
    trees = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(trees)
    html_of, tree_by_hand = trees.html_of, trees.tree_by_hand
    folder = tmp_path_factory.mktemp("pages")
    items = ("--", *EVIL)
    trees = {
        "large": tree_by_hand(100, 2, 1000, 40, alone=3),
        "small": tree_by_hand(1, 1, 2, 2),
        "evil": tree_by_hand(2, 2, len(items), len(items), alone=2, items=items, states=EVIL[:2], types=EVIL[2:4]),
    }
    made = {}
    for name, tree in trees.items():
        title = EVIL[0] if name == "evil" else name
        made[name] = write_report([html_of(*tree, title=title)], folder / f"{name}.html", title=title)
    both = [html_of(*trees["small"], title="one"), html_of(*trees["evil"], title="other")]
    made["two"] = write_report(both, folder / "two.html", title="two data sets")
    return made


@pytest.fixture
def page_of(browser, files):
    """Open a page, failing on whatever it asks of the network, complains about or pops up."""
    opened = []

    def open_(name, width, **settings):
        context = browser.new_context(viewport={"width": width, "height": 900}, **settings)
        opened.append(context)
        page = context.new_page()
        page.trouble = []
        page.on("console", lambda message: page.trouble.append(message.text))
        page.on("pageerror", lambda error: page.trouble.append(str(error)))
        page.on("dialog", lambda dialog: (page.trouble.append(dialog.message), dialog.dismiss()))
        page.on("request", lambda asked: page.trouble.append(asked.url[:60]) if asked.url.startswith("http") else None)
        page.goto(files[name].as_uri())
        return page

    yield open_
    for context in opened:
        context.close()


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("name", ["large", "small", "evil", "two"])
def test_a_page_fits_its_screen_shows_every_figure_and_asks_for_nothing(page_of, name, width):
    page = page_of(name, width)
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wide <= 0
    out = page.evaluate(
        """() => [...document.querySelectorAll('main *')].filter((one) => !one.closest('.scroll')
             && one.getBoundingClientRect().right > innerWidth + 1).map((one) => one.tagName + one.className)"""
    )
    assert out == []
    broken = page.evaluate("[...document.images].filter((one) => !one.complete || one.naturalWidth === 0).length")
    assert page.evaluate("document.images.length") >= 2
    assert broken == 0
    assert page.trouble == []


@pytest.mark.parametrize("name", ["evil", "two"])
def test_headings_descend_landmarks_are_named_and_every_reference_resolves(page_of, name):
    page = page_of(name, 1280)
    levels = page.evaluate("[...document.querySelectorAll('h1,h2,h3,h4,h5,h6')].map((one) => Number(one.tagName[1]))")
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    lost = page.evaluate(
        """() => [...document.querySelectorAll('[href^="#"], [aria-labelledby]')]
             .map((one) => one.getAttribute('aria-labelledby') ?? one.getAttribute('href').slice(1))
             .filter((id) => !document.getElementById(id))"""
    )
    assert lost == []
    twice = page.evaluate(
        "(() => { const ids = [...document.querySelectorAll('[id]')].map((one) => one.id); "
        "return ids.filter((id, i) => ids.indexOf(id) !== i); })()"
    )
    assert twice == []
    assert page.evaluate("document.documentElement.lang") == "en"
    for landmark in ("header", "nav", "main", "footer"):
        assert page.locator(f"body {landmark}").count() == 1
    assert page.evaluate("[...document.images].every((one) => one.alt.length > 20)")
    assert page.evaluate("[...document.querySelectorAll('th')].every((one) => one.scope)")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_stands_out_from_what_is_behind_it(page_of, scheme):
    page = page_of("two", 1280, color_scheme=scheme)
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    found = page.evaluate(CONTRAST)
    assert len(found) > 100
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)"
    assert dark == (scheme == "dark")
    assert [words for ratio, words in found if ratio < 4.5] == []


def test_colours_of_figures_stand_out_from_white_as_text_must():
    def light(colour):
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        red, green, blue = (c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    for colour in (*plots_style.CYCLE, plots_style.GREY):
        assert 1.05 / (light(colour) + 0.05) >= 4.5, colour


def test_the_keyboard_reaches_the_skip_link_first_then_shows_where_it_is(page_of):
    page = page_of("two", 1280)
    page.keyboard.press("Tab")
    first = page.evaluate(
        "[document.activeElement.className, document.activeElement.getBoundingClientRect().left >= 0]"
    )
    assert first == ["skip", True]
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"
    page.keyboard.press("Tab")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    scrolls = page.evaluate("[...document.querySelectorAll('.scroll')].every((one) => one.tabIndex === 0)")
    assert scrolls


def test_labels_that_mean_harm_are_shown_as_text_and_turn_nothing_around(page_of):
    page = page_of("evil", 1280)
    assert page.evaluate("document.scripts.length") == 0
    text = page.evaluate("document.body.innerText")
    assert EVIL[0] in text
    assert "evil ⟨U+202E⟩txt.exe" in text
    assert "\u202e" not in text
    assert page.trouble == []


def test_the_checks_are_on_paper_and_long_tables_say_that_they_are_not(page_of, files, tmp_path):
    page = page_of("large", 1280)
    page.emulate_media(media="print")
    seen = "one => one.checkVisibility({contentVisibilityAuto: true})"
    assert page.locator(".open-on-paper ul").first.evaluate(seen)
    folded = page.locator("details:not(.open-on-paper) table").first
    assert not folded.evaluate(seen)
    assert not page.locator("nav").is_visible()
    file = tmp_path / "large.pdf"
    page.pdf(path=str(file), prefer_css_page_size=True)
    assert 5_000 < file.stat().st_size < 5_000_000
