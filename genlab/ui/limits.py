"""Limits that a stranger meets, in one place: the server's bounds, and whether visitors are strangers at all.

Knobs apply them to what a visitor sets, Runs to how long a run lasts.
"""

import os
import re
from dataclasses import dataclass
from typing import Any

from genlab.names import GenlabError

PUBLIC = "GENLAB_PUBLIC"  # "1" or "0": the visitors are strangers or not; unset: they are on a Space
PIPELINES = "GENLAB_PIPELINES"  # Hub ids, separated by commas, that strangers may run in the pipeline tab
CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


@dataclass(frozen=True)
class Limits:
    """The defaults suit a public Space with two CPU cores."""

    seconds: float = 60.0  # wall clock of one run
    samples: int = 64  # small pictures in one run
    steps: int = 100
    side: int = 512  # pixels, for pipelines
    text: int = 500  # characters of a prompt
    queue: int = 32  # visitors waiting before the next is turned away
    at_once: int = 1  # runs of one function; more than one run on two cores only makes each slower
    upload: str = "5mb"
    keep: int = 3600  # seconds that files made for a visitor are kept


STRANGER = Limits()
# At home the patience is one's own: Stable Diffusion on a CPU takes a quarter of an hour, and nobody is kept waiting.
OWNER = Limits(seconds=3600.0, steps=200, side=2048, text=5000)


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


def allowed_pipelines() -> list[str] | None:
    """The pipelines that visitors may run: None for any (at home), else the owner's list, which may be empty.

    Raises GenlabError if GENLAB_PIPELINES names something that is not a Hub id: a stranger never gets a path.
    """
    if not is_public():
        return None
    names = [name.strip() for name in os.environ.get(PIPELINES, "").split(",") if name.strip()]
    wrong = [name for name in names if not re.fullmatch(r"[\w-][\w.-]*/[\w-][\w.-]*", name)]
    if wrong:
        raise GenlabError(f"{PIPELINES} lists Hub ids such as 'user/name', separated by commas; {wrong[0]!r} is none")
    return names


def text(value: Any, most: int | None = None) -> str:
    """What somebody typed, or sent to the API: a string without control characters, cut at `most` characters."""
    if not isinstance(value, str):
        return ""
    return CONTROLS.sub(" ", value)[: limits().text if most is None else most].strip()


def blocks_kwargs() -> dict[str, Any]:
    """Arguments of `gr.Blocks(...)`: no telemetry; files made for visitors go away again."""
    keep = limits().keep
    return {"analytics_enabled": False, "delete_cache": (keep, keep)}


def queue_kwargs() -> dict[str, Any]:
    """Arguments of `.queue(...)`: who comes when it is full is told so at once."""
    return {"max_size": limits().queue, "default_concurrency_limit": limits().at_once}


def launch_kwargs() -> dict[str, Any]:
    """Arguments of `.launch(...)`: small uploads, no tracebacks on the page, no tunnel to elsewhere."""
    return {
        "max_file_size": limits().upload,
        "show_error": False,
        "share": False,
        "ssr_mode": False,
        "pwa": False,
        "enable_monitoring": False,
        # Leaves out gradio's last look at its own page, which gives up after 3 s where a busy machine needs longer; the
        # server has answered /startup-events by then.
        "_frontend": False,
    }
