"""The pages of a dataset, requested as a browser does."""

import io
import re
from html import unescape

import pyarrow as pa
import pytest
from PIL import Image
from starlette.testclient import TestClient

from explorer.app import make_app
from explorer.place import find_place
from explorer.site import Site
from explorer.tables import Tables
from fondant_spec.errors import InvalidArgumentError
from fondant_spec.testing import write_dataset
from image_toolkit.edits.edit import Edit
from image_toolkit.edits.journal import Journal

TOKEN = "a-token-of-the-tests"
DATA = "/data/pipeline/given/0000000000000000"


def picture(number: int) -> bytes:
    """Return a small JPEG, another one for each number."""
    file = io.BytesIO()
    Image.new("RGB", (96, 64), (number * 9 % 256, 90, 160)).save(file, "JPEG")
    return file.getvalue()


def table(count: int = 12) -> pa.Table:
    """Return rows as a pipeline makes them."""
    return pa.table(
        {
            "image": [picture(number) for number in range(count)],
            "sha256": [f"{number:064x}" for number in range(count)],
            "caption": [f"a photo of cat number {number}" for number in range(count)],
            "score": pa.array([number / 10 for number in range(count)], pa.float32()),
            "final_url": [
                f"https://{'ab'[number % 2]}.example/{number}" for number in range(count)
            ],
            "seed_id": [f"s{number // 4}" for number in range(count)],
            "embedding": pa.array(
                [[float(number), 1.0] for number in range(count)], pa.list_(pa.float32(), 2)
            ),
        }
    )


def client_of(base, *, who="anna", read_only=False) -> TestClient:
    """Return a browser of a kind that has opened the address of an explorer."""
    site = Site(find_place(str(base), str(base)), who, read_only=read_only)
    client = TestClient(make_app(site, TOKEN), base_url="http://127.0.0.1:8000")
    assert client.get(f"/?token={TOKEN}").status_code == 200
    client.headers["origin"] = "http://127.0.0.1:8000"
    return client


@pytest.fixture
def client(tmp_path):
    """A browser that looks at a dataset of twelve rows in three partitions."""
    write_dataset(table(), tmp_path, rows_per_partition=5)
    return client_of(tmp_path)


def rows(text: str) -> list[int]:
    """Return the numbers of the rows that a page shows, in its order."""
    return [
        int(number) for number in re.findall(r'<article [^>]*?data-row="(\d+)"', text, re.DOTALL)
    ]


def edit(client, row, field, value, after=()):
    """Send a change of a row."""
    change = {"row": f"{row:012d}", "field": field, "value": value, "after": list(after)}
    return client.post(f"{DATA}/edits", json={"changes": [change], "show": [change["row"]]})


def shown(client, **query) -> list[int]:
    """Return the rows of a view."""
    return rows(client.get(DATA, params=query).text)


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ({}, list(range(12))),
        ({"where": "score > 0.85"}, [9, 10, 11]),
        ({"q": "CAT 11"}, [11]),
        ({"q": "number", "where": "host = 'a.example'"}, [0, 2, 4, 6, 8, 10]),
        ({"sort": "score", "desc": "1", "where": "score < 0.25"}, [2, 1, 0]),
        ({"near": "000000000005"}, [5, 6, 7, 8, 9, 10, 11, 4, 3, 2, 1, 0]),
        ({"page": "2"}, []),
    ],
)
def test_a_view_is_what_its_address_says(client, query, wanted):
    """Words, an expression, an order and the nearest images choose the rows."""
    found = shown(client, **query)
    assert sorted(found) == sorted(wanted) if "near" in query else found == wanted
    if "near" in query:
        assert found[0] == 5


@pytest.mark.parametrize("where", ["score > 0.5", "score / score > 0.5 AND score > 0.1"])
def test_a_score_that_is_none_is_in_no_filter(tmp_path, where):
    """Neither a null nor a NaN is above a number, so no change of many rows reaches them."""
    scores = pa.array([0.0, 1.0, float("nan"), None], pa.float32())
    given = table(4)
    given = given.set_column(given.schema.get_field_index("score"), "score", scores)
    write_dataset(given, tmp_path)
    client = client_of(tmp_path)
    assert shown(client, where=where) == [1]
    assert shown(client, where="score IS NULL") == [2, 3]
    text = client.get(f"{DATA}/bulk", params={"action": "drop", "where": where}).text
    assert "<strong>1</strong> image would change" in text
    queue = client.get(f"{DATA}/review", params={"where": where, "size": "10"}).text
    assert rows(queue) == [1]


