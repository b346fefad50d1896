"""The front page: a picture and a sentence for each app, and the pretrained models in a table to search and sort.

Plain HTML from what the apps and the cards say of themselves; search and order live in gallery.js, without the server.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from string import Template
from urllib.parse import quote

from genlab.figures import Metric, label, value
from genlab.names import CARD, FAMILIES, METRICS, WEIGHTS, Pretrained, require, root
from genlab.ui.panels import card_body

gr = require("gradio", extra="apps")

HERE = Path(__file__).parent
LESSON = "The working laboratory of machine perception and generative modelling"
PICTURE = "samples.png"
ENDINGS = (".webp", ".png", ".jpg")
HEADLINES = 3  # figures of a model in the table; its card has them all
ACRONYMS = {
    "gan": "GAN",
    "rl": "Reinforcement learning",
    "vision_language": "Vision and language",
    "fields": "Neural fields",
}


@dataclass(frozen=True)
class Lesson:
    """An app as its card shows it. `trouble` is why it cannot run here, or empty."""

    name: str
    title: str
    summary: str
    family: str
    models: tuple[str, ...] = ()
    trouble: str = ""


def page(lessons: Sequence[Lesson], models: Sequence[Pretrained]) -> None:
    """The whole page, in the present gradio context."""
    gr.HTML(
        html(lessons, models),
        css_template=(HERE / "gallery.css").read_text(encoding="utf-8"),
        js_on_load=(HERE / "gallery.js").read_text(encoding="utf-8"),
        apply_default_css=False,
    )


def html(lessons: Sequence[Lesson], models: Sequence[Pretrained]) -> str:
    """The page's HTML. Everything in it is escaped: titles and cards are text, not markup."""
    by_family = {f: [a for a in lessons if a.family == f] for f in FAMILIES if any(a.family == f for a in lessons)}
    sections = "".join(_family(family, apps) for family, apps in by_family.items())
    alone = " gl-alone" if len(lessons) == 1 else ""
    return (
        f'<div class="gl-page gl-home">{header("")}<div class="gl-hello"><div><h1>{LESSON}</h1>'
        "<p>Each lesson lets you turn the knobs of a model and watch what it does. The pictures are computed as you "
        "look, by weights that load in one line of Python.</p></div>"
        '<input type="search" class="gl-search" placeholder="Search lessons and models" '
        'aria-label="Search lessons and models" aria-keyshortcuts="/" autocomplete="off"></div>'
        f'<div class="gl-shelves{alone}">{sections}</div>{_table(models, lessons)}'
        '<p class="gl-none" role="status" hidden></p></div>'
    )


def header(here: str) -> str:
    """The line on top of every page: the way home, where one is, light or dark."""
    place = f" / {escape(here)}" if here else ""
    home = '<a href="./">genlab</a>' if here else "<b>genlab</b>"
    return (
        f'<header class="gl-header"><nav aria-label="Where you are">{home}{place}'
        '<span><button type="button" data-gl="dark">Light / dark</button></span></nav></header>'
    )


def family_name(family: str) -> str:
    """
    >>> family_name("diffusion"), family_name("gan")
    ('Diffusion', 'GAN')
    """
    return ACRONYMS.get(family, family.replace("_", " ").capitalize())


# -- lessons ---------------------------------------------------------------------------------------------------------


def _family(family: str, apps: Sequence[Lesson]) -> str:
    cards = "".join(_card(app) for app in apps)
    return (
        f'<section class="gl-shelf gl-{family}" style="--n: {len(apps)}"><h2>{escape(family_name(family))}</h2>'
        f'<div class="gl-cards">{cards}</div></section>'
    )


def _card(app: Lesson) -> str:
    file = picture_of(app)
    if file is None:
        picture = f'<span class="gl-blank" aria-hidden="true">{escape(app.title[:1])}</span>'
    else:  # the title beside it names the link, so the picture itself says nothing twice
        picture = f'<img src="{file_url(file)}" alt="" loading="lazy">'
    words = f"<h3>{escape(app.title)}</h3><p>{escape(app.summary)}</p>"
    found = escape(f"{app.title} {app.summary} {family_name(app.family)} {' '.join(app.models)}".lower())
    if app.trouble:
        return (
            f'<div class="gl-card gl-broken" data-find="{found}">{picture}<div>{words}'
            f'<p class="gl-trouble">Not available here: {escape(app.trouble)}</p></div></div>'
        )
    return f'<a class="gl-card" href="{quote(app.name)}" data-find="{found}">{picture}<div>{words}</div></a>'


