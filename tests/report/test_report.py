"""The report's claims, read from its HTML; the fits are tiny and shared."""

import base64
import re
from html.parser import HTMLParser
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from bayespref.comparisons import from_codes
from bayespref.errors import REASONS
from bayespref.report.cards import structure
from bayespref.report.html import build_report, write_report
from bayespref.workflow import analyse, fit, policy

EVIL = "<script>alert('x')</script>"
VERDICTS = [
    ("converged", True, "converged: yes, largest R-hat 1.004", "", ""),
    ("mixed", False, "mixed: no, smallest effective sample size 7", "not_converged", "run longer <b>now</b>"),
]


class Page(HTMLParser):
    """Headings, figures, tables, identifiers and words of a page, by the standard library's parser."""

    def __init__(self, text):
        super().__init__()
        self.headings, self.images, self.ids, self.tags, self.words = [], [], [], [], []
        self.links, self.attributes = [], []
        self.level = None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        if "id" in found:
            self.ids.append(found["id"])
        if tag == "img":
            self.images.append(found)
        if tag == "a":
            self.links.append(found["href"])
        if re.fullmatch("h[1-6]", tag):
            self.headings.append([int(tag[1]), ""])
            self.level = tag

    def handle_endtag(self, tag):
        if tag == self.level:
            self.level = None

    def handle_data(self, data):
        self.words.append(data)
        if self.level:
            self.headings[-1][1] += data

    @property
    def text(self):
        return re.sub(r"\s+", " ", " ".join(self.words))


def part(section, key):
    """Words of one part of a section, and its alternative texts."""
    found = re.search(rf'<h3 id="s-[^"]*-{key}">.*?</section>', section.html, re.DOTALL).group()
    page = Page(found)
    return page.text, " ".join(image["alt"] for image in page.images), found


def drawn(html):
    """Every figure as SVG, without its comments."""
    codes = re.findall(r"data:image/svg\+xml;base64,([A-Za-z0-9+/=]+)", html)
    return [re.sub("<!--.*?-->", "", base64.b64decode(code).decode(), flags=re.DOTALL) for code in codes]


def chain(blocks, rng, repeats=25, strength=1.0):
    """Comparisons of all pairs within each block, winners by item number."""
    rows = []
    for block in blocks:
        for i, a in enumerate(block):
            for b in block[i + 1 :]:
                p = 1 / (1 + np.exp(-strength * (b - a)))
                rows += [(a, b, int(rng.random() < p)) for _ in range(repeats)]
    return (np.array(column) for column in zip(*rows, strict=True))


def analysed(table, model="single", options=None, **settings):
    tree = fit(model, table, rng_key=0, options=options, chains=1, warmup=60, draws=50, n_starts=2, progress=False)
    return analyse(tree, reward_range=(-6.0, 6.0), **settings)


def report(tree, title="a data set", c_defer=0.5, **more):
    table = policy(tree, c_defer=c_defer).to_table()
    suggestions = more.pop("suggestions", None)
    if suggestions is None:
        pair = [str(item) for item in tree["graph"]["item"].values[:2]]
        suggestions = pd.DataFrame(
            [[*pair, "disconnected", "two parts"]], columns=["item_a", "item_b", "reason", "joins"]
        )
    return build_report(
        tree,
        verdicts=more.pop("verdicts", VERDICTS),
        policy_table=table,
        c_defer=c_defer,
        suggestions=suggestions,
        title=title,
        **more,
    )


def relabelled(tree, items, state):
    """The same tree under other names of its items and its one state."""
    new = dict(zip([f"item {i}" for i in range(6)], items, strict=True))
    groups = {}
    for name, node in tree.children.items():
        group = node.to_dataset()
        for dim in {"item", "item_other"} & set(group.coords):
            group = group.assign_coords({dim: [new[str(item)] for item in group[dim].values]})
        if "state" in group.coords:
            group = group.assign_coords(state=[state])
        groups[name] = group
    groups["disagree"]["leader"] = (("state", "type"), [[new[str(groups["disagree"]["leader"].values.item())]]])
    groups["defer"]["state"] = ("region", [state])
    groups["defer"]["action_set_pure"] = ("region", [items[0]])
    found = xr.DataTree.from_dict(groups)
    found.attrs |= tree.attrs
    return found


