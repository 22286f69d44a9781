"""Run: a search read from its folder, and its plots."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from thaw.analysis.run_data import RunData
from thaw.analysis.run_folder import RunFolder
from thaw.spaces import ConfigError, did_you_mean

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Run(RunData):
    """A finished, interrupted or still running search, read from its folder."""

    def plot(self, name: str, theme: str = "light", **options: Any) -> Figure:
        """A plot of this run, as a figure that a notebook displays.

        Args:
            name: a key of :data:`thaw.analysis.plots.PLOTS`, such as ``freeze_depth``.
            theme: ``light`` or ``dark``.
            options: options of the plot's compute function, such as ``trial=3``.

        Raises:
            ConfigError: there is no such plot, theme or trial.
            NotEnough: the run lacks data that the plot needs; the message says what is missing.
        """
        # Imported here because plotting libraries take half a second to load.
        from thaw.analysis.plots import PLOTS, THEMES

        for kind, word, known in (("plot", name, tuple(PLOTS)), ("theme", theme, tuple(THEMES))):
            if word not in known:
                raise ConfigError(f"unknown {kind} {word!r}{did_you_mean(word, known)}")
        plot = PLOTS[name]
        return plot.figure(plot.compute(self, **options), THEMES[theme])


def load_run(path: str | Path) -> Run:
    """Read a run folder.

    Raises:
        ConfigError: the folder is not a run folder.
    """
    return Run(RunFolder(Path(path)).require())
