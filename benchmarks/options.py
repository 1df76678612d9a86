"""Numbers on a command line."""

from __future__ import annotations


def positive(word: str) -> int:
    number = int(word)
    if number < 1:
        raise ValueError(word)
    return number


def positive_each(words: str) -> tuple[int, ...]:
    return tuple(positive(word) for word in words.split(","))
