"""Limits that a stranger meets: the server's, and those of pipelines that are not ours; and who is a stranger at all.

A lesson about our own models bounds itself: its Knobs what a visitor sets, its Runs how long a run lasts.
"""

import json
import os
import re
from dataclasses import dataclass
from typing import Any

from genlab.names import GenlabError

PUBLIC = "GENLAB_PUBLIC"  # "1" or "0": the visitors are strangers or not; unset: they are on a Space
PIPELINES = "GENLAB_PIPELINES"  # Hub ids, separated by commas, that strangers may run in the pipeline tab
CLIPS = "GENLAB_CLIPS"  # likewise, of models that score pictures and texts
CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")  # and halves of characters


@dataclass(frozen=True)
class Limits:
    """The defaults suit a public Space with two CPU cores."""

    seconds: float = 60.0  # wall clock of one run of a pipeline
    steps: int = 100
    side: int = 512  # pixels
    text: int = 500  # characters of a prompt
    queue: int = 32  # visitors waiting before the next is turned away
    at_once: int = 1  # runs of one function; more than one run on two cores only makes each slower
    body: int = 1_000_000  # bytes of a request; the largest honest one, a drawing and its knobs, has a few thousand
    upload: int = 20_000_000  # bytes of a file: a telephone's photograph
    files: int = 100_000_000  # bytes of files sent at once
    keep: int = 3600  # seconds that files made for a visitor are kept
    sessions: int = 200  # visitors whose state is kept, the newest; a state may hold their pictures


STRANGER = Limits()
# At home the patience is one's own: Stable Diffusion on a CPU takes a quarter of an hour, and nobody is kept waiting.
OWNER = Limits(seconds=3600.0, steps=200, side=2048, text=5000, files=1_000_000_000)


def is_public() -> bool:
    """Whether visitors are strangers: on a Space, or where GENLAB_PUBLIC says so."""
    said = os.environ.get(PUBLIC, "").strip()
    return said != "0" if said else bool(os.environ.get("SPACE_ID"))


def set_public(public: bool | None) -> None:
    """Say whether visitors are strangers; None leaves it to the environment. Kept there, so that workers inherit it."""
    if public is not None:
        os.environ[PUBLIC] = "1" if public else "0"


def limits() -> Limits:
    """The limits in force: a stranger's, or the owner's."""
    return STRANGER if is_public() else OWNER


def allowed_pipelines(variable: str = PIPELINES) -> list[str] | None:
    """The pipelines, or with CLIPS the models, that visitors may run: None for any (at home), else the owner's list,
    which may be empty.

    Raises GenlabError if the variable names something that is not a Hub id: a stranger never gets a path.
    """
    if not is_public():
        return None
    names = [name.strip() for name in os.environ.get(variable, "").split(",") if name.strip()]
    wrong = [name for name in names if not re.fullmatch(r"[\w-][\w.-]*/[\w-][\w.-]*", name)]
    if wrong:
        raise GenlabError(f"{variable} lists Hub ids such as 'user/name', separated by commas; {wrong[0]!r} is none")
    return names


def text(value: Any, most: int | None = None) -> str:
    """What somebody typed, or sent to the API: a string without control characters, cut at `most` characters."""
    if not isinstance(value, str):
        return ""
    return CONTROLS.sub(" ", value)[: limits().text if most is None else most].strip()


class Bounded:
    """A layer around the server's app: a request with too large a body gets a 413 before anything parses it, and one
    that is `refused`, or a form that cannot be read, a 400.

    gradio bounds each file of an upload, neither their sum nor the JSON of other requests. Starlette's newest versions
    can bound all bodies, but by one number.
    """

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        from starlette.exceptions import HTTPException
        from starlette.responses import PlainTextResponse

        headers = dict(reversed(scope["headers"]))  # of two by one name the first counts, as it does behind this layer
        form = headers.get(b"content-type", b"").startswith(b"multipart/form-data")
        if form:
            most = limits().files
            said = f"files sent at once may hold {most / 1e6:,.0f} MB together: send fewer, or smaller ones"
        else:
            most = limits().body
            said = f"a request may hold {most:,} bytes"
        seen, more, begun = 0, True, False

        async def listen():
            nonlocal seen, more
            message = await receive()
            seen, more = seen + len(message.get("body", b"")), message.get("more_body", False)
            return message

        async def counted():  # a body sent in chunks does not say its length beforehand
            message = await listen()
            if seen > most and not begun:
                raise HTTPException(413, said)
            return message if seen <= most else {"type": "http.disconnect"}

        async def read() -> bytes:
            parts = []
            while more:
                parts.append((await counted()).get("body", b""))
            return b"".join(parts)

        async def tell(message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        async def answer(message) -> None:
            while more and seen < 2 * limits().files:  # a client hears the answer only when it has finished sending
                await listen()
            await tell(message)

        length = int(headers.get(b"content-length", 0))  # the server has checked that it is a number
        if length > most:
            await PlainTextResponse(said, 413)(scope, receive, answer)
            return
        if form:
            try:
                await self.app(scope, counted, answer)
            except Exception:  # of a form that is none, or of a client that left: gradio fails, and logs a traceback
                if not begun:
                    await PlainTextResponse("these files cannot be read: send them again", 400)(scope, receive, answer)
            return
        if scope["method"] != "POST":
            await self.app(scope, counted, tell)
            return
        try:
            body = await read()
        except HTTPException:
            await PlainTextResponse(said, 413)(scope, receive, answer)
            return
        if wrong := refused(body):
            await PlainTextResponse(wrong, 400)(scope, receive, send)
            return
        first = [{"type": "http.request", "body": body, "more_body": False}]

        async def again():
            return first.pop() if first else await receive()

        await self.app(scope, again, send)


def refused(body: bytes) -> str:
    """What is wrong with the JSON of a request, or nothing: a file that it names, as gradio's clients do, at another
    address, which gradio would fetch; a session whose name cannot be written, on which gradio's statistics stumble ever
    after."""
    try:
        waiting = [json.loads(body)]
    except (ValueError, RecursionError):
        return ""  # whoever parses it refuses it
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            path, session = value.get("path"), value.get("session_hash")
            if isinstance(path, str) and path.strip().lower().startswith(("http:", "https:")):
                return "a file is sent to /gradio_api/upload: none is fetched from another address"
            if isinstance(session, str) and not session.isascii():
                return "a session is called by letters and digits"
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
    return ""


def blocks_kwargs() -> dict[str, Any]:
    """Arguments of `gr.Blocks(...)`: no telemetry; files made for visitors go away again."""
    keep = limits().keep
    return {"analytics_enabled": False, "delete_cache": (keep, keep)}


def queue_kwargs() -> dict[str, Any]:
    """Arguments of `.queue(...)`: who comes when it is full is told so at once."""
    return {"max_size": limits().queue, "default_concurrency_limit": limits().at_once}


def launch_kwargs() -> dict[str, Any]:
    """Arguments of `.launch(...)`: small requests, no tracebacks on the page, no tunnel to elsewhere."""
    from starlette.middleware import Middleware

    return {
        "app_kwargs": {"middleware": [Middleware(Bounded)]},
        "max_file_size": limits().upload,
        "show_error": False,
        "state_session_capacity": limits().sessions,
        "share": False,
        "ssr_mode": False,
        "pwa": False,
        "enable_monitoring": False,
        # Leaves out gradio's last look at its own page, which gives up after 3 s where a busy machine needs longer; the
        # server has answered /startup-events by then.
        "_frontend": False,
    }
