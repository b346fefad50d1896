"""Model cards, written from what was saved and measured; no number in them is typed by hand.

render("model_cards/ddpm-mnist")   the card of a pretrained model: config, metrics, docstring, LAW and recipe
minimal(model)                     the card of somebody's own model, which nobody has measured yet
write_all()                        every card in model_cards/, and the table of models in the repository's README
write_all(check=True)              writes nothing; GenlabError with a diff where a card is not what its sources say
"""

import hashlib
import inspect
import json
import re
import sys
from dataclasses import asdict
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from shlex import quote
from urllib.parse import quote as urlquote

import torch
from huggingface_hub import EvalResult, ModelCardData

from genlab import figures
from genlab.core import Model, Sampler, from_pretrained
from genlab.figures import Metric, duration, label, number, settings, tables, value
from genlab.generated import settle
from genlab.names import CARD, METRICS, SAMPLES, WEIGHTS, GenlabError, list_pretrained, root

BEGIN = "<!-- models: written by `make cards` -->"
END = "<!-- end of models -->"


def render(folder: str | Path) -> str:
    """The text of README.md for a model's folder. The weights are loaded, so a card never describes a broken folder.

    Raises LoadError if they do not load, GenlabError if metrics.json was measured on other weights.
    """
    folder = Path(folder)
    model = from_pretrained(folder)
    record = _record(folder)
    recipe = find_recipe(folder.resolve().name, record)
    dataset, recipe_source = getattr(recipe, "dataset", None), getattr(recipe, "source", "")
    name = recipe.name if recipe else folder.resolve().name
    metrics = [Metric.read(item) for item in record["metrics"]]
    sentence = getattr(recipe, "summary", "") or _docstring(model)[0]
    return _assemble(
        _front_matter(model, name, recipe, metrics),
        f"# {_plain(name)}",
        " ".join(sentence.split()),
        _picture(model, name, folder, getattr(recipe, "samples", None)),
        _law(model),
        _use(name, getattr(recipe, "snippet", "")),
        _measured(record, metrics),
        _training(record["training"]),
        _reproduce(name, record, recipe),
        _model_facts(model),
        _section("Data", f"[{dataset}](https://huggingface.co/datasets/{dataset})" if dataset else recipe_source),
        _section("Intended use", getattr(recipe, "intended_use", "")),
        _section("Limits", getattr(recipe, "limits", "")),
        _section("Licence", getattr(recipe, "licence", "") or "Not stated."),
        _citation(model, name, sentence, record),
    )


def minimal(model: Model) -> str:
    """The card that `push_to_hub` gives a model without one: what it is and how to load it, and no figures."""
    name = type(model).__name__
    sentence, rest = _docstring(model)
    return _assemble(
        _front_matter(model, name, None, []),
        f"# {_plain(name)}",
        sentence,
        rest,
        _law(model),
        _use("user/name", "" if _family(model) else _own_snippet(type(model))),
        _section("Figures", "Not measured: no evaluation came with these weights."),
        _model_facts(model),
        _section("Licence", "Not stated. Say which in the front matter of this file."),
        _citation(model, "", sentence, {}),
    )


def write_all(check: bool = False) -> list[Path]:
    """Bring every card and the README's table of models up to date; the paths written.

    With `check` nothing is written, and GenlabError shows what is out of date.
    """
    cards = {entry.folder / CARD: render(entry.folder) for entry in list_pretrained()}
    readme = root() / CARD
    files = {**cards, readme: _with_table(readme, cards)} if readme.is_file() else cards
    return settle(files, check=check, command="make cards")


# -- front matter ----------------------------------------------------------------------------------------------------


def _front_matter(model: Model, name: str, recipe, metrics: list[Metric]) -> str:
    """What the Hub reads. Headline metrics go into model-index, the unmeasured ones by saying so."""
    dataset = getattr(recipe, "dataset", None)
    data = ModelCardData(
        license=getattr(recipe, "licence", None),
        library_name="genlab",
        pipeline_tag=_task(model),
        tags=[tag for tag in ("genlab", _family(model), type(model).__name__.lower()) if tag],
        datasets=[dataset] if dataset else None,
        model_name=name,
        eval_results=[_result(model, metric) for metric in metrics if metric.headline] or None,
    )
    return f"---\n{data.to_yaml()}\n---"


