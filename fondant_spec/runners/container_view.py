"""What a container can access on this machine: folders, files, variables, and the network.

A path that the user named in an argument is mounted at the same path as outside: a folder with its
content, a file alone. Defaults of the spec are not mounted. Links that lead elsewhere are broken in
a container, except for those in snapshots of the Hugging Face cache.

The output of earlier steps is also mounted, and what these were made to read, here or in the
network: a LoRA needs the model that it was trained on.
"""

import csv
import io
import re
from collections.abc import Iterable, Iterator
from ipaddress import ip_address
from itertools import chain
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from fondant_spec.dataset import storage
from fondant_spec.lifeline import LIFELINE
from fondant_spec.pipeline.plan import Plan, PlannedStep
from fondant_spec.progress import LISTENER
from fondant_spec.runners.container_engine import Engine
from fondant_spec.spec.arguments import Argument
from fondant_spec.spec.secret_arguments import file_of, variable_of

HF_HOME: Final = "/cache/huggingface"
"""Where images look for models; the caller's cache is mounted there."""

_HUB: Final = "hub"
"""The folder in it for what comes from the Hugging Face hub, which may be elsewhere outside."""

_PASSED: Final = (
    "ALL_PROXY",
    "AWS_",
    "AZURE_STORAGE_",
    "CURL_CA_BUNDLE",
    "DASK_",
    "FONDANT_TRUSTED_PATHS",
    "FSSPEC_",
    "GCSFS_",
    "GOOGLE_",
    "HF_ENDPOINT",
    "HF_HUB_OFFLINE",
    "HF_TOKEN",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "NO_PROXY",
    "OPENAI_API_KEY",
    "REQUESTS_CA_BUNDLE",
    "SSL_CERT_FILE",
    "STORAGE_EMULATOR_HOST",
)
"""Prefixes of the names of environment variables that a container inherits."""

OF_THE_IMAGE: Final = re.compile(
    r"/(bin|boot|cache|component|etc|lib|lib64|run|sbin|tmp|usr|var)?|/(dev|proc|sys)(/.*)?"
)
"""Paths in a container that must not be mounted over."""

_CACHED: Final = re.compile(r"(models|datasets|spaces)--.+")
"""The folder of a repository in the Hugging Face cache; its `snapshots` are links to `blobs`."""

_WILDCARD: Final = re.compile(r"[*?\[{]")


def network_options(planned: PlannedStep, plan: Plan) -> Iterator[str]:
    """Yield the network options of a container: the host's network, the internet, or none."""
    told = [planned, *_writers_before(planned, plan)]
    urls = [url for step in told for url in _urls(step.arguments.values())]
    remote = any(
        isinstance(value, str) and value and not value.startswith("/")
        for step in told
        for name, value in step.arguments.items()
        if step.spec.arguments[name].path
    )
    if planned.step.resources.host_network or any(map(_is_this_machine, urls)):
        yield from ("--network", "host")
    elif not (remote or urls or planned.spec.network or storage.is_remote(plan.base_path)):
        yield from ("--network", "none")


def environment_options(planned: PlannedStep, engine: Engine) -> Iterator[str]:
    """Pass variables by name only, so that their values do not appear on the command line."""
    yield from ("--env", LISTENER, "--env", LIFELINE)
    named = set(filter(None, map(variable_of, _references(planned))))
    for name in sorted(engine.environment):
        if name.upper().startswith(_PASSED) or name in named:
            yield from ("--env", name)


def mount_options(planned: PlannedStep, plan: Plan, engine: Engine, output: str) -> Iterator[str]:
    """Yield the mount options of a container, each path once."""
    places = (output, plan.base_path, *planned.written)
    writable = {path: path for path in places if not storage.is_remote(path)} | caches(engine)
    seen = chain(_readable(planned, engine), _made_before(planned, plan, engine))
    readable = {path: path for path in seen if path not in writable}
    for mode, paths in (("", writable), ("readonly", readable)):
        for target, source in sorted(paths.items(), key=lambda pair: pair[::-1]):
            words = ["type=bind", f"source={source}", f"target={target}", mode]
            yield from ("--mount", csv_line(filter(None, words)))


def caches(engine: Engine) -> dict[str, str]:
    """Return where the caller's caches of models and datasets are mounted, and which these are."""
    hub = engine.hf_hub_cache
    return {HF_HOME: engine.hf_home} | ({f"{HF_HOME}/{_HUB}": hub} if hub else {})


