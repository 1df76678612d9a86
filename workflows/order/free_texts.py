"""Words that reach a workflow by hand (a signal, a native cancel, an update) become texts before they go any further.

A local activity stores them, because the history keeps its result and not its input (`tests/workflows/
test_words_in_histories.py` would fail with an SDK that does otherwise): so the words stand in the event that brought
them, where nobody can keep them out, and nowhere else.
"""

from __future__ import annotations

from temporalio import workflow
from temporalio.exceptions import FailureError
from temporalio.workflow import LocalActivityConfig

with workflow.unsafe.imports_passed_through():
    from activities.texts.texts import Texts
    from domain.commands import NO_REASON, CancelRequest
    from domain.repairs import Resolution
    from domain.texts import KeepText, TextKind
    from workflows.order import time_limits
    from workflows.saga import policies


async def without_words(order_id: str, request: CancelRequest) -> CancelRequest:
    """The request with the id of its reason instead of the reason."""
    if not request.words or not workflow.patched("keep-words-as-texts"):
        return request
    text_id = await _kept(order_id, TextKind.CANCEL_REASON, request.words)
    return request.model_copy(update={"reason": NO_REASON, "text_id": text_id})


async def decision_without_words(order_id: str, wanted: Resolution) -> Resolution:
    """The decision with the ids of note and evidence instead of these."""
    if not (wanted.note or wanted.evidence) or not workflow.patched("keep-words-as-texts"):
        return wanted
    changes: dict[str, str] = {}
    if wanted.note:
        changes |= {"note": "", "note_id": await _kept(order_id, TextKind.REPAIR_NOTE, wanted.note)}
    if wanted.evidence.strip():
        changes |= {"evidence": "", "evidence_id": await _kept(order_id, TextKind.REPAIR_EVIDENCE, wanted.evidence)}
    return wanted.model_copy(update=changes)


async def _kept(order_id: str, kind: TextKind, words: str) -> str:
    """Stores the words, and tries until it has succeeded; returns the id of the text.

    An ordinary activity, with its own retries, would put the words into the history.

    The pauses are the workflow's own: the SDK's would keep the workflow task open, which writes events all the time.
    """
    text_id = workflow.uuid4().hex  # the same when this task is run again: a repeat writes nothing
    text = KeepText(text_id=text_id, order_id=order_id, kind=kind, words=words)
    options = policies.LOCAL_ATTEMPT | LocalActivityConfig(summary="store what somebody wrote")
    pause = time_limits.FIRST_TEXT_RETRY
    while True:
        try:
            await workflow.execute_local_activity_method(Texts.keep_text, text, **options)
        except FailureError:
            await workflow.sleep(pause, summary="before trying again: store what somebody wrote")
            pause = min(2 * pause, time_limits.LAST_TEXT_RETRY)
        else:
            return text_id