def picture_of(app: Lesson) -> Path | None:
    """apps/pictures/NAME.*, else the picture on the card of the app's first model that has one."""
    own = (root() / "apps" / "pictures" / f"{app.name}{ending}" for ending in ENDINGS)
    cards = (root() / "model_cards" / model / PICTURE for model in app.models)
    return next((file for file in (*own, *cards) if file.is_file()), None)


def pictures(lessons: Iterable[Lesson], models: Iterable[Pretrained]) -> list[Path]:
    """Every picture file that the pages show: what the server may hand out."""
    found = [picture_of(app) for app in lessons] + [model.folder / PICTURE for model in models]
    return sorted({file for file in found if file is not None and file.is_file()})


def file_url(file: Path) -> str:
    """Where gradio serves a static file, relative to any page of the site."""
    return f"gradio_api/file={quote(file.resolve().as_posix())}"


# -- models ----------------------------------------------------------------------------------------------------------


def _table(models: Sequence[Pretrained], lessons: Sequence[Lesson]) -> str:
    if not models:
        return ""
    rows = "".join(_row(model, lessons) for model in models)
    columns = [("model", "Model"), ("family", "Family"), ("", "Measured on the saved weights"), ("size", "Weights")]
    head = "".join(
        f'<th scope="col" aria-sort="none"><button type="button" data-sort="{key}">{name}</button></th>'
        if key
        else f'<th scope="col">{name}</th>'
        for key, name in columns
    )
    return (
        '<section class="gl-models"><h2>Pretrained models</h2><p>Each loads with '
        '<code>genlab.from_pretrained("name")</code>; its card says how it was trained and measured.</p>'
        f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></section>"
    )


def _row(model: Pretrained, lessons: Sequence[Lesson]) -> str:
    shown = headlines(model.folder)
    twice = len({m.name for m in shown}) < len(shown)  # then only their settings tell them apart
    figures = "".join(f"<li><span>{escape(label(m, full=twice))}</span> <b>{escape(value(m))}</b></li>" for m in shown)
    size = (model.folder / WEIGHTS).stat().st_size if (model.folder / WEIGHTS).is_file() else 0
    used = ", ".join(
        f'<a href="{quote(a.name)}">{escape(a.title)}</a>' for a in lessons if model.name in a.models and not a.trouble
    )
    used = f' <span class="gl-used">seen in {used}</span>' if used else ""
    found = escape(f"{model.name} {family_name(model.family)} {model.model} {model.summary}".lower())
    return (
        f'<tr data-find="{found}" data-model="{escape(model.name)}" data-family="{FAMILIES.index(model.family):02d}" '
        f'data-size="{size}"><th scope="row"><a href="card?name={quote(model.name)}">{escape(model.name)}</a>{used}'
        f"<p>{escape(model.summary)}</p></th><td>{escape(family_name(model.family))}</td>"
        f'<td><ul>{figures or "<li>not measured</li>"}</ul></td><td class="gl-number">{size / 1e6:.2g} MB</td></tr>'
    )


def headlines(folder: Path) -> list[Metric]:
    """The figures that metrics.json marks as the model's headline, at most HEADLINES; none without such a file."""
    try:
        entries = json.loads((folder / METRICS).read_text(encoding="utf-8"))["metrics"]
        return [Metric.read(entry) for entry in entries if entry.get("headline")][:HEADLINES]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return []


def no_card(names: Iterable[str]) -> str:
    """What stands where a card was asked for that does not exist: the way to those that do."""
    links = ", ".join(f'<a href="card?name={quote(name)}">{escape(name)}</a>' for name in names)
    return f"<h1>There is no such card</h1><p>There is no model of that name here. There are: {links}.</p>"


def missing(path: str, home: str, places: Mapping[str, str]) -> str:
    """The whole page for an address that leads nowhere. `home` is the site's root, `places` titles and addresses."""
    links = ", ".join(f'<a href="{escape(home + address)}">{escape(title)}</a>' for title, address in places.items())
    page = Template((HERE / "missing.html").read_text(encoding="utf-8"))
    return page.substitute(home=escape(home), path=escape(path[:80]), links=links)


def card_markdown(model: Pretrained) -> str:
    """A model's card for this site: without front matter and title, its pictures found."""
    try:
        text = (model.folder / CARD).read_text(encoding="utf-8")
    except OSError:
        return f"This model has no card yet: `genlab evaluate {model.name}` writes it."
    text = re.sub(r"\A\s*# .*\n", "", card_body(text))
    return re.sub(r"(!\[[^\]]*\]\()" + re.escape(PICTURE), lambda m: m[1] + file_url(model.folder / PICTURE), text)