@pytest.fixture(scope="module")
def worlds():
    """Trees: two blocks, an item that always wins, a cell never asked about, attributes, strange names."""
    rng = np.random.default_rng(0)
    a, b, won = chain([(0, 1, 2), (3, 4, 5)], rng)
    items = tuple(f"item {i}" for i in range(6))
    blocks = analysed(from_codes(a, b, won, items=items, states=("state 0",)))
    a, b, won = chain([(0, 1, 2)], rng)
    top = np.full(20, 3), np.repeat([0, 1], 10), np.zeros(20, dtype=int)
    a, b, won = (np.concatenate(pair) for pair in zip((a, b, won), top, strict=True))
    winner = analysed(from_codes(a, b, won, items=items[:4], states=("state 0",)))
    people = np.arange(40)
    kind = people % 2
    rows = [
        (s, k, *pair, int(rng.random() < 0.7), person)
        for person, k in zip(people, kind, strict=True)
        for s in range(2)
        for pair in ((0, 1), (1, 2))
        if (s, k) != (1, 0)
        for _ in range(3)
    ]
    state, context, a, b, won, person = (np.array(column) for column in zip(*rows, strict=True))
    table = from_codes(
        a,
        b,
        won,
        items=items[:3],
        state=state,
        states=("asked", "blind"),
        annotator=person,
        annotators=tuple(f"p{i}" for i in people),
        context=context,
        contexts=("north", "south"),
    )
    blind = analysed(table, "latent_types", {"n_types": 2, "types_observed": True}, regions="state_type")
    a, b, won = chain([(0, 1, 2), (3, 4, 5)], rng)
    features = np.array([[0, 1], [1, 1], [2, 0], [0, 0], [1, 2], [2, 1]], dtype=float)
    table = from_codes(a, b, won, items=items, features=features, feature_names=("price", "time"))
    linear = analysed(table, "linear_types", {"n_types": 1}, items=("item 0", "item 3"))
    names = (EVIL, "a & b", "日本語 $x_1$ 🙂", 'say "hi"', "item 4", "item 5")
    strange = relabelled(blocks, names, f"{EVIL} state")
    return SimpleNamespace(blocks=blocks, winner=winner, blind=blind, linear=linear, strange=strange)


@pytest.fixture(scope="module")
def pages(worlds):
    made = {name: report(tree, title=name) for name, tree in vars(worlds).items()}
    return SimpleNamespace(**made)


def test_verdicts_come_first_and_are_stated_either_way_with_the_next_step(pages):
    page = Page(pages.blocks.html)
    assert next(words for level, words in page.headings if level == 3) == "Verdicts"
    text, _, html = part(pages.blocks, "verdicts")
    assert "converged: yes, largest R-hat 1.004" in text
    assert "mixed: no, smallest effective sample size 7 Next: run longer <b>now</b>" in text
    assert "connected: no, the 6 items form 2 components" in text
    assert "comparisons: yes" in text
    failed = re.findall(r'<li class="no">.*?</li>', html, re.DOTALL)
    assert failed
    assert all("Next:" in line for line in failed)


def test_every_failed_check_is_counted_in_the_headline(pages):
    _, _, html = part(pages.blocks, "verdicts")
    first, every = html.split("<details", 1)
    total, failed = (int(n) for n in re.search(r"All (\d+) checks: (\d+) failed", every).groups())
    assert failed == every.count('<li class="no">') > 0
    assert total == every.count("<li class=")
    assert first.count("<li class=") == 4


def test_the_four_questions_of_a_review_come_first_each_answered_either_way(pages):
    for section in vars(pages).values():
        assert [answer.question for answer in section.answers] == [
            "Converged?",
            "Identified?",
            "Enough data?",
            "Deployment covered?",
        ]
        assert {answer.verdict for answer in section.answers} <= {"yes", "no", "undecided"}
        assert all(answer.next_step for answer in section.answers if answer.verdict != "yes")
    said = {answer.question: answer for answer in pages.blind.answers}
    assert said["Identified?"].verdict == "no"
    assert said["Enough data?"].words.startswith("1 of 4 (state, type) cells are flagged: no_data in 1 (blind / north)")
    assert pages.blind.does.startswith("At a cost of deferring of 0.5 log-odds the policy acts in 3 of 4 regions")


def test_no_cell_with_components_counts_as_enough_data(worlds):
    said = {answer.question: answer for answer in report(worlds.blocks).answers}
    assert said["Identified?"].verdict == "no"
    assert said["Enough data?"].verdict == "undecided"