def test_a_random_order_is_drawn_by_its_seed(client):
    """The same address shows the same rows, another seed others."""
    first = shown(client, sort="random")
    assert first == shown(client, sort="random")
    assert sorted(first) == list(range(12)) != first
    assert first != shown(client, sort="random", seed="2")


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ({"where": "scor > 1"}, "there is no field 'scor'; did you mean 'score'?"),
        ({"where": "score >"}, "no SQL expression"),
        ({"where": "score > 'a'"}, "Could not convert string 'a'"),
        ({"where": "nothing(score)"}, "Function with name nothing does not exist"),
        ({"where": "score IN (SELECT 1)"}, "queries in queries"),
        ({"where": "caption"}, "Could not convert string"),
        ({"sort": "scor"}, "no field 'scor' to sort by; did you mean 'score'?"),
        ({"page": "x"}, "page must be a whole number"),
        ({"near": "nobody"}, "there is no row 'nobody'"),
        ({"like": "a cat"}, "does not say which model made it"),
    ],
)
def test_what_cannot_be_shown_is_told_on_the_page(client, query, why):
    """The form stays as it was typed, with a sentence above the empty gallery."""
    answer = client.get(DATA, params=query)
    (problem,) = re.findall(r'<p class="problem" role="alert">(.*?)</p>', answer.text, re.DOTALL)
    assert why in unescape(problem)
    assert rows(answer.text) == []


def test_weights_of_tags_are_no_vectors(tmp_path):
    """Without vectors nothing offers to search by a text, and asking for that says what to do."""
    weights = pa.array([[0.5], None], pa.list_(pa.float32()))
    about = {"tag_weights": {"model_id": "a tagger"}}
    write_dataset(
        table(2).drop(["embedding"]).append_column("tag_weights", weights), tmp_path, metadata=about
    )
    client = client_of(tmp_path)
    assert 'name="like"' not in client.get(DATA).text
    assert "the dataset has no vectors" in client.get(DATA, params={"like": "cat"}).text


def test_a_query_cannot_take_for_ever(monkeypatch):
    """One that takes too long is ended with a sentence, and the next one is answered."""
    tables = Tables()
    monkeypatch.setattr("explorer.tables._SECONDS", 0.2)
    with pytest.raises(InvalidArgumentError, match=r"takes longer than 0\.2 s"):
        tables.rows(
            "SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE a.range > b.range"
        )
    monkeypatch.undo()
    assert tables.rows("SELECT 1 AS one") == [{"one": 1}]


def test_a_row_has_its_image_and_what_it_shares(client):
    """The page of a row names its values, its neighbours and those of the same seed and host."""
    text = client.get(f"{DATA}/row/000000000005").text
    assert "a photo of cat number 5" in text
    assert "4 with seed_id s1" in re.sub(r"<[^>]+>", "", text)
    assert "6 with host b.example" in re.sub(r"<[^>]+>", "", text)
    assert 'href="https://' not in text  # a page of somebody else's is never one click away
    assert client.get(f"{DATA}/row/nobody").status_code == 400


def test_images_are_served_small_and_as_they_are(client):
    """Both are images, which no page can run anything from."""
    small = client.get(f"{DATA}/thumbnail/000000000003")
    whole = client.get(f"{DATA}/image/000000000003")
    assert Image.open(io.BytesIO(small.content)).size == (96, 64)
    assert whole.content == picture(3)
    for answer in (small, whole):
        assert answer.headers["content-type"] == "image/jpeg"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-security-policy"] == "default-src 'none'; sandbox"


def test_an_edit_shows_everywhere(client):
    """A new caption is on the card, in searches, in filters and in the history."""
    answer = edit(client, 3, "caption", "a drawing of a dog")
    assert "a drawing of a dog" in answer.json()["cards"]["000000000003"]
    assert shown(client, q="drawing") == [3]
    assert shown(client, where="caption_edited") == [3]
    assert "a drawing of a dog" in client.get("/history").text
    assert client.post("/undo", json={}).json()["told"] == "undone: 1 edit"
    assert shown(client, where="caption_edited") == []
    assert shown(client, q="drawing") == []
    assert client.post("/undo", json={}).json()["told"] == "there is nothing to undo."


