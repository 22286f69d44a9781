"""The command line: the table of commands, and how the process runs the requested one."""

from __future__ import annotations

import re
import signal
import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from thaw.search.cli.delivering import export, predict, train
from thaw.search.cli.looking import best, cache, compare, data, describe, list_runs, report, show
from thaw.search.cli.searching import confirm, init, resume, search
from thaw.search.engine.interruption import Interrupted
from thaw.search.exit_status import exit_status
from thaw.search.version import __version__
from thaw.spaces import ConfigError

COMMANDS: dict[str, Callable[..., None]] = {
    "init": init,
    "search": search,
    "report": report,
    "show": show,
    "list": list_runs,
    "cache": cache,
    "compare": compare,
    "resume": resume,
    "best": best,
    "confirm": confirm,
    "data": data,
    "describe": describe,
    "export": export,
    "train": train,
    "predict": predict,
}
"""In the order of the help."""


class _Commands(TyperGroup):
    """The commands, of which an interrupted one says so once; Typer would end it silently."""

    def invoke(self, ctx: Any) -> Any:
        # Around the reading of options, too: --import runs a file.
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            if not isinstance(error, Interrupted):
                print("interrupted", file=sys.stderr)
            raise typer.Exit(128 + signal.SIGINT) from None


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # typer's own markup shows flags as options that take a <bool>
)

for _name, _command in COMMANDS.items():
    app.command(_name)(_command)


def run() -> int:
    """Run the command that the process was started with and return its exit status."""
    return exit_status(_requested)


def _requested() -> int | None:
    for place, argument in enumerate(sys.argv[1:], start=1):
        if argument == "" or re.fullmatch("--[a-z-]+=", argument):
            rule = "must not be empty, which would mean the current folder"
            raise ConfigError(f"{rule}, got {argument!r}; is a variable of the shell not set?", f"argument {place}")
    # Outside of its standalone mode, Click returns the status of `typer.Exit` instead of raising it.
    return app(standalone_mode=False)


def _show_version(requested: bool) -> None:
    if requested:
        print(f"thaw {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="show the version and exit", is_eager=True, callback=_show_version)
    ] = False,
) -> None:
    """Hyperparameter search for transfer learning on images."""