def test_a_deployment_is_covered_only_where_one_was_declared(worlds):
    open_ = report(worlds.blind).answers[3]
    assert open_.verdict == "undecided"
    assert "no deployment was declared" in open_.words.lower()
    words = "deployment covered: no, share 0.4 falls on (context, state) cells without comparisons, limit 0.05"
    line = ("deployment covered", "no", words, "collect there")
    declared = report(worlds.blind, deployment=[line]).answers[3]
    assert declared.verdict == "no"
    assert declared.words.startswith("Share 0.4 falls on")
    assert declared.next_step == "collect there"


def test_a_contrast_across_components_is_never_a_number(worlds, pages):
    mean = worlds.blocks["disagree"]["mean"].values[0, 0]
    component = worlds.blocks["graph"]["type_component"].values[0, 0]
    across = np.abs(mean[component[:, None] != component[None, :]])
    shown = set(
        re.findall(r"\d+\.\d+", " ".join([*part(pages.blocks, "rewards")[:2], *part(pages.blocks, "bounds")[:2]]))
    )
    within = np.abs(worlds.blocks["disagree"]["estimate"].values)
    for number in across:
        written = f"{number:.2f}" if number >= 1 else f"{number:.3g}"
        if not np.any(np.abs(within - number) < 0.02):
            assert written not in shown
    forests = [svg for svg in drawn(part(pages.blocks, "rewards")[2]) if "reward minus leader" in svg]
    assert len(forests) == 1
    assert "not identified (disconnected)" in forests[0]
    text = part(pages.blocks, "bounds")[0]
    assert "not identified (disconnected)" in text
    assert "not identified (disconnected): differences within [" in part(pages.blocks, "rewards")[0]


