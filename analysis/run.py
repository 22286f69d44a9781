"""Run: a search read from its folder, and its pictures."""

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
        """A picture of this run; a notebook shows it.

        Args:
            name: a key of :data:`thaw.analysis.plots.PLOTS`, such as ``freeze_depth``.
            theme: ``light`` or ``dark``.
            options: what the plot's compute half takes, such as ``trial=3``.

        Raises:
            ConfigError: there is no such plot, theme or trial.
            NotEnough: the run does not hold what the plot needs; the text says what is missing.
        """
        # Here, because drawing libraries take half a second to load.
        from thaw.analysis.plots import PLOTS, THEMES

        for kind, word, known in (("plot", name, tuple(PLOTS)), ("theme", theme, tuple(THEMES))):
            if word not in known:
                raise ConfigError(f"unknown {kind} {word!r}{did_you_mean(word, known)}")
        plot = PLOTS[name]
        return plot.figure(plot.compute(self, **options), THEMES[theme])


def load_run(path: str | Path) -> Run:
    """Read a run folder.

    Raises:
        ConfigError: it is none.
    """
    return Run(RunFolder(Path(path)).require())
