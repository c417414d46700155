"""The settings of the pipeline: change the defaults here, or set environment variables."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Self


@dataclass(frozen=True)
class PipelineConfigs:
    """Where the pipeline runs and what it runs on. Every name is also an environment variable.

    The seeds are the images of `DATASET_NAME`, the prompts of `PROMPTS`, or both.

    Attributes:
        BASE_PATH: a folder or an fsspec URL (`s3://`, `gs://`) for all results.
        HOST: URL of a Kubeflow Pipelines host; if unset, the pipeline runs on this machine.
        DATASET_NAME: seed images: a dataset on the Hugging Face hub, or a local folder or file.
        IMAGE_COLUMN: the column of the dataset with the images.
        PROMPTS: a YAML file of prompts (see components/generate_prompts), or `interior_design`.
        CLASS_PROMPT: the class of the subject ("a photo of a dog"), to retrieve images of it as
            well, as the trainer's regularisation images; if empty, none are retrieved.
        NEGATIVE_PROMPT: what retrieved images should not look like ("a drawing"); if empty, the
            seeds are searched for as they are.
        CLIP_MODEL: the model that embeds the seeds; must be the one the index was made with. If
            unset, that of a public index, or else openai/clip-vit-large-patch14.
        INDEX: the index to search: a path (a clip-retrieval folder, `.npy` or Parquet vectors), one
            on the hub (hf://datasets/OWNER/NAME), or the short name of a public one
            (datacomp-small).
        INDEX_URL: the URL of a clip-retrieval service to query instead.
        INDEX_MODEL: the CLIP model of the index's vectors, if the index does not record it itself;
            `fondant-spec index check INDEX --model MODEL` measures it.
        CURATE: which images to caption, after deduplication: an expression over their scores and
            other fields, such as `text_area < 0.1 AND blur > 0.25`, or `usual`; if empty, all of
            them.
        CAPTION_MODEL: the image-to-text model that captions.
        GPU_RESOURCE: resource name of a GPU on the host's nodes.
        GPU_POOL_LABEL: label of the nodes that the CLIP and BLIP steps should run on.
        GPU_POOL: value of that label; if empty, any node with a GPU will do.
        KUBEFLOW_NAMESPACE: this and all following are for Kubeflow only: see docs/kubeflow.md.
    """

    BASE_PATH: str = "./artifacts"
    HOST: str = field(default="", repr=False)
    DATASET_NAME: str = ""
    IMAGE_COLUMN: str = "image"
    PROMPTS: str = ""
    CLASS_PROMPT: str = ""
    NEGATIVE_PROMPT: str = ""
    CLIP_MODEL: str = ""
    INDEX: str = ""
    INDEX_URL: str = ""
    INDEX_MODEL: str = ""
    CURATE: str = ""
    CAPTION_MODEL: str = "Salesforce/blip-image-captioning-base"
    GPU_RESOURCE: str = "nvidia.com/gpu"
    GPU_POOL_LABEL: str = "node_pool"
    GPU_POOL: str = "gpu"

    KUBEFLOW_NAMESPACE: str = ""
    KUBEFLOW_EXPERIMENT: str = ""
    KUBEFLOW_SERVICE_ACCOUNT: str = ""
    KUBEFLOW_VOLUME: str = ""
    KUBEFLOW_SECRETS: str = ""
    KUBEFLOW_ENV: str = ""
    KUBEFLOW_LABELS: str = ""
    KUBEFLOW_RUN_AS_USER: str = ""
    KUBEFLOW_PULL_POLICY: str = "IfNotPresent"
    KUBEFLOW_PULL_SECRETS: str = ""
    KUBEFLOW_INTERVAL: str = "5"
    KUBEFLOW_TOKEN: str = field(default="", repr=False)
    KUBEFLOW_TOKEN_FILE: str = ""
    KUBEFLOW_COOKIE: str = field(default="", repr=False)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Return the settings; environment variables override the defaults."""
        names = [setting.name for setting in fields(cls)]
        return cls(**{name: environment[name] for name in names if name in environment})