def test_drops_splits_tags_and_acceptance(client):
    """Each can be filtered by, and none hides the row."""
    for row, field, value in [
        (1, "dropped", True),
        (2, "split", "validation"),
        (3, "tag:blurred", True),
        (4, "accepted", True),
    ]:
        assert edit(client, row, field, value).status_code == 200
    assert shown(client, where="dropped") == [1]
    assert shown(client, where="split = 'validation'") == [2]
    assert shown(client, where="list_contains(tags, 'blurred')") == [3]
    assert shown(client, where="accepted") == [4]
    assert len(shown(client)) == 12
    edit(client, 4, "caption", "another")  # what was accepted is another caption
    assert shown(client, where="accepted") == []


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"row": "x", "field": "caption", "value": "y"}, "there is no row 'x'"),
        ({"row": "000000000001", "field": "sha256", "value": "y"}, "no field 'sha256'"),
        ({"row": "000000000001", "field": "caption", "value": " "}, "must not be blank"),
        ({"row": "000000000001", "field": "split", "value": "test"}, "train or validation"),
        ({"row": 1, "field": "caption", "value": "y"}, "must name its row"),
        ("caption", "must name its row"),
    ],
)
def test_a_change_that_is_none_is_refused(client, change, why):
    """Nothing is written, and it is told why."""
    answer = client.post(f"{DATA}/edits", json={"changes": [change]})
    assert answer.status_code == 400
    assert why in answer.json()["told"]
    assert shown(client, where="caption_edited") == []


def test_two_people_see_each_other(tmp_path):
    """Who edits what another has changed meanwhile is told of it, and may then decide."""
    write_dataset(table(), tmp_path)
    anna, ben = client_of(tmp_path), client_of(tmp_path, who="ben")
    assert edit(anna, 3, "caption", "by anna").status_code == 200
    refused = edit(ben, 3, "caption", "by ben")
    assert refused.status_code == 409
    theirs = refused.json()["theirs"]["caption"]
    assert (theirs["by"], theirs["value"]) == ("anna", "by anna")
    assert "by anna" in refused.json()["cards"]["000000000003"]
    assert edit(ben, 3, "caption", "by ben", theirs["after"]).status_code == 200
    assert shown(anna, q="ben") == [3]
    assert edit(ben, 3, "tag:dark", value=True).status_code == 200
    assert edit(anna, 3, "tag:large", value=True).status_code == 200
    assert anna.post("/undo", json={}).json()["told"] == "undone: 1 edit"
    assert "1 of 1 edits were edited again" in anna.post("/undo", json={}).json()["told"]


def test_edits_made_in_the_same_moment_are_a_conflict(tmp_path):
    """Where both were written before either was seen, the card shows both until it is settled."""
    write_dataset(table(), tmp_path)
    anna, ben = client_of(tmp_path), client_of(tmp_path, who="ben")
    edit(anna, 3, "caption", "by anna")
    (file,) = (tmp_path / "edits").iterdir()
    other = file.read_text().replace("by anna", "by ben").replace('"anna"', '"ben"')
    made = re.sub(r'"id":"\w+"', '"id":"theirs"', other)
    (tmp_path / "edits" / "other.jsonl").write_text(re.sub(r'"at":"2', '"at":"3', made))
    text = ben.get(DATA, params={"where": "conflict"}).text
    assert rows(text) == [3]
    assert "by ben" in text
    heads = unescape(re.search(r'data-heads="([^"]*theirs[^"]*)"', text)[1])
    after = re.findall(r'"(\w{32}|theirs)"', heads)
    assert edit(ben, 3, "caption", "by ben", after).status_code == 200
    assert shown(anna, where="conflict") == []
    assert shown(anna, q="ben") == [3]


def test_read_only(tmp_path):
    """An explorer that takes no corrections says so, and offers none."""
    write_dataset(table(), tmp_path)
    client = client_of(tmp_path, read_only=True)
    assert "--read-only" in edit(client, 3, "caption", "x").json()["told"]
    assert "--read-only" in client.post("/undo", json={}).json()["told"]
    assert 'data-do="edit"' not in client.get(f"{DATA}/row/000000000003").text
    assert not (tmp_path / "edits").exists()


