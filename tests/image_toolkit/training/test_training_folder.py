"""Folders of trained models in an object store."""

from contextlib import ExitStack

import fsspec

from image_toolkit.training.training_folder import TrainingFolder


def test_a_folder_of_an_object_store_is_fetched():
    """With all that is below it, and for as long as it is needed."""
    memory = fsspec.filesystem("memory")
    names = {"training.json": b"{}", "unet/config.json": b"1", "logs/a/events": b"2"}
    for name, content in names.items():
        memory.pipe(f"/trained/step/{name}", content)
    folder = TrainingFolder("train", "memory://trained/step", {"method": "full"})
    with ExitStack() as lasting:
        local = folder.local(lasting)
        found = {p.relative_to(local).as_posix(): p for p in local.rglob("*") if p.is_file()}
        assert {name: path.read_bytes() for name, path in found.items()} == names
    assert not local.exists()
    memory.rm("/trained", recursive=True)
