"""Card numbers in what people write: found however they are written, so that none is kept (docs/pci.md).

A number counts when it has a length and a beginning that an issuer gives, and its check digit is right (ISO/IEC
7812-1). Digits that are a part of a word, and account numbers (IBAN, ISO 13616), do not count. Ids are not to be
looked at: by chance every fortieth number of 16 digits would be a card's.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import Any, NamedTuple

SHORTEST, LONGEST = 14, 19
SIGN = "•"
SHOWN = 4  # the last digits, which receipts show, too (PCI DSS 3.4.1)

ISSUERS: tuple[tuple[int, int, tuple[int, ...]], ...] = (
    (4, 4, (16, 19)),  # Visa; those of 13 digits, which many a GTIN looks like, are out of use
    (51, 55, (16,)),  # Mastercard
    (2221, 2720, (16,)),
    (34, 34, (15,)),  # American Express
    (37, 37, (15,)),
    (300, 305, (14, 16, 17, 18, 19)),  # Diners Club
    (3095, 3095, (14, 16, 17, 18, 19)),
    (36, 36, (14, 15, 16, 17, 18, 19)),
    (38, 39, (14, 16, 17, 18, 19)),
    (6011, 6011, (16, 17, 18, 19)),  # Discover
    (644, 659, (16, 17, 18, 19)),
    (3528, 3589, (16, 17, 18, 19)),  # JCB
    (62, 62, (16, 17, 18, 19)),  # UnionPay
    (81, 81, (16, 17, 18, 19)),
    (2200, 2204, (16, 17, 18, 19)),  # Mir
    (9792, 9792, (16,)),  # Troy
    *(
        (start, start, (16, 17, 18, 19)) for start in (5018, 5020, 5038, 5893, 6304, 6759, 6761, 6762, 6763)
    ),  # Maestro
)
"""First and last beginning, and the lengths that numbers with it have."""

SHAPES = ((4, 4, 4, 4), (4, 4, 4, 4, 1), (4, 4, 4, 4, 2), (4, 4, 4, 4, 3), (4, 6, 5), (4, 6, 4))
"""How numbers are printed on cards, where what stands between the groups may differ."""

_MANY_DIGITS = re.compile(r"(?:\d\D{0,8}?){13}\d")
_RUN = re.compile(r"(?<![A-Za-z0-9])\d+(?:[ ._/,-]{1,3}\d+)+(?![A-Za-z0-9])|(?<![A-Za-z0-9])\d{14,19}(?![A-Za-z0-9])")
_GROUP = re.compile(r"\d+")
_ACCOUNT = re.compile(r"(?<![A-Za-z0-9])[A-Z]{2}\d{2}(?: ?[A-Z0-9]){11,30}(?![A-Za-z0-9])")


class Found(NamedTuple):
    """Where a number stands in the text, from its first digit to behind its last."""

    start: int
    end: int


def has_card_number(text: str) -> bool:
    """Whether there is one in the text."""
    return next(card_numbers(text), None) is not None


def mask_card_numbers(text: str) -> str:
    """`text` with a sign in place of each digit of a card number but its last four."""
    all_found = list(card_numbers(text))
    if not all_found:
        return text
    masked = list(text)
    for found in all_found:
        places = [at for at in range(found.start, found.end) if _plain(text[at]).isdecimal()]
        for at in places[:-SHOWN]:
            masked[at] = SIGN
    return "".join(masked)


def all_masked(value: Any) -> Any:
    """A JSON document with the card numbers in all of its texts masked."""
    if isinstance(value, str):
        return mask_card_numbers(value)
    if isinstance(value, dict):
        return {name: all_masked(one) for name, one in value.items()}
    return [all_masked(one) for one in value] if isinstance(value, list | tuple) else value


def card_numbers(text: str) -> Iterator[Found]:
    """The card numbers in a text, from left to right."""
    if len(text) < SHORTEST or not _MANY_DIGITS.search(text):
        return
    plain, places = _in_plain(text)
    for account in _ACCOUNT.finditer(plain):
        if length := _account_length(account[0]):
            plain = plain[: account.start()] + " " * length + plain[account.start() + length :]
    for run in _RUN.finditer(plain):
        groups = [(group.start() + run.start(), group[0]) for group in _GROUP.finditer(run[0])]
        yield from (Found(places[start], places[end - 1] + 1) for start, end in _in_groups(plain, groups))


def _in_plain(text: str) -> tuple[str, list[int]]:
    """The text in ASCII where that is possible, and the place of each of its characters in the original."""
    plain, places = [], []
    for at, character in enumerate(text):
        for one in _plain(character):
            plain.append(one)
            places.append(at)
    return "".join(plain), places


def _plain(character: str) -> str:
    """Digits of all scripts, spaces, dashes and dots as ASCII; nothing for what is not seen."""
    if character.isascii():
        return " " if character.isspace() else character
    kind = unicodedata.category(character)
    if kind in ("Cf", "Mn", "Me"):
        return ""
    if kind == "Nd":
        return str(unicodedata.decimal(character))
    if kind.startswith("Z"):
        return " "
    if kind == "Pd" or character == "\N{MINUS SIGN}":
        return "-"
    if character in "·•‧∙⋅・․":
        return "."
    return unicodedata.normalize("NFKC", character)


def _in_groups(plain: str, groups: list[tuple[int, str]]) -> Iterator[tuple[int, int]]:
    """Where a number begins and ends in a run of groups of digits; groups around it may be anything."""
    first = 0
    while first < len(groups):
        last = _end_of_number(plain, groups, first)
        if last is None:
            first += 1
            continue
        start, digits = groups[last]
        yield groups[first][0], start + len(digits)
        first = last + 1


def _end_of_number(plain: str, groups: list[tuple[int, str]], first: int) -> int | None:
    digits, between = "", set()
    for last in range(first, len(groups)):
        start, group = groups[last]
        if last > first:
            before, its = groups[last - 1]
            between.add(plain[before + len(its) : start])
        digits += group
        if len(digits) > LONGEST:
            return None
        if not is_card_number(digits):
            continue
        if len(between) <= 1 or tuple(len(one) for _, one in groups[first : last + 1]) in SHAPES:
            return last
    return None


def is_card_number(digits: str) -> bool:
    """Whether a number of nothing but digits can be a card's."""
    return SHORTEST <= len(digits) <= LONGEST and _issued(digits) and _check_digit_fits(digits)


def _issued(digits: str) -> bool:
    return any(
        first <= int(digits[: len(str(first))]) <= last and len(digits) in lengths for first, last, lengths in ISSUERS
    )


def _check_digit_fits(digits: str) -> bool:
    """The Luhn formula (ISO/IEC 7812-1, annex B)."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + place % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def _account_length(text: str) -> int:
    """How much of the text is an account number whose check digits fit (ISO 7064, mod 97-10); 0 where none is."""
    for end in range(len(text), 14, -1):
        compact = text[:end].replace(" ", "")
        if text[end - 1] != " " and (end == len(text) or text[end] == " ") and len(compact) >= 15:
            turned = compact[4:] + compact[:4]
            if int("".join(str(int(one, 36)) for one in turned)) % 97 == 1:
                return end
    return 0
