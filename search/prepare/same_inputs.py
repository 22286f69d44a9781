"""Whether a continued run still has its original inputs. Content decides: paths may change, digests may not."""

from __future__ import annotations

from typing import Any

from thaw.analysis.run_folder import RunFolder
from thaw.search.prepare.preflight import Prepared
from thaw.search.version import __version__
from thaw.spaces import ConfigError
from thaw.spaces.words import counted

NAMED = 3
"""The number of unusable images named in an error."""


def check_same_inputs(folder: RunFolder, prepared: Prepared) -> None:
    """Check that images, labels, split and pretrained weights are those that the run began with, wherever they are now.

    Runs made by Thaw 0.1.0 record neither the split nor the weights: their split is accepted as computed, and their
    weights have to stay where they were.

    Raises:
        ConfigError: says what has changed, and what to do.
    """
    recorded = folder.provenance()
    before = recorded["data"]
    if prepared.fingerprint != before["fingerprint"]:
        other = recorded["thaw"] != __version__
        stay = " continue with that version," if other else ""
        read = f" or Thaw {__version__} reads them differently from {recorded['thaw']}" if other else ""
        raise ConfigError(
            f"images or labels have changed since the run began{read} ({_difference(before, prepared)}), so its "
            "results would not be comparable; restore them, give their new location with --set data.images=… and "
            f"data.labels=…,{stay} or start a new run",
            "data",
            folder.search_file,
        )
    if before.get("split") not in (None, prepared.context.split.digest):
        raise ConfigError(
            "the training and validation images have changed since the run began, because a column of the label file "
            "that determines them has changed; restore it, or start a new run",
            "data.split",
            folder.search_file,
        )
    _check_weights(recorded.get("weights"), folder, prepared)


def _difference(before: dict[str, Any], prepared: Prepared) -> str:
    """What is seen of the change without the images that the run began with: their number, and what cannot be used."""
    split = prepared.context.split
    then, now = sum(before["images"].values()), sum(map(len, (split.train, split.validation, split.test)))
    fingerprints = f"fingerprint {prepared.fingerprint} instead of {before['fingerprint']}"
    found = fingerprints if then == now else f"{counted(now, 'usable image')} instead of {then}"
    unusable = prepared.rejected if len(prepared.rejected) > before.get("rejected", 0) else []
    return "; ".join([found, *(f"{file}: {reason}" for file, reason in unusable[:NAMED])])


def _check_weights(digests: dict[str, str] | None, folder: RunFolder, prepared: Prepared) -> None:
    if digests is None:
        before = folder.settings()["weights"]
        if prepared.config.weights != before:
            raise ConfigError(
                f"this run does not record the content of its weights, so they must stay {before!r}, got "
                f"{prepared.config.weights!r}; put the files where they were",
                "weights",
                folder.search_file,
            )
        return
    for name, digest in prepared.weights.items():
        if digests.get(name, digest) != digest:
            raise ConfigError(
                f"the weights or the code of {name} are not those that the run began with (digest {digest} instead of "
                f"{digests[name]}); restore them, give that file with --set weights.{name}=…, or start a new run",
                f"weights.{name}",
                folder.search_file,
            )
