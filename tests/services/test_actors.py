"""Whose name is believed in a wish to cancel."""

from __future__ import annotations

from pydantic import SecretStr

from domain.commands import CancelRequest, CloseOrder, RecordCancel
from domain.order_states import OrderStatus
from services.identities.actors import LIFE, Actors

ORDER, WISH = "a" * 32, "wish-1"


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def actors(secret: str = "a secret", clock: Clock | None = None) -> Actors:
    return Actors(SecretStr(secret), clock or Clock())


def recorded(request: CancelRequest, by: Actors | None = None, order_id: str = ORDER) -> str:
    cancel = RecordCancel(order_id=order_id, number=1, request=request, code="cancel_accepted")
    return (by or actors()).recorded(cancel).request.by


def signed(by: str = "anna", **changed: str) -> CancelRequest:
    request = CancelRequest(by=by, wish_id=WISH, proof=actors().sign(ORDER, WISH, by)).from_outside()
    return request.model_copy(update=changed)


def test_believes_what_the_api_has_signed() -> None:
    assert recorded(signed()) == "anna"


def test_tells_a_name_that_nobody_has_signed() -> None:
    """A signal that a person typed is carried out, and says what it is."""
    typed = CancelRequest.from_input({"by": "finance-director", "reason": "x"}).from_outside()
    assert recorded(typed) == "unverified:finance-director"
    assert recorded(CancelRequest.from_input("changed my mind").from_outside()) == "unverified:operations"


def test_a_proof_is_for_one_name_one_wish_one_order() -> None:
    """What is read in a history is worth nothing elsewhere."""
    assert recorded(signed(by="bob", proof=signed().proof)) == "unverified:bob"
    assert recorded(signed(wish_id="wish-2")) == "unverified:anna"
    assert recorded(signed(wish_id="")) == "unverified:anna"
    assert recorded(signed(), order_id="b" * 32) == "unverified:anna"
    assert recorded(signed(), actors("another secret")) == "unverified:anna"


def test_a_proof_that_makes_no_sense_is_none() -> None:
    until = signed().proof.partition(".")[0]
    for proof in (
        "",
        ".",
        "x.y",
        f"{until}.",
        f"{until}.é",
        "١.y",
        "9" * 90,
        f"-1.{signed().proof.partition('.')[2]}",
    ):
        assert recorded(signed(proof=proof)) == "unverified:anna"


def test_a_proof_ends() -> None:
    clock = Clock()
    late = actors(clock=clock)
    clock.now += LIFE + 1
    assert recorded(signed(), late) == "unverified:anna"


def test_what_the_workflow_says_itself_is_believed() -> None:
    """Nobody outside can say it: whatever comes in by update or signal is marked there."""
    assert recorded(CancelRequest(by="saga")) == "saga"
    assert recorded(CancelRequest(by="saga").from_outside()) == "unverified:saga"


def test_the_end_of_an_order_tells_the_same_name() -> None:
    for request, by in ((signed(), "anna"), (signed(proof=""), "unverified:anna")):
        close = CloseOrder(order_id=ORDER, status=OrderStatus.CANCELED, code="canceled", **request.who)
        assert actors().closing(close).by == by
