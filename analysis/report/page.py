"""The report: everything about one or more runs in one self-contained HTML file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2

from thaw.analysis.plots import GROUPS, PLOTS
from thaw.analysis.report import comparison
from thaw.analysis.report.answer import Answer, answer
from thaw.analysis.report.beside import arrow
from thaw.analysis.report.confirmation import Confirmation, confirmation
from thaw.analysis.report.made_with import made_with
from thaw.analysis.report.pictures import Picture, draw_all, write_table
from thaw.analysis.report.place import MARK, PAGE, replaced_report
from thaw.analysis.report.trial_rows import trial_rows
from thaw.analysis.run_data import RunData
from thaw.analysis.words import listed
from thaw.spaces import METRICS, ConfigError


@dataclass(frozen=True)
class Section:
    """One run on the page."""

    name: str
    metric: str
    answer: Answer
    confirmation: Confirmation | None
    groups: dict[str, list[Picture]]
    absent: dict[str, str]
    trials: dict[str, Any]
    trials_file: str
    made_with: dict[str, str]
    photos: str


def write_report(
    runs: Sequence[RunData], output: Path | None = None, photos: Sequence[str] = (), refresh: float | None = None
) -> Path:
    """Write the page, and next to it each picture as PNG and SVG and each table as CSV.

    Args:
        runs: at least one.
        output: the report's folder; by default ``report`` in the run folder or, for several runs, in the current one.
            An older report in it is replaced.
        photos: HTML of :func:`thaw.analysis.report.photos.gallery` for each run; may be empty.
        refresh: seconds after which a browser reloads the page while the search runs; None for never.

    Returns:
        The path of the page.

    Raises:
        ConfigError: the folder holds other files, is not writable, or is a link in the run folder.
    """
    if output is None:
        output = runs[0].folder.report if len(runs) == 1 else Path("report")
        if output.is_symlink():
            raise ConfigError(
                "links in a run folder are not followed; give the link's target with --output", file=output
            )
    several = len(runs) > 1
    with replaced_report(output) as making:
        sections = []
        for index, (name, run) in enumerate(zip(comparison.names(runs), runs, strict=True), 1):
            folder = f"runs/{index}" if several else ""
            shown = photos[index - 1] if photos else ""
            sections.append(_section(name, run, making, folder, shown))
        shared: dict[str, Any] = {}
        if several:
            table = comparison.comparison_table(runs)
            write_table(making / "tables" / "runs.csv", table)
            groups, _ = draw_all({"best_so_far": comparison.PLOT}, runs, making, "")
            shared = {
                "table": table,
                "warnings": comparison.warnings(runs),
                "pictures": groups.get("comparison", []),
                "made_with": _common([section.made_with for section in sections]),
                "plots": side_by_side({section.name: section.groups for section in sections}),
            }
        runs[0].folder.write_text(making / PAGE, _render(sections, shared, refresh))
    return output / PAGE


def _section(name: str, run: RunData, output: Path, folder: str, photos: str) -> Section:
    # A damaged file is found before the plots are drawn, which takes seconds.
    found, confirmed, rows, facts = answer(run), confirmation(run), trial_rows(run), made_with(run)
    groups, absent = draw_all(PLOTS, run, output, folder)
    trials_file = str(Path(folder, "tables", "trials.csv"))
    write_table(output / trials_file, run.trials)
    if found.beside:
        write_table(output / folder / "tables" / "metrics.csv", found.beside.table.reset_index(names="metric"))
    return Section(
        name,
        run.metric,
        found,
        confirmed,
        groups,
        absent,
        rows,
        trials_file,
        facts,
        photos,
    )


def side_by_side(runs: Mapping[str, Mapping[str, Sequence[Picture]]]) -> dict[str, list[list[tuple[str, Picture]]]]:
    """The pictures of several runs, plot by plot.

    Args:
        runs: name of a run → group → its pictures.

    Returns:
        Group → plots, each with (names of runs, picture). Equal pictures, such as those of the same data, appear once.
    """
    found: dict[str, list[list[tuple[str, Picture]]]] = {}
    for group in GROUPS:
        plots: dict[str, dict[tuple[str, str], tuple[list[str], Picture]]] = {}
        for run, groups in runs.items():
            for picture in groups.get(group, ()):
                seen = plots.setdefault(picture.name, {})
                seen.setdefault((picture.light, picture.finding), ([], picture))[0].append(run)
        if plots:
            found[group] = [[(listed(names), item) for names, item in seen.values()] for seen in plots.values()]
    return found


def _common(facts: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """The entries that all share."""
    first, *others = facts
    return {name: text for name, text in first.items() if all(other.get(name) == text for other in others)}


def _render(sections: list[Section], shared: dict[str, Any], refresh: float | None) -> str:
    folder = resources.files("thaw.analysis.report")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    plotly_js = resources.files("plotly") / "package_data" / "plotly.min.js"
    interactive = any(p.interactive for s in sections for group in s.groups.values() for p in group)
    return environment.from_string((folder / "page.html").read_text(encoding="utf-8")).render(
        mark=MARK,
        refresh=None if refresh is None else round(refresh),
        sections=sections,
        shared=shared,
        groups=GROUPS,
        metrics=METRICS,
        arrow=arrow,
        css=(folder / "page.css").read_text(encoding="utf-8"),
        js=(folder / "page.js").read_text(encoding="utf-8"),
        plotly=plotly_js.read_text(encoding="utf-8") if interactive else "",
    )
