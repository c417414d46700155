"""The explorer in Chromium, on the result of a real pipeline: every page and every edit."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from demo.photos import SUBJECTS, load
from demo.tiny_models import CLIP_FOLDER
from fondant_spec.dataset.manifest import Manifest
from fondant_spec.pipeline.find_run import list_runs
from tests.explorer.browsing import SIZES, faults_of
from tests.explorer.serving import ROOT, Served, serving

pytestmark = [pytest.mark.browser, pytest.mark.timeout(900)]

PIPELINE = Path(__file__).with_name("explored.py")
PHOTOS = 10


@dataclass(frozen=True)
class Explored:
    """A base path with two runs, and a function that runs the pipeline again."""

    base: Path
    run: Callable[..., str]

    def newest(self, step: str, run: int = -1) -> Manifest:
        """Return the result of a step in a run; the last one by default."""
        found = list_runs(str(self.base), "explored")[run]
        return Manifest.read(str(self.base / "explored" / step / found.keys[step]))


@pytest.fixture(scope="session")
def explored(tmp_path_factory: pytest.TempPathFactory) -> Explored:
    """Ten photographs and a broken one, captioned in two ways."""
    folder = tmp_path_factory.mktemp("explored")
    photos = folder / "photos"
    photos.mkdir()
    for subject in SUBJECTS[:PHOTOS]:
        photo = load(subject).convert("RGB")
        photo.thumbnail((320, 320))
        photo.save(photos / f"{subject}.jpg", quality=88)
    whole = (photos / f"{SUBJECTS[0]}.jpg").read_bytes()
    (photos / "broken.jpg").write_bytes(whole[:900])

    def run(*words: str) -> str:
        argv = [sys.executable, PIPELINE, "--base-path", folder / "base", "--dataset", photos]
        environment = os.environ | {"PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
        done = subprocess.run(
            [*argv, *words], check=False, capture_output=True, text=True, env=environment
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run()
    run("--set", "caption_images.prefix=sks, ", "--until", "caption_images")
    return Explored(folder / "base", run)


@pytest.fixture(scope="session")
def server(explored: Explored) -> Iterator[Served]:
    """The explorer of the whole base path."""
    with serving(explored.base, "--name", "anna", "--clip-model", CLIP_FOLDER) as served:
        yield served


@pytest.fixture(autouse=True)
def no_edits(explored: Explored) -> None:
    """Each test begins with what the steps wrote."""
    shutil.rmtree(explored.base / "edits", ignore_errors=True)


@pytest.fixture
def data(explored: Explored) -> str:
    """The address of the captions of the first run."""
    return "/data/" + "/".join(explored.newest("caption_images", 0).folder.split("/")[-3:])


@pytest.fixture
def open_page(browser: Browser, server: Served) -> Iterator[Callable[..., Page]]:
    """Return a function that opens a page which nothing is wrong with, nor asks anybody else.

    At the end, no page may have had an error, or a request for another host.
    """
    faults: list[str] = []
    contexts = []

    def own(address: str) -> bool:
        return urlsplit(address).netloc.startswith("127.0.0.1:")

    def open_it(
        path: str, size: str = "desktop", scheme: str = "light", of: Served = server
    ) -> Page:
        width, height = SIZES[size]
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme=scheme
        )
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda line: faults.append(line.text) if line.type == "error" else None)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("request", lambda one: None if own(one.url) else faults.append(one.url))
        page.goto(of.address)
        page.goto(of.root + path)
        page.wait_for_load_state("networkidle")
        return page

    yield open_it
    for context in contexts:
        context.close()
    # The network of the machine itself may change while its tests run; and what somebody else has
    # edited meanwhile is answered with a conflict, which the console tells of.
    expected = ("ERR_NETWORK_CHANGED", "409 (Conflict)")
    assert [fault for fault in faults if not any(words in fault for words in expected)] == []


def press(page: Page, key: str) -> None:
    """Press a key once the page hears it, perhaps after the one before led to another page."""
    page.wait_for_load_state()
    page.keyboard.press(key)


def cards(page: Page) -> Locator:
    """Return all cards."""
    return page.locator(".card")


def test_from_the_run_to_the_seed(open_page):
    """From the overview a click each leads to a run, its captions, a row, and its seed."""
    page = open_page("/")
    expect(page.get_by_role("heading", name="explored")).to_be_visible()
    page.locator(".runs li").last.locator("a").first.click()
    row = page.locator("tr", has_text="image_embedding")
    expect(row).to_contain_text("truncated 1")
    page.get_by_role("link", name="caption_images").click()
    expect(cards(page)).to_have_count(PHOTOS)
    for image in cards(page).locator("img").all():
        expect(image).not_to_have_js_property("naturalWidth", 0)
    cards(page).first.locator("a.picture").click()
    expect(page.get_by_role("heading", name="Where it came from")).to_be_visible()
    steps = page.locator(".lineage h3 a").all_text_contents()
    assert steps == ["caption_images", "image_embedding", "load_from_hub"]
    expect(page.locator(".lineage")).to_contain_text("model_id")
    page.locator("summary").first.click()
    expect(page.locator(".lineage details").first).to_contain_text("num_beams")
    page.get_by_role("link", name="Next").click()
    expect(page.locator(".pager").first).to_contain_text("2 of 10")
    page.get_by_role("link", name="back to the gallery").click()
    expect(cards(page)).to_have_count(PHOTOS)


def test_a_view_is_in_the_address(open_page, data):
    """Search, filter with completion, order: another browser that is given the address sees it."""
    page = open_page(data)
    press(page, "/")
    page.keyboard.type("a")
    page.locator("#where").click()
    page.keyboard.type("wi")
    expect(page.locator("#fields li")).to_have_text(["image_width"])
    press(page, "ArrowDown")
    press(page, "Enter")
    expect(page.locator("#where")).to_have_value("image_width")
    page.keyboard.type(" > 250")
    page.locator("#sort").select_option("image_width")
    page.get_by_label("descending").check()
    page.get_by_role("button", name="Apply").click()
    expect(page.locator(".count strong").first).not_to_have_text("0")
    rows = cards(page).evaluate_all("all => all.map(card => card.dataset.row)")
    other = open_page(urlsplit(page.url).path + "?" + urlsplit(page.url).query)
    assert cards(other).evaluate_all("all => all.map(card => card.dataset.row)") == rows
    page.locator("#where").fill("image_widht > 250")
    press(page, "Enter")
    expect(page.get_by_role("alert")).to_contain_text(
        "no field 'image_widht'; did you mean 'image_width'?"
    )
    expect(page.locator("#where")).to_have_value("image_widht > 250")


def test_the_size_of_the_images_is_kept(open_page, data):
    """The slider changes it at once, and the next page has it, too."""
    page = open_page(data)
    before = cards(page).first.bounding_box()["width"]
    page.locator("#size").fill("380")
    expect(cards(page).first).not_to_have_css("width", f"{before}px")
    wide = cards(page).first.bounding_box()["width"]
    assert wide > 1.3 * before
    page.reload()
    assert cards(page).first.bounding_box()["width"] == wide


def test_all_corrections_by_keys_alone(open_page, data):
    """j, e, a, d, t, s and u do what they say, and the history tells who did it."""
    page = open_page(data)
    press(page, "?")
    expect(page.locator("#keys")).to_be_visible()
    press(page, "Escape")
    press(page, "j")
    press(page, "j")
    card = cards(page).nth(1)
    expect(card).to_be_focused()
    old = card.locator(".caption").inner_text()
    press(page, "e")
    page.keyboard.type("words of my own")
    press(page, "Enter")
    expect(card.locator(".caption")).to_have_text("words of my own")
    expect(card).to_contain_text("edited")
    expect(card).to_be_focused()
    press(page, "e")
    page.keyboard.type("given up")
    press(page, "Escape")
    expect(card.locator(".caption")).to_have_text("words of my own")
    press(page, "a")
    expect(card).to_contain_text("accepted")
    press(page, "d")
    expect(card).to_contain_text("dropped")
    press(page, "t")
    page.keyboard.type("blurred")
    press(page, "Enter")
    expect(card.locator(".tags")).to_contain_text("blurred")
    press(page, "s")
    expect(card).to_contain_text("train")
    press(page, "s")
    expect(card).to_contain_text("validation")
    for gone in ("validation", "train", "blurred", "dropped", "accepted", "edited"):
        press(page, "u")
        expect(card).not_to_contain_text(gone)
    expect(card.locator(".caption")).to_have_text(old)
    press(page, "k")
    expect(cards(page).first).to_be_focused()
    press(page, "Enter")
    expect(page.locator(".card.large")).to_be_visible()
    press(page, "j")
    expect(page.locator(".pager").first).to_contain_text("2 of 10")
    page.goto(page.url.partition("/data")[0] + "/history")
    expect(page.locator("tbody tr").first).to_contain_text("anna")
    expect(page.locator("tbody tr")).to_have_count(12)


def test_all_corrections_by_clicks(open_page, data):
    """The page of a row has a button for each, and tags can be taken off again."""
    page = open_page(f"{data}/at/2?")
    card = cards(page).first
    page.get_by_role("button", name="Edit").click()
    page.get_by_label("Caption").fill("two\nlines of 👩‍🚀")
    page.get_by_role("button", name="Save").click()
    expect(card.locator(".caption")).to_have_text("two lines of 👩‍🚀", use_inner_text=False)
    page.get_by_role("button", name="Accept").click()
    expect(page.get_by_role("button", name="Accepted")).to_be_visible()
    page.get_by_role("button", name="Drop").click()
    page.get_by_role("button", name="Keep").click()
    expect(page.get_by_role("button", name="Drop")).to_be_visible()
    page.get_by_role("button", name="Tag", exact=False).first.click()
    page.get_by_label("New tag").fill("night")
    press(page, "Enter")
    page.get_by_label("Remove the tag night").click()
    expect(card.locator(".tags li")).to_have_count(0)
    page.locator('select[data-do="split"]').select_option("validation")
    expect(card).to_contain_text("validation")


def test_two_people(open_page, data, explored):
    """What another has written meanwhile is shown beside one's own words, which are not lost."""
    with serving(explored.base, "--name", "ben") as second:
        mine, theirs = open_page(f"{data}/at/4?"), open_page(f"{data}/at/4?", of=second)
        press(mine, "e")
        mine.keyboard.type("what anna says")
        press(theirs, "e")
        theirs.keyboard.type("what ben says")
        press(theirs, "Enter")
        expect(theirs.locator(".caption")).to_have_text("what ben says")
        with mine.expect_response(lambda answer: answer.status == 409):
            press(mine, "Enter")
        expect(mine.get_by_role("alert")).to_contain_text("ben wrote in the meantime:what ben says")
        expect(mine.get_by_label("Caption")).to_have_value("what anna says")
        mine.get_by_role("button", name="Save mine instead").click()
        expect(mine.locator(".caption")).to_have_text("what anna says")
        theirs.reload()
        expect(theirs.locator(".caption")).to_have_text("what anna says")


