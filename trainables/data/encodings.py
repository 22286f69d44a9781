"""Bytes of a text file → text: in the encoding that the search file names, or one that the bytes bear out."""

from __future__ import annotations

import codecs
import re
import unicodedata

DEFAULT = "cp1252"
"""What text that is not Unicode is read as, where it reads well: Windows-1252, western European."""

OTHERS = {
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
"""Encodings that are proposed where the default reads badly → what writes them, and how the names of its letters begin
in Unicode."""

_ODD = re.compile(
    r"""
    [¢¤¥¦¨¬\xad¯¶¸¹‚ƒ†‡ˆ‰‹›˜Ÿ]         # western labels hold none of these
    | [a-zà-öø-ÿšžœ][À-ÖØ-ÞŠŽŒ]         # a capital behind a small letter: cafŽ
    | \w[£¤•“„¿¡³²¼½¾±»]\w              # a sign within a word: jab³ko
    | ^[”’³²¼½¾±•£][^\W\d_]            # a sign in front of one: ”L
    | ^[^\W\d_]?[ŠŽŒšžœ][^\W\d_]?$     # what stands in long words only: ŽR
    | ^[²³¿©]{2,}$
    | ^(?=.*[^\W\d_ªºµ])[^\x00-\x7f]{2,}$  # no plain letter at all: Ã¨
    """,
    re.VERBOSE,
)
"""In which words of Windows-1252 another encoding shows itself."""

_BEFORE, _BEHIND = "‘“„«»'([{¿¡…–—-_/&\xa0", "‘’“”«»')]}.:!?…–—-_/&\xa0"
"""Signs that may stand around a word."""

_WORD = re.compile(r"[^\s,;|\"]*[^\x00-\x7f][^\s,;|\"]*")
_CONTROL = re.compile(r"[\x80-\x84\x86-\x9f]")


class Unreadable(ValueError):
    """The bytes are no text in the encoding asked for, or in none that can be told; the text says what to do."""


def decode_text(raw: bytes, encoding: str = "auto") -> tuple[str, str | None]:
    """The text, and a sentence where its encoding was guessed.

    ``auto`` takes UTF-8 with or without a byte order mark and UTF-16 with one. Anything else is read as Windows-1252
    if it reads well as such (:func:`reads_badly`). Other encodings cannot be told apart with certainty, so they are
    proposed and not chosen.

    Args:
        encoding: ``auto``, or a name that Python knows.

    Raises:
        Unreadable: the bytes do not fit, or fit no encoding that may be guessed.

    Example:
        >>> decode_text("Hündin".encode("cp1252"))[0]
        'Hündin'
    """
    if encoding != "auto":
        try:
            return raw.decode(encoding).removeprefix("\ufeff"), None
        except UnicodeDecodeError as error:
            line = raw[: error.start].count(b"\n") + 1
            raise Unreadable(f"is not {encoding}: line {line} holds other bytes; correct data.encoding") from None
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-16"
    try:
        return raw.decode("utf-8-sig" if encoding == "auto" else encoding), None
    except UnicodeDecodeError:
        pass
    try:
        text = raw.decode(DEFAULT)
    except UnicodeDecodeError:
        # Five bytes mean nothing in Windows-1252.
        text = raw.decode("latin-1")
    if b"\0" in raw:
        return text, None  # no text file at all, which is said where its zero bytes are found
    odd = reads_badly(text)
    if odd is not None:
        raise Unreadable(
            f"is neither UTF-8 nor, as it seems, Windows-1252 (western European), in which it says {odd!r}; save it as "
            f"UTF-8, or name its encoding by data.encoding{_proposed(raw, odd)}"
        )
    word = _words(text)[0][:40]
    return text, f"is not UTF-8; it is read as Windows-1252 (western European), such as {word!r} (data.encoding)"


def reads_badly(text: str) -> str | None:
    """A word that western European text would hardly hold; None where such words are the exception.

    Other encodings read as Windows-1252 give words without any plain letter (``Ã¨``), capitals behind small letters
    (``cafŽ``), and signs in front of letters or within words (``”L``, ``ƒlƒR``, ``jab³ko``).
    """
    words = _words(text)
    if damaged := next(filter(_CONTROL.search, words), None):
        return damaged
    odd = [word for word in words if _ODD.search(word.lstrip(_BEFORE).rstrip(_BEHIND))]
    return odd[0] if len(odd) * 3 >= max(1, len(words)) else None


def _words(text: str) -> list[str]:
    """The different words that are not plain ASCII."""
    return list(dict.fromkeys(found[0] for found in _WORD.finditer(text)))


def _proposed(raw: bytes, odd: str) -> str:
    """Encodings in which the bytes are words, with what the odd word is in each."""
    try:
        bare = odd.encode(DEFAULT)
    except UnicodeEncodeError:
        bare = odd.encode("latin-1", errors="ignore")
    ways = []
    for name, (who, scripts) in OTHERS.items():
        try:
            raw.decode(name)
            word = bare.decode(name)
        except UnicodeDecodeError:
            continue
        letters = [sign for sign in word if sign.isalpha()]
        written = {unicodedata.name(sign, "").split(" ")[0] for sign in letters}
        if written and written <= set(scripts.split()) and not (scripts == "LATIN" and _ODD.search(word)):
            ways.append(f"{name} ({who}) reads {word!r}")
    return f": {', '.join(ways)}" if ways else ""
