"""The routes of ``memberwise serve-model`` and who may use them. Imported by what starts it only: it needs FastAPI.

Start reading at ``application``.
"""

from __future__ import annotations

import hmac
from typing import Any

from fastapi import FastAPI, HTTPException, Request, WebSocket
from fastapi.responses import PlainTextResponse

from generation.serving.app import Service
from generation.serving.replica import TOKEN, Replica


def application(served: Service, counts: Any) -> Any:
    """The deployment, ready to run."""
    from ray import serve

    class Routes:
        """A replica's; they are made where it runs, for an application cannot be sent."""

    deployed: Any = serve.deployment(
        num_replicas=served.replicas,
        ray_actor_options={"num_cpus": served.cpus},
        max_ongoing_requests=2 * served.together + 8,  # those above are refused by the replica, with a reason
    )
    return deployed(serve.ingress(lambda: _routes(served, counts))(Routes)).bind()


def _routes(served: Service, counts: Any) -> FastAPI:
    web = FastAPI(title="Memberwise", docs_url=None, redoc_url=None, openapi_url=None)
    replica = Replica(served, counts)

    @web.get("/healthz")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @web.get("/v1/model")
    async def about(request: Request) -> dict[str, object]:
        _require_token(request, served.token)
        return replica.about()

    @web.get("/v1/tokenizer")
    async def tokenizer(request: Request) -> dict[str, str]:
        _require_token(request, served.token)
        return replica.tokenizer()

    @web.get("/metrics")
    async def metrics(request: Request) -> PlainTextResponse:
        _require_token(request, served.token)
        return PlainTextResponse(await counts.text.remote(), media_type="text/plain; version=0.0.4")

    @web.websocket("/v1/generate")
    async def generate(socket: WebSocket) -> None:
        if not _is_known(socket.headers, served.token):
            replica.count(refused_total=1)
            await socket.close(TOKEN)  # before it is accepted: HTTP 403
            return
        await socket.accept()
        await replica.serve(socket)

    return web


def _is_known(headers: Any, token: str) -> bool:
    shown = headers.get("authorization", "").encode()
    return hmac.compare_digest(shown, f"Bearer {token}".encode())


def _require_token(request: Request, token: str) -> None:
    if not _is_known(request.headers, token):
        raise HTTPException(401, "show the token: Authorization: Bearer TOKEN")
