"""When a person is called about a parcel: not scanned for days, coming back, or lost; and what the person decides."""

from __future__ import annotations

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from domain.commands import ParcelStatus
    from domain.repairs import FOLLOW_PARCEL, NO_SCAN, RepairDecision
    from workflows.order import time_limits
    from workflows.saga.watch import Watch


class ParcelWrittenOff(Exception):
    """The desk gives the parcel up: nobody waits for it any more."""


class ParcelTickets:
    """While one parcel is awaited at one place: by the carrier's first scan, or by its customer."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._since = workflow.now()
        self._decisions = watch.decisions
        self._told = False
        watch.settled.pop(FOLLOW_PARCEL, None)  # it was about the place before

    def has_news(self, parcel: ParcelStatus) -> bool:
        """Whether there is something to look at: the parcel was just lost, or an operator has decided something."""
        return (parcel.lost and not self._told) or self._watch.decisions != self._decisions

    @property
    def asked_again(self) -> bool:
        """Whether an operator wants the carrier to be asked now."""
        return self._watch.decisions != self._decisions and FOLLOW_PARCEL not in self._watch.settled

    async def look(self, parcel: ParcelStatus, *, arrived: bool) -> ParcelStatus:
        """Calls a person if one is needed; returns where the parcel is, by what operators have decided as well.

        Raises ParcelWrittenOff.
        """
        self._decisions = self._watch.decisions
        decision = self._watch.settled.pop(FOLLOW_PARCEL, None)
        if decision is RepairDecision.WRITE_OFF:
            raise ParcelWrittenOff
        if decision is RepairDecision.MARK_DONE:
            return parcel.then(ParcelStatus.DELIVERED if parcel.scanned else ParcelStatus.IN_TRANSIT)
        # A parcel that is lost was scanned: its ticket is opened where its customer waits, and only there.
        if parcel.lost and not self._told and not (arrived and workflow.patched("lost_parcel_is_told_once")):
            self._told = True
            await self._watch.call_person(FOLLOW_PARCEL, f"parcel_{parcel}", "it will not arrive by itself")
        elif not parcel.scanned and workflow.now() - self._since >= time_limits.NO_SCAN_AFTER:
            await self._call_about_no_scan()
        return parcel

    async def _call_about_no_scan(self) -> None:
        if workflow.patched("no_scan_ticket"):
            about = f"the carrier has not scanned it in {time_limits.NO_SCAN_AFTER.days} days: is it still here?"
            await self._watch.call_person(FOLLOW_PARCEL, NO_SCAN, about)

    async def arrived(self) -> None:
        """Closes the tickets: the parcel is where it was awaited."""
        await self._watch.dismiss(FOLLOW_PARCEL)
