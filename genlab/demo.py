"""The site of all apps: a gallery as its front, every app a page of its own; or one app alone.

serve()                  the whole site on the first free port from 7860 on
serve("guidance")        one app
launch_space("genlab")   the same, as a Space starts it
"""

import contextlib
import importlib.util
import io
import json
import os
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType

# Before gradio is imported anywhere: it calls home unless it finds exactly this.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"

from genlab.names import GenlabError, did_you_mean, list_pretrained, require, root
from genlab.spaces import SITE, App, list_apps

PORTS = range(7860, 7880)
MCP = "/gradio_api/mcp/"  # where gradio puts it
LOOPBACK = ("127.0.0.1", "localhost", "::1")


def serve(
    app: str | None = None,
    port: int | None = None,
    host: str = "127.0.0.1",
    block: bool = True,
    public: bool | None = None,
):
    """Serve the site, or one app, until Ctrl-C. With `block=False` return the running gradio.Blocks at once.

    public: whether visitors are strangers, who may name no path and no repository; by default those who come from
    another machine are. Raises GenlabError: no such app, port taken, gradio missing.
    """
    names = None if app in (None, SITE) else [app]
    _chosen(names)  # a wrong name or port is told before the seconds that gradio takes
    free = find_port(port, host)
    print("genlab is starting ...", flush=True)
    try:
        from genlab.ui import limits

        limits.set_public(public if public is not None or host in LOOPBACK else True)
        demo, kwargs = site(names)
        _bypass_proxy()
        try:
            _launch(demo, free, host, kwargs)
        except GenlabError:  # somebody else took the port in the meantime
            if port is not None:
                raise
            _launch(demo, find_port(None, host), host, kwargs)
        address = demo.local_url.rstrip("/")
        print(f"genlab is at {address}   (Ctrl-C stops it)", flush=True)
        if demo.mcp_server:
            print(f"its functions are MCP tools at {address}{MCP}", flush=True)
        elif demo.mcp_error:
            print(f"without MCP tools: {demo.mcp_error}", file=sys.stderr, flush=True)
        if not block:
            return demo
        _wait(demo)
    except KeyboardInterrupt:
        print("\ngenlab has stopped", flush=True)
    return None


def launch_space(app: str) -> None:
    """What a Space's app.py calls: one app, or the site by the name "genlab", open to strangers."""
    from genlab.ui import limits

    os.environ.setdefault(limits.PUBLIC, "1")
    demo, kwargs = site(None if app == SITE else [app])
    demo.launch(**kwargs)


def site(names: Sequence[str] | None = None):
    """The pages as one gradio.Blocks, and the arguments for its `launch`. Loads no model.

    names: None for all apps with a gallery as front page; several for a gallery of those; one for that app alone.
    """
    gr = require("gradio", extra="apps")
    from genlab.ui import limits
    from genlab.ui.gallery import Lesson, page, pictures
    from genlab.ui.theme import look

    apps = _chosen(names)
    alone = names is not None and len(apps) == 1
    lessons, built = [], {}
    for app in apps:
        lesson = Lesson(app.name, app.title, app.summary, app.family, app.models)
        try:
            built[app.name] = _build(app)
        except GenlabError as error:
            if alone:
                raise
            print(f"the app {app.name!r} cannot run here: {error}", file=sys.stderr, flush=True)
            lesson = replace(lesson, trouble=str(error))
        lessons.append(lesson)

    models = [m for m in list_pretrained() if not alone or m.name in apps[0].models]
    gr.set_static_paths(pictures(lessons, models))
    title = apps[0].title if alone else SITE
    with gr.Blocks(title=title, **limits.blocks_kwargs()) as demo:
        if alone:
            built.pop(apps[0].name).render()
        else:
            page(lessons, models)
    for app in apps:
        if app.name in built:
            with demo.route(app.title, f"/{app.name}", show_in_navbar=False):
                built[app.name].render()
                _name_page(demo, json.dumps(app.title))
    with demo.route("Card", "/card", show_in_navbar=False):
        _card_page(demo, models)
    demo.queue(**limits.queue_kwargs())
    options = limits.launch_kwargs() | look() | {"mcp_server": importlib.util.find_spec("mcp") is not None}
    options["css"] += (Path(limits.__file__).parent / "site.css").read_text(encoding="utf-8")
    places = {} if alone else {"the gallery": ""}
    places |= {app.title: "" if alone else app.name for app in lessons if not app.trouble}
    options["app_kwargs"]["exception_handlers"] = {404: _not_found(places)}
    return demo, options


def load_app(name: str) -> ModuleType:
    """Run the file of an app as a module and return it. Raises GenlabError if there is none, or no build() in it."""
    (app,) = _chosen([name])
    file = root() / "apps" / f"{app.name}.py"
    spec = importlib.util.spec_from_file_location(f"genlab_app_{app.name}", file)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # before it runs: dataclasses look their module up there
    spec.loader.exec_module(module)
    if not callable(getattr(module, "build", None)):
        raise GenlabError(f"{file} has no build(): an app says how to build its page there")
    return module


def _build(app: App):
    return load_app(app.name).build()