def _result(model: Model, metric: Metric) -> EvalResult:
    return EvalResult(
        task_type=_task(model) or "other",
        dataset_type=metric.dataset or "unknown",
        dataset_name=metric.dataset or "unknown",
        dataset_split=metric.split or None,
        metric_type=metric.name,
        metric_name=label(metric, full=True),
        metric_value="not measured" if metric.value is None else float(f"{metric.value:.6g}"),
        metric_args=metric.settings or None,
    )


def _task(model: Model) -> str | None:
    """The Hub's name for what the model does, where there is one that fits: told from what it can do."""
    fields = asdict(model.config)
    if "words" in fields:
        return "text-to-image" if isinstance(model, Sampler) else "zero-shot-image-classification"
    if fields.get("body") == "map":  # a codec: what it samples are codes that nobody trained it to draw
        return None
    if isinstance(model, Sampler) and "image_size" in fields:
        return "unconditional-image-generation"  # the Hub's tag for diffusion models without a prompt
    if "classes" in fields and not isinstance(model, Sampler):
        return "image-classification"
    return None


def _family(model: Model) -> str | None:
    parts = type(model).__module__.split(".")
    return parts[2] if parts[:2] == ["genlab", "models"] else None


# -- sections --------------------------------------------------------------------------------------------------------


def _assemble(*parts: str) -> str:
    return "\n\n".join(part.strip("\n") for part in parts if part.strip()) + "\n"


def _section(title: str, text: str) -> str:
    return f"## {title}\n\n{inspect.cleandoc(text)}" if text.strip() else ""


def _picture(model: Model, name: str, folder: Path, samples) -> str:
    """The picture, and below it the docstring of the recipe's function that drew it."""
    what = "Samples drawn from" if isinstance(model, Sampler) else "Examples for"
    if not (folder / SAMPLES).is_file():
        return ""
    caption = " ".join((inspect.getdoc(samples) or "").split())
    return f"![{what} {_plain(name)}]({SAMPLES})" + (f"\n\n{_plain(caption)}" if caption else "")


def _law(model: Model) -> str:
    law = getattr(sys.modules[type(model).__module__], "LAW", None)
    if law is None:
        return ""
    symbols = "\n".join(_math(f"- ${symbol}$: {meaning}") for symbol, meaning in law.symbols.items())
    paper = f"[{law.paper}]({law.url})" if law.url else law.paper
    source = f"Paper: {paper}{f', {law.year}' if law.year else ''}." if paper else ""
    code = f"In the code: `{type(model).__module__}.{law.code}`." if law.code else ""
    return _section("The law", f"$$\n{law.latex.strip()}\n$$\n\n{symbols}\n\n{' '.join(filter(None, (source, code)))}")


def _use(name: str, snippet: str) -> str:
    snippet = snippet or f"import genlab\n\nmodel = genlab.from_pretrained({json.dumps(name, ensure_ascii=False)})"
    also = "`from_pretrained` also takes a folder, or the id of a Hub repository that holds these files."
    return _section("Use", f"```python\n{inspect.cleandoc(snippet)}\n```\n\n{also}")


def _own_snippet(cls: type) -> str:
    """For a class that is not genlab's: only its own `from_pretrained` knows it."""
    return f'from {cls.__module__} import {cls.__name__}\n\nmodel = {cls.__name__}.from_pretrained("user/name")'


def _measured(record: dict, metrics: list[Metric]) -> str:
    measured, left = record.get("measured"), record.get("unmeasured")
    if not measured or not metrics:
        return _section("Figures", "Not measured yet: the last command below measures the saved weights.")
    facts = {key: measured.get(key) for key in ("date", "commit", "hardware", "torch")}
    how = ", ".join(f"{key} {_place(fact)}" for key, fact in facts.items() if fact)
    spread = "A spread is the standard deviation over the seeds, each of which drew its share of the n, where no note "
    spread += "below says otherwise."
    intro = f"Measured on the saved weights ({how}). {spread}"
    earlier = {
        tuple(entry.get("measured", facts).get(key) for key in ("date", "commit")) for entry in record["metrics"]
    }
    earlier -= {(facts["date"], facts["commit"])}
    if earlier:
        intro += " Some earlier: " + "; ".join(f"{day}, commit {at or 'unknown'}" for day, at in sorted(earlier)) + "."
    rest = f"\n\nStill to be measured: {'; '.join(map(_plain, left))}." if left else ""
    return _section("Figures", f"{intro}\n\n{tables(metrics)}{rest}")


