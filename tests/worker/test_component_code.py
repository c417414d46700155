import shutil
import threading
import time

import pytest

from fondant_spec.worker.component_code import component_class, load_module

MAIN = """
import time
time.sleep(0.2)
from fondant_spec.component import ArrowTransformComponent
class Nothing(ArrowTransformComponent):
    def transform(self, table):
        return table
"""


def component(folder, text):
    """Write a component whose `main.py` is this text, and return its folder."""
    (folder / "src").mkdir(parents=True)
    (folder / "src" / "main.py").write_text(text)
    return folder


def test_threads_that_load_a_component_at_once(tmp_path):
    """All of them get it whole."""
    folder = component(tmp_path / "slow", MAIN)
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(component_class(folder))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
        time.sleep(0.02)
    for thread in threads:
        thread.join()
    assert [one.__name__ for one in found] == ["Nothing"] * 4
    assert len(set(found)) == 1


def test_a_component_that_cannot_be_loaded_says_so_each_time(tmp_path):
    """No half of it stays behind."""
    folder = component(tmp_path / "broken", "import no_such_module_at_all")
    for _ in range(2):
        with pytest.raises(ModuleNotFoundError, match="no_such_module_at_all"):
            load_module(folder)


HELPED = (
    MAIN.replace("import time\ntime.sleep(0.2)", "from helper import WHO")
    + """
    def who(self):
        import helper
        return WHO, helper.WHO
"""
)


def test_components_with_helpers_of_one_name(tmp_path):
    """Each gets its own, also when it imports it late, and whichever was loaded last."""
    folders = [component(tmp_path / name, HELPED) for name in ("one", "two")]
    for folder in folders:
        (folder / "src" / "helper.py").write_text(f"WHO = {folder.name!r}")

    for folder in (*folders, *reversed(folders)):
        assert component_class(folder)().who() == (folder.name, folder.name)
        assert folder.name == load_module(folder, "helper").WHO


def test_code_that_was_edited_is_loaded_anew(tmp_path):
    """Rows never come from code that is no longer there."""
    folder = component(tmp_path / "edited", HELPED)
    for who in ("before", "after"):
        (folder / "src" / "helper.py").write_text(f"WHO = {who!r}")
        assert component_class(folder)().who() == (who, who)


def test_a_component_whose_folder_is_gone(tmp_path):
    """It is in nobody's way."""
    gone, there = (component(tmp_path / name, HELPED) for name in ("gone", "there"))
    for folder in (gone, there):
        (folder / "src" / "helper.py").write_text(f"WHO = {folder.name!r}")
    assert component_class(gone)().who() == ("gone", "gone")
    shutil.rmtree(gone)
    assert component_class(there)().who() == ("there", "there")
