"""KID and FID through torch-fidelity, where it is installed, with weights by lot."""

import importlib
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from demo.tiny_models import CLIP_FOLDER
from fondant_spec.errors import InputDataError
from fondant_spec.testing import run_component
from tests.made_evaluation import LABELS, evaluated_rows

FOLDER = Path(__file__).parents[1]


def run(tmp_path: Path, weights: Path) -> dict[str, object]:
    """Return the report of a run."""
    made = run_component(
        FOLDER,
        evaluated_rows(0, 10),
        tmp_path,
        clip_model_id=str(CLIP_FOLDER),
        labels=LABELS,
        resamples=100,
        inception_weights=str(weights),
    )
    return json.loads(Path(made.manifest.artifacts[2]).read_text())


@pytest.fixture(scope="module")
def inception(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of torch-fidelity's Inception, by lot."""
    pytest.importorskip("torch_fidelity")
    module = importlib.import_module("torch_fidelity.feature_extractor_inceptionv3")

    class Random(module.FeatureExtractorInceptionV3):
        def load_state_dict(self, state: object) -> None:
            """Keep what was drawn."""

    folder = tmp_path_factory.mktemp("inception")
    torch.save({}, folder / "none.pth")
    torch.manual_seed(0)
    made = Random("inception", ["2048"], feature_extractor_weights_path=str(folder / "none.pth"))
    save_file(made.state_dict(), folder / "inception.safetensors")
    return folder / "inception.safetensors"


def test_both_models_have_scores(tmp_path, inception):
    """In subsets as large as the sets are, and with a warning of how few that is."""
    told = run(tmp_path, inception)
    assert told["inception"]["base"]["subset"] == 10
    assert told["inception"]["base"]["fid"] != told["inception"]["tuned"]["fid"]
    assert "FID is biased: with 10 images" in " ".join(told["warnings"])


def test_weights_that_hold_more_than_tensors_are_refused(tmp_path):
    """Nothing of a pickle is run, by torch-fidelity neither."""
    pytest.importorskip("torch_fidelity")
    torch.save({"run": print}, tmp_path / "inception.pth")
    with pytest.raises(InputDataError, match="cannot be read as weights"):
        run(tmp_path, tmp_path / "inception.pth")