def test_find_and_replace_with_a_preview(open_page, data):
    """Every change is seen before one is written; one click undoes all."""
    page = open_page(data)
    page.get_by_role("link", name="edit these").click()
    page.locator("#find").fill(r"^an? (\w+)")
    page.get_by_label("Replace with").fill(r"one \1")
    page.get_by_label("regular expression").check()
    page.get_by_role("button", name="Preview").click()
    changes = page.locator("tbody tr")
    expect(changes.first.locator("ins")).to_contain_text("one ")  # once they have come
    many = changes.count()
    assert many > 3
    page.locator("#apply").click()
    expect(page.locator("tbody tr")).to_have_count(0)
    page.goto(page.url.partition("/bulk")[0] + "?where=caption_edited")
    expect(cards(page)).to_have_count(many)
    page.locator("#undo").click()
    expect(page.locator("#told")).to_contain_text("undone")
    page.reload()
    expect(cards(page)).to_have_count(0)


def test_the_review_goes_on_by_itself(open_page, data):
    """Accepting leads to the next row, and in the end it is told how far people agree."""
    page = open_page(f"{data}/review")
    page.locator('input[name="size"]').fill("4")
    page.get_by_role("button", name="Start").click()
    for done in range(3):
        expect(page.locator(".count").first).to_contain_text(f"{done} of 4 reviewed")
        press(page, "a")
        expect(page.locator(".count").first).to_contain_text(f"{done + 1} of 4 reviewed")
    press(page, "d")
    expect(page.locator(".count").first).to_contain_text("4 of 4 reviewed")
    expect(page.locator("#agreement")).to_contain_text("3 of 4")
    expect(page.locator("#agreement")).to_contain_text("95 % interval 30.1 to 95.4 %")
    page.locator("#kind").select_option("lowest")
    page.locator("#field").select_option("image_width")
    page.get_by_role("button", name="Start").click()
    expect(page.locator(".card.large")).to_be_visible()


