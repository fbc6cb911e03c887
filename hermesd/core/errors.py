"""What can go wrong, split by whose fault it is; each class knows its HTTP and gRPC status.

`Rejected` is the caller's fault and will not pass by trying again; `Unavailable` is ours or a
neighbour's and may pass later; `Broken` is a defect of this program. gRPC statuses are numbers
here (google.rpc.Code), since the core imports no gRPC.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar


class HermesError(Exception):
    """The root: a title for the class, a detail for the case, extra members for the problem."""

    http_status: ClassVar[int] = 500
    grpc_status: ClassVar[int] = 13  # INTERNAL
    slug: ClassVar[str] = "internal"
    title: ClassVar[str] = "Internal error"

    def __init__(self, detail: str, **extra: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.extra: Mapping[str, Any] = extra


class Rejected(HermesError):
    """The request is at fault; nothing of it was stored."""

    http_status = 400
    grpc_status = 3  # INVALID_ARGUMENT
    slug = "bad-request"
    title = "Bad request"


class InvalidValue(Rejected, ValueError):
    """A value is outside of what its field allows."""

    http_status = 422
    slug = "invalid-value"
    title = "Invalid value"


class MalformedJson(Rejected):
    """The body is not JSON, or not JSON of this shape's outermost kind."""

    slug = "malformed-json"
    title = "Malformed JSON"


class UnknownType(InvalidValue):
    """No worker and no installed plugin has this job type."""

    slug = "unknown-type"
    title = "Unknown job type"


class UnknownQueue(InvalidValue):
    """The queue is not declared in the configuration."""

    slug = "unknown-queue"
    title = "Unknown queue"


class InvalidPayload(InvalidValue):
    """The payload breaks its type's JSON Schema; `errors`: a JSON pointer and a reason each."""

    slug = "invalid-payload"
    title = "Payload does not fit its type's schema"


class InvalidBatch(InvalidValue):
    """Some items of a batch are at fault; `errors` names each by its index."""

    slug = "invalid-batch"
    title = "Batch refused"


class TooLarge(Rejected):
    """A body, payload or batch is over its limit."""

    http_status = 413
    grpc_status = 8  # RESOURCE_EXHAUSTED
    slug = "too-large"
    title = "Too large"


class NotFound(Rejected):
    """No such job, worker or route."""

    http_status = 404
    grpc_status = 5  # NOT_FOUND
    slug = "not-found"
    title = "Not found"


class Conflict(Rejected):
    """The request does not fit the state that the thing is in."""

    http_status = 409
    grpc_status = 9  # FAILED_PRECONDITION
    slug = "conflict"
    title = "Conflict"


class IdempotencyConflict(Conflict):
    """The idempotency key was used before with another body."""

    slug = "idempotency-conflict"
    title = "Idempotency key used with another body"


class IllegalMove(Conflict):
    """The state machine has no such move (core/states.py)."""

    slug = "illegal-move"
    title = "Move not allowed in this state"


class ChangedMeanwhile(Conflict):
    """The thing is not what the request's If-Match says that it is (RFC 9110 13.1.1)."""

    http_status = 412
    slug = "changed-meanwhile"
    title = "Changed meanwhile"


class ForeignOrigin(Rejected):
    """A browser of another origin asked for a change of state."""

    http_status = 403
    grpc_status = 7  # PERMISSION_DENIED
    slug = "foreign-origin"
    title = "Foreign origin"


class AccessRefused(Rejected):
    """A neighbour (a broker) refuses this login, or what it asks for; trying again is no use."""

    http_status = 403
    grpc_status = 7  # PERMISSION_DENIED
    slug = "access-refused"
    title = "Access refused"


class Unavailable(HermesError):
    """It cannot be done now and was not done; trying again later is right."""

    http_status = 503
    grpc_status = 14  # UNAVAILABLE
    slug = "unavailable"
    title = "Unavailable"

    def __init__(self, detail: str, *, retry_after_seconds: float = 1.0, **extra: Any) -> None:
        super().__init__(detail, **extra)
        self.retry_after_seconds = retry_after_seconds


class StoreUnavailable(Unavailable):
    """The store could not take the change, and surely has not."""

    slug = "store-unavailable"
    title = "Store unavailable"


class Busy(Unavailable):
    """An api takes no further calls: too many are under way, or it is shutting down."""

    slug = "busy"
    title = "Busy"


class QueueFull(Unavailable):
    """As many jobs wait as the configuration allows."""

    http_status = 429
    grpc_status = 8  # RESOURCE_EXHAUSTED
    slug = "queue-full"
    title = "Too many waiting jobs"


class OutcomeUnknown(HermesError):
    """The commit may or may not have happened; look the job up by its id."""

    http_status = 504
    grpc_status = 4  # DEADLINE_EXCEEDED
    slug = "outcome-unknown"
    title = "Outcome unknown"


class Unstorable(Rejected):
    """The store refuses this very item, alone and for good (a NUL in a text, over a size)."""

    http_status = 422
    slug = "unstorable"
    title = "Not storable"


class ConfigError(HermesError):
    """The configuration is at fault; each problem names file, key and reason."""

    slug = "config"
    title = "Configuration error"

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


class PluginError(HermesError):
    """A plugin cannot be used as it is installed."""

    slug = "plugin"
    title = "Plugin error"


class Broken(HermesError):
    """A defect of this program: an invariant that does not hold."""
