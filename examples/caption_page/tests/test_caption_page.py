"""The example that shows captions, and lets people correct them."""

import io
from pathlib import Path

import pyarrow as pa
import pytest
from PIL import Image

from fondant_spec.errors import InvalidArgumentError
from fondant_spec.testing import Result, run_component
from image_toolkit.edits.corrected_captions import take_over
from image_toolkit.edits.journal import Journal

FOLDER = Path(__file__).parents[1]
ODD = '<script>alert(1)</script> & "two" 猫'


def photo(colour: str) -> bytes:
    """Return a JPEG that is larger than its picture on the page."""
    buffer = io.BytesIO()
    Image.new("RGB", (600, 400), colour).save(buffer, "JPEG")
    return buffer.getvalue()


def make_page(tmp_path: Path, captions: list[str | None]) -> tuple[Path, Result]:
    """Run the component over a few images, the last of which is none."""
    count = len(captions)
    table = pa.table(
        {
            "image": [*(photo("red") for _ in captions[1:]), b"<html>"],
            "caption": pa.array(captions, pa.string()),
            "file_name": [f"trip/{number} #1.jpg" for number in range(count)],
        }
    )
    options = {"max_reject_share": "1", "cache": "false"}
    where = tmp_path / "look"
    result = run_component(FOLDER, table, tmp_path, options=options, output_path=str(where))
    return where, result


def test_a_page_shows_images_and_captions(tmp_path):
    """Each image has a small picture and its caption, which are text, whatever is in them."""
    look, result = make_page(tmp_path, [ODD, None, "x"])
    html = (look / "index.html").read_text(encoding="utf-8")
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; &quot;two&quot; 猫" in html
    assert "<script" not in html
    assert 'src="pictures/000000.jpg"' in html
    assert 'href="texts/trip/0%20%231.jpg.txt"' in html
    with Image.open(look / "pictures" / "000000.jpg") as picture:
        assert picture.size == (256, 171)
    assert result.rejects["reason"].to_pylist() == ["no_caption", "not_an_image"]


def test_a_shorter_page_leaves_no_pictures_behind(tmp_path):
    """They would be taken for images of somebody, where the folder is loaded."""
    make_page(tmp_path, ["one", "two", "three", "x"])
    (tmp_path / "look" / "pictures" / "000009.jpg").write_bytes(b"not the page's")
    look, _ = make_page(tmp_path, ["one", "x"])
    names = sorted(file.name for file in (look / "pictures").iterdir())
    assert names == ["000000.jpg", "000009.jpg"]


def test_what_a_person_wrote_stays(tmp_path):
    """A text that was changed is not overwritten when the page is made again."""
    look, _ = make_page(tmp_path, ["one", "two", "x"])
    (look / "texts" / "trip" / "0 #1.jpg.txt").write_text("mine")
    make_page(tmp_path, ["another", "a second", "x"])
    texts = [file.read_text() for file in sorted((look / "texts" / "trip").iterdir())]
    assert texts == ["mine", "a second\n"]


def test_what_a_person_wrote_is_over_what_the_steps_wrote(tmp_path):
    """A correction of a corrected caption is told from one of an older caption."""
    image = photo("red")
    given = {"image": [image], "caption": ["mine"], "file_name": ["a.jpg"]}
    for column, beneath in [({}, "mine"), ({"written_caption": ["a new cat"]}, "a new cat")]:
        look = tmp_path / beneath
        table = pa.table(given | column)
        run_component(FOLDER, table, tmp_path / f"of {beneath}", output_path=str(look))
        (look / "texts" / "a.jpg.txt").write_text("better")
        journal = Journal(str(look / "edits"))
        take_over(look / "texts", journal, "ann")
        assert [(one.value, one.beneath) for one in journal.edits()] == [("better", beneath)]


@pytest.mark.parametrize(
    ("taken", "why"),
    [
        ("look", "look is no folder"),
        ("look/index.html/x", "index.html is a folder"),
        ("look/pictures", "pictures is no folder"),
        ("look/texts", "texts is no folder"),
    ],
)
def test_where_nothing_can_be_written(tmp_path, taken, why):
    """It is said before anything is made."""
    file = tmp_path / taken
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("mine")
    with pytest.raises(InvalidArgumentError, match=f"output_path .*{why}; name a folder to write"):
        make_page(tmp_path, ["one"])
