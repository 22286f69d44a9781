"""The search space, hyperparameters, metrics and errors. Imports neither torch nor Ray."""

from thaw.spaces.errors import ConfigError, did_you_mean, printable
from thaw.spaces.metrics import METRICS, Metric, best_epoch, measured, metric
from thaw.spaces.parameters import Choice, Float, Int, Parameter, Value
from thaw.spaces.space import SearchSpace
from thaw.spaces.trial import FROM_SCRATCH, STAGES, TrialConfig, pretrained

__all__ = [
    "FROM_SCRATCH",
    "METRICS",
    "STAGES",
    "Choice",
    "ConfigError",
    "Float",
    "Int",
    "Metric",
    "Parameter",
    "SearchSpace",
    "TrialConfig",
    "Value",
    "best_epoch",
    "did_you_mean",
    "measured",
    "metric",
    "pretrained",
    "printable",
]
