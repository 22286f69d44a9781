"""`thaw train`: one configuration, without a search, into a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console

from thaw.search.delivery.assemble import assemble
from thaw.search.delivery.deliver import check_room, write_bundle
from thaw.search.delivery.fit import fit
from thaw.search.delivery.outcome import print_outcome
from thaw.search.delivery.scoring import score_test
from thaw.search.delivery.single import for_this_machine, only_trial
from thaw.search.delivery.winner import DEFAULT_GOAL, LabelGoal, Winner
from thaw.search.prepare.preflight import prepare
from thaw.search.prepare.stages import Stages
from thaw.search.settings.config import SearchConfig
from thaw.spaces.files import check_new_folder
from thaw.trainables.bundles.onnx_export import require_onnx


def train_config(
    config: SearchConfig, to: Path, console: Console, *, onnx: bool = False, goal: LabelGoal = DEFAULT_GOAL
) -> dict[str, Any]:
    """Train the configuration of a search file that searches nothing, and write a bundle of its best epoch.

    Args:
        config: such as ``config.yaml`` of a bundle; its ``search.metric`` says which epoch is best.
        to: a folder that does not exist.
        console: where progress is printed.
        onnx: add an ONNX file.
        goal: goal of the label rule.

    Returns:
        The content of ``bundle.json``.

    Raises:
        ConfigError: the input is wrong; nothing was written.
        TrainingFailed: a loss was not finite.
    """
    check_new_folder(to)
    if onnx:
        require_onnx()
    only_trial(config)
    prepared = prepare(for_this_machine(config), Stages(console))
    check_room(to, prepared, onnx)
    best = fit(prepared, console)
    winner = Winner(prepared, best, goal, run=config.name, metrics=best.metrics, source="trained")
    stages = Stages(console)
    with stages("choosing thresholds"):
        model = assemble(winner)
    with stages("scoring the test split"):
        score = score_test(winner, model)
    with stages("writing the model"):
        facts = write_bundle(to, winner, model, score, onnx=onnx)
    print_outcome(to, facts, console)
    return facts
