"""An app by itself, in a real browser: what the tests of each app begin with."""

import importlib.util
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType

from genlab import ui
from genlab.names import root


def load(name: str) -> ModuleType:
    """The module of an app, as no other test has it."""
    spec = importlib.util.spec_from_file_location(f"{name}_under_test", root() / "apps" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@contextmanager
def served(app: ModuleType) -> Iterator[str]:
    """The address at which an app is served for a while."""
    site = app.build()
    site.queue(max_size=16)
    site.launch(prevent_thread_lock=True, quiet=True, **ui.look())
    yield site.local_url
    site.close()


@contextmanager
def visitor(browser, address: str) -> Iterator[Callable]:
    """open(query, width, height, dark): a page whose console stays silent and which asks no other host for anything."""
    troubles, pages = [], []

    def open_page(query: str = "", width: int = 1280, height: int = 800, dark: bool = False, script: str = "", **look):
        scheme = "dark" if dark else "light"
        page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme, **look)
        pages.append(page)
        if script:
            page.add_init_script(script)
        page.set_default_timeout(90_000)
        page.on("console", lambda m: troubles.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("request", lambda r: None if r.url.startswith((address, "data:", "blob:")) else troubles.append(r.url))
        page.goto(f"{address}?{query}" if query else address, wait_until="domcontentloaded")
        return page

    yield open_page
    for page in pages:
        page.close()
    assert troubles == []
