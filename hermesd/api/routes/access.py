"""What every handler starts and ends with: the services, and a JSON answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeAlias, TypeVar, cast

from litestar import Request, Response

from hermesd.api.services import ApiServices

HttpRequest: TypeAlias = Request[Any, Any, Any]
V = TypeVar("V")

SERVICES: Final = "services"


def services_of(request: HttpRequest) -> ApiServices:
    """The services that the app was built with."""
    return cast(ApiServices, request.app.state[SERVICES])


def name_of(request: HttpRequest) -> str:
    """The `{name}` of the path."""
    name: str = request.path_params["name"]
    return name


def answer(view: V, status: int = 200, headers: Mapping[str, str] | None = None) -> Response[V]:
    """`view` as JSON."""
    return Response(view, status_code=status, headers=headers, media_type="application/json")
