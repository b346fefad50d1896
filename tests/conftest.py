"""For all tests: shapes are checked, threads are few, and what a machine lacks is skipped by name.

With GENLAB_REQUIRE_BROWSER=1 (CI) a skipped browser test is a failure, and so is a run without any.
"""

import importlib
import os
import shutil
import signal
from pathlib import Path

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # the exact string gradio compares with
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

from jaxtyping import install_import_hook

# Before genlab is imported: every call of the mathematics checks its annotated shapes. Not the modules that face the
# user, whose own errors for wrong input are what their tests look at.
MATHEMATICS = ["genlab.data", "genlab.metrics", "genlab.models", "genlab.nn", "genlab.ops"]
install_import_hook(MATHEMATICS, "shapes.check")
# At once, not when a server's threads come to it: Python 3.11 may fail when two threads parse at the same time.
for module in ("data", "metrics", "models.classic", "models.diffusion"):
    importlib.import_module(f"genlab.{module}")

# A run started in the background inherits an ignored Ctrl-C, and so would every process that the tests interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)

import pytest  # noqa: E402
import torch  # noqa: E402

torch.set_num_threads(1)  # the tests' small operations are slower on two threads than on one

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
QUIET = ["gpu", "quic", "background-networking", "component-update", "sync"]  # nothing a test starts calls anywhere
browser_required = bool(os.environ.get("GENLAB_REQUIRE_BROWSER"))
drove_browser: set[str] = set()  # by name, the processes that did


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def mnist():
    """MNIST's test split as `genlab.data.mnist.load` gives it."""
    folder = os.environ.get("GENLAB_DATA")
    if not folder or not (Path(folder) / "mnist").is_dir():
        pytest.skip("MNIST is not at hand: GENLAB_DATA names no folder with mnist/ in it")
    from genlab.data import mnist

    return mnist.load("test")


@pytest.fixture(scope="module")
def browser():
    """Headless Chromium, driven by playwright. Mark what uses it with `pytest.mark.browser`."""
    playwright = pytest.importorskip("playwright.sync_api")
    executable = next(filter(None, map(shutil.which, BROWSERS)), None)
    if executable is None:
        pytest.skip(f"no browser: none of {', '.join(BROWSERS)} is installed")
    arguments = ["--no-sandbox", "--no-first-run", *(f"--disable-{what}" for what in QUIET)]
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=executable, args=arguments)
        yield chromium
        chromium.close()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """Shared out over processes, a file's tests stay together, and all files that drive a browser: one at a time.

    `--dist loadgroup` is made for this, but pytest-xdist 3.8 passes every group over under pytest 9.2 (its issue 1386).
    """
    from xdist.scheduler import LoadFileScheduling

    class OneBrowser(LoadFileScheduling):
        def _split_scope(self, nodeid):
            file = super()._split_scope(nodeid)
            return "browser" if "mark.browser" in (config.rootpath / file).read_text() else file

    return OneBrowser(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if item.get_closest_marker("browser") and report.skipped and browser_required:
        report.outcome = "failed"
        report.longrepr = f"skipped, though GENLAB_REQUIRE_BROWSER is set: {report.longrepr}"
    return report


def pytest_runtest_logreport(report):
    """Where tests are shared out over processes, the one that shares them out hears of each here."""
    if "browser" in report.keywords and report.when == "call" and report.passed:
        drove_browser.add(getattr(report, "worker_id", "master"))


def pytest_sessionfinish(session, exitstatus):
    """Where browsers are required, one process has driven one: tests that look at two at a time may look too early."""
    shares = not hasattr(session.config, "workerinput")  # the process that hears of every test
    if browser_required and shares and len(drove_browser) != 1 and exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter):
    if browser_required and len(drove_browser) != 1:
        drove = " and ".join(sorted(drove_browser)) or "no process"
        terminalreporter.write_line(f"GENLAB_REQUIRE_BROWSER: one process drives a browser, not {drove}", red=True)
