"""A self-contained page about one or more runs, with its plots and tables as files next to it."""

from thaw.analysis.report.page import write_report

__all__ = ["write_report"]