def _training(training: dict | None) -> str:
    if not training:
        return _section("Training", "Not recorded.")
    show = {
        "recipe": lambda v: f"`{v}`",
        "init": lambda v: f"`{v}`",
        "steps": number,
        "batch_size": number,
        "seconds": duration,
        "examples_per_s": number,
        "hardware": _place,
        "commit": lambda v: f"`{v}`",
    }
    names = {
        "init": "started from",
        "seconds": "time",
        "batch_size": "batch size",
        "examples_per_s": "examples a second",
    }
    rows = [(names.get(key, key), text(training[key])) for key, text in show.items() if training.get(key)]
    final = training.get("final") or {}
    validated = {key: last for key, last in final.items() if key.startswith("valid/")}
    for key, last in (validated or final).items():  # the training loss of the last batch says little beside those
        rows.append((f"final {re.sub('[/_]', ' ', key)}", number(last)))
    told = (_pairs(rows), _legs(training), _plain(training.get("note") or ""))
    return _section("Training", "\n\n".join(filter(None, told)))


def _place(hardware: str) -> str:
    """As recorded, but for the "1 CPU cores" of older records."""
    return _plain(re.sub(r"\b1 CPU cores\b", "1 CPU core", hardware))


def _legs(training: dict) -> str:
    """One sentence on a training that went on with other settings than it began with. `null`: nobody noted them."""
    legs = [
        f"from step {number(leg['from_step'])} with {settings(leg['set'] or {}) or 'settings that are not on record'}"
        for leg in training.get("legs") or ()
    ]
    return f"The settings changed on the way: {_plain('; '.join(legs))}." if legs else ""


def _reproduce(name: str, record: dict, recipe) -> str:
    """The commands as they were recorded, the plain ones where nothing is on record; between them how to measure what
    training wrote, which is not what a bundled name stands for. Training that went on from earlier training begins with
    what that wrote."""
    training = record["training"] or {}
    train = training.get("command") or (f"genlab train {_module(name)}" if recipe else "")
    before = training.get("earlier") if isinstance(training.get("earlier"), list) else []
    *earlier, train = _stages(name, [*map(str, before), train])
    these = (record.get("measured") or {}).get("command") or f"genlab evaluate {quote(name)}"
    own = f"genlab evaluate {quote(f'runs/{name}/model')}"
    commands = [train, these]
    if recipe and not these.startswith(own):
        commands = [train, f"{own}  # what training wrote", f"{these}  # the weights of this card"]
    return _section("Reproduce", "```bash\n" + "\n".join(filter(None, [*earlier, *commands])) + "\n```")


def _stages(name: str, commands: list[str]) -> list[str]:
    """Training in several stages, each but the first from what the one before it wrote."""
    folders = [quote(f"runs/{name}-{k}") for k in range(1, len(commands))]
    for k, folder in enumerate(folders):
        commands[k] += f" --run-dir {folder}"
        commands[k + 1] = re.sub(r"--init \S+$", f"--init {folder}/model", commands[k + 1])
    return commands


def _model_facts(model: Model) -> str:
    kinds = sorted({str(p.dtype).removeprefix("torch.") for p in _numbers(model)})
    rows = [
        ("class", f"`{type(model).__module__}.{type(model).__name__}`"),
        ("parameters", number(parameters(model))),
        ("stored as", ", ".join(kinds)),
        *((key.replace("_", " "), _cell(setting)) for key, setting in asdict(model.config).items()),
    ]
    return _section("The network", _pairs(rows))


def _citation(model: Model, name: str, sentence: str, record: dict) -> str:
    """BibTeX of the paper, and of the weights where they have a name."""
    law = getattr(sys.modules[type(model).__module__], "LAW", None)
    entries = []
    if law is not None and law.paper:
        authors, _, title = law.paper.partition(": ") if ": " in law.paper else ("", "", law.paper)
        author = " and ".join(re.split(r", | and ", authors.replace(" et al.", ", others")))
        fields = {"title": title, "author": author, "year": law.year or "", "url": law.url}
        entries.append(_bibtex(f"{type(model).__name__.lower()}{law.year or ''}", fields))
    if name:
        day, weights = (record.get("measured") or {}).get("date") or "", record.get("weights_sha256") or ""
        note = f"weights sha256 {weights[:16]}" if weights else ""
        fields = {"title": f"{name}: {sentence}", "author": "genlab", "year": day[:4], "note": note}
        entries.append(_bibtex(f"genlab-{name}", fields))
    return _section("Citation", "```bibtex\n" + "\n\n".join(entries) + "\n```") if entries else ""