def test_nearest_to_an_image_and_to_a_text(open_page, data):
    """The vectors of the dataset, and the model that made them, find what looks alike."""
    page = open_page(f"{data}/at/0?")
    row = cards(page).first.get_attribute("data-row")
    page.get_by_role("link", name="nearest images").click()
    expect(cards(page)).to_have_count(PHOTOS)
    assert cards(page).first.get_attribute("data-row") == row
    expect(cards(page).first).to_contain_text("1")
    page.goto(page.url.partition("?")[0])
    page.get_by_label("Looks like").fill("a photo of an astronaut")
    page.set_default_timeout(90_000)  # the model is loaded
    page.get_by_role("button", name="Apply").click()
    expect(page.locator(".count").first).to_contain_text("that look most like")
    expect(cards(page).first.locator(".caption")).to_contain_text("astronaut")


def test_distributions_lead_to_rows(open_page, data):
    """A bar's rows are those of the gallery that it leads to."""
    page = open_page(f"{data}/distributions")
    chart = page.locator(".chart", has=page.get_by_role("heading", name="image_width"))
    bar = chart.locator("li", has=page.locator(".n", has_text=re.compile(r"^[1-9]"))).first
    count = int(bar.locator(".n").inner_text())
    bar.locator("a").click()
    expect(cards(page)).to_have_count(count)