@pytest.mark.parametrize(
    ("query", "after"),
    [
        ({"find": "photo", "put": "picture"}, "a picture of cat number 7"),
        ({"find": "PHOTO", "put": "picture", "case": "0"}, "a picture of cat number 7"),
        ({"find": "a.photo", "put": "x", "case": "0"}, None),
        ({"find": r"cat number (\d+)", "put": r"\1 cats", "regex": "1"}, "a photo of 7 cats"),
        ({"find": "photo", "put": r"\0\1"}, r"a \0\1 of cat number 7"),
        ({"find": "photo", "put": r"\0", "case": "0"}, r"a \0 of cat number 7"),
    ],
)
def test_find_and_replace(client, query, after):
    """What the preview shows is what is written, and one step undoes all of it."""
    query |= {"where": "score > 0.65 AND score < 0.75"}
    text = client.get(f"{DATA}/bulk", params=query).text
    found = [unescape(one) for one in re.findall(r"<ins>(.*?)</ins>", text)]
    assert found == ([after] if after else [])
    if after:
        digest = re.search(r'data-digest="(\w+)"', text)[1]
        answer = client.post(f"{DATA}/bulk", params=query, json={"digest": digest})
        assert answer.json()["told"] == "changed: 1 image"
        assert shown(client, where="caption_edited") == [7]
        client.post("/undo", json={})
        assert shown(client, where="caption_edited") == []


def test_a_preview_that_no_longer_holds_is_not_written(client):
    """Somebody who edits in between is not overwritten."""
    query = {"find": "photo", "put": "picture"}
    digest = re.search(r'data-digest="(\w+)"', client.get(f"{DATA}/bulk", params=query).text)[1]
    edit(client, 2, "caption", "a photo of something else")
    answer = client.post(f"{DATA}/bulk", params=query, json={"digest": digest})
    assert "have changed since you looked" in answer.json()["told"]
    assert shown(client, where="caption_edited") == [2]


@pytest.mark.parametrize(
    ("query", "where", "count"),
    [
        ({"action": "drop"}, "dropped", 12),
        ({"action": "tag", "word": "old"}, "list_contains(tags, 'old')", 12),
        ({"action": "split", "word": "train", "q": "1"}, "split = 'train'", 3),
    ],
)
def test_many_rows_at_once(client, query, where, count):
    """Rows of a view can be dropped, tagged and moved together; a second time nothing is left."""
    text = client.get(f"{DATA}/bulk", params=query).text
    digest = re.search(r'data-digest="(\w+)"', text)[1]
    client.post(f"{DATA}/bulk", params=query, json={"digest": digest})
    assert len(shown(client, where=where)) == count
    assert "<strong>0</strong> images would change" in client.get(f"{DATA}/bulk", params=query).text


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ({"find": "(", "regex": "1"}, "missing )"),
        ({"action": "split", "word": "test"}, "a split is train or validation"),
        ({"action": "tag", "word": "a,b"}, "no field"),
    ],
)
def test_what_cannot_be_done_to_many(client, query, why):
    """It is told in the place of a preview."""
    assert why in unescape(client.get(f"{DATA}/bulk", params=query).text)


@pytest.fixture
def twins(tmp_path):
    """A browser that looks at three rows of one image, two of which have the same caption."""
    given = pa.table(
        {
            "sha256": ["a" * 64] * 3,
            "caption": ["a red car", "the car of my aunt", "a red car"],
        }
    )
    write_dataset(given, tmp_path)
    return client_of(tmp_path)


def captions(client):
    """Return the captions of all rows."""
    return re.findall(r'data-caption="([^"]*)"', client.get(DATA).text)


def test_rows_of_one_image_keep_captions_of_their_own(twins):
    """A change of many is made in each text, the preview has every row, and all of it is undone."""
    query = {"find": "car", "put": "auto"}
    text = twins.get(f"{DATA}/bulk", params=query).text
    found = ["a red auto", "the auto of my aunt", "a red auto"]
    assert re.findall(r"<ins>(.*?)</ins>", text) == found
    assert "<strong>1</strong> image would change, in 3 rows" in text
    digest = re.search(r'data-digest="(\w+)"', text)[1]
    told = twins.post(f"{DATA}/bulk", params=query, json={"digest": digest}).json()["told"]
    assert told == "changed: 1 image"
    assert captions(twins) == found
    assert twins.post("/undo", json={}).json()["told"] == "undone: 2 edits"
    assert captions(twins) == ["a red car", "the car of my aunt", "a red car"]


