"""The effect of the demo's fine-tuning, as a table, against what was expected."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from demo import NEW_SUBJECT
from demo.evaluate import names
from demo.newest_run import newest_run, read_rows
from fondant_spec.dataset import storage
from fondant_spec.dataset.manifest import Manifest

ENDINGS: Final = {"tuned": "images", "shuffled": "shuffled"}
"""Suffixes of the evaluation steps' ids, by the model that is compared with the base model."""

LEARNED: Final = 0.8
UNLEARNED: Final = 0.4
"""Bounds on the share of the new subject's prompts generated correctly.

A model that knows the subject is above the first, one that does not is below the second.
"""


def tell(base_path: str) -> int:
    """Print the results of the newest run; return 1 if they are not as expected."""
    manifests = newest_run(storage.normalize(base_path))
    found = {
        name: _json(manifests[f"evaluate_{ending}"], "report.json")
        for name, ending in ENDINGS.items()
    }
    losses = _json(manifests["fine_tune"], "training.json")["validation_loss"]
    drawn = _drawn_right(manifests)
    gains = {name: one["figures"]["mmd"]["gain"] for name, one in found.items()}
    asked = {name: one["figures"]["asked_class"] for name, one in found.items()}
    print(_table(found, drawn))
    first, last = losses[0]["loss"], min(one["loss"] for one in losses)
    print(f"validation loss      {first:.4f} before, {last:.4f} at its best")
    page = storage.join(storage.parent(manifests["evaluate_images"].artifacts[0]), "report.html")
    print(f"report               {page}")
    print(f"tuned model          {storage.parent(manifests['fine_tune'].artifacts[0])}")
    chance = asked["shuffled"]["difference"]["null"]["p99"]
    learned = drawn["base"] <= UNLEARNED and drawn["tuned"] >= LEARNED
    as_expected = {
        "the validation loss falls": last < first,
        f"asked for a {NEW_SUBJECT}, the tuned model draws it and the base rarely does": learned,
        "the tuned model is nearer to the originals than by chance": _is_gain(gains["tuned"]),
        "shuffled captions bring no such gain": not _is_gain(gains["shuffled"]),
        "and teach no prompt": asked["shuffled"]["difference"]["value"] <= chance,
    }
    for what, is_so in as_expected.items():
        print(f"{'yes' if is_so else 'NO':>4}  {what}")
    return 0 if all(as_expected.values()) else 1


def _is_gain(gain: Mapping[str, Any]) -> bool:
    """Return whether a gain exceeds 99 % of those due to chance."""
    return bool(gain["value"] > gain["null"]["p99"])


def _table(found: Mapping[str, Mapping[str, Any]], drawn: Mapping[str, float]) -> str:
    """Return the figures of the three models, side by side."""
    tuned, shuffled = (found[name]["figures"] for name in ENDINGS)
    rows: Sequence[tuple[str, str, Sequence[float]]] = (
        (f"prompts for a {NEW_SUBJECT} drawn right", ".0%", list(drawn.values())),
        (
            "prompts drawn right",
            ".0%",
            [one["asked_class"][name] for one, name in _three(tuned, shuffled)],
        ),
        (
            "CMMD from the held-out images",
            ".3f",
            [one["mmd"][name]["value"] for one, name in _three(tuned, shuffled)],
        ),
    )
    lines = [f"\n{'':<32}{'base':>8}{'tuned':>8}  on shuffled captions"]
    for label, form, (base, own, control) in rows:
        lines.append(f"{label:<32}{base:>8{form}}{own:>8{form}}  {control:>8{form}}")
    return "\n".join(lines) + "\n"


def _three(
    tuned: Mapping[str, Any], shuffled: Mapping[str, Any]
) -> list[tuple[Mapping[str, Any], str]]:
    return [(tuned, "base"), (tuned, "tuned"), (shuffled, "tuned")]


def _drawn_right(manifests: Mapping[str, Manifest]) -> dict[str, float]:
    """Return the share of the new subject's prompts that each model got right, by CLIP."""
    from demo.zero_shot import subjects_of  # noqa: PLC0415 - torch loads where it is needed

    shares = {}
    for name in ("base", *ENDINGS):
        field = f"{name}_image"
        rows = read_rows(manifests[f"generate_{name}"], ("caption", field))
        asked = [
            row[field] for row in rows if row[field] and names(row["caption"]) == (NEW_SUBJECT,)
        ]
        seen = subjects_of(asked)
        shares[name] = seen.count(NEW_SUBJECT) / max(1, len(seen))
    return shares


def _json(manifest: Manifest, name: str) -> Any:
    """Return a JSON file that a step wrote beside its marker."""
    folder = storage.parent(manifest.artifacts[0])
    return json.loads(storage.read_text(storage.join(folder, name)))
