"""From a network's logits to the set of labels that an image is given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, get_args

import numpy as np

from thaw.spaces.errors import ConfigError, did_you_mean
from thaw.spaces.words import counted
from thaw.trainables.evaluation.calibration import Activation, calibrated, fit_calibration, log_odds
from thaw.trainables.evaluation.thresholds import TARGETS, fit_thresholds

POLICIES: dict[str, str] = {
    "threshold": "the labels whose probability reaches their threshold",
    "never_empty": "the labels whose probability reaches their threshold, or else the most probable one",
    "at_most": "the k most probable of the labels whose probability reaches their threshold",
    "exactly_one": "the most probable label, whatever its probability",
}
"""Policies that make label sets, each explained in one line for tables and help."""


@dataclass(frozen=True, eq=False)
class LabelRule:
    """Calibration of probabilities, and the rule that turns them into label sets.

    Args:
        calibration: (L, 2), slope > 0 and intercept on the log-odds of each label.
        thresholds: (L,) in (0, 1]; a label passes from this calibrated probability on.
        policy: a key of `POLICIES`.
        k: largest number of labels of one image, for ``at_most``; None for the other policies.
        activation: ``softmax`` for a network trained with that loss, else ``sigmoid``.
    """

    calibration: np.ndarray
    thresholds: np.ndarray
    policy: str = "threshold"
    k: int | None = None
    activation: Activation = "sigmoid"

    def __post_init__(self) -> None:
        labels = len(self.thresholds)
        if self.calibration.shape != (labels, 2) or self.thresholds.shape != (labels,):
            raise ConfigError(
                f"calibration must be ({labels}, 2) for {counted(labels, 'threshold')}, got {self.calibration.shape}"
            )
        if not (np.isfinite(self.calibration).all() and (self.calibration[:, 0] > 0).all()):
            raise ConfigError("slopes must be > 0 and intercepts finite; fit the rule again", "calibration")
        if not ((self.thresholds > 0) & (self.thresholds <= 1)).all():
            raise ConfigError(f"must lie in (0, 1], got {self.thresholds.tolist()}", "thresholds")
        check_policy(self.policy, self.k)
        if self.activation not in get_args(Activation):
            raise ConfigError(f"must be {' or '.join(get_args(Activation))}, got {self.activation!r}", "activation")

    def probabilities(self, logits: np.ndarray) -> np.ndarray:
        """Calibrated probabilities, float64 (N, L), of logits (N, L)."""
        return calibrated(log_odds(logits, self.activation), self.calibration)

    def label_sets(self, probabilities: np.ndarray) -> np.ndarray:
        """The predicted label sets, bool (N, L), by the rule's policy; in a tie the first label is taken."""
        passing = probabilities >= self.thresholds
        if self.policy == "exactly_one":
            passing[:] = False
            passing[np.arange(len(passing)), probabilities.argmax(axis=1)] = True
        if self.policy == "never_empty":
            empty = np.flatnonzero(~passing.any(axis=1))
            passing[empty, probabilities[empty].argmax(axis=1)] = True
        elif self.policy == "at_most":
            order = np.argsort(-np.where(passing, probabilities, -1.0), axis=1, kind="stable")
            np.put_along_axis(passing, order[:, self.k :], False, axis=1)
        return passing

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; :meth:`from_dict` restores the same rule to the bit."""
        return {
            "calibration": self.calibration.tolist(),
            "thresholds": self.thresholds.tolist(),
            "policy": self.policy,
            "k": self.k,
            "activation": self.activation,
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> LabelRule:
        """The rule that :meth:`to_dict` has written.

        Raises:
            ConfigError: a value is missing or invalid; the caller adds the file name.
        """
        try:
            calibration, thresholds = (np.array(values[name], np.float64) for name in ("calibration", "thresholds"))
            return cls(calibration, thresholds, values["policy"], values["k"], values["activation"])
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            if isinstance(error, ConfigError):
                raise
            raise ConfigError(f"not a label rule: {error!r}; fit it again") from None


def check_policy(policy: str, k: int | None) -> None:
    """Check a policy and its largest number of labels.

    Raises:
        ConfigError: there is no such policy, or `k` does not go with it.
    """
    if policy not in POLICIES:
        raise ConfigError(f"unknown policy {policy!r}{did_you_mean(policy, POLICIES)}", "policy")
    if (policy == "at_most") != (k is not None) or (k is not None and k < 1):
        raise ConfigError(f"at_most needs k >= 1, other policies take no k; got {policy} and {k}", "k")


def check_target(target: str, floor: float) -> None:
    """Check what thresholds are to optimise.

    Raises:
        ConfigError: there is no such target, or the floor is out of range.
    """
    if target not in TARGETS:
        raise ConfigError(f"unknown target {target!r}{did_you_mean(target, TARGETS)}", "target")
    if not 0 < floor <= 1:
        raise ConfigError(f"must lie in (0, 1], got {floor:g}", "floor")


def fit_label_rule(
    logits: np.ndarray,
    targets: np.ndarray,
    target: str = "f1_macro",
    *,
    policy: str = "threshold",
    k: int | None = None,
    floor: float = 0.9,
    activation: Activation = "sigmoid",
) -> LabelRule:
    """Calibration and thresholds from predictions on images that the model was not trained on.

    The thresholds are fitted for the policy ``threshold``. The other policies start from its sets, except
    ``exactly_one``, which does not use thresholds.

    Args:
        logits: (N, L).
        targets: bool (N, L).
        target: ``f1_macro``, ``f1_micro``, ``inclusion_accuracy`` or ``precision``; see :mod:`~.thresholds`.
        floor: smallest precision in (0, 1], for ``precision``.

    Raises:
        ConfigError: the target or the policy is unknown, the floor is out of range, or a logit is not finite.
    """
    check_target(target, floor)
    if not np.isfinite(logits).all():
        raise ConfigError("every logit must be finite; the model's predictions cannot be used")
    truth = np.asarray(targets, bool)
    odds = log_odds(logits, activation)
    calibration = fit_calibration(odds, truth)
    thresholds = fit_thresholds(calibrated(odds, calibration), truth, target, floor)
    return LabelRule(calibration, thresholds, policy, k, activation)