def test_rejects_have_their_image(open_page, explored):
    """By reason, with the message, and with the image that could not be read."""
    step = explored.newest("image_embedding", 0)
    page = open_page("/data/" + "/".join(step.folder.split("/")[-3:]) + "/rejects")
    page.get_by_role("link", name="truncated").click()
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(page.locator("tbody img")).to_be_visible()
    page.locator("tbody a").first.click()
    expect(page.get_by_role("alert")).to_contain_text("The image cannot be shown: truncated")


def test_two_runs_side_by_side(open_page, explored):
    """Both captions of each image, where they differ."""
    first, second = list_runs(str(explored.base), "explored")[:2]
    page = open_page(f"/run/explored/{first.id}?with={second.id}")
    expect(page.locator("tr", has_text="load_from_hub")).to_contain_text("the same result")
    page.get_by_role("link", name="compare").click()
    expect(page.locator("tbody tr")).to_have_count(PHOTOS)
    cells = page.locator("tbody tr").first.locator("td")
    assert cells.nth(2).inner_text().startswith("sks, ")
    assert not cells.nth(1).inner_text().startswith("sks, ")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", list(SIZES))
def test_nobody_is_kept_out(open_page, data, explored, size, scheme):
    """No page has a serious fault for axe, in the light or the dark, and none is too wide."""
    run = list_runs(str(explored.base), "explored")[0].id
    step = "/data/" + "/".join(explored.newest("image_embedding", 0).folder.split("/")[-3:])
    page = open_page(data, size, scheme)
    root = page.url.partition("/data")[0]
    for path in (
        data,
        f"{data}?where=nothing",
        f"{data}/at/1?",
        f"{data}/review",
        f"{data}/distributions",
        f"{data}/bulk?find=a&put=b",
        f"{step}/rejects",
        "/",
        f"/run/explored/{run}",
        "/history",
    ):
        page.goto(root + path)
        assert faults_of(page) == [], path
        assert page.evaluate("document.documentElement.scrollWidth") == SIZES[size][0], path


def test_corrections_reach_the_export(open_page, data, explored):
    """What was edited in the browser is in the folder to train on, and what was dropped is not."""
    page = open_page(data)
    press(page, "j")
    press(page, "e")
    page.keyboard.type("corrected in the browser")
    press(page, "Enter")
    expect(cards(page).first.locator(".caption")).to_have_text("corrected in the browser")
    press(page, "j")
    press(page, "d")
    expect(cards(page).nth(1)).to_contain_text("dropped")
    told = explored.run()
    assert re.search(r"apply_edits +10 +9 +dropped 1", told)
    folder = Path(explored.newest("export_dataset").folder, "output", "train")
    lines = (folder / "metadata.jsonl").read_text(encoding="utf-8").splitlines()
    texts = [json.loads(line)["text"] for line in lines]
    assert len(texts) == PHOTOS - 1
    assert texts[0] == "corrected in the browser"