def test_an_edit_of_one_text_leaves_the_others(twins):
    """What is undone may be edited again, as what nobody has edited."""
    first = "a red bus"
    for value in (first, "a blue bus"):
        answer = edit(twins, 0, "caption", value)
        assert answer.status_code == 200
        assert captions(twins) == [value, "the car of my aunt", value]
        twins.post("/undo", json={})
    assert edit(twins, 1, "caption", "my aunt's").status_code == 200
    assert edit(twins, 1, "caption", "another").status_code == 409
    assert edit(twins, 2, "caption", first).status_code == 200
    assert captions(twins) == [first, "my aunt&#39;s", first]
    assert shown(twins, where="caption_edited") == [0, 1, 2]


def test_an_edit_of_a_whole_image_stands_until_a_text_of_it_is_edited(twins, tmp_path):
    """Edits of before, and of datasets in which the image had one caption, are of all rows."""
    old = Edit("1", "1", "ben", "a" * 64, "caption", "ours", beneath="a red car")
    Journal(str(tmp_path / "edits")).add([old])
    assert captions(twins) == ["ours"] * 3
    assert edit(twins, 1, "caption", "mine", ["1"]).status_code == 200
    assert captions(twins) == ["ours", "mine", "ours"]
    twins.post("/undo", json={})
    assert captions(twins) == ["ours"] * 3
    assert edit(twins, 1, "caption", "mine", ["1"]).status_code == 200
    assert captions(twins) == ["ours", "mine", "ours"]
    assert shown(twins, where="conflict") == []


def test_an_edit_of_corrected_captions_lies_over_those_of_the_steps(tmp_path):
    """Also where the dataset is that of `apply_edits`, whose captions people have changed."""
    given = pa.table({"sha256": ["a"], "caption": ["ours"], "written_caption": ["a car"]})
    write_dataset(given, tmp_path)
    assert edit(client_of(tmp_path), 0, "caption", "mine").status_code == 200
    assert [one.beneath for one in Journal(str(tmp_path / "edits")).edits()] == ["a car"]


def test_captions_that_would_be_left_blank_stay(client):
    """They are counted in the preview."""
    query = {"find": ".*", "put": "", "regex": "1"}
    text = client.get(f"{DATA}/bulk", params=query).text
    assert "<strong>0</strong> images would change; 12 captions would become blank" in text


def test_the_queue_goes_on_and_tells_how_far_people_agree(client):
    """Accepted rows leave the queue; the interval is Wilson's."""
    place = f"{DATA}/review?size=10"
    (first,) = rows(client.get(place).text)
    edit(client, first, "accepted", value=True)
    (second,) = rows(client.get(place).text)
    assert second != first
    edit(client, second, "dropped", value=True)
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", client.get(place).text))
    assert "2 of 10 reviewed" in text
    assert (
        "accepted unchanged: 1 of 2; estimate for all 12 rows: 50.0 % (95 % interval 9.5 to 90.5 %)"
        in text
    )


def test_queues_begin_where_a_look_pays(client):
    """The lowest values, those next to a border, captions that repeat themselves."""
    edit(client, 8, "caption", "a cat and a cat and a cat and a cat")
    for query, row in [
        ("kind=lowest&field=score", 0),
        ("kind=border&field=score&value=0.52", 5),
        ("kind=repeated&n=0", 8),
        ("kind=lowest&field=score&where=score+>+0.25", 3),
    ]:
        assert rows(client.get(f"{DATA}/review?{query}").text) == [row]
    assert "name a field with numbers: score" in client.get(f"{DATA}/review?kind=lowest").text


def test_a_bar_leads_to_what_lies_in_it(client):
    """Each bar's address shows as many rows as the bar has, and together they are all."""
    text = client.get(f"{DATA}/distributions").text
    for name in ("score", "host", "dropped"):
        chart = re.search(rf"<h2>{name} .*?</section>", text, re.DOTALL)[0]
        bars = re.findall(r'<li><a href="([^"]+)".*?<span class="n">(\d+)</span>', chart, re.DOTALL)
        for address, count in bars:
            assert len(rows(client.get(unescape(address)).text)) == int(count)
        assert sum(int(count) for _, count in bars) == 12


def test_a_dataset_whose_files_are_partly_gone(tmp_path):
    """What is left is shown, and it is said on every page which file is missing."""
    write_dataset(table(), tmp_path, rows_per_partition=5)
    (file,) = tmp_path.rglob("part-00001.parquet")
    file.unlink()
    other = client_of(tmp_path)
    text = other.get(DATA).text
    assert rows(text) == [0, 1, 2, 3, 4, 10, 11]
    assert "1 of 3 partitions cannot be read" in text
    assert "part-00001.parquet: the file is missing" in text
    assert other.get(f"{DATA}/thumbnail/000000000007").headers["content-type"] == "image/png"


