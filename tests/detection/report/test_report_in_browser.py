"""The report as a reader meets it: in a browser, with keys and pointer, on desk and phone, light and dark."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from argusvl.detection.measure.figures import PrecisionCurve
from argusvl.detection.measure.pairing import KINDS, LabelledBox, above, count_kinds, pair_up
from argusvl.detection.measure.reliability import Bin, Reliability
from argusvl.detection.report.evaluation_files import NO_GALLERY, Misdescribed
from argusvl.detection.report.pictures import GalleryItem
from argusvl.detection.report.sections import BoxData, box_sections
from argusvl.visual.report import FigureRow, ReportData, write_report

HOSTILE = "</script><img src=x onerror=\"document.title='hacked'\">"
LONG = "一段很长的描述/" * 12 + "x" * 80
THRESHOLD = 0.3
ERRORS = [kind for kind in KINDS if kind != "right"]

SCREENS = pytest.mark.parametrize(
    ("width", "height", "scheme"), [(1280, 900, "light"), (375, 812, "dark")], ids=["desk", "phone"]
)


def scene(seed: int, name: str) -> GalleryItem:
    """Truth, and predictions that hit, shift, misname, miss and invent; scores in steps, so that there are ties."""
    rng = random.Random(seed)
    truth, predicted = [], []
    for _ in range(rng.randrange(1, 9)):
        x, y = rng.randrange(0, 240), rng.randrange(0, 160)
        box = (float(x), float(y), float(x + rng.randrange(12, 80)), float(y + rng.randrange(12, 80)))
        label = rng.choice(["螺丝/已拧紧", "螺丝/未拧紧", "标签", "caf\u00e9"])
        truth.append(LabelledBox(box, label))
        for _ in range(rng.choice([0, 1, 1, 2])):
            off = rng.choice([0.0, 2.0, 8.0, 25.0])
            moved = (box[0] + off, box[1], box[2] + off, box[3] + off / 2)
            said = label if rng.random() < 0.7 else rng.choice(["螺丝/未拧紧", "标签", "cafe\u0301"])
            predicted.append(LabelledBox(moved, said, round(rng.uniform(0.05, 1.0), 1)))
    picture = Image.new("RGB", (320, 240), (rng.randrange(60, 120), 90, 90))
    return GalleryItem(picture, truth, predicted, caption=name)


GALLERY = [scene(seed, f"{seed:02d}.jpg") for seed in range(12)]


def boxes() -> BoxData:
    hostile = GalleryItem(
        Image.new("RGB", (320, 240)),
        [LabelledBox((10, 10, 60, 60), HOSTILE), LabelledBox((100, 20, 200, 90), LONG)],
        [LabelledBox((12, 10, 60, 60), f"{HOSTILE}!", 0.8, "标签")],
        caption=f"{HOSTILE}.jpg",
    )
    bins = [Bin(k / 10, k / 11, 10 * k) for k in range(1, 10)]
    return BoxData(
        per_class={
            LONG: {"AP": 0.5, "AP50": 0.8, "count": 7},
            HOSTILE: {"AP": 0.4, "AP50": 0.9, "count": 70},
        },
        precision_recall={
            name: PrecisionCurve([1.0] * 80 + [0.0] * 21, [0.5] * 101, [0.7] * 101)
            for name in (LONG, HOSTILE)
        },
        calibration={"score": Reliability(bins, 0.05, bins, 0.1)},
        gallery=replace(
            NO_GALLERY,
            kinds={
                LONG: {"right": 5, "missed": 2, "shifted": 1, "misdescribed": 1, "false": 3},
                HOSTILE: {"right": 5},
                "螺丝": {"right": 20, "missed": 9},
            },
            confusion={LONG: {LONG: 5, HOSTILE: 1}, "螺丝": {"螺丝": 20}},
            misdescribed=[Misdescribed("螺丝/已拧紧", "螺丝/未拧紧", 3), Misdescribed(LONG, HOSTILE, 1)],
            images_total=100,
            score_threshold=THRESHOLD,
        ),
        items=[*GALLERY, hostile],
    )


def data() -> ReportData:
    log: list[dict[str, Any]] = [
        {"step": s, "loss": 9 / s, "box_loss": 1 / s, "lm_loss": 5.0 + 4 * (s % 2), "lr/a": 0.1, "lr/b": 0.2}
        | {f"gn/{HOSTILE}": 1.0 * s, "memory": 3.0}
        for s in range(1, 101)
    ]
    return ReportData(
        sections=box_sections(boxes()),
        title=f"run {HOSTILE}",
        subtitle="x" * 90,
        figures=[
            FigureRow("AP50", 0.1, 0.9, "IoU 0.50"),
            FigureRow("a_figure_with_a_very_long_name", 0.1, 0.5),
        ],
        facts={"train_seconds": 100, LONG: LONG},
        log_history=log,
        configuration=f"key: {LONG}\n{HOSTILE}",
        environment={"python": "3.11", LONG: HOSTILE},
    )


NAME = ".reading .name"
PAIRS, SAID, STRIP = "#gallery .pair", ".objects .said", ".strip button"


def counts(page: Any) -> dict[str, int]:
    """The number that stands at each kind."""
    return dict(page.of_each("[data-kind]", "[e.dataset.kind, +e.querySelector('b').textContent]"))


def enter(page: Any, selector: str, value: float | str) -> None:
    """Gives a control a value, as moving it does."""
    page.of_first(
        selector,
        f"(e.value = {json.dumps(value)}, ['input', 'change'].forEach(name => e.dispatchEvent(new Event(name))))",
    )


def choose(page: Any, name: str) -> None:
    """Chooses a class or a description."""
    enter(page, "#type", dict(page.of_each("#type option", "[e.textContent.trim(), e.value]"))[name])


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(data(), tmp_path_factory.mktemp("report") / "report.html")


@SCREENS
def test_nothing_sticks_out(open_page: Any, file: Path, width: int, height: int, scheme: str) -> None:
    with open_page(file, width, height, color_scheme=scheme) as page:
        assert page.run("document.documentElement.scrollWidth <= innerWidth && innerWidth") == width
        page.of_each("details", "e.open = true")
        assert page.run("document.documentElement.scrollWidth <= innerWidth")
        assert page.complaints == []
        assert page.requests == []
        ground = page.run("getComputedStyle(document.body).backgroundColor")
        assert (sum(map(int, ground[4:-1].split(","))) < 3 * 100) is (scheme == "dark")


def test_texts_of_users_stay_texts(page: Any) -> None:
    assert page.run("document.title").startswith("run </script>")
    assert page.of_each("img[src=x]") == []
    assert page.text("h1") == f"run {HOSTILE}"
    for _ in range(len(GALLERY) + 1):
        if page.text(NAME) == f"{HOSTILE}.jpg":
            break
        page.click("#next")
    assert any(HOSTILE in text for text in page.of_each(SAID))
    page.point(".objects button.misdescribed")
    assert "prediction" in page.text(".tip")
    assert page.of_each("img[src=x]") == []
    assert page.complaints == []


def test_the_slider_counts_as_python_does(page: Any) -> None:
    for threshold in (0.1, THRESHOLD, 0.5, 0.9):
        enter(page, "#score", threshold)
        pairs = [p for i in boxes().items for p in pair_up(i.truth, above(i.predicted, threshold))]
        assert counts(page) == dict.fromkeys(KINDS, 0) | count_kinds(pairs)
        assert page.text("output[for=score]") == f"{threshold:.2f}"


def test_pictures_are_in_the_order_of_their_errors_of_one_kind_of_error_or_of_their_names(page: Any) -> None:
    names = STRIP, "e.title.replace(/, \\d+ errors?$/, '')"
    errors = {
        item.caption: count_kinds(pair_up(item.truth, above(item.predicted, THRESHOLD)))
        for item in boxes().items
    }
    for order, kinds in (("", ERRORS), ("missed", ("missed",)), ("false", ("false",))):
        if order:
            enter(page, "#order", order)
        shown = [sum(errors[name][kind] for kind in kinds) for name in page.of_each(*names)]  # type: ignore[index]
        assert len(shown) == len(errors) and shown == sorted(shown, reverse=True) and shown[0] > 0
    enter(page, "#order", "name")
    assert page.of_each(*names) == sorted(page.of_each(*names))


def test_toggles_hide_the_boxes_of_their_side(page: Any) -> None:
    def boxes_seen() -> tuple[int, int]:
        return page.seen(".stage .box.t"), page.seen(".stage .box.p")

    truth, predicted = boxes_seen()
    assert truth > 0 and predicted > 0
    page.click("#show-truth")
    assert boxes_seen() == (0, predicted)
    assert page.of_first("#show-truth", "e.ariaPressed") == "false"
    page.press("p")
    assert boxes_seen() == (0, 0)
    page.press("t")
    page.press("p")
    assert boxes_seen() == (truth, predicted)


def test_keys_go_through_pictures_and_objects(page: Any) -> None:
    page.of_first(".stage", "e.focus()")
    first = page.text(NAME)
    page.press("ArrowRight")
    second = page.text(NAME)
    assert second != first
    assert page.of_first(".strip [aria-current]", "e.title.split(',')[0]") == second
    page.press("ArrowLeft")
    assert page.text(NAME) == first
    page.press("ArrowDown")
    assert page.run("document.activeElement.classList.contains('pair')")
    pair = page.run("document.activeElement.dataset.pair")
    assert pair == page.of_first(".objects .chosen", "e.dataset.pair")
    assert page.seen(".tip") == 1
    page.press("ArrowDown")
    assert page.run("document.activeElement.dataset.pair") != pair
    page.press("Escape")
    assert page.seen(".tip") == 0


def test_keys_are_left_alone_where_they_mean_something_else(page: Any) -> None:
    before = page.text(NAME)
    page.of_first("#score", "e.focus()")
    page.press("ArrowRight")
    assert page.text(NAME) == before
    assert page.of_first("#score", "+e.value") > THRESHOLD
    page.run("(scrollTo(0, 0), document.activeElement.blur())")
    truth = page.seen(".stage .box.t")
    page.press("t")
    assert page.seen(".stage .box.t") == truth


def test_the_focus_can_be_seen(page: Any) -> None:
    for _ in range(8):
        page.press("Tab")
        assert page.run("parseFloat(getComputedStyle(document.activeElement).outlineWidth)") >= 2


def test_kinds_and_classes_are_filtered(page: Any) -> None:
    total = len(GALLERY) + 1
    assert len(page.of_each(STRIP)) == total
    for kind in ("false", "shifted", "misdescribed", "right"):
        page.click(f"[data-kind={kind}]")
    assert len(set(page.of_each(PAIRS, "e.classList[1]"))) == 1
    with_missed = sum(
        any(p.kind == "missed" for p in pair_up(i.truth, above(i.predicted, THRESHOLD)))
        for i in boxes().items
    )
    assert len(page.of_each(STRIP)) == with_missed
    assert page.text("#passing") == f"{with_missed} of {total} pictures"
    page.click("[data-kind=missed]")
    assert page.of_each(STRIP) == []
    assert page.seen("#nothing-right") == 1
    page.click("#nothing-right button")
    assert len(page.of_each(STRIP)) == total
    choose(page, "标签")
    labels = page.of_each(PAIRS, "e.ariaLabel")
    assert labels and all("标签" in label for label in labels)
    choose(page, "螺丝/未拧紧")
    assert set(page.of_each(SAID, "e.firstChild.textContent")) == {"螺丝/未拧紧"}


def test_shift_and_a_click_shows_a_kind_alone(page: Any) -> None:
    page.tab.click("[data-kind=false]", modifiers=["Shift"])
    assert page.of_each("[data-kind][aria-pressed=true]", "e.dataset.kind") == ["false"]


def test_a_count_in_a_table_leads_to_its_pictures(page: Any) -> None:
    enter(page, "#score", 0.9)
    page.of_first('.classes a[data-name="螺丝"][data-of=missed]', "e.click()")
    pairs = [p for i in GALLERY for p in pair_up(i.truth, above(i.predicted, THRESHOLD))]
    wanted = sum(p.kind == "missed" and p.class_name == "螺丝" for p in pairs)
    assert counts(page)["missed"] == wanted > 0
    assert all(label.startswith("missed, truth 螺丝") for label in page.of_each(PAIRS, "e.ariaLabel"))
    assert page.run("document.activeElement.classList.contains('stage')")
    assert page.of_first("#pictures", "e.getBoundingClientRect().top") < 200
    page.of_first(".texts a", "e.click()")
    assert set(page.of_each(SAID, "e.firstChild.textContent")) == {"螺丝/已拧紧"}


def test_the_table_of_classes_is_sorted_by_a_column(page: Any) -> None:
    column = ".classes tbody tr", "e.cells[1].textContent.trim()"
    assert page.of_each(*column) == ["7", "70", "–"]
    head = ".classes thead th:nth-child(2)"
    page.click(f"{head} button")
    assert page.of_each(*column) == ["70", "7", "–"]
    page.click(f"{head} button")
    assert page.of_each(*column) == ["7", "70", "–"]
    assert page.of_first(head, "e.ariaSort") == "ascending"
    page.click(".classes thead th:first-child button")
    assert sorted(page.of_each(".classes tbody th")) == sorted([LONG, HOSTILE, "螺丝"])


def test_on_paper_it_is_dark_on_white_and_nothing_is_cut_off(open_page: Any, file: Path) -> None:
    with open_page(file, 760, 1000, color_scheme="dark") as page:
        page.click("[data-set-theme=dark]")
        page.tab.emulate_media(media="print")
        assert page.run("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        assert page.run("getComputedStyle(document.body).color") == "rgb(29, 33, 38)"
        assert page.run("document.documentElement.scrollWidth") <= 760
        assert page.of_first(".objects", "e.scrollHeight === e.clientHeight")


def test_pointing_at_a_box_tells_what_it_is(page: Any) -> None:
    assert page.seen(".tip") == 0
    page.point("#gallery .pair:last-child .box")
    words = page.of_first("#gallery .pair.chosen", "e.ariaLabel")
    assert words.split(",")[0] in page.text(".tip")
    tip, stage = (page.of_first(name, "e.getBoundingClientRect().toJSON()") for name in (".tip", ".stage"))
    assert tip["left"] >= stage["left"] and tip["right"] <= stage["right"] and tip["top"] >= stage["top"]


@pytest.fixture
def loss(page: Any) -> Any:
    """The page; the chart of losses has the id ``loss``."""
    page.run(
        "[...document.querySelectorAll('.card')].find(c => c.textContent.includes('all terms')).id = 'loss'"
    )
    return page


def test_lines_are_switched_off_and_on(loss: Any) -> None:
    button = "#loss .legend button"
    assert loss.seen("#loss .line") == 2
    loss.of_first(button, "e.click()")
    assert loss.seen("#loss .line") == 1
    loss.of_first(button, "e.click()")
    assert loss.seen("#loss .line") == 2
    shift = "e.dispatchEvent(new MouseEvent('click', {shiftKey: true, bubbles: true}))"
    loss.of_first("#loss .legend li:nth-child(2) button", shift)
    assert loss.of_each(button, "e.ariaPressed") == ["false", "true"]


def test_a_chart_is_read_by_pointer_and_by_key(loss: Any) -> None:
    loss.point("#loss svg")
    readout = loss.text("#loss .readout")
    assert readout.startswith("step ")
    step = int(readout.split()[1])
    assert 30 < step < 70
    assert float(loss.text("#loss .legend b")) == pytest.approx(1 / step, rel=0.05)
    loss.of_first("#loss svg", "e.focus()")
    loss.press("ArrowRight")
    assert loss.text("#loss .readout") == f"step {step + 1}"
    assert set(loss.of_each("#training .readout")) == {f"step {step + 1}"}
    loss.press("Escape")
    assert loss.text("#loss .readout") == ""


def test_the_switch_wins_over_the_system_and_is_remembered(open_page: Any, file: Path) -> None:
    dark = "getComputedStyle(document.documentElement).colorScheme"
    with open_page(file, color_scheme="light") as page:
        page.click("[data-set-theme=dark]")
        assert page.run(dark) == "dark"
        assert page.run("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 26)"
        page.open(file)
        assert page.of_first("[data-set-theme=dark]", "e.ariaPressed") == "true"
        assert page.run(dark) == "dark"
        page.click("[data-set-theme=auto]")
        assert page.run("getComputedStyle(document.body).backgroundColor") == "rgb(246, 246, 243)"


@SCREENS
def test_without_scripts_pictures_charts_and_tables_are_there(
    open_page: Any, file: Path, width: int, height: int, scheme: str
) -> None:
    with open_page(file, width, height, color_scheme=scheme, java_script_enabled=False) as page:
        assert page.run("document.documentElement.scrollWidth") == width
        assert page.seen("#plain article img") == len(GALLERY) + 1
        assert page.seen("#plain .box.t") > 0 and page.seen("#plain .box.p") > 0
        assert page.seen("svg.chart .line") > 5
        assert page.seen("table.classes tbody tr") == 3
        assert page.seen(".js-only") == 0


def test_every_control_has_a_name(page: Any) -> None:
    tree = page.tab.context.new_cdp_session(page.tab).send("Accessibility.getFullAXTree")["nodes"]
    controls = [n for n in tree if n.get("role", {}).get("value") in ("button", "slider", "combobox", "link")]
    assert len(controls) > 20
    assert [n for n in controls if not n.get("name", {}).get("value")] == []


def test_an_old_run_without_the_new_parts_is_a_page(open_page: Any, tmp_path: Path) -> None:
    boxes = BoxData(items=[GalleryItem(Image.new("RGB", (40, 30)), [], [])])
    old = ReportData("old", sections=box_sections(boxes))
    for name, some in (("empty.html", ReportData("nothing")), ("old.html", old)):
        with open_page(write_report(some, tmp_path / name), 375, 812) as page:
            assert page.complaints == []
            assert page.run("document.documentElement.scrollWidth") == 375