def folders_of_caches(engine: Engine) -> Iterator[str]:
    """Yield the folders that the caches need before they are mounted, or root would make them."""
    yield from caches(engine).values()
    if engine.hf_hub_cache:
        yield storage.join(engine.hf_home, _HUB)  # over which the other is mounted


def unseen(planned: PlannedStep, engine: Engine) -> Iterator[str]:
    """Yield a line for each link or path that works outside, but not in a container."""
    for name, argument in planned.spec.arguments.items():
        default = argument.default
        if (argument.path or argument.output) and isinstance(default, str) and _named(default):
            yield (
                f"{name}: {default} is the default of the spec, of which nothing is mounted; copy "
                "it elsewhere, and name that, to have it seen"
            )
    for argument, path in _named_paths(planned):
        if argument.neighbours and path.is_file() and not _has_neighbours(path, engine):
            yield (
                f"{argument.name}: only {path} itself is seen, not what lies beside it; move it to "
                "a folder of its own if it names files there"
            )
        links = (link for link in path.rglob("*") if link.is_symlink())
        if _blobs(path) is None and any(
            not link.resolve().is_relative_to(path.resolve()) for link in links
        ):
            yield f"{argument.name}: links in {path} that lead out of it lead nowhere there"


def _readable(planned: PlannedStep, engine: Engine) -> Iterator[str]:
    """Yield the local folders and files that a step reads."""
    yield from _data(planned, engine)
    for secret in filter(None, map(file_of, _references(planned))):
        if file := _named(secret):
            yield str(file)
    for name, value in engine.environment.items():
        if name.upper().startswith(_PASSED) and (file := _named(value)):
            yield str(file)


def _data(planned: PlannedStep, engine: Engine) -> Iterator[str]:
    """Yield the folders and files to read that a step's arguments name."""
    for argument, path in _named_paths(planned):
        yield str(path)
        if argument.neighbours and path.is_file() and _has_neighbours(path, engine):
            yield str(path.parent)
        if blobs := _blobs(path):
            yield str(blobs)


def _made_before(planned: PlannedStep, plan: Plan, engine: Engine) -> Iterator[str]:
    """Yield the folders that earlier steps have written, and what these were made to read."""
    for writer in _writers_before(planned, plan):
        yield from map(str, filter(None, map(_named, writer.written)))
        yield from _data(writer, engine)


def _writers_before(planned: PlannedStep, plan: Plan) -> Iterator[PlannedStep]:
    """Yield the earlier steps that write files, such as a model."""
    return (earlier for earlier in plan.before(planned) if earlier.spec.writes)


def _references(planned: PlannedStep) -> Iterator[object]:
    """Yield the values that may refer to a secret."""
    for name, value in planned.arguments.items():
        if planned.spec.arguments[name].by_reference:
            yield value


def _named_paths(planned: PlannedStep) -> Iterator[tuple[Argument, Path]]:
    for name, value in planned.named.items():
        argument = planned.spec.arguments[name]
        if argument.path and isinstance(value, str) and (path := _named(value)):
            yield argument, path


def _has_neighbours(file: Path, engine: Engine) -> bool:
    """Return whether a file's folder may be mounted: not a home folder, which may hold anything."""
    return not OF_THE_IMAGE.fullmatch(str(file.parent)) and file.parent != engine.home


def _blobs(path: Path) -> Path | None:
    """Return the target folder of the links of a Hugging Face snapshot; None for other paths."""
    for folder in (path, *path.parents):
        blobs = folder.parent / "blobs"
        if folder.name == "snapshots" and _CACHED.fullmatch(folder.parent.name):
            return blobs if blobs.is_dir() and not blobs.is_symlink() else None
    return None


def _named(value: str) -> Path | None:
    """Return what an absolute path, possibly with wildcards, refers to on this machine."""
    if not value.startswith("/"):
        return None
    path = Path(value)
    if not path.exists() and (wildcard := _WILDCARD.search(value)):
        path = Path(value[: wildcard.start()].rpartition("/")[0] or "/")
    return path if path.exists() and not OF_THE_IMAGE.fullmatch(str(path)) else None


def _urls(values: Iterable[object]) -> Iterator[str]:
    for value in values:
        if isinstance(value, list):
            yield from _urls(value)
        elif isinstance(value, str) and storage.is_remote(value):
            yield value


def _is_this_machine(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def csv_line(words: Iterable[str]) -> str:
    """Join words as the engines parse those of --mount: comma-separated and quoted."""
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(words)
    return line.getvalue()
