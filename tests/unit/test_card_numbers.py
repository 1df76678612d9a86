"""Card numbers in free text: found however they are written; what is none is let pass."""

from __future__ import annotations

import random
import string
import time
from collections.abc import Callable

import pytest

from domain.card_numbers import all_masked, has_card_number, is_card_number, mask_card_numbers

VISA = "4242424242424242"
NUMBERS = [
    VISA, "4000056655665556", "5555555555554444", "2223003122003222", "5105105105105100", "378282246310005",
    "371449635398431", "6011111111111117", "6011000990139424", "3056930009020004", "36227206271667",
    "3566002020360505", "6200000000000005", "6205500000000000004",
]  # fmt: skip
"""Test numbers that Stripe and others publish, of every network."""

ARABIC = VISA.translate({ord(str(n)): chr(0x660 + n) for n in range(10)})
WIDE = VISA.translate({ord(str(n)): chr(0xFF10 + n) for n in range(10)})


@pytest.mark.parametrize("number", NUMBERS)
def test_a_number_of_every_network_is_found(number: str) -> None:
    """Alone, in a sentence, in groups; and with one digit wrong it is none."""
    groups = " ".join(number[start : start + 4] for start in range(0, len(number), 4))
    for said in (number, f"please charge {number}, thanks", f"({groups})", f"card:{number};", f"{groups} 12/28"):
        assert has_card_number(said), said
    wrong = number[:-1] + str((int(number[-1]) + 1) % 10)
    assert not has_card_number(wrong)


@pytest.mark.parametrize(
    "said",
    [
        "4242 4242 4242 4242", "4242-4242-4242-4242", "4242.4242.4242.4242", "4242_4242_4242_4242",
        "4242\u00a04242\u00a04242\u00a04242", "4242\u202f4242\u202f4242\u202f4242",
        "4242\u20134242\u20134242\u20134242",
        "4242 - 4242 - 4242 - 4242", "4242·4242·4242·4242", "4242\u200b4242\u200b4242\u200b4242",
        "4242/4242/4242/4242",
        "4 2 4 2 4 2 4 2 4 2 4 2 4 2 4 2", "42 42 42 42 42 42 42 42", "4242.4242-4242 4242", "4242\t4242\n4242\t4242",
        "3782 822463 10005", "3782-822463 10005", ARABIC, WIDE, "𝟒𝟐𝟒𝟐𝟒𝟐𝟒𝟐𝟒𝟐𝟒𝟐𝟒𝟐𝟒𝟐", VISA,
        "call 555 4242 4242 4242 4242 123", "1.4242.4242.4242.4242", "42\u00ad42424242424242",
        "DE00 4242 4242 4242 4242",
    ],
)  # fmt: skip
def test_it_is_found_however_it_is_written(said: str) -> None:
    """Spaces, dots and dashes of all kinds, signs that are not seen, digits of other scripts, numbers around."""
    assert has_card_number(said)


@pytest.mark.parametrize(
    "said",
    [
        "", "changed my mind", "4242", "order 1001, 2 pieces", "+49 170 1234567, or 0301234567 after 18:00",
        "pi_3Oabc4242424242424242", "c4242424242424242f", "4242424242424242abc", "1Z999AA10123456784",
        "GB82 WEST 1234 5698 7654 32", "DE89 3704 0044 0532 0130 00", "NL91ABNA0417164300",
        "GR1601101250000000012300695",
        "490154203237518", "4006381333931", "9400111899223197428490", "2026-11-21 14:03:22.123456",
        "0000000000000000",
        "1234567890123456", "42424242424242424242424242424242", "192.168.100.200 - 10.0.0.1",
    ],
)  # fmt: skip
def test_what_is_no_card_number_is_let_pass(said: str) -> None:
    """Times, telephones, addresses, ids of Stripe, IBAN, IMEI, GTIN, tracking numbers, numbers that nobody issues."""
    assert not has_card_number(said)
    assert mask_card_numbers(said) == said


