"""Index files are read in clip-retrieval's order, and those with equal numbers belong together."""

from pathlib import Path

import pytest

from fondant_spec.errors import InputDataError
from image_toolkit.retrieval.search.numbered_files import (
    by_number,
    files_by_name,
    is_in_order,
    pair_up,
)


@pytest.mark.parametrize(
    ("names", "order", "in_order"),
    [
        (["m_0", "m_1", "m_2"], ["m_0", "m_1", "m_2"], True),
        (["m_00", "m_01", "m_10"], ["m_00", "m_01", "m_10"], True),
        (["0_en", "1_multi", "2_nolang"], ["0_en", "1_multi", "2_nolang"], True),
        (["b", "a"], ["a", "b"], True),
        (["m_2", "m_10", "m_1"], ["m_1", "m_10", "m_2"], False),
    ],
)
def test_files_are_read_in_the_order_of_their_names(
    tmp_path: Path,
    names: list[str],
    order: list[str],
    in_order: bool,  # noqa: FBT001
) -> None:
    """Files are numbered through as clip-retrieval does: sorted by name, padded or not."""
    for name in [*names, "._m_0", "._m_1"]:
        (tmp_path / f"{name}.parquet").touch()
    (tmp_path / "folder.parquet").mkdir()

    files = files_by_name(tmp_path, "*.parquet")

    assert [file.stem for file in files] == order
    assert is_in_order(files) is in_order
    assert is_in_order(by_number(files))


def paths(folder: str, *names: str) -> list[Path]:
    """Files in a folder."""
    return [Path(folder) / name for name in names]


@pytest.mark.parametrize(
    ("vectors", "metadata", "paired"),
    [
        (["v_1", "v_10", "v_2"], ["m_01", "m_02", "m_10"], ["m_01", "m_10", "m_02"]),
        (["v_1", "v_10", "v_2"], ["m_1", "m_10", "m_2"], ["m_1", "m_10", "m_2"]),
        (["v_001", "v_002"], ["l2_m_1", "l2_m_2"], ["l2_m_1", "l2_m_2"]),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        (["v_0", "v_1"], ["all"], ["all"]),
        (["v_3", "v_4"], ["m_0", "m_1"], ["m_0", "m_1"]),
    ],
)
def test_files_of_one_number_belong_together(
    vectors: list[str], metadata: list[str], paired: list[str]
) -> None:
    """Numbers pair files, however they are padded; else their order does."""
    assert pair_up(paths("v", *vectors), paths("m", *metadata)) == paths("m", *paired)


@pytest.mark.parametrize(
    ("vectors", "metadata"),
    [
        (["v_1", "v_10", "v_2"], ["all"]),
        (["v_1", "v_10", "v_2"], ["m_0", "m_1", "m_2"]),
        (["v_0", "v_1", "v_2"], ["m_1", "m_10", "m_2"]),
        (["v_1", "v_10", "v_2"], ["m_01", "m_02"]),
    ],
)
def test_what_cannot_be_paired_is_refused(vectors: list[str], metadata: list[str]) -> None:
    """Where the order of the names is no help and the numbers differ, nothing is guessed."""
    with pytest.raises(InputDataError, match="it is not clear which belong together"):
        pair_up(paths("v", *vectors), paths("m", *metadata))
