import threading
import time

import pytest

from fondant_spec.work import component_class, load_main

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
    main = component(tmp_path / "broken", "import no_such_module_at_all") / "src" / "main.py"
    for _ in range(2):
        with pytest.raises(ModuleNotFoundError, match="no_such_module_at_all"):
            load_main(main)
