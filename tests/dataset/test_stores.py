"""A base path on an object store: S3 on SeaweedFS, Google Cloud Storage on fake-gcs-server."""

import logging
import os
import re
import socket
import subprocess
import time
from dataclasses import replace

import pyarrow as pa
import pytest

from fondant_spec import cli
from fondant_spec.dataset import conditional_writes, storage, stores
from fondant_spec.dataset.base_path import check_writable, doubts_from_afar
from fondant_spec.dataset.partitions import open_partition
from fondant_spec.errors import MissingBucketError, StorageError
from fondant_spec.exit_codes import EXIT_ERROR, EXIT_TEMPORARY
from fondant_spec.testing import write_dataset
from tests.fault_proxy import disturbing, seeded
from tests.object_stores import BUCKET
from tests.small import command, dataset, rows

pytestmark = pytest.mark.long


def set_environment(monkeypatch, **variables):
    """Change where the store is, or its keys, for the file systems that are made from now on."""
    for name, value in variables.items():
        if value is None:
            monkeypatch.delenv(name)
        else:
            monkeypatch.setenv(name, value)
    stores.S3Store.clear_instance_cache()


@pytest.fixture
def counted(monkeypatch):
    """Return a list that is given each request to the store: its name and its answer."""
    requests = []
    call = stores.S3Store._call_s3

    async def count(self, method, *more, **keywords):
        answer = await call(self, method, *more, **keywords)
        requests.append((method, answer))
        return answer

    monkeypatch.setattr(stores.S3Store, "_call_s3", count)
    monkeypatch.setattr(stores.S3Store, "call_s3", stores.sync_wrapper(count))
    return requests


@pytest.mark.parametrize("store", ["s3_base", "google_base"], ids=["s3", "google"])
def test_any_name_of_a_folder(request, store, enter, capsys):
    """Brackets, stars, spaces and letters of any kind are names, and a neighbour is left alone."""
    base = f"{request.getfixturevalue(store)}/my set é [1]/a+b *100%?"
    check_writable(base)
    neighbour = f"{base.replace('[1]', '1')}/x"
    storage.write_text(neighbour, "")
    made = enter("double", dataset(base, number=list(range(6))), base)
    assert [row["number"] for row in rows(made)] == list(range(6))
    assert cli.main(["validate", made.folder]) == 0
    assert cli.main(["show", made.folder, "--id", "000000000003"]) == 0
    assert "double: 6" in capsys.readouterr().out
    storage.remove(base)
    assert not storage.exists(made.location)
    assert storage.sizes(f"{made.folder}/data") == {}
    assert storage.is_file(neighbour)


def test_a_bucket_is_never_made(s3_base):
    """A typing error in its name is an error, for a step and for whoever looks."""
    words = command("numbers", f"s3://{BUCKET}-nosuch/x", rows=3)
    done = subprocess.run(words, check=False, capture_output=True, text=True)
    told = f"s3://{BUCKET}-nosuch: there is no such bucket; correct its name, or make it first.\n"
    assert (done.returncode, done.stderr) == (1, f"error: {told}")
    with pytest.raises(StorageError, match="there is no such bucket"):
        storage.write_text(f"s3://{BUCKET}-nosuch/x", "")
    with pytest.raises(MissingBucketError):
        list(doubts_from_afar(f"s3://{BUCKET}-nosuch/x"))  # as a host's pods would use it
    fs, _ = storage.filesystem(s3_base)
    assert [one["Name"] for one in fs.call_s3("list_buckets")["Buckets"]] == [BUCKET]


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        (
            {"AWS_ACCESS_KEY_ID": None, "AWS_EC2_METADATA_DISABLED": "true"},
            "no credentials are in the environment; set AWS_ACCESS_KEY_ID and",
        ),
        ({"AWS_SECRET_ACCESS_KEY": "wrong"}, r"refuses access \(403\); are AWS_ACCESS_KEY_ID and"),
        ({"AWS_ACCESS_KEY_ID": "nobody"}, r"refuses access \(403\); are AWS_ACCESS_KEY_ID and"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}, "does not answer; is AWS_ENDPOINT_URL right"),
        ({"AWS_ENDPOINT_URL": "http://nosuch.invalid"}, "does not answer; is AWS_ENDPOINT_URL"),
        ({"AWS_ENDPOINT_URL": "hello"}, r"cannot be used \(Invalid endpoint: hello\)"),
    ],
)
def test_a_store_that_cannot_be_used(s3_base, monkeypatch, capsys, variables, told):
    """Whoever looks at a dataset there is told in one sentence, and so is whoever would write."""
    if "not answer" in told:
        monkeypatch.setattr(stores, "FIRST_ANSWER_SECONDS", 0.5)
    set_environment(monkeypatch, **variables)
    # Of a name that nobody knows it depends on which is known first: that, or that time is up.
    may_pass = {EXIT_TEMPORARY, EXIT_ERROR} if "nosuch" in str(variables) else {EXIT_TEMPORARY}
    codes = may_pass if "not answer" in told else {EXIT_ERROR}
    assert cli.main(["show", f"{s3_base}/x"]) in codes
    assert re.fullmatch(rf"error: s3://{BUCKET}: .*{told}.*\n", capsys.readouterr().err)
    with pytest.raises(StorageError, match=told):
        check_writable(s3_base)