def test_masking_leaves_the_rest_and_four_digits() -> None:
    """Each place keeps its place, so that a text with it can still be understood."""
    assert mask_card_numbers(f"card {VISA} of Zoë") == "card ••••••••••••4242 of Zoë"
    assert mask_card_numbers("4242\u00a04242-4242.4242!") == "••••\u00a0••••-••••.4242!"
    assert mask_card_numbers(f"{VISA} {VISA}") == "••••••••••••4242 ••••••••••••4242"
    assert mask_card_numbers(ARABIC) == "•" * 12 + ARABIC[-4:]
    assert mask_card_numbers("378282246310005 and 1001") == "•••••••••••0005 and 1001"
    document = {"a": [VISA, 1, None], "b": ({"c": f"x {VISA}"},)}
    assert all_masked(document) == {"a": ["••••••••••••4242", 1, None], "b": [{"c": "x ••••••••••••4242"}]}
    assert not has_card_number(mask_card_numbers(" ".join(NUMBERS)))


def _with_check_digit(digits: str) -> str:
    """Of a GTIN: weights 3 and 1 from the right."""
    total = sum(int(digit) * (3 if place % 2 == 0 else 1) for place, digit in enumerate(reversed(digits)))
    return digits + str(-total % 10)


def _iban(pick: random.Random) -> str:
    country, length = pick.choice([("DE", 18), ("FR", 23), ("ES", 20), ("AT", 16), ("BE", 12), ("PL", 24)])
    account = "".join(pick.choices(string.digits, k=length))
    turned = int("".join(str(int(one, 36)) for one in f"{account}{country}00"))
    whole = f"{country}{98 - turned % 97:02}{account}"
    return " ".join(whole[at : at + 4] for at in range(0, len(whole), 4)) if pick.random() < 0.5 else whole


GTIN = (40, 45, 49, 50, 76, 87)  # of Germany, Japan, the United Kingdom, Switzerland, the Netherlands
KINDS: dict[str, tuple[Callable[[random.Random], str], float]] = {
    "id of an order (32 hex digits)": (lambda pick: f"{pick.getrandbits(128):032x}", 0),
    "id of Stripe": (lambda pick: "pi_" + "".join(pick.choices(string.ascii_letters + string.digits, k=24)), 0),
    "IBAN": (_iban, 0),
    "GTIN-13": (lambda pick: _with_check_digit(f"{pick.choice(GTIN)}{pick.randrange(10**10):010}"), 0),
    "GTIN-14": (lambda pick: _with_check_digit(f"{pick.randrange(10**13):013}"), 0.01),
    "tracking number of UPS": (
        lambda pick: "1Z" + "".join(pick.choices(string.ascii_uppercase + string.digits, k=16)),
        0,
    ),
    "tracking number of USPS (22 digits)": (lambda pick: f"94001{pick.randrange(10**17):017}", 0),
    "tracking number of FedEx (12 digits)": (lambda pick: f"{pick.randrange(10**12):012}", 0),
    "tracking number of FedEx (15 digits)": (lambda pick: f"{pick.randrange(10**15):015}", 0.005),
    "random number of 16 digits": (lambda pick: f"{pick.randrange(10**16):016}", 0.03),
    "time": (
        lambda pick: f"2026-11-{pick.randrange(10, 30)} {pick.randrange(10, 24)}:07:11.{pick.randrange(10**6):06}",
        0,
    ),
}
"""Kinds of number that are no card's, and the share of them that may be taken for one."""


@pytest.mark.parametrize("kind", KINDS)
def test_few_others_are_taken_for_one(kind: str) -> None:
    """Measured on a million of each: docs/pci.md."""
    share = KINDS[kind][1]
    assert taken_for_cards(kind, 4_000) <= 4_000 * share


def taken_for_cards(kind: str, count: int) -> int:
    """How many of so many random ones are, each in a sentence."""
    pick, make = random.Random(kind), KINDS[kind][0]
    return sum(has_card_number(f"about {make(pick)}, please") for _ in range(count))


def test_a_long_text_costs_little() -> None:
    """Also one that is made to be dear: groups of one digit, or beginnings of cards without end."""
    for text in ("4 " * 250, "4242 " * 100, "4" * 500, "1-" * 250, "٤ " * 250, "AB12" + " 1A" * 165):
        began = time.process_time()
        for _ in range(10):
            has_card_number(text)
        assert time.process_time() - began < 0.5


def test_the_shortest_and_the_longest() -> None:
    """Between 14 and 19 digits."""
    assert not is_card_number("4222222222222") and is_card_number("36227206271667")
    assert not is_card_number(VISA + "4242")


if __name__ == "__main__":
    for named in KINDS:
        print(f"| {named} | {taken_for_cards(named, 1_000_000)} |", flush=True)  # noqa: T201
