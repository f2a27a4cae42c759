"""The server's page in a headless Chromium, used as a reader uses it: pointer, keys, a telephone's screen."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fontTools.ttLib import TTFont
from PIL import Image, ImageDraw
from playwright.sync_api import Browser, Page, Route, expect

from argusvl.serving.hosting import load_store
from argusvl.serving.limits import Limits
from argusvl.visual.drawing import colour_of

LATIN_FONTS = (Path("/usr/share/fonts/truetype/dejavu"), Path("/usr/share/fonts/truetype/liberation"))

OpenPage = Callable[..., AbstractContextManager[Page]]


@pytest.fixture
def open_page(browser: Browser) -> OpenPage:
    """Opens the page of a server; at the end nothing may have been complained of but what is said to be expected."""

    @contextmanager
    def opened(
        client: Any, width: int = 1280, height: int = 900, expected: str = "$^", **options: Any
    ) -> Iterator[Page]:
        screen = {"width": width, "height": height}
        context = browser.new_context(
            viewport=screen, is_mobile=width < 600, has_touch=width < 600, **options
        )
        tab = context.new_page()
        complaints: list[str] = []
        tab.on("console", lambda said: said.type in ("error", "warning") and complaints.append(said.text))
        tab.on("pageerror", lambda error: complaints.append(str(error)))
        tab.goto(f"http://127.0.0.1:{client.port}/")
        try:
            yield tab
            assert [text for text in complaints if not re.search(expected, text)] == []
        finally:
            context.close()

    return opened


@pytest.fixture(scope="session")
def drawn() -> bytes:
    """Two rings and two squares, in which argus-tiny finds four things: two that are sure, two that are not."""
    image = Image.new("RGB", (448, 336), (228, 226, 220))
    pen = ImageDraw.Draw(image)
    pen.ellipse((30, 40, 120, 130), outline=(200, 40, 40), width=22)
    pen.ellipse((160, 40, 250, 130), outline=(40, 90, 200), width=22)
    pen.rectangle((40, 200, 130, 290), fill=(40, 150, 80))
    pen.rectangle((180, 200, 270, 290), fill=(230, 170, 30))
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def give(tab: Page, *files: tuple[str, bytes], kind: str = "image/png") -> None:
    """Chooses files, and waits until the current one is answered."""
    expect(tab.locator("#intake")).to_be_visible()
    tab.set_input_files("#files", [{"name": name, "mimeType": kind, "buffer": data} for name, data in files])


def answered(tab: Page) -> None:
    expect(tab.locator("#tally")).to_contain_text(re.compile(r"in \d"), timeout=20_000)


def set_score(tab: Page, value: float) -> None:
    tab.locator("#score").fill(str(value))


def boxes(tab: Page) -> list[list[float]]:
    found: list[list[float]] = tab.locator("#overlay .box").evaluate_all(
        "all => all.map(b => ['x', 'y', 'width', 'height'].map(name => +b.getAttribute(name)))"
    )
    return found


def test_a_picture_is_answered_with_boxes_that_a_threshold_and_classes_filter(
    shipped: Any, open_page: OpenPage, drawn: bytes
) -> None:
    asked = shipped.post("/v1/detect?threshold=0.05", drawn).json["objects"]
    sure = [one for one in asked if one["score"] >= 0.3]
    assert 0 < len(sure) < len(asked)
    with open_page(shipped) as tab:
        give(tab, ("drawn.png", drawn))
        answered(tab)
        expect(tab.locator("#overlay .object")).to_have_count(len(sure))
        shown = sorted((x, y, x + w, y + h) for x, y, w, h in boxes(tab))
        for here, there in zip(shown, sorted(one["box_xyxy_px"] for one in sure), strict=True):
            # Both halves of a batch may differ in the last digits.
            assert here == pytest.approx(there, abs=0.6)
        set_score(tab, 0.05)
        expect(tab.locator("#objects button")).to_have_count(len(asked))
        expect(tab.locator("#tally")).to_contain_text(f"{len(asked)} objects")
        chip = tab.locator("#classes button").first
        label = chip.get_attribute("data-label")
        chip.click()
        expect(tab.locator("#objects button")).to_have_count(sum(one["label"] != label for one in asked))
        tab.click("#all")
        expect(tab.locator("#objects button")).to_have_count(len(asked))
        tab.locator("#classes button").first.click(modifiers=["Shift"])
        expect(tab.locator("#objects button")).to_have_count(sum(one["label"] == label for one in asked))


def test_what_is_shown_is_copied_as_json_and_saved_as_a_picture(
    shipped: Any, open_page: OpenPage, drawn: bytes
) -> None:
    with open_page(shipped, permissions=["clipboard-read", "clipboard-write"]) as tab:
        give(tab, ("drawn.png", drawn))
        answered(tab)
        tab.click("#copy")
        expect(tab.locator("#copy")).to_have_text("Copied")
        copied = json.loads(tab.evaluate("navigator.clipboard.readText()"))
        assert copied["file"] == "drawn.png"
        assert copied["image"] == {"width": 448, "height": 336, "turned": False}
        assert copied["model"] == shipped.post("/v1/detect", drawn).json["model"]
        assert len(copied["objects"]) == tab.locator("#objects button").count() > 0
        assert all(one["score"] >= 0.3 for one in copied["objects"])

        (x, y, width, height), label = boxes(tab)[0], tab.locator("#overlay .object").first
        stroke = tuple(int(v) for v in re.findall(r"\d+", label.get_attribute("stroke") or ""))
        with tab.expect_download() as saving:
            tab.click("#download")
        assert saving.value.suggested_filename == "drawn-argus.png"
        saved = Image.open(saving.value.path()).convert("RGB")
        factor = 1080 / 448  # as argus predict --draw enlarges small pictures
        assert saved.size == (1080, round(336 * factor))
        left, middle = round(x * factor), round((y + height / 2) * factor)
        near = saved.crop((left - 3, middle - 3, left + 4, middle + 4))
        assert stroke in {colour for _, colour in near.getcolors(1000) or ()}
        assert width > 0


def test_everything_can_be_done_by_keys(shipped: Any, open_page: OpenPage, drawn: bytes) -> None:
    with open_page(shipped) as tab:
        # From now on the browser hands its dialog over; asked for only just before the key, it might come too late.
        tab.on("filechooser", lambda _: None)
        expect(tab.locator("#intake")).to_be_visible()
        tab.locator("#task button").last.focus()
        tab.keyboard.press("Tab")
        expect(tab.locator("#choose")).to_be_focused()
        with tab.expect_file_chooser() as choosing:
            tab.keyboard.press("Enter")
        files = [{"name": name, "mimeType": "image/png", "buffer": drawn} for name in ("one.png", "two.png")]
        choosing.value.set_files(files)  # type: ignore[arg-type]
        answered(tab)
        for _ in range(30):
            tab.keyboard.press("Tab")
            if tab.evaluate("document.activeElement.id === 'score'"):
                break
        tab.keyboard.press("Home")
        rows = tab.locator("#objects button")
        expect(rows).to_have_count(4)
        for _ in range(30):
            tab.keyboard.press("Tab")
            if tab.evaluate("document.activeElement.id === 'stage'"):
                break
        tab.keyboard.press("ArrowDown")
        expect(rows.nth(0)).to_have_attribute("aria-pressed", "true")
        tab.keyboard.press("ArrowDown")
        expect(rows.nth(1)).to_have_attribute("aria-pressed", "true")
        expect(tab.locator("#overlay .object.chosen")).to_have_attribute("data-object", "1")
        tab.keyboard.press("Escape")
        expect(tab.locator("#overlay .object.chosen")).to_have_count(0)
        tab.keyboard.press("ArrowRight")
        expect(tab.locator("#name")).to_have_text("two.png")
        answered(tab)
        for _ in range(30):  # the list is one stop
            tab.keyboard.press("Tab")
            if tab.evaluate("document.activeElement.matches('#objects button')"):
                break
        tab.keyboard.press("ArrowUp")
        expect(rows.nth(3)).to_be_focused()


def test_dropped_and_pasted_pictures_are_taken(shipped: Any, open_page: OpenPage, drawn: bytes) -> None:
    event = """([kind, name, type, data]) => {
        const transfer = new DataTransfer(), bytes = Uint8Array.from(atob(data), c => c.charCodeAt(0));
        transfer.items.add(new File([bytes], name, { type }));
        const made = kind === "drop" ? new DragEvent(kind, { dataTransfer: transfer, bubbles: true, cancelable: true })
          : new ClipboardEvent(kind, { clipboardData: transfer, bubbles: true, cancelable: true });
        document.body.dispatchEvent(made);
    }"""
    encoded = base64.b64encode(drawn).decode()
    with open_page(shipped) as tab:
        expect(tab.locator("#intake")).to_be_visible()
        tab.evaluate(event, ["drop", "dropped.png", "image/png", encoded])
        expect(tab.locator("#name")).to_have_text("dropped.png")
        answered(tab)
        tab.evaluate(event, ["paste", "pasted.png", "image/png", encoded])
        expect(tab.locator("#name")).to_have_text("pasted.png")
        expect(tab.locator("#strip button")).to_have_count(2)
        tab.evaluate(event, ["drop", "notes.txt", "text/plain", encoded])
        expect(tab.get_by_role("alert").first).to_contain_text("notes.txt: The file is no picture")


def test_hands_have_bones_and_can_be_turned_and_boxed(
    shipped: Any, open_page: OpenPage, drawn: bytes
) -> None:
    with open_page(shipped) as tab:
        tab.get_by_role("button", name="Hands").click()
        give(tab, ("hand.png", drawn))
        answered(tab)
        expect(tab.locator("#overlay .skeleton circle")).to_have_count(0)  # shapes: the search finds no hand
        for name, value in zip(("#box-0", "#box-1", "#box-2", "#box-3"), (20, 30, 140, 150), strict=True):
            tab.fill(name, str(value))
        with tab.expect_request(re.compile("/v1/hands")) as asking:
            tab.click("#look")
        assert "box=20%2C30%2C140%2C150" in asking.value.url
        answered(tab)
        expect(tab.locator("#overlay .skeleton circle")).to_have_count(21)
        expect(tab.locator("#overlay .skeleton line")).to_have_count(40)  # 20 bones, each over its edge
        canvas = tab.locator("#turning")
        before = canvas.screenshot()
        canvas.press("ArrowLeft")
        turned = canvas.screenshot()
        assert turned != before
        middle = canvas.bounding_box() or {}
        tab.mouse.move(middle["x"] + 100, middle["y"] + 100)
        tab.mouse.down()
        tab.mouse.move(middle["x"] + 150, middle["y"] + 130)
        tab.mouse.up()
        assert canvas.screenshot() != turned
        stage = tab.locator("#stage").bounding_box() or {}
        tab.mouse.move(stage["x"] + 20, stage["y"] + 20)
        tab.mouse.down()
        tab.mouse.move(stage["x"] + stage["width"] / 2, stage["y"] + stage["height"] / 2)
        with tab.expect_request(re.compile("/v1/hands")) as dragging:
            tab.mouse.up()
        right = int(re.findall(r"box=\d+%2C\d+%2C(\d+)", dragging.value.url)[0])
        assert right == pytest.approx(224, abs=2)
        answered(tab)


def test_too_large_pictures_are_told_before_they_travel(
    kit: SimpleNamespace, tiny: Any, open_page: OpenPage, drawn: bytes
) -> None:
    with kit.serving([tiny], Limits(bytes=4096, megapixels=0.1)) as client, open_page(client) as tab:
        asked: list[str] = []
        tab.on("request", lambda request: request.method == "POST" and asked.append(request.url))
        give(tab, ("noise.png", kit.picture((64, 64))))
        told = "noise.png: It has 13 KiB; this server takes 4 KiB at most."
        expect(tab.locator("#problems")).to_contain_text(told)
        give(tab, ("drawn.png", drawn))
        expect(tab.locator("#problems")).to_contain_text("drawn.png: It has 448×336 = 0.15 megapixels")
        assert asked == []


def test_a_token_is_asked_for_and_kept_in_memory_only(
    kit: SimpleNamespace, tiny: Any, open_page: OpenPage, drawn: bytes
) -> None:
    token = "a-token-of-some-length"
    with kit.serving([tiny], token=token) as client, open_page(client, expected="401") as tab:
        expect(tab.locator("#asking")).to_be_visible()
        tab.fill("#token", "a wrong one")
        tab.keyboard.press("Enter")
        expect(tab.locator("#token-wrong")).to_have_text("The server does not take this token.")
        tab.fill("#token", token)
        tab.keyboard.press("Enter")
        give(tab, ("drawn.png", drawn))
        answered(tab)
        assert tab.evaluate("[localStorage.length, sessionStorage.length, document.cookie]") == [0, 0, ""]
        tab.reload()
        expect(tab.locator("#asking")).to_be_visible()
        tab.get_by_role("button", name="Cancel").click()
        expect(tab.locator("#problems")).to_contain_text("Unauthorized")


def test_a_busy_server_is_asked_once_more_and_then_its_words_are_shown(
    shipped: Any, open_page: OpenPage, drawn: bytes
) -> None:
    refusals = iter([True, False, True, True, False])
    tries = []

    def busy(route: Route) -> None:
        tries.append(route.request.url)
        if not next(refusals):
            route.continue_()
            return
        problem = {"title": "Service Unavailable", "status": 503, "detail": "the queue is full; come again"}
        headers = {"Retry-After": "0.1", "Content-Type": "application/problem+json"}
        route.fulfill(status=503, headers=headers, body=json.dumps(problem))

    with open_page(shipped, expected="503") as tab:
        tab.route(re.compile("/v1/detect"), busy)
        give(tab, ("one.png", drawn))
        answered(tab)
        assert len(tries) == 2
        tab.click("#remove")
        expect(tab.locator("#choose")).to_be_focused()
        give(tab, ("two.png", drawn))
        expect(tab.locator("#tally")).to_have_text("Service Unavailable. The queue is full; come again.")
        assert len(tries) == 4
        tab.click("#again")
        answered(tab)


def test_what_the_server_refuses_and_what_is_not_there_is_told_in_sentences(
    shipped: Any, open_page: OpenPage, drawn: bytes
) -> None:
    with open_page(shipped, expected="415|422|ERR_FAILED|ERR_INTERNET|decode") as tab:
        give(tab, ("broken.png", drawn[:300]))
        expect(tab.locator("#tally")).to_contain_text(re.compile(r"^[A-Z].*\.$"))
        expect(tab.locator("#again")).to_be_visible()
        tab.context.set_offline(True)
        give(tab, ("drawn.png", drawn))
        expect(tab.locator("#tally")).to_have_text(
            "The server does not answer. Look whether argus serve is still running, then try again."
        )
        tab.context.set_offline(False)
        tab.click("#again")
        answered(tab)


def test_a_telephone_shows_all_of_it_and_may_photograph(
    shipped: Any, open_page: OpenPage, drawn: bytes
) -> None:
    with open_page(shipped, 390, 844, color_scheme="dark", reduced_motion="reduce") as tab:
        expect(tab.locator("#photograph")).to_be_visible()
        assert tab.get_attribute("#camera", "capture") == "environment"
        give(tab, ("one.png", drawn), ("two.png", drawn))
        answered(tab)
        assert tab.evaluate("document.documentElement.scrollWidth") == 390
        assert tab.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 26)"
        small = tab.locator("button:visible").evaluate_all(
            "all => all.filter(b => b.offsetHeight < 40).length"
        )
        assert small == 0
        tops = tab.locator(".actions button:visible").evaluate_all("all => all.map(b => b.offsetTop)")
        assert len(tops) == 3 and len(set(tops)) == 1
        tab.get_by_role("button", name="Hands").click()
        answered(tab)
        assert tab.evaluate("document.documentElement.scrollWidth") == 390
        assert tab.evaluate("matchMedia('(prefers-reduced-motion: reduce)').matches")


def test_a_reader_of_the_screen_is_told_names_and_news(
    shipped: Any, open_page: OpenPage, drawn: bytes
) -> None:
    with open_page(shipped) as tab:
        give(tab, ("one.png", drawn), ("two.png", drawn))
        answered(tab)
        expect(tab.get_by_role("slider", name="score from")).to_be_visible()
        expect(tab.get_by_role("list", name="Objects").get_by_role("button").first).to_have_accessible_name(
            re.compile(r"^.+ score 0\.\d\d$")
        )
        expect(
            tab.get_by_role("group", name="All pictures").get_by_role("button").nth(1)
        ).to_have_accessible_name(re.compile(r"^two\.png, "))
        expect(tab.get_by_role("img", name="one.png")).to_be_visible()
        assert tab.locator("#tally").get_attribute("role") == "status"
        tab.click("#remove")
        expect(tab.locator("#said")).to_have_text("one.png removed.")


def test_axe_finds_nothing(shipped: Any, open_page: OpenPage, drawn: bytes) -> None:
    """With ``ARGUS_AXE`` naming ``axe.min.js`` of the npm package axe-core."""
    axe = os.environ.get("ARGUS_AXE")
    if not axe:
        pytest.skip("ARGUS_AXE is not set")
    script = Path(axe).read_text(encoding="utf-8")
    run = "axe.run().then(r => r.violations.map(v => [v.id, v.nodes.map(n => n.html.slice(0, 120))]))"
    for scheme in ("light", "dark"):
        with open_page(shipped, color_scheme=scheme) as tab:
            tab.evaluate(script)
            expect(tab.locator("#intake")).to_be_visible()
            assert tab.evaluate(run) == []
            give(tab, ("one.png", drawn), ("two.png", drawn))
            answered(tab)
            assert tab.evaluate(run) == []
            tab.get_by_role("button", name="Hands").click()
            answered(tab)
            assert tab.evaluate(run) == []


def test_labels_have_the_colours_of_argus_predict(shipped: Any, open_page: OpenPage) -> None:
    labels = ["RBC", "圆环/红色", "", "a" * 64, "longer than a block of BLAKE2s " * 6]
    with open_page(shipped) as tab:
        colours = "labels => import('/colours.js').then(module => labels.map(module.colourOf))"
        assert [tuple(colour) for colour in tab.evaluate(colours, labels)] == [
            colour_of(label) for label in labels
        ]


def test_every_colour_of_the_page_is_one_of_the_report(shipped: Any) -> None:
    colours = set(re.findall(r"(--[\w-]+): light-dark", shipped.get("/colours.css").body.decode()))
    used = set(re.findall(r"var\((--[\w-]+)\)", shipped.get("/page.css").body.decode()))
    assert len(used) > 8
    assert used <= colours


def test_the_tab_of_a_store_says_the_class_and_what_is_of_none(
    argus: Any, kit: SimpleNamespace, open_page: OpenPage, tmp_path: Path, tiny_backbone: Any
) -> None:
    examples = tmp_path / "examples"
    for name, colour in (("red", (220, 30, 30)), ("蓝色", (30, 30, 220)), ("green", (30, 200, 60))):
        (examples / name).mkdir(parents=True)
        for number in range(4):
            (examples / name / f"{number}.png").write_bytes(disc(colour, number))
    store = tmp_path / "support"
    argus("recognize", "enroll", store, examples, "--backbone", "tiny", "--workers", "1")
    with kit.serving([load_store(store, backbone=None, device="cpu")]) as client, open_page(client) as tab:
        expect(tab.locator("#serves")).to_have_text("support (3 classes)")
        seen = disc((225, 35, 28), 9)
        give(tab, ("seen.png", seen), ("enrolled.png", disc((30, 30, 220), 0)))
        answered(tab)
        rows, told = tab.locator("#objects .row"), client.post("/v1/recognize", seen).json
        expect(rows.first).to_have_text(f"{told['label']}class")
        expect(rows.filter(has_text="probability that it is")).to_contain_text(f"{100 * told['score']:.0f} %")
        assert told["nearest"] == "red"
        tab.click("#next")
        expect(rows.last).to_contain_text("蓝色this very file is one of its examples")
        expect(tab.locator("#download")).to_be_enabled()


def disc(colour: tuple[int, int, int], number: int) -> bytes:
    image = Image.new("RGB", (96, 72), (210, 210, 205))
    ImageDraw.Draw(image).ellipse((20 + number, 8, 70 + number, 58), fill=colour)
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


INK = """letters => letters.map(letter => {
  const canvas = document.createElement("canvas"), pen = canvas.getContext("2d");
  pen.font = "32px " + getComputedStyle(document.querySelector("#objects .said")).fontFamily;
  pen.fillText(letter, 2, 40);
  return [...pen.getImageData(0, 0, 60, 60).data].filter((value, i) => i % 4 === 3).join();
})"""


def test_letters_that_the_readers_system_lacks_come_from_the_server(
    shipped: Any, browser: Browser, tmp_path: Path, drawn: bytes
) -> None:
    fonts = next((folder for folder in LATIN_FONTS if folder.is_dir()), None)
    if fonts is None:
        pytest.skip("no folder with Latin fonts only")
    (tmp_path / "fonts.conf").write_text(
        f"<fontconfig><dir>{fonts}</dir><cachedir>{tmp_path}</cachedir></fontconfig>"
    )
    poor = browser.browser_type.launch(
        executable_path=shutil.which("chromium") or shutil.which("google-chrome"),
        args=["--no-sandbox"],
        env={**os.environ, "FONTCONFIG_FILE": str(tmp_path / "fonts.conf")},
    )
    try:
        tab = poor.new_page()
        complaints: list[str] = []
        tab.on("console", lambda said: said.type in ("error", "warning") and complaints.append(said.text))
        tab.goto(f"http://127.0.0.1:{shipped.port}/")
        with tab.expect_response(re.compile(r"/glyphs\.woff")) as brought:
            give(tab, ("drawn.png", drawn))
        answered(tab)
        said = "".join(tab.locator("#objects .said").all_inner_texts())
        letters = sorted(set(re.findall(r"[\u4e00-\u9fff]", said)))
        assert len(letters) >= 2
        tab.wait_for_function("document.fonts.size > 0")
        shapes = tab.evaluate(INK, [*letters, "\u9fa0"])
        # None of them is the box that stands for a letter not brought.
        assert len(set(shapes)) == len(letters) + 1
        assert brought.value.body()[:4] == b"wOFF" and len(brought.value.body()) < 20_000
        assert complaints == []
    finally:
        poor.close()


def test_glyphs_are_bounded_and_of_the_text(shipped: Any, kit: SimpleNamespace) -> None:
    reply = shipped.get("/glyphs.woff?text=%E7%BA%A2a%E8%89%B2")
    assert (reply.status, reply.headers["content-type"]) == (200, "font/woff")
    assert set(TTFont(io.BytesIO(reply.body)).getBestCmap()) == {ord("红"), ord("色")}
    assert shipped.get("/glyphs.woff?text=abc").status == 204
    for text in ("", "?text=", "?text=" + "a" * 513):
        refused = shipped.get(f"/glyphs.woff{text}")
        assert (refused.status, refused.is_problem) == (422, True)
    with kit.serving([kit.Echo().loaded], token="t" * 20) as client:
        assert client.get("/glyphs.woff?text=a").status == 401