def _chosen(names: Sequence[str] | None) -> list[App]:
    known = {app.name: app for app in list_apps()}
    if not known:
        raise GenlabError(f"there are no apps in {root() / 'apps'}: install genlab again")
    for name in names or ():
        if name not in known:
            raise GenlabError(
                f"no app is called {name!r}{did_you_mean(name, list(known)) or '.'} There are: {', '.join(known)}"
            )
    return list(known.values()) if names is None else [known[name] for name in names]


def _name_page(demo, title: str) -> None:
    """The browser's title of the page being built, as JavaScript; gradio itself knows one for the whole site."""
    demo.load(None, js=f"() => {{ document.title = {title} + {json.dumps(f' · {SITE}')} }}")


def _not_found(places):
    """What answers where there is nothing: a page for people, JSON for programs."""
    from fastapi.exception_handlers import http_exception_handler
    from fastapi.responses import HTMLResponse

    from genlab.ui.gallery import missing

    async def answer(request, error):
        if "text/html" not in request.headers.get("accept", ""):
            return await http_exception_handler(request, error)
        home = request.scope.get("root_path", "").rstrip("/") + "/"
        return HTMLResponse(missing(request.scope["path"], home, places), 404)

    return answer


def _card_page(demo, models) -> None:
    """/card?name=NAME: a model's card on the site itself. Takes names of bundled models, nothing else."""
    import gradio as gr

    from genlab.ui.frame import markdown
    from genlab.ui.gallery import card_markdown, header, no_card

    cards = {model.name: model for model in models}

    def show(request: gr.Request):
        name = request.query_params.get("name", "")
        if name not in cards:
            return header("card") + no_card(cards), ""
        return header(name), f"# {name}\n\n{card_markdown(cards[name])}"

    family = next(iter(cards.values())).family if len({m.family for m in models}) == 1 else ""
    with gr.Column(elem_classes=f"gl-page gl-below gl-card-page {f'gl-{family}' if family else ''}"):
        top = gr.HTML(header("card"), apply_default_css=False)
        text = markdown()
    asked = 'new URLSearchParams(location.search).get("name")'
    _name_page(demo, f'({json.dumps(list(cards))}.find((name) => name === {asked}) ?? "No such card")')
    demo.load(show, None, [top, text], queue=False, show_progress="hidden", api_visibility="private")


# -- the server --------------------------------------------------------------------------------------------------------


def _launch(demo, port: int, host: str, kwargs: dict) -> None:
    """Start the server there. Raises GenlabError if the port is taken; another call may then try another port."""
    kwargs = kwargs | {"app_kwargs": dict(kwargs["app_kwargs"])}  # gradio writes into it
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # gradio names the address for MCP first, even when quiet
            demo.launch(server_name=host, server_port=port, prevent_thread_lock=True, quiet=True, **kwargs)
    except OSError as error:
        raise GenlabError(_taken(port, host)) from error


def find_port(port: int | None, host: str = "127.0.0.1") -> int:
    """The port asked for if it is free, else the first free one of PORTS. Raises GenlabError, naming a free one."""
    if port is None:
        found = next((p for p in PORTS if _is_free(p, host)), None)
        if found is None:
            raise GenlabError(
                f"all ports from {PORTS[0]} to {PORTS[-1]} are taken: stop one of those servers, or name another port: "
                "make demo PORT=8000"
            )
        return found
    if not 0 < port < 1 << 16:
        raise GenlabError(f"a port is a number from 1 to {(1 << 16) - 1}, not {port}")
    if not _is_free(port, host):
        raise GenlabError(_taken(port, host))
    return port


def _taken(port: int, host: str) -> str:
    free = next((p for p in PORTS if p != port and _is_free(p, host)), None)
    other = f"; {free} is free: make demo PORT={free}, or genlab demo --port {free}" if free else ""
    return f"port {port} is taken by another program{other}"


def _is_free(port: int, host: str) -> bool:
    """Whether the server could listen there. Raises GenlabError where it never could."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            if os.name == "posix":  # as the server does: a port in its farewell minute counts as free
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
        return True
    except PermissionError as error:
        raise GenlabError(f"port {port} needs an administrator's rights: name one above 1023") from error
    except (socket.gaierror, UnicodeError) as error:  # UnicodeError: foo..bar, or a name of a thousand letters
        raise GenlabError(f"{host!r} is no address of this machine: leave it out, or give 0.0.0.0 for all") from error
    except OSError as error:
        import errno

        if error.errno == errno.EADDRNOTAVAIL:
            raise GenlabError(
                f"{host!r} is no address of this machine: leave it out, or give 0.0.0.0 for all"
            ) from error
        return False


def _bypass_proxy() -> None:
    """gradio asks its own server whether it is up; a proxy set for the outside world would answer for it."""
    for key in ("NO_PROXY", "no_proxy"):
        known = os.environ.get(key, "")
        os.environ[key] = ",".join(filter(None, [known, *(h for h in LOOPBACK if h not in known)]))


def _wait(demo) -> None:
    try:
        while demo.is_running:
            time.sleep(0.2)
    finally:
        demo.close(verbose=False)
