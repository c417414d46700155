"""The resources that a step requests: its own, and those of its component."""

from dataclasses import astuple
from pathlib import Path

import pytest

from fondant_spec.spec.component_spec import ComponentSpec
from fondant_spec.spec.resources import Resources

SPECS = sorted(Path(__file__).parents[2].glob("components/*/fondant_component.yaml"))
STATED = Resources(cpu="1", memory="2Gi", memory_limit="4Gi")


@pytest.mark.parametrize(
    ("own", "cpu", "memory"),
    [
        ({}, ("1", None), ("2Gi", "4Gi")),
        ({"memory": "3Gi"}, ("1", None), ("3Gi", "3Gi")),
        ({"memory": "64Gi", "cpu": "8"}, ("8", "8"), ("64Gi", "64Gi")),
        ({"memory": "3Gi", "memory_limit": "8Gi"}, ("1", None), ("3Gi", "8Gi")),
        ({"memory_limit": "8Gi"}, ("1", None), ("2Gi", "8Gi")),
        ({"memory_limit": "512Mi", "cpu_limit": "500m"}, ("500m", "500m"), ("512Mi", "512Mi")),
    ],
)
def test_completed(own, cpu, memory):
    """A pipeline's word goes first, and what the component states never contradicts it."""
    found = Resources(**own, retries=5).completed(STATED)
    assert astuple(found)[:4] == (*cpu, *memory)
    assert found.retries == 5


@pytest.mark.parametrize("file", SPECS, ids=lambda file: file.parent.name)
def test_every_component_states_what_it_needs(file):
    """No component of this repository leaves its CPU and memory to chance."""
    stated = ComponentSpec.from_file(file).resources
    assert stated.cpu
    assert stated.memory
    assert "resources:" in file.read_text(encoding="utf-8")
