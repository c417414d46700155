"""Credit and consent: what is known of an image stays with it to the end, and filters."""

import csv
import datetime as dt
from pathlib import Path

import pyarrow as pa
import pytest
from huggingface_hub import DatasetCard

from fondant_spec.errors import InputDataError
from fondant_spec.testing import Result, run_component
from tests.made_images import photo

COMPONENT = Path(__file__).parents[1]
FETCHED = dt.datetime(2026, 11, 1, 12, tzinfo=dt.UTC)
LICENCES = [
    "CC BY 2.0",
    "https://creativecommons.org/licenses/by/4.0/deed.de",
    "cc-by-nc-4.0",
    "CC0",
    None,
    " ",
]


def rows() -> pa.Table:
    """Return six images, as a crawl leaves them."""
    count = len(LICENCES)
    return pa.table(
        {
            "image": [photo(number) for number in range(count)],
            "caption": [f"photo {number}" for number in range(count)],
            "image_url": [f"http://old.example/{number}" for number in range(count)],
            "final_url": [
                f"https://img{number % 2}.example/{number}.jpg" for number in range(count)
            ],
            "fetched_at": [FETCHED + dt.timedelta(days=number) for number in range(count)],
            "license": pa.array(LICENCES, pa.string()),
            "author": pa.array(["=1+1", 'Ann "A" Lee', "B, C", None, None, None], pa.string()),
            "opt_out": pa.array([None, "X-Robots-Tag: noai", *[None] * 4], pa.string()),
        }
    )


def export(table: pa.Table, tmp_path: Path, **arguments: object) -> tuple[Path, Result]:
    """Run the component, and return where it wrote."""
    options = {"cache": "false"}
    access = {"user_agent": "bot/1", "respect_robots": True, "respect_opt_outs": False}
    metadata = {"final_url": access}
    out = tmp_path / "out"
    made = run_component(
        COMPONENT,
        table,
        tmp_path,
        options=options,
        metadata=metadata if "final_url" in table.column_names else {},
        output_path=str(out),
        **arguments,
    )
    return out, made


def test_each_image_has_its_credits(tmp_path):
    """`credits.csv` names author, licence, host and time of every file, whatever the layout."""
    out, _ = export(rows(), tmp_path, layouts=["kohya", "webdataset"])
    for folder in (out, out / "kohya", out / "webdataset"):
        with (folder / "credits.csv").open(newline="", encoding="utf-8") as file:
            table = list(csv.DictReader(file))
        assert table[1] == {
            "file": "000000000001.jpg",
            "split": "train",
            "license": LICENCES[1],
            "author": 'Ann "A" Lee',
            "source_page": "",
            "host": "img1.example",
            "url": "https://img1.example/1.jpg",
            "fetched_at": "2026-11-02T12:00:00+00:00",
            "opt_out": "X-Robots-Tag: noai",
        }
        assert [row["license"] for row in table] == [licence or "" for licence in LICENCES]
    assert table[0]["author"] == "'=1+1"  # else a spreadsheet would compute it
    assert (out / "credits.csv").samefile(out / "kohya" / "credits.csv")


def test_the_card_sums_credits_up(tmp_path):
    """The card counts licences and hosts, and tells what was not respected, as the hub reads it."""
    out, _ = export(rows(), tmp_path)
    card = DatasetCard.load(out / "README.md", ignore_metadata_errors=False)
    matter = card.data.to_dict()
    assert [matter["license"], matter["license_name"]] == ["other", "various"]
    assert matter["license_link"] == "credits.csv"
    assert matter["task_categories"] == ["text-to-image"]
    assert matter["size_categories"] == ["n<1K"]
    for line in (
        "| `unknown` | 2 |",
        "| `cc-by-2.0` | 1 |",
        "Hosts: `img0.example` 3, `img1.example` 3.",
        "Fetched from `2026-11-01T12:00:00+00:00` to `2026-11-06T12:00:00+00:00`.",
        "In fetching, the rules of robots.txt were respected.",
        "In fetching, opt-outs were **not** respected.",
        "Of these images, **1 are reserved by their hosts**.",
        "- Of 2 images the licence is not known: clear that before you publish.",
    ):
        assert line in card.text
    assert "Ann" not in card.text


def test_one_licence_is_that_of_the_dataset(tmp_path):
    """Where all images have a licence that the hub knows, the card's front matter names it."""
    table = rows().slice(1, 1)
    out, _ = export(table, tmp_path, licenses=["cc-by-4.0"])
    assert DatasetCard.load(out / "README.md").data.to_dict()["license"] == "cc-by-4.0"


def test_the_card_names_no_folder_of_this_machine(tmp_path):
    """Where images or a model came from a local folder, its name is told and not its place."""
    made = run_component(
        COMPONENT,
        rows(),
        tmp_path,
        metadata={"caption": {"model_id": "/home/ann/models/blip"}},
        output_path=str(tmp_path / "out"),
    )
    text = Path(made.manifest.artifacts[1]).read_text()
    assert '- `caption`: model_id `"blip"`' in text
    assert "/home/ann" not in text


def test_the_card_tells_what_the_steps_before_lost(tmp_path):
    """The figures of each step are in the card, and what wrote the captions that are left."""
    given = rows().append_column("sha256", pa.array(["x"] * len(LICENCES)))
    made = run_component(
        COMPONENT, given, tmp_path, metadata={"caption": {"model_id": "blip"}}, output_path=None
    )
    text = Path(made.manifest.artifacts[1]).read_text()
    assert "| `given` | `-` | 0 | 6 | none |" in text
    assert "- The captions are by a model, `blip`, and may be wrong or biased." in text


def test_without_credits_there_is_no_table(tmp_path):
    """Images of one's own have none, and the card says so."""
    out, _ = export(rows().select(["image", "caption"]), tmp_path)
    assert not (out / "credits.csv").exists()
    text = (out / "README.md").read_text()
    assert "Nothing is known of licences and authors: the rows had no fields for them." in text
    assert DatasetCard.load(out / "README.md").data.to_dict()["license"] == "unknown"


@pytest.mark.parametrize(
    ("wanted", "kept"),
    [
        (["cc-by"], [0, 1]),
        (["CC BY 4.0", "cc0-1.0"], [1, 3]),
        (["cc-by-nc"], [2]),
        (["cc-by-2.0", "unknown"], [0, 4, 5]),
    ],
)
def test_rows_are_kept_by_licence(tmp_path, wanted, kept):
    """Only licences that are named stay; null is none of them; each other row has its reason."""
    out, result = export(rows(), tmp_path, licenses=wanted)
    assert sorted(int(path.stem) for path in (out / "train").glob("*.jpg")) == kept
    rejects = result.rejects.to_pylist()
    assert len(rejects) == len(LICENCES) - len(kept)
    assert {(reject["reason"], reject["filtered"]) for reject in rejects} == {("license", True)}


def test_a_filter_needs_the_field(tmp_path):
    """Rows without licences are not all dropped: it is asked which field holds them."""
    with pytest.raises(InputDataError) as error:
        export(rows().drop_columns(["license"]), tmp_path, licenses=["cc-by"])
    assert str(error.value) == (
        "export_dataset: the rows have no field 'license', which licenses goes by; say which it "
        "is, as in consumes={'license': 'LICENSE'}."
    )
