"""The command `fondant-spec push`: lists what would be published, and sends it on request."""

import argparse
from pathlib import Path

from fondant_spec.dataset import storage
from fondant_spec.errors import MissingDependencyError
from fondant_spec.hub.export_folder import ExportFolder
from fondant_spec.pipeline.find_dataset import find_dataset
from fondant_spec.shared_options import add_base_path
from fondant_spec.shown_text import tell


def add_push(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the parser."""
    push = commands.add_parser("push", help="publish an export on the Hugging Face hub")
    push.add_argument(
        "export", help="the step that exported, for its newest result; or the folder that it wrote"
    )
    push.add_argument("repository", help="the dataset's name on the hub: owner/name")
    push.add_argument("--upload", action="store_true", help="send it; without it, only list")
    push.add_argument("--public", action="store_true", help="have everybody see it")
    push.add_argument("--revision", default="main", metavar="BRANCH", help="(default: main)")
    push.add_argument("--tag", help="call the result this, such as v1")
    push.add_argument("--message", default="Push an export", help="of the commit")
    push.add_argument(
        "--overwrite", action="store_true", help="also files that were not pushed from an export"
    )
    push.add_argument("--all", action="store_true", help="list each file")
    add_base_path(push)
    push.set_defaults(command=_push)


def _push(options: argparse.Namespace) -> int:
    try:
        from fondant_spec.hub import push  # noqa: PLC0415 - the hub's client imports slowly
    except ImportError as error:
        msg = f"push needs huggingface_hub: `pip install 'fondant-spec[hub]'`. ({error})"
        raise MissingDependencyError(msg) from error

    if Path(options.export).is_dir() or storage.is_remote(options.export):
        export = ExportFolder.at(options.export)
    else:
        export = ExportFolder.of_step(find_dataset(options.export, options.base_path))
    export.check()
    hub = push.Hub()
    private = not options.public
    plan = hub.plan(
        export, options.repository, options.revision, private=private, sends=options.upload
    )
    tell(plan.describe(each=options.all))
    push.check(plan, options.tag, overwrites=options.overwrite)
    if options.upload:
        tell(f"pushed to {hub.push(plan, options.message, options.tag)}")
    else:
        tell("nothing was sent; add --upload to send it")
    return 0
