"""TrialConfig: every hyperparameter of one trial, with its default, unit, range and meaning."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

STAGES = 5
"""Number of groups of layers that a network is cut into; see ``docs/architecture.md``."""

FROM_SCRATCH = ("convnet",)
"""Architectures without pretrained weights, so nothing in them can be frozen: rows of the table of networks whose
`published` is None, listed here so that a search space needs no torch."""


ADDED = ("layer_decay", "tune", "clip_norm", "decay")
"""Hyperparameters added after 0.1.0."""

HUB = "hf-hub:"
"""Prefix of the name of a Hugging Face repository, as in timm."""


NamedWeights = Literal["imagenet", "none"]
"""What the weights of any architecture may be called in a search file."""


def is_local(weights: object) -> bool:
    """Whether a choice of weights is a file or a folder, not ``imagenet``, ``none`` or a repository."""
    return isinstance(weights, str) and weights not in get_args(NamedWeights) and not weights.startswith(HUB)


def pretrained(architecture: str, weights: str | Mapping[str, str]) -> bool:
    """Whether `architecture` starts from pretrained weights, given the search file's `weights`."""
    chosen = weights if isinstance(weights, str) else weights.get(architecture, "imagenet")
    return architecture not in FROM_SCRATCH and chosen != "none"


class TrialConfig(BaseModel):
    """One point of the search space. A field is searched (``space``) or fixed (``training``)."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    architecture: str = Field("mobilenet_v2", description="network: a name listed below, or timm:NAME")
    freeze_depth: int = Field(
        0, ge=0, le=STAGES, description="stages frozen, from the input: 0 trains everything, 5 the head alone"
    )
    learning_rate: float = Field(1e-3, gt=0, le=10, description="peak learning rate of the head")
    backbone_lr_scale: float = Field(
        1.0, gt=0, le=10, description="learning rate of the thawed stages as a multiple of the head's"
    )
    schedule: Literal["constant", "cosine", "one_cycle"] = Field(
        "constant",
        description="learning rate over the epochs: constant; cosine: falls to 0; one_cycle: rises over the first "
        "30 %, then falls almost to 0",
    )
    warmup: float = Field(0.0, ge=0, description="epochs of linear warm-up from zero")
    optimizer: Literal["adamw", "adam", "sgd"] = Field(
        "adamw", description="adamw: decoupled weight decay; adam: L2, as in the paper; sgd: Nesterov momentum"
    )
    momentum: float = Field(0.9, ge=0, lt=1, description="momentum of sgd")
    weight_decay: float = Field(1e-4, ge=0, le=1, description="weight decay of the trained weights; `decay` says which")
    dropout: float = Field(0.2, ge=0, lt=1, description="share of activations dropped before each dense layer")
    head_units: int = Field(512, ge=0, le=16384, description="width of the hidden dense layer; 0 for none")
    loss: Literal["bce", "focal", "asymmetric", "softmax"] = Field(
        "bce",
        description="bce: binary cross-entropy, independent labels; focal (Lin et al. 2017) and asymmetric (Ridnik et "
        "al. 2021): the same with less weight on easy labels; softmax: cross-entropy, exactly one label per image",
    )
    positive_weight: float = Field(
        1.0,
        gt=0,
        le=1000,
        description="weight of present labels in the loss, relative to absent ones (not for softmax)",
    )
    label_smoothing: float = Field(
        0.0, ge=0, lt=1, description="share of each target that is replaced by a uniform one (1/2; softmax: 1/labels)"
    )
    batch_size: int = Field(32, ge=2, le=65536, description="images per step")
    epochs: int = Field(10, ge=1, le=100_000, description="maximum number of epochs")
    patience: int = Field(
        3, ge=0, le=100_000, description="epochs without a better val_loss after which the trial stops; 0: never"
    )
    layer_decay: float = Field(
        1.0,
        ge=0.5,
        le=1,
        description="learning rate of a block relative to the block after it; usual for transformers: 0.65 to 0.9",
    )
    tune: Literal["all", "norm", "bias", "lora"] = Field(
        "all",
        description="what is trained in the thawed stages: all weights, those of norms, biases, or low-rank updates of "
        "attention and dense layers",
    )
    clip_norm: float | None = Field(
        None,
        ge=0,
        description="norm to which a step's gradients are clipped; 0: never; default: 1 for transformers, 0 for others",
    )
    decay: Literal["auto", "all", "matrices"] = Field(
        "auto",
        description="weights that decay: all, or only matrices and kernels, not norms, biases and embeddings; `auto`: "
        "matrices for transformers, all for others",
    )

    def canonical(self) -> str:
        """The configuration as text, the same for equal configurations; seeds are derived from it.

        A hyperparameter added after 0.1.0 is included only if it differs from its default, so that seeds stay the same.
        """
        values = self.model_dump()
        for name in ADDED:
            if values[name] == default(name):
                del values[name]
        return json.dumps(values, sort_keys=True, separators=(",", ":"))


FIELDS = tuple(TrialConfig.model_fields)
"""All hyperparameters, in the order in which they are shown."""


@cache
def default(name: str) -> Any:
    """The default of one hyperparameter."""
    return TrialConfig.model_fields[name].default
