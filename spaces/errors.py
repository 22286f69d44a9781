"""ConfigError: the input is wrong, and nothing was started."""

from __future__ import annotations

import difflib
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path


class ConfigError(ValueError):
    """The user's input breaks a rule.

    The code that finds the fault states the rule, the value received and the fix. Callers that know more about its
    location add it with :meth:`within`. The final text reads
    ``search.yaml: space.learning_rate.log: low must be > 0, got 0``.

    Args:
        message: rule, value received and fix, in one sentence.
        key: path of the offending key, innermost part only (``learning_rate.log``).
        file: the file that holds the key.
    """

    def __init__(self, message: str, key: str = "", file: str | Path = "") -> None:
        super().__init__(message, key, str(file))
        self.message, self.key, self.file = message, key, str(file)

    def within(self, key: str = "", file: str | Path = "") -> ConfigError:
        """The same error, with an outer key and a file added."""
        path = ".".join(part for part in (key, self.key) if part)
        return ConfigError(self.message, path, self.file or file)

    def __str__(self) -> str:
        return ": ".join(part for part in (self.file, self.key, self.message) if part)


def did_you_mean(word: object, known: Iterable[str]) -> str:
    """``; did you mean X?`` if a known word resembles `word`, else the list of known words."""
    known = list(known)
    close = closest(word, known)
    return f"; did you mean {close}?" if close else f"; known: {', '.join(known)}"


def closest(word: object, known: Iterable[str]) -> str | None:
    """The known word that resembles `word` most, in upper or lower case; None if none does."""
    by_lower = {name.lower(): name for name in known}
    close = difflib.get_close_matches(str(word).lower(), by_lower, n=1)
    return by_lower[close[0]] if close else None


def as_raised(error: BaseException, file: str | Path) -> str:
    """``FILE, line 3: ValueError: …``: an exception of the user's own code, with the last line of `file` on its way."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(file)]
    return f"{file}{f', line {lines[-1]}' if lines else ''}: {type(error).__name__}: {error}"


@contextmanager
def own_code(what: str, file: str | Path, passing: tuple[type[Exception], ...] = ()) -> Iterator[None]:
    """Within, exceptions and exits of the user's own code become a ConfigError; memory that runs out is not its fault.

    Args:
        what: the part of the code, for the message.
        file: where it is defined.
        passing: further exceptions that stay as they are.
    """
    try:
        yield
    except (Exception, SystemExit) as error:
        if isinstance(error, (ConfigError, MemoryError, *passing)):
            raise
        raise ConfigError(f"{what} raised an exception: {as_raised(error, file)}") from error


def printable(text: str) -> str:
    """`text` for a terminal, with control characters and invalid text as escapes such as ``\\x1b``."""
    return "".join(
        character if character.isprintable() or character == "\n" else character.encode("unicode_escape").decode()
        for character in text
    )
