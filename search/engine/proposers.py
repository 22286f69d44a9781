"""The proposer class of each algorithm."""

from __future__ import annotations

from thaw.search.engine.auto import Auto
from thaw.search.engine.proposals import StudyProposer
from thaw.search.settings.config import SearchConfig

PROPOSERS: dict[str, type[StudyProposer]] = {"auto": Auto}
"""Algorithm → its class; the others use Optuna's samplers alone."""


def build_proposer(config: SearchConfig) -> StudyProposer:
    """The proposer of a search.

    Args:
        config: the resolved search file.
    """
    return PROPOSERS.get(config.search.algorithm, StudyProposer)(config)
