"""What single pieces of a line are worth, to the penny, whatever comes back in which order.

The units a+1..a+n of a line of q pieces, for which P was paid, are worth floor(P(a+n)/q) - floor(Pa/q). Each piece
has its place, so that any split of the q pieces adds up to P exactly. Tax that came on top is divided likewise.
"""

from __future__ import annotations

from typing import NamedTuple


class Paid(NamedTuple):
    """What a customer pays for a line of `quantity` pieces, in minor units.

    `net` is after discounts, tax that is included in the price being part of it; `added_tax` came on top of it.
    """

    net: int
    added_tax: int
    quantity: int

    @property
    def total(self) -> int:
        """What the whole line is worth."""
        return self.net + self.added_tax

    def first(self, units: int) -> int:
        """What the first `units` pieces are worth: 0 for none, the total for all of them."""
        return self.net * units // self.quantity + self.added_tax * units // self.quantity

    def units(self, before: int, count: int) -> int:
        """What the units before+1 .. before+count are worth. Raises ValueError for units that there are not."""
        if before < 0 or count < 0 or before + count > self.quantity:
            raise ValueError(f"units {before + 1} to {before + count} of {self.quantity}")
        return self.first(before + count) - self.first(before)


def due_back(paid: Paid, *, back: int, given: int, count: int) -> int:
    """What `count` more pieces of a line give back, where `back` came back before and `given` was paid back for them.

    That is the worth of the next units, and makes up for a cent where a refund of earlier units has failed since.
    """
    return max(0, paid.first(back + count) - given)
