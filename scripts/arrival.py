"""What an app shows before the first click, computed from its weights and kept beside it:

    python -m scripts.arrival guidance

calls the app's `arrival() -> (films, picture)` and writes apps/pictures/NAME.json and NAME.png, the gallery's picture.
"""

import argparse
import json

from genlab import viz
from genlab.names import root


def write(name: str) -> None:
    """Compute and write both files of an app. Raises GenlabError: no such app, or its weights are missing."""
    from genlab.demo import load_app

    films, picture = load_app(name).arrival()
    folder = root() / "apps" / "pictures"
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(films, ensure_ascii=False) + "\n", encoding="utf-8")
    (folder / f"{name}.png").write_bytes(viz.png(picture))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("app")
    write(parser.parse_args().app)
