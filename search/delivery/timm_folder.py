"""`--format timm`: a folder that timm loads, with a model card as Hugging Face shows it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCardData
from jinja2 import UndefinedError
from rich.console import Console
from torch import Tensor

from thaw.search.delivery.model_card import model_card
from thaw.spaces import ConfigError
from thaw.spaces.files import new_folder
from thaw.trainables.bundles.bundle import FACTS, MODEL, load_bundle, read_model, write_model
from thaw.trainables.bundles.classifier import ClassifierFacts
from thaw.trainables.bundles.timm_export import timm_config, timm_network
from thaw.trainables.networks.table import architecture

CARD, CONFIG = "README.md", "config.json"

KNOWN_LICENCES = ("apache-2.0", "mit", "bsd-3-clause", "cc-by-4.0", "cc-by-nc-4.0", "apple-ascl", "apple-amlr", "gemma")
"""Licences for which Hugging Face has an identifier; of any other the card gives the name."""


def is_bundle(folder: Path) -> bool:
    """Whether a folder is a bundle, not a run."""
    return (folder / FACTS).is_file()


def bundle_to_timm(bundle: Path, to: Path, console: Console) -> None:
    """Write a bundle's network as a folder of timm.

    Args:
        bundle: a folder that ``thaw export`` or ``thaw train`` made.
        to: a folder that does not exist.

    Raises:
        ConfigError: it is no bundle, or timm has no such network.
    """
    facts = load_bundle(bundle, "cpu").facts
    try:
        write_timm(to, facts, read_model(bundle / MODEL))
    except (KeyError, TypeError, AttributeError, UndefinedError) as error:
        # Facts that predictions do not need are missing.
        raise ConfigError(f"damaged: {error!r}; export the model again", file=bundle / FACTS) from None
    console.print(f"timm loads the model from {to}", markup=False, highlight=False, soft_wrap=True)


def write_timm(to: Path, facts: Mapping[str, Any], state: Mapping[str, Tensor]) -> None:
    """Make the folder `to`, whole or not at all: ``config.json``, ``model.safetensors``, ``README.md``.

    ``timm.create_model("local-dir:FOLDER", pretrained=True)`` loads it with its own head, and the same files in a
    repository on Hugging Face load as ``hf-hub:ORG/NAME``. Calibration and thresholds are under ``thaw`` in
    ``config.json``, which timm ignores.

    Args:
        facts: the content of ``bundle.json``.
        state: all weights of the network, under the bundle's names.

    Raises:
        ConfigError: `to` exists, or timm has no such network; see
            :func:`thaw.trainables.bundles.timm_export.timm_network`.
    """
    model = ClassifierFacts.from_dict(facts["model"])
    network = timm_network(model, state)
    config = {**timm_config(model, network, facts["classes"]), "thaw": {"rule": facts["rule"]}}
    with new_folder(to) as folder:
        write_model(folder, network.state_dict())
        (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
        card = f"---\n{metadata(facts).to_yaml()}\n---\n\n{model_card(facts, timm=True)}"
        (folder / CARD).write_text(card, encoding="utf-8")


def metadata(facts: Mapping[str, Any]) -> ModelCardData:
    """What Hugging Face reads of a model card: library, task, licence, base model, results on the test images.

    Args:
        facts: the content of ``bundle.json``.
    """
    test = facts["test"]["metrics"] if facts["test"] else {}
    figures = [
        EvalResult("image-classification", "imagefolder", facts["run"], name, round(estimate["value"], 4))
        for name, estimate in test.items()
        if estimate["value"] is not None
    ]
    return ModelCardData(
        library_name="timm",
        pipeline_tag="image-classification",
        tags=["image-classification", "timm", "thaw"],
        model_name=facts["run"],
        eval_results=figures or None,
        **_origin(facts),
    )


def _origin(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Licence and base model, where the network started from published weights."""
    published = architecture(facts["model"]["architecture"]).published
    if facts["weights"] != "imagenet" or published is None:
        return {}
    licence = published.licence.lower()
    named = {"license": licence} if licence in KNOWN_LICENCES else {"license": "other", "license_name": licence}
    return {**named, **({"base_model": published.place} if published.kind == "hub" else {})}
