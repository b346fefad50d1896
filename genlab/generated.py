"""Files that a command writes from other sources: put them on disk, or show where they drifted."""

import os
from difflib import unified_diff
from pathlib import Path

from genlab.names import GenlabError


def settle(files: dict[Path, str], *, check: bool, command: str) -> list[Path]:
    """Write every text that differs from its file, each file whole or not at all, and return the paths written.

    With `check` nothing is written: a difference raises GenlabError, which lists the files, shows a unified diff and
    names the `command` that mends it.
    """
    changed = {path: text for path, text in files.items() if _read(path) != text}
    if check and changed:
        names = "".join(f"\n  {path}" for path in changed)
        diffs = "".join(_diff(path, text) for path, text in changed.items())
        raise GenlabError(f"not what its sources say (run `{command}`):{names}\n\n{diffs}")
    for path, text in changed.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(f".{path.name}.{os.getpid()}")
        fresh.write_text(text, encoding="utf-8", newline="\n")
        os.replace(fresh, path)
    return list(changed)


def _read(path: Path) -> str | None:
    """The file's text with its own line ends, or None where there is no file."""
    return path.read_bytes().decode("utf-8", errors="replace") if path.is_file() else None


def _diff(path: Path, text: str) -> str:
    old, new = (_read(path) or "").splitlines(), text.splitlines()
    lines = unified_diff(old, new, f"{path} (on disk)", f"{path} (from its sources)", lineterm="")
    return "\n".join(lines) + "\n"
