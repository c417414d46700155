"""Captioners side by side, each in a process of its own."""

import os
import pickle
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path
from weakref import WeakSet

import psutil
import pyarrow as pa
import pytest
import torch

from fondant_spec.dataset.rejects import Rejects
from fondant_spec.errors import InputDataError, StepFailedError
from image_toolkit.models.captioning import caption_models
from image_toolkit.models.captioning.asks import Ask
from image_toolkit.models.captioning.caption_models import CaptionModels
from image_toolkit.models.captioning.caption_text import Frame
from image_toolkit.models.captioning.captioner_process import CaptionerProcess, _noted, side_by_side
from image_toolkit.models.captioning.drafts import Choice
from image_toolkit.models.captioning.generation import Generation
from image_toolkit.models.captioning.local_captioner import LocalCaptioner
from image_toolkit.models.runtime.device import Placement
from image_toolkit.models.runtime.feed_rows import UnusableError
from image_toolkit.models.runtime.hub import find_model
from tests.small import command_line, ended

pytestmark = pytest.mark.long

ON_CPU = Placement(torch.device("cpu"), "fp32")
SHORT = Generation(max_new_tokens=8, min_new_tokens=4)


def load(folder, placement):
    """Return a captioner: in the other process, to which this function goes by name."""
    torch.set_num_threads(1)
    return LocalCaptioner(find_model(str(folder)), placement, None)


def load_limited(folder, placement):
    """Return a captioner that finds no memory for more than six images."""
    captioner = load(folder, placement)

    def hungry(_module, _inputs, keywords):
        if len(keywords["pixel_values"]) > 6:
            torch.empty(1 << 58)

    captioner._model.vision_model.register_forward_pre_hook(hungry, with_kwargs=True)
    return captioner


@pytest.fixture(scope="module")
def process(tiny):
    """Return a tiny BLIP in a process of its own, whose memory is limited."""
    made = CaptionerProcess(partial(load_limited, tiny("blip")), ON_CPU)
    yield made
    made.close()


def running():
    """Return the processes that caption, and run."""
    children = psutil.Process().children(recursive=True)
    return {one for one in children if "spawn_main" in command_line(one)}


def captions(captioner, photos):
    """Return the captions of some photos."""
    items = [captioner.prepare(photo) for photo in photos]
    return captioner.captions(items, [f"{n}" for n in range(len(items))], SHORT)


def test_captions_are_those_of_this_process(process, tiny, photos):
    """Whatever the process, and from several threads at once, the captions are the same."""
    wanted = captions(load(tiny("blip"), ON_CPU), photos)
    with ThreadPoolExecutor(2) as threads:
        assert list(threads.map(lambda _: captions(process, photos), range(4))) == [wanted] * 4
    assert (process.name, process.precision) == ("blip", "fp32")


def test_a_memory_error_is_one_here_too(process, photos):
    """An error in the other process arises here, as what it is, and says where it arose."""
    with pytest.raises(RuntimeError, match="allocate memory") as caught:
        captions(process, photos * 2)
    assert "hungry" in caught.value.__notes__[0]
    assert len(captions(process, photos[:1])) == 1


def test_an_error_keeps_no_tensors():
    """An error that is on its way does not hold what was in the memory where it arose."""
    held = WeakSet()

    def fails():
        batch = torch.zeros(3)
        held.add(batch)
        torch.empty(1 << 58)

    with pytest.raises(RuntimeError) as caught:
        _noted(fails)
    assert "in fails" in caught.value.__notes__[0]
    assert not held


def test_a_process_that_was_killed(tiny, photos):
    """Where the system ends the process, that is said in one line."""
    others = running()
    with closing(CaptionerProcess(partial(load, tiny("blip")), ON_CPU)) as killed:
        for one in running() - others:
            one.send_signal(signal.SIGKILL)
        with pytest.raises(StepFailedError) as caught:
            captions(killed, photos)
    assert str(caught.value) == (
        "The process that captions on cpu fp32 has ended, most likely for want of memory. "
        "Give the step more memory, or a smaller batch_size."
    )


def test_a_model_that_cannot_be_loaded(tmp_path):
    """What a user can mend is told as it is without a process, and no process is left."""
    before = running()
    with pytest.raises(InputDataError, match="there is no such folder"):
        side_by_side(partial(load, tmp_path / "none"), [ON_CPU, ON_CPU])
    assert running() == before


def test_each_device_has_a_process(tiny, photos, monkeypatch):
    """With several devices, all rows get the captions that one device gives them, in order."""
    cpu = torch.device("cpu")
    made = {}
    batch = pa.record_batch({"id": [f"{n}" for n in range(24)], "image": photos * 4})
    for count in (1, 2):
        monkeypatch.setattr(caption_models, "devices", lambda _, count=count: [cpu] * count)
        models = CaptionModels(str(tiny("blip")), precision="fp32", batch_size=4)
        captioning = models.start([Ask(SHORT)], Choice(), Frame(), ["caption_source"])
        parts = captioning.batches(iter([batch]), Rejects())
        made[count] = pa.Table.from_batches(parts).to_pydict()
        captioning.close()
    assert made[1] == made[2]
    assert made[1]["id"] == batch["id"].to_pylist()


def test_a_killed_parent_leaves_no_process(tiny):
    """A process ends with the one that started it, however that ended."""
    program = (
        "import sys; from functools import partial; "
        "from tests.image_toolkit.models.captioning import test_captioner_process as own; "
        "process = own.CaptionerProcess("
        "partial(own.load, sys.argv[1]), own.ON_CPU); print(own.running().pop().pid, flush=True); "
        "input()"
    )
    root = str(Path(__file__).parents[4])
    parent = subprocess.Popen(
        [sys.executable, "-c", program, str(tiny("blip"))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": root},
        text=True,
    )
    pid = int(parent.stdout.readline())
    parent.kill()
    parent.communicate()
    assert ended([pid])


def test_reasons_go_along():
    """What is told of an image that a model does not take goes from process to process."""
    told = pickle.loads(pickle.dumps(UnusableError("not_accepted", "by the model")))
    assert (told.reason, str(told)) == ("not_accepted", "by the model")
