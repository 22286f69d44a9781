"""Records a command on a pseudo terminal: how long it is silent, and a picture of its screen.

    python -m benchmarks.terminal --width 80 --to live.png --showing "2 running" -- thaw search search.yaml

runs the command on a terminal of 80 columns, prints its longest silences, and draws the last screen that shows the
text, with a headless Chromium.
"""

from __future__ import annotations

import argparse
import codecs
import fcntl
import html
import os
import pty
import struct
import termios
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby, pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import pyte

HEIGHT = 30
"""Lines of the terminal."""

COLOURS = {
    "default": "#d4d4d4",
    "black": "#808080",
    "red": "#f48771",
    "green": "#89d185",
    "brown": "#e5c07b",
    "blue": "#6cb6ff",
    "magenta": "#d8a0df",
    "cyan": "#56b6c2",
    "white": "#ffffff",
}
"""pyte's name of a colour → CSS. Its brown is ANSI's yellow."""

DIM = ("\x1b[2m", "\x1b[38;5;244m")
"""pyte knows no dim text, so it is grey instead."""

PAGE = """<!doctype html><meta charset="utf-8"><style>
body {{ margin: 0; background: #1e1e1e; }}
pre {{ margin: 0; padding: 12px; width: {width}ch; font: 14px/1.35 "DejaVu Sans Mono", monospace; color: #d4d4d4; }}
</style><pre>{text}</pre>"""


@dataclass
class Recording:
    """What a command wrote to its terminal.

    Args:
        width: columns.
        writes: (seconds since the start, text), in order.
        seconds: from start to end.
        status: exit status.
    """

    width: int
    writes: list[tuple[float, str]] = field(default_factory=list)
    seconds: float = 0.0
    status: int = 0

    def silences(self) -> list[tuple[float, float]]:
        """(seconds, begin) of the times without anything written, longest first."""
        moments = [0.0, *(moment for moment, _ in self.writes), self.seconds]
        return sorted(((after - before, before) for before, after in pairwise(moments)), reverse=True)

    def screens(self) -> Iterator[pyte.Screen]:
        """The screen after each write; it is the same object, which changes."""
        screen = pyte.Screen(self.width, HEIGHT)
        stream = pyte.Stream(screen)
        for _, text in self.writes:
            stream.feed(text.replace(*DIM))
            yield screen

    def page(self, showing: str) -> str:
        """The last screen that shows a text, as HTML; empty if none does."""
        found = ""
        for screen in self.screens():
            if any(showing in line for line in screen.display):
                found = page(screen)
        return found


def record(command: Sequence[str], width: int) -> Recording:
    """Run a command to its end on a terminal with this many columns."""
    recording = Recording(width)
    began = time.monotonic()
    process, terminal = pty.fork()
    if process == 0:
        # The size is set before the command looks.
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", HEIGHT, width, 0, 0))
        try:
            os.execvpe(command[0], command, {**os.environ, "TERM": "xterm-256color"})
        except OSError as error:
            os.write(2, f"{command[0]}: {error.strerror}\n".encode())
        os._exit(127)
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    while True:
        try:
            written = os.read(terminal, 65536)
        except OSError:  # how Linux says that nobody holds the other end any more
            break
        if not written:
            break
        recording.writes.append((time.monotonic() - began, decoder.decode(written)))
    _, status = os.waitpid(process, 0)
    os.close(terminal)
    recording.seconds, recording.status = time.monotonic() - began, os.waitstatus_to_exitcode(status)
    return recording


def page(screen: pyte.Screen) -> str:
    """A screen as HTML, as far down as something stands there."""
    lines = [[screen.buffer[line][column] for column in range(screen.columns)] for line in range(screen.lines)]
    while lines and not "".join(cell.data for cell in lines[-1]).strip():
        lines.pop()
    return PAGE.format(width=screen.columns, text="\n".join(_line(line) for line in lines))


def _line(cells: Sequence[pyte.screens.Char]) -> str:
    text = ""
    for (colour, bold), group in groupby(cells, key=lambda cell: (cell.fg, cell.bold)):
        words = html.escape("".join(cell.data for cell in group))
        style = f"color: {COLOURS.get(colour, f'#{colour}')}; font-weight: {700 if bold else 400}"
        text += f'<span style="{style}">{words}</span>'
    return text


def draw(page: str, to: Path) -> None:
    """A picture of a screen."""
    from tests.browser import browser

    with TemporaryDirectory() as place, browser(Path(place, "profile")) as chromium:
        file = Path(place, "screen.html")
        file.write_text(page)
        chromium.open(file)
        box = chromium.run(
            "const box = document.querySelector('pre').getBoundingClientRect(); return [box.width, box.height]"
        )
        to.write_bytes(chromium.picture(*box))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=int, default=80, metavar="COLUMNS")
    parser.add_argument("--to", type=Path, required=True, metavar="FILE.png")
    parser.add_argument("--showing", default="", metavar="TEXT")
    parser.add_argument("command", nargs="+", metavar="COMMAND")
    options = parser.parse_args()
    recording = record(options.command, options.width)
    print(f"{recording.seconds:.1f} s, exit status {recording.status}; longest silences:")
    for seconds, began in recording.silences()[:5]:
        print(f"  {seconds:.1f} s at {began:.1f} s")
    found = recording.page(options.showing)
    if not found:
        parser.exit(1, f"no screen showed {options.showing!r}\n")
    draw(found, options.to)


if __name__ == "__main__":
    main()
