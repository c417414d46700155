"""Runs a compiled package with Kubeflow's own local runner: `python -m tests.runners.kfp_local`.

In its own process, because that runner is set up once for the whole process.
"""

import argparse
import json
import os

import docker
from kfp import components, local


def main() -> None:
    """Load the package from its file, and run it with a folder mounted under its own path."""
    parser = argparse.ArgumentParser()
    parser.add_argument("package")
    parser.add_argument("folder")
    parser.add_argument("--parameters", type=json.loads, default={})
    parser.add_argument("--network", default="none")
    options = parser.parse_args()
    local.init(
        runner=local.DockerRunner(
            mounts=[docker.types.Mount(options.folder, options.folder, type="bind")],
            user=f"{os.getuid()}:{os.getgid()}",
            network_mode=options.network,
            environment={"HF_HUB_OFFLINE": "1"},
        ),
        pipeline_root=f"{options.folder}/kfp",
    )
    components.load_component_from_file(options.package)(**options.parameters)


if __name__ == "__main__":
    main()
