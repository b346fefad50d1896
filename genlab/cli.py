"""The command line: `genlab COMMAND --help` shows each command with examples.

Exit codes: 0 done, 1 something that the message says how to mend, 2 wrong usage, 130 Ctrl-C (and 128 + n for another
signal). Libraries load inside the commands, so that `genlab list` and `--help` answer at once. GENLAB_DEBUG=1 shows
tracebacks.
"""

import argparse
import contextlib
import ctypes
import math
import os
import sys
from collections.abc import Callable, Iterator
from inspect import cleandoc, signature
from pathlib import Path

from genlab import __version__
from genlab.names import CARD, CONFIG, GenlabError, did_you_mean, list_pretrained, part, read_config, require, resolve

MOST = 2_500  # samples in one picture
Add = Callable[..., argparse.Action]


def main(argv: list[str] | None = None) -> int:
    """Run one command; its exit code."""
    try:
        arguments = _parser().parse_args(argv)
        if argv is None and arguments.run in (run_train, run_evaluate):  # the process is ours, and soon ends
            _keep_freed_memory()
        arguments.run(arguments)
        sys.stdout.flush()
        return 0
    except KeyboardInterrupt:
        print("\ngenlab: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `genlab list | head`: nobody reads on, which is no error of ours
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except (GenlabError, OSError) as error:
        if os.environ.get("GENLAB_DEBUG"):
            raise
        print(f"genlab: {_plain(str(error))}", file=sys.stderr)
        return 128 + error.signal if hasattr(error, "signal") else 1  # a training that a signal stopped, saved


# -- what there is ---------------------------------------------------------------------------------------------------


def run_list(arguments: argparse.Namespace) -> None:
    """List the pretrained models, the apps and the recipes that come with genlab.

    genlab list
    """
    from genlab.spaces import list_apps

    print("Models: genlab.from_pretrained(NAME), genlab sample NAME, genlab info NAME")
    _table((model.name, model.family, model.summary) for model in list_pretrained())
    print("\nApps: genlab demo NAME")
    _table((app.name, app.family, app.summary) for app in list_apps())
    print("\nRecipes: genlab train NAME")
    _table((name,) for name in recipes())


def run_info(arguments: argparse.Namespace) -> None:
    """Show what a model is, its network, its measured figures, and how to load it.

    genlab info ddpm-mnist
    genlab info user/name
    """
    from genlab import figures
    from genlab.hub import download
    from genlab.spaces import list_apps

    if not Path(arguments.name).exists() and arguments.name in {app.name for app in list_apps()}:
        raise GenlabError(f"{arguments.name} is an app: genlab demo {arguments.name}")
    found = resolve(arguments.name)
    folder = found if isinstance(found, Path) else download(found)
    data = read_config(part(folder, CONFIG))
    summary = next((model.summary for model in list_pretrained() if model.folder == folder), "")
    print(f"{arguments.name}: {data['model']} ({data['family']})\n{summary}".rstrip())
    print(f"\nFolder\n  {folder}\n\nNetwork")
    _table((key, str(setting)) for key, setting in data["config"].items())
    print("\nFigures")
    try:
        metrics = [figures.Metric.read(item) for item in figures.read(folder)["metrics"]]
    except GenlabError as error:  # no reason to keep back the rest
        print(f"  {_plain(str(error))}")
    else:
        shown = [metric for metric in metrics if metric.headline] or metrics
        _table((figures.label(metric, full=True), figures.value(metric)) for metric in shown)
        if not metrics:
            print(f"  not measured: genlab evaluate {arguments.name}")
        elif (folder / CARD).is_file():
            print(f"  all of them, and how they were measured: {folder / CARD}")
    print(f'\nPython\n  import genlab\n  model = genlab.from_pretrained("{arguments.name}")')


def add_info(add: Add) -> None:
    add("name", help="a bundled model, a folder, or a Hub id")


def recipes() -> list[str]:
    """The recipes' names, which are those of their files."""
    return sorted(file.stem for file in (Path(__file__).parent / "recipes").glob("[!_]*.py"))


def _keep_freed_memory() -> None:
    """Let glibc keep what a step frees for the next one. It would give blocks as large as tensors back to the kernel,
    which hands them out anew page by page, at every step. Where there is another libc, nothing happens."""
    mmap_max, trim_threshold, top_pad = -4, -1, -2  # malloc.h: M_MMAP_MAX, M_TRIM_THRESHOLD, M_TOP_PAD
    with contextlib.suppress(OSError, AttributeError, TypeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(mmap_max, 0)
        mallopt(trim_threshold, 2**31 - 1)
        mallopt(top_pad, 64 * 2**20)


def _plain(text: str) -> str:
    """A stranger's words without what would steer the terminal: escape sequences, unpaired surrogates."""
    return "".join(c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text)


def _table(rows: Iterator[tuple[str, ...]]) -> None:
    rows = [[_plain(cell).replace("\n", " ") for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  " + "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip())


# -- use -------------------------------------------------------------------------------------------------------------


def run_demo(arguments: argparse.Namespace) -> None:
    """Open the apps in the browser: the gallery, or one app.

    genlab demo
    genlab demo guidance --port 7861
    """
    from genlab.demo import serve

    serve(arguments.app, port=arguments.port, host=arguments.host)


def add_demo(add: Add) -> None:
    add("app", nargs="?", help="one app alone; without it, the gallery of all")
    add("--port", type=_port, help="(default: the first free one from 7860 on)")
    add("--host", default="127.0.0.1", help="0.0.0.0 lets other machines in (default: %(default)s)")


def run_sample(arguments: argparse.Namespace) -> None:
    """Draw samples from a model and save them as one PNG picture.

    genlab sample ddpm-mnist --out digits.png
    genlab sample ddpm-mnist --out sevens.png --label 7 --guidance 1 --steps 20 --sampler dpm++ --seed 3 -n 36
    genlab sample ddpm-mnist --out all.png --label 0,1,2,3,4,5,6,7,8,9 -n 100
    genlab sample ldm-scenes --out star.png --prompt "a small red star above a large blue circle, on a green field"
    """
    if arguments.n > MOST:
        raise GenlabError(
            f"one picture holds at most {MOST} samples: for more, use Python (genlab info {arguments.name})"
        )
    if arguments.out.suffix.lower() != ".png":
        raise GenlabError(f"--out must end in .png, not {arguments.out.name!r}")
    if not arguments.out.absolute().parent.is_dir():
        raise GenlabError(f"there is no folder {arguments.out.parent}: make it first")
    import torch

    from genlab import from_pretrained, viz
    from genlab.core import Sampler

    model = from_pretrained(arguments.name, device=arguments.device)
    if model.device.type == "meta":
        raise GenlabError("the device meta holds no numbers, so nothing can be drawn on it: leave --device out")
    if not isinstance(model, Sampler):
        raise GenlabError(f"{arguments.name} draws no samples, as its class {type(model).__name__} cannot: genlab list")
    asked = {knob: getattr(arguments, knob) for knob in ("label", "prompts", "guidance", "steps", "sampler", "eta")}
    knobs = {knob: setting for knob, setting in asked.items() if setting is not None}
    takes = signature(model.sample_steps).parameters.keys()
    unknown = knobs.keys() - takes
    if unknown:
        raise GenlabError(f"{arguments.name} has no --{sorted(unknown)[0].replace('prompts', 'prompt')}")
    if "prompts" in takes and "prompts" not in knobs:
        raise GenlabError(f'{arguments.name} draws what it is told: add --prompt "..."')
    if strange := getattr(model, "unknown", lambda text: [])(knobs.get("prompts", "")):
        said = ", ".join(map(repr, strange[:5])) + f" and {len(strange) - 5} more" * (len(strange) > 5)
        print(
            f"genlab: {arguments.name} does not know {_plain(said)}, and reads one word for all it does not know",
            file=sys.stderr,
        )
    if knobs.get("guidance") and "label" in takes and "label" not in knobs:
        raise GenlabError("--guidance leads towards a class, so without --label it has no effect: add, say, --label 7")
    if "label" in knobs:
        knobs["label"] = [knobs["label"][i % len(knobs["label"])] for i in range(arguments.n)]
    model.sample_steps = _ticking(model.sample_steps, knobs.get("steps"))  # `sample` runs over it, in every family
    try:
        images = model.sample(arguments.n, generator=torch.Generator().manual_seed(arguments.seed), **knobs)
    except ValueError as error:
        raise GenlabError(str(error)) from error
    scale = max(1, 84 // images.shape[-1])
    if not images.isfinite().all():
        raise GenlabError(
            f"{arguments.name} drew NaN or infinity: its weights are broken, take others or train it again"
        )
    partial = arguments.out.with_name(f".{arguments.out.name}")
    try:
        partial.write_bytes(viz.png(viz.tile(images, gap=scale, scale=scale)))
        partial.replace(arguments.out)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise GenlabError(f"{arguments.out} could not be written: {error}") from error
    print(arguments.out)


def add_sample(add: Add) -> None:
    add("name", help="a bundled model, a folder, or a Hub id")
    add("--out", type=Path, required=True, metavar="FILE.png", help="the picture to write")
    add("-n", type=_count, default=16, help="how many samples (default: %(default)s)")
    add("--label", type=_labels, help="a class, or several as 0,1,2, taken in turn")
    add("--prompt", dest="prompts", help="the sentence to draw")
    add("--guidance", type=_number, help="rho of classifier-free guidance; 0 is none, diffusers' scale is 1 + rho")
    add("--steps", type=_count, help="denoising steps")
    add("--sampler", help="ddim, ddpm, dpm++ or unipc")
    add("--eta", type=_number, help="noise put back by ddim: 0 none, 1 as much as ddpm")
    add("--seed", type=_seed, default=0, help="the same seed draws the same samples (default: %(default)s)")
    add("--device", help="cpu, cuda, mps, ... (default: cpu)")


def _ticking(steps: Callable[..., Iterator], total: int | None) -> Callable[..., Iterator]:
    """The same iterator, counted on one line of the terminal."""

    def counted(n: int, **knobs) -> Iterator:
        for done, state in enumerate(steps(n, **knobs), start=1):
            if sys.stderr.isatty():
                print(f"\rstep {done}{f' of {total}' if total else ''}", end="", file=sys.stderr, flush=True)
            yield state
        if sys.stderr.isatty():
            print("\r\033[K", end="", file=sys.stderr)

    return counted


# -- make ------------------------------------------------------------------------------------------------------------


def run_train(arguments: argparse.Namespace) -> None:
    """Train a model by its recipe. Ctrl-C stops after the step in hand, with a checkpoint; --resume goes on from it.

    genlab train ddpm_mnist
    genlab train ddpm_mnist --set steps=2000 batch_size=64
    genlab train ddpm_mnist --resume
    accelerate launch --multi_gpu --num_processes 2 -m genlab.cli train ddpm_mnist
    """
    from importlib import import_module

    name = arguments.recipe.replace("-", "_")
    if name not in recipes():
        known = did_you_mean(name, recipes()) or f". There are {', '.join(recipes())}"
        raise GenlabError(f"no recipe is called {arguments.recipe!r}{known}")
    require("accelerate", extra="train")
    from genlab.train import override, train

    recipe = override(import_module(f"genlab.recipes.{name}").RECIPE, arguments.set)
    train(recipe, run_dir=arguments.run_dir, out=arguments.out, resume=arguments.resume, init=arguments.init)


def add_train(add: Add) -> None:
    add("recipe", help="a name from genlab list")
    add("--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE", help="change the recipe's settings")
    add("--resume", action="store_true", help="go on from the last checkpoint in the run's folder")
    add("--init", metavar="NAME", help="start from a pretrained model instead of random weights")
    add("--run-dir", type=Path, metavar="DIR", help="checkpoints, logs and pictures (default: runs/NAME)")
    add("--out", type=Path, metavar="DIR", help="the finished model (default: model/ in the run's folder)")


def run_evaluate(arguments: argparse.Namespace) -> None:
    """Measure saved weights, and write their metrics, golden outputs, pictures and card.

    genlab evaluate ddpm-mnist
    genlab evaluate runs/ddpm-mnist/model --samples 500
    genlab evaluate ddpm-mnist --only "rho=1 *"
    """
    from genlab.evaluate import evaluate

    options = {"samples": arguments.samples, "only": arguments.only, "fresh": arguments.fresh}
    print(evaluate(arguments.name, **options))


def add_evaluate(add: Add) -> None:
    add("name", help="a bundled model, or a folder")
    add("--samples", type=_count, help="fewer than the recipe asks for, for a quick look; the card says how many")
    add(
        "--only",
        default="*",
        metavar="PATTERN",
        help="the jobs whose name fits, such as 'rho=1 *'; others stay as they are",
    )
    add("--fresh", action="store_true", help="measure again what is known of these weights already")


# -- publish ---------------------------------------------------------------------------------------------------------


def run_push(arguments: argparse.Namespace) -> None:
    """Upload a model with its card to the Hugging Face Hub (log in once with `hf auth login`).

    genlab push ddpm-mnist user/ddpm-mnist --private
    genlab push runs/ddpm-mnist/model user/my-digits --branch try --message "Twice as long"
    """
    from genlab import from_pretrained

    model = from_pretrained(arguments.name)
    print(
        model.push_to_hub(
            arguments.repo, private=arguments.private, branch=arguments.branch, commit_message=arguments.message
        )
    )


def add_push(add: Add) -> None:
    add("name", help="a bundled model, or a folder")
    add("repo", metavar="USER/NAME", help="the repository on the Hub; made if there is none")
    add("--private", action="store_true", help="make it private")
    add("--branch", help="push to this branch instead of main")
    add("--message", help="the commit message")


def run_space_build(arguments: argparse.Namespace) -> None:
    """Write an app, or the whole site under the name genlab, as a self-contained Space into a folder.

    genlab space build guidance --out my-space
    """
    from genlab import spaces

    print(spaces.build(arguments.app, arguments.out, hardware=arguments.hardware))


def add_space_build(add: Add) -> None:
    add("app", help="an app from genlab list, or genlab for the whole site")
    add("--out", type=Path, required=True, metavar="DIR", help="a new folder, or a Space built before")
    add("--hardware", default="cpu-basic", help="cpu-basic or zero-a10g (default: %(default)s)")


def run_space_push(arguments: argparse.Namespace) -> None:
    """Build a Space and upload it (log in once with `hf auth login`).

    genlab space push guidance user/guidance
    """
    from genlab import spaces

    options = {"private": arguments.private, "hardware": arguments.hardware, "commit_message": arguments.message}
    print(spaces.push(arguments.app, arguments.repo, **options))


def add_space_push(add: Add) -> None:
    add("app", help="an app from genlab list, or genlab for the whole site")
    add("repo", metavar="USER/NAME", help="the Space; made if there is none")
    add("--hardware", default="cpu-basic", help="cpu-basic or zero-a10g (default: %(default)s)")
    add("--private", action="store_true", help="make it private")
    add("--message", help="the commit message")


def run_cards(arguments: argparse.Namespace) -> None:
    """Write all model cards, and the README's table, from their measurements.

    genlab cards
    genlab cards --check
    """
    from genlab import cards

    _settle(cards.write_all, arguments.check)


def run_spaces(arguments: argparse.Namespace) -> None:
    """Write the light files of all Spaces from the apps.

    genlab spaces
    genlab spaces --check
    """
    from genlab import spaces

    _settle(spaces.write_all, arguments.check)


def add_cards(add: Add) -> None:
    add("--check", action="store_true", help="write nothing; fail if something is out of date")


add_spaces = add_cards


def _settle(write_all: Callable[..., list[Path]], check: bool) -> None:
    for path in write_all(check=check):
        print(f"wrote {path}")


# -- the parser ------------------------------------------------------------------------------------------------------

COMMANDS = {
    "list": (run_list, None),
    "info": (run_info, add_info),
    "demo": (run_demo, add_demo),
    "sample": (run_sample, add_sample),
    "train": (run_train, add_train),
    "evaluate": (run_evaluate, add_evaluate),
    "push": (run_push, add_push),
    "space": {"build": (run_space_build, add_space_build), "push": (run_space_push, add_space_push)},
    "cards": (run_cards, add_cards),
    "spaces": (run_spaces, add_spaces),
}


class _Parser(argparse.ArgumentParser):
    """Says which command was probably meant."""

    def _check_value(self, action: argparse.Action, value) -> None:
        if isinstance(action.choices, dict) and value not in action.choices:  # the commands, by name
            known = list(action.choices)
            hint = did_you_mean(value, known) or f". There are {', '.join(known)}"
            self.error(f"no command is called {value!r}{hint}")
        super()._check_value(action, value)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="genlab", description="The working laboratory of machine perception and generative modelling."
    )
    parser.add_argument("--version", action="version", version=f"genlab {__version__}")
    _add_commands(parser, COMMANDS)
    return parser


def _add_commands(parser: argparse.ArgumentParser, commands: dict) -> None:
    """One subparser a command: its help is the first paragraph of its function's docstring, its examples the second."""
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND", title="commands")
    for name, command in commands.items():
        if isinstance(command, dict):
            group = subparsers.add_parser(name, help=f"{' or '.join(command)}: see genlab {name} --help")
            _add_commands(group, command)
            continue
        run, add = command
        summary, _, examples = cleandoc(run.__doc__).partition("\n\n")
        sub = subparsers.add_parser(
            name,
            help=summary.partition(". ")[0].rstrip("."),
            description=summary,
            epilog=f"examples:\n  {examples.replace(chr(10), chr(10) + '  ')}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        sub.set_defaults(run=run)
        if add:
            add(sub.add_argument)


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"a whole number from 1 on, not {text!r}")
    return int(text)


def _seed(text: str) -> int:
    if not text.isdecimal() or int(text[:30]) >= 2**64:
        raise argparse.ArgumentTypeError(f"a whole number from 0 to 2^64 - 1, not {text[:30]!r}")
    return int(text)


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise argparse.ArgumentTypeError(f"a finite number, not {text!r}")
    return number


def _port(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 65_535:
        raise argparse.ArgumentTypeError(f"a port lies in 1..65535, not {text!r}")
    return int(text)


def _labels(text: str) -> list[int]:
    parts = text.split(",")
    if not all(part.strip().isdecimal() for part in parts):
        raise argparse.ArgumentTypeError(f"a class such as 7, or several as 0,1,2, not {text!r}")
    return [int(part) for part in parts]


if __name__ == "__main__":
    sys.exit(main())