def test_a_store_that_says_nothing(s3_base, monkeypatch):
    """A server that takes the connection and never answers is not waited for long."""
    monkeypatch.setattr(stores, "FIRST_ANSWER_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        endpoint = f"http://127.0.0.1:{mute.getsockname()[1]}"
        set_environment(monkeypatch, AWS_ENDPOINT_URL=endpoint)
        began = time.monotonic()
        with pytest.raises(StorageError, match="does not answer"):
            check_writable(s3_base)
    assert time.monotonic() - began < stores.READ_SECONDS
    assert stores.FIRST_ANSWER_SECONDS < 10


def test_a_disturbed_store(s3_base, s3_environment, monkeypatch, enter, tmp_path):
    """503s, resets and lost answers are tried again: the result is that of an undisturbed run."""
    wanted = enter("double", dataset(tmp_path, number=list(range(8))))
    given = dataset(s3_base, number=list(range(8)))
    with disturbing(s3_environment["AWS_ENDPOINT_URL"], seeded(7, 0.15)) as proxy:
        set_environment(monkeypatch, AWS_ENDPOINT_URL=proxy.url)
        made = enter("double", given, s3_base)
        assert [one.sha256 for one in made.partitions] == [one.sha256 for one in wanted.partitions]
        assert rows(made) == rows(wanted)
    assert set(proxy.faults) == {"busy", "reset", "lost"}


def test_a_lost_answer_to_a_conditional_write(s3_base, s3_environment, monkeypatch):
    """Who made or replaced the file is told so, though the store refused the second try."""
    lost = []

    def first_put(method, path):
        lost.append("lost") if method == "PUT" and path not in lost else None
        return None if method != "PUT" or lost.count(path) else lost.append(path) or "lost"

    with disturbing(s3_environment["AWS_ENDPOINT_URL"], first_put) as proxy:
        set_environment(monkeypatch, AWS_ENDPOINT_URL=proxy.url)
        version = conditional_writes.create(f"{s3_base}/lock", "mine")
        assert version
        assert conditional_writes.create(f"{s3_base}/lock", "yours") is None
        lost.clear()
        version = conditional_writes.replace(f"{s3_base}/lock", "still mine", version)
        assert conditional_writes.read(f"{s3_base}/lock") == ("still mine", version)
    assert proxy.faults == ["lost", "lost"]


def test_only_the_columns_asked_for_are_fetched(s3_base, counted):
    """Beside them comes the end of the file, which says where they lie."""
    images = [os.urandom(10_000) for _ in range(300)]
    given = write_dataset(pa.table({"image": images, "number": list(range(300))}), s3_base)
    path = f"{given.folder}/data/{given.partitions[0].name}.parquet"
    counted.clear()
    open_partition(path, ["number"]).read(columns=["number"])
    fetched = sum(answer["ContentLength"] for name, answer in counted if name == "get_object")
    assert fetched < 100_000 < storage.sizes(f"{given.folder}/data")["part-00000.parquet"] / 25


def test_two_commits(s3_base, s3_environment, monkeypatch):
    """A manifest that another run has written meanwhile stays; one's own, sent twice, is one."""
    made = dataset(s3_base, number=[1])
    with pytest.raises(StorageError, match="another run has written it meanwhile"):
        replace(made, run_id="other").write(replaces=False)
    storage.remove(made.location)
    faults = iter(["lost"])
    lose = lambda method, _path: next(faults, None) if method == "PUT" else None  # noqa: E731
    with disturbing(s3_environment["AWS_ENDPOINT_URL"], lose) as proxy:
        set_environment(monkeypatch, AWS_ENDPOINT_URL=proxy.url)
        made.write(replaces=False)
        assert proxy.faults == ["lost"]


def test_a_small_file_is_one_request(s3_base, counted):
    """A text, a checkpoint or a small partition is there with one request, or not at all."""
    storage.write_text(f"{s3_base}/text", "x")
    assert [name for name, _ in counted] == ["put_object"]


@pytest.mark.parametrize("megabytes", [1, 17])
def test_an_upload_that_is_given_up(s3_base, megabytes):
    """A writer that fails leaves no file and no parts of one."""

    def fail() -> None:
        with storage.atomic_writer(f"{s3_base}/x") as file:
            file.write(bytes(megabytes << 20))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    fs, _ = storage.filesystem(s3_base)
    assert storage.sizes(s3_base) == {}
    assert not fs.call_s3("list_multipart_uploads", Bucket=BUCKET).get("Uploads")


def test_the_commit_gives_up_what_a_killed_writer_began(s3_base, enter):
    """Parts of an upload whose process was killed cost money until someone removes them."""
    given = dataset(s3_base, number=list(range(4)))
    made = enter("double", given, s3_base)
    fs, path = storage.filesystem(f"{made.folder}/data/part-00007.parquet")
    key = path.partition("/")[2]
    for name in (key, f"{s3_base.partition(f'{BUCKET}/')[2]}/another"):
        begun = fs.call_s3("create_multipart_upload", Bucket=BUCKET, Key=name)
        part = {"PartNumber": 1, "UploadId": begun["UploadId"], "Body": b"x"}
        fs.call_s3("upload_part", Bucket=BUCKET, Key=name, **part)
    storage.remove(made.location)
    enter("double", given, s3_base)
    left = fs.call_s3("list_multipart_uploads", Bucket=BUCKET)["Uploads"]
    assert [upload["Key"] for upload in left] == [name]
    fs.abort_uploads(s3_base.removeprefix("s3://"))


def test_the_log_of_a_step_is_its_own(s3_base):
    """A step as a program ends well, and no library logs beside it, keys found or not."""
    words = command("numbers", s3_base, rows=3)
    done = subprocess.run(words, check=False, capture_output=True, text=True)
    assert done.returncode == 0
    assert all("numbers" in line for line in done.stderr.splitlines()), done.stderr
    assert logging.getLogger("botocore.credentials").getEffectiveLevel() == logging.CRITICAL