def test_the_table_of_rewards_sets_no_item_against_another_component(worlds):
    from bayespref.report.tables import rewards

    table = rewards(worlds.blocks)
    block = {f"item {i}": i // 3 for i in range(6)}
    assert (table["item"].map(block) == table["leader"].map(block)).all()
    estimate = worlds.blocks["disagree"]["estimate"].isel(state=0, type=0)
    for row in table.itertuples():
        assert row.estimate == float(estimate.sel(item=row.item, item_other=row.leader))
        assert row.estimate <= 0
    assert sorted(table.loc[table["standing"] == "leader", "item"]) == sorted(
        max(group, key=lambda item: float(estimate.sel(item=item, item_other=group[0])))
        for group in ([f"item {i}" for i in range(3)], [f"item {i}" for i in range(3, 6)])
    )


def test_a_cell_without_data_has_no_leader_and_no_figure(pages):
    text, alt, _ = part(pages.blind, "rewards")
    assert re.search(r"blind / north +nobody can say", text)
    assert "not identified (no data): differences within [-12.00, 12.00]" in text
    assert "blind / north" not in alt
    assert "blind / south" in alt
    assert "1 of 4 cells were never observed: blind / north" in part(pages.blind, "coverage")[1]
    assert "First, cells nobody was asked in: blind / north" in part(pages.blind, "collect")[0]


def test_separated_items_say_how_much_of_the_spread_is_the_priors(worlds, pages):
    text, _, html = part(pages.winner, "rewards")
    contraction = worlds.winner["disagree"]["contraction"].isel(state=0, type=0).sel(item="item 0", item_other="item 3")
    words = f"size is the prior's ({float(contraction):.0%} of its sd left)"
    figures = [svg.replace("&apos;", "'") for svg in drawn(html)]
    assert any(words in svg for svg in figures), words
    assert "sizes are the prior's (separated)" in text


def test_every_flag_raised_has_its_meaning_and_next_step(worlds, pages):
    for name, tree in vars(worlds).items():
        text = part(getattr(pages, name), "flags")[0]
        raised = tree["disagree"]["is_flagged"]
        codes = [str(code) for code in raised["flag"].values if bool(raised.sel(flag=code).any())]
        for code in codes:
            assert REASONS[code].meaning in text
            assert REASONS[code].next_step in text
        rest = [str(code) for code in raised["flag"].values if str(code) not in codes]
        assert all(code in text for code in rest)
    assert "no_data" in part(pages.blind, "flags")[0]


def test_a_linear_model_says_that_structure_and_not_data_identifies(pages):
    text = part(pages.linear, "rewards")[0]
    assert "The 6 items compared form 2 components; across components nothing is identified by the data." in text
    assert "Linearity in 2 attributes identifies every contrast: by structure, not by data." in text
    assert "Contrasts, bounds and policy are about 2 of the 6 items." in text
    assert "price" in text


@pytest.mark.parametrize(("scale", "said"), [(1.0, True), (1e-9, True), (0.0, False)])
def test_attributes_that_never_vary_alone_are_not_said_to_identify_whatever_their_units(worlds, scale, said):
    tree = worlds.linear.copy()
    price = np.array([0.0, 1.0, 2.0, 0.0, 1.0, 2.0])
    time = 2 * price + scale * np.array([0.0, 1.0, 0.0, 0.0, 1.0, 1.0])
    rows = tree["constant_data"].to_dataset()
    rows["features"] = (
        ("item", "feature"),
        np.stack([1e6 * price, time if scale != 1e-9 else scale * price**2], axis=1),
    )
    tree["constant_data"] = xr.DataTree(rows)
    words = " ".join(structure(tree))
    assert ("identifies every contrast: by structure, not by data" in words) == said
    assert ("only 1 of 2 independent directions" in words) == (not said)


def test_labels_are_inert_wherever_they_appear(pages, tmp_path):
    file = write_report([pages.strange], tmp_path / "r.html", title=EVIL)
    text = file.read_text(encoding="utf-8")
    page = Page(text)
    assert "script" not in page.tags
    assert EVIL in page.text
    assert all(EVIL not in svg for svg in drawn(text))
    assert not [name for _, name, _ in page.attributes if name.startswith("on")]
    assert any("$x_1$" in svg for svg in drawn(text))
    assert any("日本語" in svg for svg in drawn(text))


def test_the_page_asks_nothing_of_the_network(pages, tmp_path):
    text = write_report([pages.blocks], tmp_path / "r.html", title="t").read_text(encoding="utf-8")
    page = Page(text)
    assert all(link.startswith("#") for link in page.links)
    assert all(value.startswith("data:") for tag, name, value in page.attributes if name in ("src", "srcset"))
    assert not {"script", "link", "iframe", "object", "embed"} & set(page.tags)
    assert "@import" not in text
    assert "url(" not in text
    assert all('href="http' not in svg and "@import" not in svg for svg in drawn(text))


def test_every_figure_has_an_alternative_text_that_says_its_finding(pages):
    for section in vars(pages).values():
        images = Page(section.html).images
        assert len(images) >= 4
        assert all(len(image["alt"]) > 30 for image in images)
        assert len({image["alt"] for image in images}) == len(images)


def test_headings_descend_one_level_at_a_time_and_links_reach_them(pages, tmp_path):
    file = write_report([pages.blocks, pages.blind], tmp_path / "r.html", title="two data sets")
    page = Page(file.read_text(encoding="utf-8"))
    levels = [level for level, _ in page.headings]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    assert len(page.ids) == len(set(page.ids))
    assert {link[1:] for link in page.links} <= set(page.ids)
    sections = [words for level, words in page.headings if level in (2, 3)]
    contents = re.search("<nav.*?</nav>", file.read_text(encoding="utf-8"), re.DOTALL).group()
    assert len(Page(contents).links) == len(sections)
    assert [words for level, words in page.headings if level == 2] == ["blocks", "blind"]


def test_every_table_has_a_caption_and_scoped_headers_and_can_be_scrolled_by_keyboard(pages):
    html = pages.blind.html
    tables = re.findall(r"<div class=\"scroll\".*?</div>", html, re.DOTALL)
    assert len(tables) == html.count("<table")
    for table in tables:
        assert 'tabindex="0"' in table
        assert "<caption>" in table
        assert "<th>" not in table
        rows = re.findall(r"<tr>(.*?)</tr>", table, re.DOTALL)
        widths = {row.count("<th") + row.count("<td") for row in rows}
        assert len(widths) == 1


def test_the_policy_map_names_decision_action_and_reason_of_every_region(worlds, pages):
    table = policy(worlds.blind, c_defer=0.5).to_table()
    assert set(table["decision"]) == {"act", "defer"}
    text = part(pages.blind, "policy")[0]
    for row in table.itertuples():
        action = "–" if row.decision == "defer" else row.action
        symbol = "●" if row.decision == "act" else "○"
        assert re.search(rf"{row.state} / {row.context}\s+{symbol} {row.decision}\s+{action}\s+{row.reason}", text), row
    assert "At a cost of 0.5, 3 of 4 regions act, 1 defer" in part(pages.blind, "policy")[1]


def test_suggestions_beyond_the_first_are_folded_and_those_beyond_the_fold_counted(worlds):
    many = pd.DataFrame(
        {"item_a": [f"left {i}." for i in range(500)], "item_b": "right", "reason": "disconnected", "joins": "two"}
    )
    _, _, html = part(report(worlds.blocks, suggestions=many), "collect")
    shown, folded = html.split("<details", 1)
    assert "left 14." in shown
    assert "left 15." not in shown
    assert "<summary>400 more suggestions</summary>" in folded
    assert "left 414." in folded
    assert "left 415." not in folded
    assert "85 more suggestions are not listed." in folded


def test_assumptions_say_whether_the_range_was_widened(worlds):
    kept = part(report(worlds.blocks), "assumptions")[0]
    assert "[-6, 6] log-odds, as declared" in kept
    narrow = analyse(worlds.blocks, reward_range=(0.0, 0.1))
    html = report(narrow)
    low, high = narrow["bounds"].attrs["reward_range"]
    assert f"[{low:.4g}, {high:.4g}] log-odds, widened" in part(html, "assumptions")[0]
    assert "reward range holds: no" in part(html, "verdicts")[0]


def test_provenance_names_model_priors_seed_and_hash(worlds, pages):
    text = part(pages.blocks, "provenance")[0]
    assert "single" in text
    assert "reward_scale = " in text
    assert re.search(r"Seed +0", text)
    assert worlds.blocks["constant_data"].attrs["hash"] in text
    assert worlds.blocks["constant_data"].attrs["hash"] in part(pages.blocks, "data")[0]


def test_a_truth_inside_the_bounds_is_said_to_be_held_and_one_outside_is_not(worlds):
    reward = worlds.blind["posterior"]["reward"].mean(("chain", "draw")).values
    text = part(report(worlds.blind, truth=reward), "truth")[0]
    assert "all true differences in 1 of 1 cells (3 of 3 contrasts)" in text
    assert "In 4 of 4 cells every contrast is covered." in text
    wrong = reward.copy()
    wrong[1, 0] = [0.0, 50.0, 0.0]
    wrong[0, 0] = [0.0, 50.0, 0.0]
    text = part(report(worlds.blind, truth=wrong), "truth")[0]
    assert "in 0 of 1 cells (1 of 3 contrasts)" in text
    assert "In 2 of 4 cells every contrast is covered." in text
    assert "truth" not in [key.rsplit("-", 1)[-1] for key in Page(report(worlds.blind).html).ids]


def test_a_truth_of_another_shape_or_with_holes_is_an_error(worlds):
    with pytest.raises(ValueError, match=r"truth: must have shape \(state, type, item\) = \(2, 2, 3\)"):
        report(worlds.blind, truth=np.zeros((2, 3)))
    with pytest.raises(ValueError, match="truth: must be finite"):
        report(worlds.blind, truth=np.full((2, 2, 3), np.nan))


def test_a_fit_that_was_not_analysed_is_an_error_that_says_so(worlds):
    bare = worlds.blocks.copy()
    for name in ("graph", "bounds"):
        del bare[name]
    with pytest.raises(ValueError, match=r"lacks the group\(s\) \['graph', 'bounds'\]"):
        build_report(bare, verdicts=[], policy_table=pd.DataFrame(), c_defer=1.0, suggestions=pd.DataFrame(), title="x")


def test_two_sections_of_one_title_or_none_are_an_error_and_leave_no_file(pages, tmp_path):
    with pytest.raises(ValueError, match="same title"):
        write_report([pages.blocks, pages.blocks], tmp_path / "r.html", title="t")
    with pytest.raises(ValueError, match="at least one section"):
        write_report([], tmp_path / "r.html", title="t")
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_keeps_the_previous_file_whole(pages, tmp_path, monkeypatch):
    target = write_report([pages.blocks], tmp_path / "r.html", title="first")
    before = target.read_bytes()

    def broken(*_):
        raise OSError("disk full")

    monkeypatch.setattr("os.replace", broken)
    with pytest.raises(OSError, match="disk full"):
        write_report([pages.blind], target, title="second")
    assert target.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["r.html"]


def test_equal_inputs_give_equal_bytes(worlds, pages):
    assert report(worlds.blocks, title="blocks") == pages.blocks
