"""The environment for the code blocks of the documents: a temporary folder and the real pipeline.

Blocks run as a reader would run them, in the order of the page. A block that names a file after its
language is written to that file instead, as the reader would save it.
"""

import io
import re
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
from PIL import Image
from sybil import Document, Example, Region
from sybil.parsers.markdown.lexers import RawFencedCodeBlockLexer

from fondant_spec.testing import run_component
from pipeline import COMPONENTS, build
from pipeline_configs import PipelineConfigs

CONFIGS: Final = PipelineConfigs(
    DATASET_NAME="owner/seeds", PROMPTS="interior_design", INDEX_URL="http://localhost:1234"
)
STEPS: Final = {
    "prompts": "generate_prompts",
    "embed": "image_embedding",
    "hits": "laion_retrieval",
    "images": "download_images",
}
"""The steps of the pipeline, by the names that the documents have for them."""

_FILE: Final = RawFencedCodeBlockLexer(re.compile(r"\w+ (?P<file>\S+)$\n", re.MULTILINE))


def start(namespace: dict[str, Any]) -> None:
    """Begin a page, with a pipeline to add to."""
    pipeline = build(CONFIGS)
    namespace |= {"pipeline": pipeline, "COMPONENTS": COMPONENTS, "configs": CONFIGS}
    namespace |= {name: pipeline.steps[step_id] for name, step_id in STEPS.items()}


def end(namespace: dict[str, Any]) -> None:
    """End a page: what it added to the pipeline must fit together."""
    namespace["pipeline"].plan()


def parse_files(document: Document) -> Iterable[Region]:
    """Find the blocks that are files."""
    for region in _FILE(document):
        region.parsed = (region.lexemes["file"], region.lexemes["source"])
        region.evaluator = write_file
        yield region


def write_file(example: Example) -> None:
    """Write a block to the file that it names."""
    name, text = example.parsed
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_text(text, encoding="utf-8")


def export_pairs(folder: str) -> None:
    """Write a training set of two pairs into `folder`, as the pipeline's last step does."""
    images = [io.BytesIO(), io.BytesIO()]
    for colour, file in zip(("red", "blue"), images, strict=True):
        Image.new("RGB", (64, 64), colour).save(file, "PNG")
    columns = {"image": [file.getvalue() for file in images], "caption": ["red", "blue"]}
    made = run_component(COMPONENTS / "export_dataset", pa.table(columns), Path("made"))
    shutil.copytree(Path(made.manifest.folder, "output"), folder)
