"""The routes of the dashboard, on an event loop of their own."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, ParamSpec, TypeVar
from urllib.parse import parse_qsl

import msgspec
from anyio.to_thread import current_default_thread_limiter
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles

from neurolink_mitm.core.json_errors import UNREADABLE
from neurolink_mitm.dashboard.action import Done, RefusedError
from neurolink_mitm.dashboard.actions import ACTIONS
from neurolink_mitm.dashboard.failures import log_failure
from neurolink_mitm.dashboard.page import Page, View
from neurolink_mitm.dashboard.pages import PAGES
from neurolink_mitm.dashboard.render import environment
from neurolink_mitm.dashboard.site import VISITOR, BusyError, Site
from neurolink_mitm.dashboard.web import wire
from neurolink_mitm.dashboard.web.access import SESSION_SECONDS, Access, TooManyTriesError
from neurolink_mitm.dashboard.web.guard import KEY_HEADER, LIVE_PATH, Guard, cookie_name, session_of
from neurolink_mitm.dashboard.web.live import Live
from neurolink_mitm.dashboard.web.parts import LiveParts, Parts
from neurolink_mitm.dataplane.threads import short_switch_interval

if TYPE_CHECKING:
    from starlette.types import ASGIApp

P = ParamSpec("P")
T = TypeVar("T")

THREADS = 10
"""Parts and actions at once."""
FILES = {file.name: file for page in PAGES for file in page.files}
FORM_TYPE = "application/x-www-form-urlencoded"
UNREADABLE_FORM = "the form can't be read"
HAVE_HEADER = "x-neurolink-have"
"""The digest of the part that a browser has, when it polls."""
NOW_HEADER = "x-neurolink-now"
"""The time here, in milliseconds since the epoch: the browser's clock may be another machine's."""


class Server:
    """The web server. `run` serves in the calling thread; `stop` ends that from any thread."""

    def __init__(self, site: Site, access: Access) -> None:
        self._server = wire.Server(wire.configured(Guard(routes(site, access))))

    def run(self, bound: socket.socket) -> None:
        with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
            runner.run(self._serve(bound))

    def stop(self) -> None:
        self._server.exit_soon()

    async def _serve(self, bound: socket.socket) -> None:
        current_default_thread_limiter().total_tokens = THREADS
        await self._server.serve(sockets=[bound])


def routes(site: Site, access: Access) -> ASGIApp:
    """Return the application."""
    handlers = Handlers(site, access)
    return Starlette(
        routes=[
            *(Route(f"/{page.name if page is not PAGES[0] else ''}", handlers.page_of(page)) for page in PAGES),
            Route("/signin", handlers.sign_in_page),
            Route("/signin", handlers.sign_in, methods=["POST"]),
            Route("/signout", handlers.sign_out, methods=["POST"]),
            # a form that does not fit into an address is posted
            Route("/parts/{name}", handlers.part, methods=["GET", "POST"]),
            Route("/mails", handlers.mails),
            Route("/files/{name}", handlers.file),
            Route("/actions/{name}", handlers.action, methods=["POST"]),
            WebSocketRoute(LIVE_PATH, handlers.live.serve),
            Mount("/static", StaticFiles(packages=[("neurolink_mitm.dashboard", "static")])),
        ],
        exception_handlers={404: handlers.no_page},
    )  # fmt: skip


def query_of(request: Request) -> str:
    """Return the query as it was sent: it needs no valid Host, as `Request.url` does."""
    return str(request.scope["query_string"].decode("latin-1"))


async def form_of(request: Request) -> dict[str, str]:
    """Return the fields of a form that was posted. Raises `ValueError`, also for another type of content."""
    kind = request.headers.get("content-type", FORM_TYPE).partition(";")[0]
    if kind.strip().lower() != FORM_TYPE:
        raise ValueError(kind)
    return dict(parse_qsl((await request.body()).decode(), keep_blank_values=True))


async def in_thread(do: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Return what `do` returns in a worker thread, which lets the loop of the flows have its turns."""

    def work() -> T:
        with short_switch_interval():
            return do(*args, **kwargs)

    return await run_in_threadpool(work)