# -- the README's table ----------------------------------------------------------------------------------------------


def models_table(cards: dict[Path, str] | None = None) -> str:
    """All pretrained models as one Markdown table: what each is, its size, its first headline figures."""
    rows = ["| model | family | what it is | parameters | measured |", "| --- | --- | --- | ---: | --- |"]
    for entry in list_pretrained():
        text = (cards or {}).get(entry.folder / CARD)
        summary = _first_sentence(text) if text else entry.summary
        headline = [m for m in map(Metric.read, _record(entry.folder)["metrics"]) if m.headline]
        measured = "; ".join(f"{label(m, full=True)}: {value(m)}" for m in headline[:3]) or "not measured"
        link = f"[{_plain(entry.name)}](model_cards/{urlquote(entry.name)}/{CARD})"
        count = number(parameters(from_pretrained(entry.folder)))
        rows.append(f"| {link} | {entry.family.replace('_', ' ')} | {_cell(summary)} | {count} | {_cell(measured)} |")
    return "\n".join(rows)


def _first_sentence(card: str) -> str:
    """The line below a card's title."""
    return card.split("\n# ", 1)[1].split("\n\n", 2)[1]


def _with_table(readme: Path, cards: dict[Path, str]) -> str:
    text = readme.read_text(encoding="utf-8")
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise GenlabError(f"{readme} needs one line `{BEGIN}` and below it one `{END}`: the table goes between")
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    return f"{before}{BEGIN}\n\n{models_table(cards)}\n\n{END}{after}"


# -- sources ---------------------------------------------------------------------------------------------------------


def parameters(model: Model) -> int:
    """How many numbers training set."""
    return sum(tensor.numel() for tensor in _numbers(model))


def _numbers(model: Model) -> list[torch.Tensor]:
    """What was learned: the parameters, or where there are none, what a fit in closed form found."""
    return list(model.parameters()) or [tensor for tensor in model.buffers() if tensor.is_floating_point()]


def _record(folder: Path) -> dict:
    """metrics.json. Figures of other weights are an error, not a card."""
    record = figures.read(folder)
    measured = record.get("weights_sha256")
    if measured and measured != hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest():
        raise GenlabError(
            f"{folder / METRICS} was measured on other weights than {folder / WEIGHTS}: "
            f"run `genlab evaluate {quote(folder.name)}`"
        )
    return record


def _module(name: str) -> str:
    return name.replace("-", "_")


def find_recipe(name: str, record: dict):
    """The recipe that made the weights, by the record of their training, else by name; None for a stranger's model."""
    module = str((record["training"] or {}).get("recipe") or _module(name))
    if not module.isidentifier() or module.startswith("_") or find_spec(f"genlab.recipes.{module}") is None:
        return None
    return import_module(f"genlab.recipes.{module}").RECIPE


def _docstring(model: Model) -> tuple[str, str]:
    """The class's docstring as its first sentence, on one line, and the rest."""
    first, _, rest = inspect.cleandoc(type(model).__doc__ or f"A {type(model).__name__}.").partition("\n\n")
    return " ".join(first.split()), rest


# -- text ------------------------------------------------------------------------------------------------------------


def _plain(text) -> str:
    """Any text as one line of Markdown that means just itself."""
    line = re.sub(r"([\\`*_\[\]|#])", r"\\\1", " ".join(str(text).split()))
    return line.replace("<", "&lt;").replace(">", "&gt;")


def _cell(text) -> str:
    return " ".join(str(text).split()).replace("|", "\\|")


def _pairs(rows: list[tuple[str, str]]) -> str:
    return "\n".join(["| | |", "| --- | --- |", *(f"| {_cell(key)} | {_cell(text)} |" for key, text in rows)])


def _math(text: str) -> str:
    """Prose with its $formulas$ in the Hub's inline delimiters."""
    return re.sub(r"\$([^$]+)\$", lambda found: f"\\\\( {found[1]} \\\\)", text)


def _bibtex(key: str, fields: dict) -> str:
    """One entry; a field without text is left out, and braces in a text cannot close its field."""
    clean = {field: str(text).translate({ord(c): None for c in "{}\\"}) for field, text in fields.items() if text}
    lines = ",\n".join(f"  {field} = {{{text}}}" for field, text in clean.items())
    return f"@misc{{{re.sub(r'[^A-Za-z0-9-]', '', key)},\n{lines}\n}}"
