"""One self-contained page on one run or several, with its pictures and tables as files beside it."""

from thaw.analysis.report.page import write_report

__all__ = ["write_report"]
