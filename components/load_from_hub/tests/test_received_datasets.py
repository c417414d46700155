"""Datasets that somebody else made: nothing outside of them is read, whatever they say."""

import json
import os
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, HTTPServer

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fondant_spec.errors import InputDataError


@pytest.fixture
def secret(tmp_path, photo):
    """Return a folder with private files, beside the dataset."""
    folder = tmp_path / "private"
    folder.mkdir()
    (folder / "rows.csv").write_text("text\nsecret\n")
    (folder / "secret.jpg").write_bytes(photo(1))
    return folder


@pytest.fixture
def server():
    """Yield the address of a server, and the list of what was asked of it."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_error(404)

        do_HEAD = do_GET  # noqa: N815 - the name is the protocol's

    with HTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}", asked
        http.shutdown()
        thread.join()


@pytest.mark.parametrize(
    "path",
    [
        *(
            "../private/rows.csv",
            "{secret}/rows.csv",
            "file://{secret}/rows.csv",
            "a/../../private/*",
        ),
        *(
            "{address}/rows.csv",
            "s3://bucket/rows.csv",
            "zip://rows.csv::{secret}/a.zip",
            "~/rows.csv",
        ),
        *(
            "hf://datasets/a/b/rows.csv",
            "..",
            "\\..\\private",
            "data/../../private/**",
            "simplecache::x",
        ),
    ],
)
@pytest.mark.parametrize("key", ["data_files", "data_dir"])
def test_a_readme_names_files_below_its_dataset(tmp_path, load, secret, server, path, key):
    """A pattern that leads elsewhere is refused by name, before anything is looked up."""
    address, asked = server
    path = path.format(secret=secret, address=address)
    folder = tmp_path / "received"
    folder.mkdir()
    (folder / "rows.csv").write_text("text\nmine\n")
    value = [{"split": "train", "path": [path]}] if key == "data_files" else path
    configs = [
        {"config_name": "default", "data_files": "rows.csv"},
        {"config_name": "x", key: value},
    ]
    (folder / "README.md").write_text(f"---\nconfigs: {json.dumps(configs)}\n---\n")
    with pytest.raises(InputDataError) as error:
        load(folder, config="x", image_column="", produces={"text": "string"})
    assert "which is not below the dataset" in str(error.value)
    assert path.split("/")[-1].strip("\\") in str(error.value).replace("\\\\", "\\")
    assert asked == []


@pytest.mark.parametrize("kind", ["rows.csv", "data/rows.parquet", "metadata.jsonl", "a.zip"])
def test_a_link_in_place_of_a_data_file_is_refused(tmp_path, load, photo, secret, kind):
    """Data files that are links out of the dataset stop the load, or are rejects by name."""
    pq.write_table(pa.table({"text": ["secret"]}), secret / "rows.parquet")
    (secret / "metadata.jsonl").write_text('{"file_name": "a.jpg", "text": "secret"}')
    with zipfile.ZipFile(secret / "a.zip", "w") as archive:
        archive.writestr("a.jpg", photo(1))
    folder = tmp_path / "received"
    (folder / kind).parent.mkdir(parents=True)
    (folder / kind).symlink_to(secret / kind.split("/")[-1])
    (folder / "other.csv").write_text("text\nmine\n")
    with pytest.raises(InputDataError, match=f"{kind} is not read: it is a link that leads out of"):
        load(folder, image_column="", produces={"text": "string"})


@pytest.mark.parametrize("folder_link", [False, True])
def test_a_cell_does_not_lead_through_a_link(tmp_path, load, secret, folder_link):
    """A path in a table that goes through a link out of the dataset is a reject."""
    folder = tmp_path / "received"
    folder.mkdir()
    if folder_link:
        (folder / "images").symlink_to(secret)
    else:
        (folder / "images").mkdir()
        (folder / "images" / "secret.jpg").symlink_to(secret / "secret.jpg")
    (folder / "rows.csv").write_text("image\nimages/secret.jpg\n")
    result = load(folder / "rows.csv")
    assert result.rejects["reason"].to_pylist() == ["link_outside_dataset"]
    assert len(load(folder / "rows.csv", follow_links=True).table) == 1


def test_pipes_and_devices_in_a_table_do_not_hang(tmp_path, load):
    """Only regular files are read; opening a pipe would wait for ever."""
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "zero.jpg").symlink_to("/dev/zero")
    (tmp_path / "rows.csv").write_text("image\npipe.jpg\nzero.jpg\n/dev/zero\n\x00\n" + "a" * 999)
    result = load(tmp_path / "rows.csv", follow_links=True)
    assert result.rejects["reason"].to_pylist() == [
        *("unreadable_file", "unreadable_file", "path_outside_dataset", "file_not_found"),
        "unreadable_file",
    ]


def test_members_of_a_zip_that_lead_elsewhere_are_refused(tmp_path, load, photo, caplog):
    """Links and paths out of an archive are rejects, each by name."""
    folder = tmp_path / "received"
    folder.mkdir()
    with zipfile.ZipFile(folder / "images.zip", "w") as archive:
        archive.writestr("a.jpg", photo(1))
        archive.writestr("../b.jpg", photo(2))
        archive.writestr("/c.jpg", photo(2))
        link = zipfile.ZipInfo("d.jpg")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
        archive.writestr("a.txt", "a cat")
        archive.writestr("lonely.txt", "a dog")
        archive.writestr("__MACOSX/._a.jpg", b"fork")
    result = load(folder, produces={"text": "string"})
    assert result.table["text"].to_pylist() == ["a cat"]
    assert "images.zip: left out, as no part of the dataset: 2 hidden or beside no" in caplog.text
    assert result.table["file_name"].to_pylist() == ["images.zip/a.jpg"]
    assert sorted(result.rejects["reason"].to_pylist()) == [
        *("not_a_file", "path_outside_dataset", "path_outside_dataset")
    ]
