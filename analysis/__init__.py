"""What came out of a run. Imports neither torch nor Ray."""

from analysis.run import Run, load_run
from analysis.run_folder import RunFolder

__all__ = ["Run", "RunFolder", "load_run"]