class Handlers:
    """A method a route."""

    def __init__(self, site: Site, access: Access) -> None:
        self._site = site
        self._access = access
        self._templates = environment(site.mails)
        self._parts = Parts(PAGES, site, self._templates)
        self._parts.shared()  # the accounts' addresses are masked first
        self.live = Live(LiveParts(self._parts), access)
        site.browsers = self.live.count

    def page_of(self, page: Page) -> Callable[[Request], Awaitable[Response]]:
        async def shell(request: Request) -> Response:
            return self._html("page.html", page=page, pages=PAGES, query=query_of(request))

        return shell

    async def no_page(self, request: Request, _: Exception) -> Response:
        return self._html("no_page.html", 404, pages=PAGES)

    async def sign_in_page(self, request: Request) -> Response:
        return self._html("signin.html", pages=PAGES)

    async def sign_in(self, request: Request) -> Response:
        try:
            token = msgspec.json.decode(await request.body(), type=dict[str, str])["token"]
            session = self._access.sign_in(token)
        except (KeyError, *UNREADABLE):
            return JSONResponse({"error": "The link has no token."}, 400)
        except TooManyTriesError as e:
            return JSONResponse({"error": str(e)}, 429, {"retry-after": f"{e.seconds:.0f}"})
        if session is None:
            return JSONResponse({"error": "This link has expired, or was used."}, 401)
        response = JSONResponse({"key": session.key})
        response.set_cookie(
            cookie_name(request),
            session.cookie,
            max_age=int(SESSION_SECONDS),
            httponly=True,
            samesite="strict",
        )
        return response

    async def sign_out(self, request: Request) -> Response:
        if session := session_of(request, self._access, request.headers.get(KEY_HEADER)):
            self._access.sign_out(session)
        response = Response(status_code=204)
        response.delete_cookie(cookie_name(request), httponly=True, samesite="strict")
        return response

    async def part(self, request: Request) -> Response:
        if not self._signed_in(request):
            return self._html("signed_out.html", 401)
        part = self._parts.find(request.path_params["name"])
        if part is None:
            return self._html("error.html", 404, message="there is no such part")
        posted = request.method == "POST"
        query = "" if posted else query_of(request)
        try:
            form = await form_of(request) if posted else dict(request.query_params)
        except ValueError:
            return self._html("error.html", 400, message=UNREADABLE_FORM, part=part, query="")
        view = View(self._site, self._unmasked(form))
        try:
            fragment = await in_thread(self._parts.fragment, part, view)
        except BusyError as e:
            return self._html("error.html", 503, message=str(e), part=part, query=query)
        except Exception:
            log_failure(f"a part of the dashboard can't be shown: {part.name}")
            return self._html(
                "error.html", 500, message="this part can't be shown", part=part, query=query
            )
        clock = {NOW_HEADER: f"{self._site.now() * 1000:.0f}"}
        if request.headers.get(HAVE_HEADER) == fragment.digest:
            return Response(status_code=204, headers=clock)
        return HTMLResponse(fragment.html, headers=clock)

    async def mails(self, request: Request) -> Response:
        """Return the mail addresses that pages show masked, each by what stands for it."""
        if not self._signed_in(request):
            return JSONResponse({}, 401)
        return JSONResponse(self._site.mails.by_mask())

    async def file(self, request: Request) -> Response:
        if not self._signed_in(request):
            return self._html("signed_out.html", 401)
        file = FILES.get(request.path_params["name"])
        if file is None:
            return self._html("error.html", 404, message="there is no such file")
        view = View(self._site, self._unmasked(request.query_params))
        try:
            name, pieces = await in_thread(file.make, view)
        except BusyError as e:
            return self._html("error.html", 503, message=str(e))
        headers = {"content-disposition": f'attachment; filename="{name}"'}
        return StreamingResponse(pieces, headers=headers, media_type="application/octet-stream")

    async def action(self, request: Request) -> Response:
        if not self._signed_in(request):
            return self._html("signed_out.html", 401)
        action = ACTIONS.get(request.path_params["name"])
        if action is None:
            return self._html("toast.html", 404, error="there is no such action")
        if action.changes and self._site.read_only:
            return self._html(
                "toast.html", 403, error="the dashboard is read-only: dashboard.read-only"
            )
        try:
            form = self._unmasked(await form_of(request))
        except ValueError:
            return self._html("toast.html", 400, error=UNREADABLE_FORM)
        try:
            done = await in_thread(action.run, self._site, form)
        except RefusedError as e:
            return self._html("toast.html", 409, error=str(e))
        except BusyError as e:
            return self._html("toast.html", 503, error=str(e))
        except Exception:
            log_failure(f"an action of the dashboard has failed: {action.name}")
            return self._html("toast.html", 500, error="this has failed; the log says why")
        return self._done(done)

    def _done(self, done: Done) -> Response:
        response = self._html("toast.html", done=done)
        if done.refresh:
            names = {f"refresh-{name}": True for name in done.refresh}
            response.headers["hx-trigger"] = msgspec.json.encode(names).decode()
        return response

    def _unmasked(self, fields: Mapping[str, str]) -> dict[str, str]:
        unmask = self._site.mails.unmask
        return {unmask(name): unmask(value) for name, value in fields.items()}

    def _signed_in(self, request: Request) -> bool:
        """Return whether a session asks, and note which."""
        session = session_of(request, self._access, request.headers.get(KEY_HEADER))
        if session:
            VISITOR.set(session.name)
        return session is not None

    def _html(self, template: str, status: int = 200, **context: object) -> Response:
        values: Mapping[str, object] = {"done": None, "error": None, "part": None, **context}
        page = self._templates.get_template(template)
        return HTMLResponse(page.render(values, read_only=self._site.read_only), status)