def test_hostile_rows(tmp_path):
    """Markup is text, characters that turn text round are marked, and no image breaks the page."""
    captions = [
        "<script>alert(1)</script><img src=x onerror=alert(2)>",
        "\u202eevil\u2066 \u0000",
        "x" * 10_000,
        "👩‍🚀 é ش",
        "'); DROP TABLE rows; --",
        None,
    ]
    svg = b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>'
    images = [svg, b"", None, picture(1)[:300], picture(2), b"<html><script>alert(1)</script>"]
    write_dataset(
        pa.table(
            {
                "image": pa.array(images, pa.binary()),
                "caption": captions,
                'odd "name" <b>': [1, 2, 3, 4, 5, 6],
                "file_name": ["../../etc/passwd", "<b>", "\u202e", "x\ny", "a" * 3000, ""],
            }
        ),
        tmp_path,
    )
    client = client_of(tmp_path)
    text = client.get(DATA).text
    assert "<script>alert" not in text
    assert "<img src=x" not in text
    assert '<span class="hidden-character" title="Right-To-Left Override">U+202E</span>' in text
    assert "\u202e" not in re.sub(r'data-caption="[^"]*"|alt="[^"]*"', "", text)
    assert len(rows(text)) == 6
    for number in range(6):
        row = client.get(f"{DATA}/row/{number:012d}")
        assert row.status_code == 200
        assert "<script>alert" not in row.text
        for kind in ("thumbnail", "image"):
            answer = client.get(f"{DATA}/{kind}/{number:012d}")
            assert answer.headers["content-type"] in ("image/jpeg", "image/png")
            Image.open(io.BytesIO(answer.content)).load()
    assert client.get(f"{DATA}/distributions").status_code == 200
    assert rows(client.get(DATA, params={"where": '"odd ""name"" <b>" = 5'}).text) == [4]
    assert edit(client, 0, "caption", "</textarea><script>alert(3)</script>").status_code == 200
    assert "<script>alert" not in client.get("/history").text
    assert "no image, by which an edit" in edit(client, 2, "caption", "x").json()["told"]


def test_a_dataset_is_read_again_when_it_was_written_anew(tmp_path):
    """The pages show the rows that there are now."""
    write_dataset(table(12), tmp_path)
    client = client_of(tmp_path)
    assert len(shown(client)) == 12
    write_dataset(table(7), tmp_path)
    assert len(shown(client)) == 7


def test_two_results_side_by_side(tmp_path):
    """Images of both are matched by what they are, and those that differ are shown."""
    write_dataset(table(), tmp_path)
    given = tmp_path / "pipeline" / "given"
    other = table(10)
    captions = [
        f"{text}!" if number == 4 else text
        for number, text in enumerate(other["caption"].to_pylist())
    ]
    other = other.set_column(2, "caption", pa.array(captions))
    write_dataset(other, tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "pipeline" / "given" / ("0" * 16)).rename(given / ("1" * 16))
    manifest = given / ("1" * 16) / "manifest.json"
    old = str(tmp_path / "elsewhere" / "pipeline" / "given" / ("0" * 16))
    manifest.write_text(manifest.read_text().replace(old, str(manifest.parent)))
    client = client_of(tmp_path)
    place = f"/compare?a=pipeline/given/{'0' * 16}&b=pipeline/given/{'1' * 16}"
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", client.get(place).text))
    assert "10 images are in both, 2 only in A, 0 only in B. 1 differ." in text
    assert "a photo of cat number 4!" in text
    assert "a photo of cat number 5" not in text
    assert "a photo of cat number 5" in client.get(f"{place}&all=1").text


def test_a_base_path_on_an_object_store(s3_base):
    """Rows, images and edits, likewise."""
    write_dataset(table(), s3_base, rows_per_partition=5)
    client = client_of(s3_base)
    assert len(shown(client, q="cat")) == 12
    assert client.get(f"{DATA}/image/000000000007").content == picture(7)
    assert edit(client, 3, "caption", "kept on the store").status_code == 200
    assert shown(client_of(s3_base, who="ben"), q="store") == [3]
