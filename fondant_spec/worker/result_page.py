"""An HTML page that shows a dataset: the result of each step, and some of its rows.

The page is self-contained, images included, and runs no scripts; all data on it is escaped.
"""

import base64
from collections.abc import Iterator, Sequence
from html import escape
from typing import Final

from fondant_spec.dataset import storage
from fondant_spec.dataset.history import history_of
from fondant_spec.dataset.manifest import Manifest
from fondant_spec.plain_words import duration
from fondant_spec.worker.samples import Sample, read_samples

SAMPLES: Final = 24
_MOST_BYTES: Final = 2 << 20
"""Total size of the images; base64 adds a third."""

_POLICY: Final = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
_STYLE: Final = """
body { font: 14px/1.45 system-ui, sans-serif; margin: 24px; color: #202124; background: #fff; }
h1 { font-size: 20px; margin: 0 0 4px; } h2 { font-size: 15px; margin: 28px 0 8px; }
p { margin: 0 0 4px; color: #5f6368; } code { font: 12px ui-monospace, monospace; }
table { border-collapse: collapse; } th { font-weight: 600; color: #5f6368; }
th, td { padding: 5px 14px 5px 0; border-bottom: 1px solid #e8eaed; text-align: left;
  vertical-align: top; }
.number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
.rows { display: grid; grid-template-columns: repeat(auto-fill, minmax(190px, 1fr)); gap: 18px; }
figure { margin: 0; } figcaption { margin-top: 6px; overflow-wrap: anywhere; }
img { width: 100%; aspect-ratio: 1; object-fit: contain; background: #f1f3f4;
  border-radius: 6px; display: block; }
small { display: block; color: #80868b; overflow-wrap: anywhere; }
"""


def result_page(manifest: Manifest) -> str:
    """Return a page about a dataset and the steps that led to it.

    Raises:
        InvalidDatasetError: a file of the dataset is missing or broken.
    """
    title = f"{manifest.pipeline_name}: {manifest.rows:,} rows"
    history, samples = history_of(manifest), read_samples(manifest, SAMPLES)
    parts = [
        "<!doctype html><html lang=en><head><meta charset=utf-8>",
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>",
        f"<h1>{escape(title)}</h1>",
        *_places(manifest),
        "<h2>Steps</h2>",
        _steps(history.steps),
        *map(_gone, history.missing),
        f"<h2>{len(samples)} of the rows</h2>",
        _gallery(samples) if any(one.image for one in samples) else _table(samples),
        "</body></html>",
    ]
    return "\n".join(parts)


def _places(manifest: Manifest) -> Iterator[str]:
    yield f"<p>Run {escape(manifest.run_id)}, step {escape(manifest.step_id)}</p>"
    folders = sorted({storage.parent(path) for path in manifest.artifacts})
    for place in folders if len(folders) < len(manifest.artifacts) else manifest.artifacts:
        yield f"<p>Written to <code>{escape(place)}</code></p>"
    yield f"<p><code>fondant-spec show {escape(manifest.folder)}</code> shows more.</p>"


def _steps(manifests: Sequence[Manifest]) -> str:
    numbers = "".join(f"<th class=number>{head}" for head in ("rows in", "rows out", "time"))
    lines = [f"<table><tr><th>step{numbers}<th>left out or failed</tr>"]
    for one in manifests:
        reasons = sorted(one.rejects.items(), key=lambda item: -item[1])
        told = ", ".join(f"{escape(reason)} {count:,}" for reason, count in reasons)
        lines.append(
            f"<tr><td>{escape(one.step_id)}<td class=number>{one.rows_in:,}"
            f"<td class=number>{one.rows:,}<td class=number>{duration(one.seconds)}"
            f"<td>{told or 'none'}</tr>"
        )
    return "\n".join([*lines, "</table>"])


def _gone(location: str) -> str:
    place = escape(storage.parent(location))
    return f"<p>Left out, since it cannot be read any more: <code>{place}</code></p>"


def _gallery(samples: Sequence[Sample]) -> str:
    lines, left = ["<div class=rows>"], _MOST_BYTES
    for one in samples:
        picture = ""
        if one.image is not None and len(one.image) <= left:
            left -= len(one.image)
            content = base64.b64encode(one.image).decode()
            picture = f'<img alt="" src="data:{one.mime_type};base64,{content}">'
        lines.append(
            f"<figure>{picture}<figcaption>{escape(one.caption)}"
            f"<small>{escape(one.row_id)}</small></figcaption></figure>"
        )
    return "\n".join([*lines, "</div>"])


def _table(samples: Sequence[Sample]) -> str:
    names = list(dict.fromkeys(name for one in samples for name in one.values))
    heads = "".join(f"<th>{escape(name)}" for name in names)
    rows = ("".join(f"<td>{escape(one.values.get(name, ''))}" for name in names) for one in samples)
    return "\n".join([f"<table><tr>{heads}</tr>", *(f"<tr>{row}</tr>" for row in rows), "</table>"])
