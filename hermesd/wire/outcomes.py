"""Reports and their verdicts as structs of `core.records`: the hot messages of the control line.

A report carries hundreds of outcomes, so each field is read once and checked in line; what a
result holds is the store's business, since an unstorable one must fail alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from hermesd.core.job import ErrorInfo
from hermesd.core.outcome import Outcome, OutcomeKind
from hermesd.core.records import Report, ReportAnswer, Verdict
from hermesd.wire.fields import MAX_HELD, amount, at_most, bad, sendable, short_text
from hermesd.wire.gen.hermes.v1 import control_pb2 as pb
from hermesd.wire.slots import view_from_proto, view_to_proto
from hermesd.wire.tokens import token_from_proto

_KIND_NUMBERS: Final[Mapping[OutcomeKind, pb.OutcomeKind.ValueType]] = {
    kind: pb.OutcomeKind.Value(f"OUTCOME_KIND_{kind.name}") for kind in OutcomeKind
}
_KINDS: Final = {number: kind for kind, number in _KIND_NUMBERS.items()}
_VERDICT_NUMBERS: Final[Mapping[Verdict, pb.Verdict.ValueType]] = {
    verdict: pb.Verdict.Value(f"VERDICT_{verdict.name}") for verdict in Verdict
}
_VERDICTS: Final = {number: verdict for verdict, number in _VERDICT_NUMBERS.items()}


def report_to_proto(report: Report) -> pb.ReportRequest:
    """Outcomes with the view of the slots as they were taken."""
    request = pb.ReportRequest(
        incarnation=report.incarnation,
        api_boot=report.api_boot,
        view=view_to_proto(report.view),
    )
    add = request.outcomes.add
    for outcome in report.outcomes:
        error = outcome.error
        # Made in place: protobuf copies messages that it is given (measured: 1.7 and 0.8 us each).
        message = add(
            kind=_KIND_NUMBERS[outcome.kind],
            result=outcome.result,
            error=None if error is None else _error_to_proto(error),
            delay_seconds=outcome.delay_seconds,
            started_at=outcome.started_at,
            finished_at=outcome.finished_at,
        )
        token, own = message.token, outcome.token
        token.job_id, token.lease = own.job_id, own.lease
    return request


def report_from_proto(message: pb.ReportRequest) -> Report:
    """The incarnation, the view, and of each outcome its token and kind are required."""
    return Report(
        incarnation=short_text(message.incarnation, "incarnation"),
        api_boot=short_text(message.api_boot, "api_boot", required=False),
        view=view_from_proto(message),
        outcomes=tuple(
            outcome_from_proto(each) for each in at_most(message.outcomes, "outcomes", MAX_HELD)
        ),
    )


def outcome_from_proto(message: pb.Outcome) -> Outcome:
    """The report on one token; raises InvalidValue as `outcomes.<field>`."""
    kind = _KINDS.get(message.kind)
    if kind is None:
        raise bad("outcomes.kind", f"is none that is known: {message.kind}")
    has = message.HasField
    return Outcome(
        token=token_from_proto(message.token, "outcomes.token"),
        kind=kind,
        result=message.result if has("result") else None,
        error=_error_from_proto(message.error) if has("error") else None,
        delay_seconds=(
            amount(message.delay_seconds, "outcomes.delay_seconds")
            if has("delay_seconds")
            else None
        ),
        started_at=amount(message.started_at, "outcomes.started_at"),
        finished_at=amount(message.finished_at, "outcomes.finished_at"),
    )


def report_answer_to_proto(answer: ReportAnswer) -> pb.ReportResponse:
    """One verdict for each outcome, in order."""
    return pb.ReportResponse(
        verdicts=[_VERDICT_NUMBERS[verdict] for verdict in answer.verdicts],
        register_again=answer.register_again,
    )


def report_answer_from_proto(message: pb.ReportResponse) -> ReportAnswer:
    """One verdict for each outcome, in order."""
    try:
        verdicts = tuple(_VERDICTS[number] for number in message.verdicts)
    except KeyError as error:
        raise bad("verdicts", f"has one that is not known: {error}") from None
    return ReportAnswer(verdicts=verdicts, register_again=message.register_again)


def _error_to_proto(error: ErrorInfo) -> pb.ErrorInfo:
    return pb.ErrorInfo(
        kind=error.kind,
        message=sendable(error.message),
        traceback=sendable(error.traceback),
    )


def _error_from_proto(message: pb.ErrorInfo) -> ErrorInfo:
    return ErrorInfo(
        kind=short_text(message.kind, "outcomes.error.kind"),
        message=message.message,
        traceback=message.traceback,
    )
