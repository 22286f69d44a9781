"""Decodes text files: in the encoding that the search file names, or in one that fits the bytes."""

from __future__ import annotations

import codecs
import contextlib
import re
import unicodedata

DEFAULT = "cp1252"
"""Encoding of text that is not Unicode, if it reads well in it: Windows-1252, western European."""

SUGGESTED = {
    "cp932": ("Japanese", "CJK HIRAGANA KATAKANA KATAKANA-HIRAGANA HALFWIDTH IDEOGRAPHIC"),
    "euc_jp": ("Japanese", "CJK HIRAGANA KATAKANA KATAKANA-HIRAGANA IDEOGRAPHIC"),
    "gb18030": ("simplified Chinese", "CJK"),
    "big5": ("traditional Chinese", "CJK"),
    "cp949": ("Korean", "HANGUL"),
    "cp1251": ("Cyrillic", "CYRILLIC"),
    "cp1253": ("Greek", "GREEK"),
    "cp1250": ("central European", "LATIN"),
    "mac_roman": ("old Macintosh", "LATIN"),
    "cp850": ("DOS", "LATIN"),
}
"""Encodings that are suggested if the default reads badly → their script or origin, and the first words of the Unicode
names of its letters."""

WIDE = ("utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be", "utf-32")
"""Encodings whose text holds zero bytes; the last one with a byte order mark."""

_SUSPICIOUS = re.compile(
    r"""
    [¢¤¥¦¨¬\xad¯¶¸¹‚ƒ†‡ˆ‰‹›˜Ÿ]         # not in western European labels
    | [a-zà-öø-ÿšžœ][À-ÖØ-ÞŠŽŒ]         # an upper-case letter after a lower-case one: cafŽ
    | \w[£¤•“„¿¡³²¼½¾±»]\w              # a symbol within a word: jab³ko
    | ^[”’³²¼½¾±•£][^\W\d_]            # a symbol before a word: ”L
    | ^[^\W\d_]?[ŠŽŒšžœ][^\W\d_]?$     # letters that occur only in longer words: ŽR
    | ^[²³¿©]{2,}$
    | ^(?=.*[^\W\d_ªºµ])[^\x00-\x7f]{2,}$  # no ASCII letter at all: Ã¨
    """,
    re.VERBOSE,
)
"""Words that suggest an encoding other than Windows-1252."""

_BEFORE, _AFTER = "‘“„«»'([{¿¡…–—-_/&\xa0", "‘’“”«»')]}.:!?…–—-_/&\xa0"
"""Punctuation that may precede and follow a word."""

_WORD = re.compile(r"[^\s,;|\"]*[^\x00-\x7f][^\s,;|\"]*")
_CONTROL = re.compile(r"[\x80-\x84\x86-\x9f]")


class Unreadable(ValueError):
    """The bytes are not text in the requested encoding, or in any that can be recognised; the message has the fix."""


def decode_text(raw: bytes, encoding: str = "auto") -> tuple[str, str | None]:
    """The text, and a note if its encoding was guessed.

    ``auto`` accepts UTF-8 with or without a byte order mark and UTF-16 with one. Anything else is read as Windows-1252
    if it reads well as such (:func:`reads_badly`). Other encodings cannot be distinguished reliably, so they are
    suggested and never chosen.

    Args:
        encoding: ``auto``, or the name of a Python codec.

    Raises:
        Unreadable: the bytes do not fit the encoding, or none that may be guessed.

    Example:
        >>> decode_text("Hündin".encode("cp1252"))[0]
        'Hündin'
    """
    if encoding != "auto":
        try:
            return raw.decode(encoding).removeprefix("\ufeff"), None
        except UnicodeError as error:
            # Codecs of host names do not say where.
            read = error.start if isinstance(error, UnicodeDecodeError) else 0
            line = raw[:read].count(b"\n") + 1
            raise Unreadable(f"is not {encoding}: line {line} cannot be decoded; correct data.encoding") from None
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-16"
    try:
        return raw.decode("utf-8-sig" if encoding == "auto" else encoding), None
    except UnicodeDecodeError:
        pass
    try:
        text = raw.decode(DEFAULT)
    except UnicodeDecodeError:
        # Five bytes are undefined in Windows-1252.
        text = raw.decode("latin-1")
    if b"\0" in raw:
        return text, None  # not a text file; the caller reports its zero bytes
    suspicious = reads_badly(text)
    if suspicious is not None:
        raise Unreadable(
            "is not UTF-8, and probably not Windows-1252 (western European), in which it reads "
            f"{suspicious!r}; save it as UTF-8, or set data.encoding{_suggestions(raw, suspicious)}"
        )
    word = _words(text)[0][:40]
    return text, f"is not UTF-8; it is read as Windows-1252 (western European), such as {word!r} (data.encoding)"


def zero_bytes(raw: bytes) -> str:
    """What is wrong with text that holds zero bytes, and the fix: Unicode without its byte order mark, or no text."""
    for name in WIDE:
        with contextlib.suppress(UnicodeDecodeError):
            text = raw.decode(name)
            if all(character.isprintable() or character.isspace() for character in text):
                return (
                    f"seems to be {name.upper()}; only UTF-16 with a byte order mark is recognised by itself, so set "
                    f"data.encoding: {name}, or save it as UTF-8"
                )
    return "is not a text file (it holds zero bytes); choose another"


def reads_badly(text: str) -> str | None:
    """A word that is unlikely in western European text; None if such words are the exception.

    Other encodings read as Windows-1252 give words without any ASCII letter (``Ã¨``), upper-case letters after
    lower-case ones (``cafŽ``), and symbols before or within words (``”L``, ``ƒlƒR``, ``jab³ko``).
    """
    words = _words(text)
    if damaged := next(filter(_CONTROL.search, words), None):
        return damaged
    suspicious = [word for word in words if _SUSPICIOUS.search(word.lstrip(_BEFORE).rstrip(_AFTER))]
    return suspicious[0] if len(suspicious) * 3 >= max(1, len(words)) else None


def _words(text: str) -> list[str]:
    """The distinct words that are not plain ASCII."""
    return list(dict.fromkeys(found[0] for found in _WORD.finditer(text)))


def _suggestions(raw: bytes, suspicious: str) -> str:
    """Encodings in which the bytes are words, with the suspicious word in each."""
    try:
        word_bytes = suspicious.encode(DEFAULT)
    except UnicodeEncodeError:
        word_bytes = suspicious.encode("latin-1", errors="ignore")
    suggestions = []
    for name, (origin, scripts) in SUGGESTED.items():
        try:
            raw.decode(name)
            word = word_bytes.decode(name)
        except UnicodeDecodeError:
            continue
        letters = [character for character in word if character.isalpha()]
        found = {unicodedata.name(letter, "").split(" ")[0] for letter in letters}
        if found and found <= set(scripts.split()) and not (scripts == "LATIN" and _SUSPICIOUS.search(word)):
            suggestions.append(f"{name} ({origin}) reads {word!r}")
    return f": {', '.join(suggestions)}" if suggestions else ""
