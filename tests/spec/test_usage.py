from fondant_spec.spec.component_spec import ComponentSpec
from fondant_spec.spec.usage import usage

SPEC = {
    "name": "Resize images",
    "description": "Makes images  smaller.",
    "image": "i",
    "args": {
        "url": {"type": "str", "pattern": "https?://.+"},
        "size": {"type": "int", "default": 512, "minimum": 1, "description": "Side in pixels."},
        "mode": {"type": "str", "default": None, "choices": ["crop", "border"]},
        "ports": {"type": "list", "default": [80], "minimum": 1, "maximum": 65535},
    },
}

OWN = """\
usage: main.py --base_path URL [--NAME VALUE ...]

Resize images: Makes images smaller.

A value follows its name as one word: a text as it is, anything else as JSON.

arguments of the component:
  --url STR  (required)
      A text of the form https?://.+.
  --size INT  (default: 512)
      Side in pixels. At least 1.
  --mode STR  (default: none)
      One of crop, border.
  --ports LIST  (default: [80])
      Each from 1 to 65535.

arguments of the executor:
  --base_path STR  (required)
"""


def test_the_help_text_is_that_of_the_spec():
    """Each argument has its type, its default, its description, and what it accepts."""
    assert usage(ComponentSpec.from_dict(SPEC)).startswith(OWN)


def test_a_component_without_arguments():
    """Where there are no arguments of its own, there is no section of them."""
    text = usage(ComponentSpec.from_dict({**SPEC, "args": {}}))
    assert "arguments of the component" not in text
    assert "--input_manifest_path STR" in text
    assert max(map(len, text.splitlines())) <= 100
