"""Make `.venv` ready for `make`: `python3 scripts/environment.py apps` or `... all,dev` (extras of pyproject.toml).

Nothing happens when it already is. Else: create it, install uv into it from the registry, and let uv install genlab
(editable, with the pins of constraints.txt). `.venv/.genlab` records what was finished, so whatever was interrupted is
found and mended by the next call. Standard library only, and readable by any Python 3, so that an old one gets told so.
"""

import ast
import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VENV = os.path.join(ROOT, ".venv")
PYTHON = os.path.join(VENV, "bin", "python")
RECORD = os.path.join(VENV, ".genlab")
INPUTS = ("pyproject.toml", "constraints.txt", os.path.join("scripts", "environment.py"))
OLDEST = (3, 11)
UNFINISHED = "unfinished"
ROOM = 1 << 30  # bytes; with less than this left, a failed install most likely filled the disk

# pip's option -> uv's variables: an index, proxy or certificate set for pip serves uv too. uv's own settings win.
PIP_TO_UV = {
    "index-url": ["UV_DEFAULT_INDEX"],
    "extra-index-url": ["UV_INDEX"],
    "find-links": ["UV_FIND_LINKS"],
    "no-index": ["UV_NO_INDEX"],
    "trusted-host": ["UV_INSECURE_HOST"],
    "cert": ["SSL_CERT_FILE"],
    "proxy": ["HTTPS_PROXY", "HTTP_PROXY"],
    "timeout": ["UV_HTTP_TIMEOUT"],
}


class Problem(Exception):
    """Something the user can mend; the message says how."""


def main(extras):
    check_python()
    wanted = set(extras.split(","))
    with only_one():
        record = read_record()
        if is_ready(record, wanted):
            return
        if os.path.lexists(VENV) and (record == UNFINISHED or moved(record) or not works()):
            say("the environment in .venv is unfinished or broken: making it anew")
            remove()
            record = None
        if not os.path.isdir(VENV):
            say("creating .venv")
            create()
        wanted.update(record["extras"] if record else ())
        write_record(UNFINISHED)
        try:
            install(sorted(wanted))
        except Problem:
            if not is_full():  # uv fetches everything before it touches the environment, which is as it was
                write_record(record)
            raise
        write_record({"fingerprint": fingerprint(), "extras": sorted(wanted), "at": VENV})
        say("ready")


def check_python():
    if sys.version_info < OLDEST:
        raise Problem(
            f"Python {OLDEST[0]}.{OLDEST[1]} or newer is needed; {sys.executable} is {sys.version.split()[0]}. "
            "If a newer one is installed, name it: make demo PYTHON=python3.12"
        )
    try:
        import ensurepip  # noqa: F401  (Debian ships Python without it)
        import venv  # noqa: F401
    except ImportError as error:
        raise Problem(
            f"this Python cannot make virtual environments ({error}). On Debian or Ubuntu: "
            f"sudo apt install python{sys.version_info[0]}.{sys.version_info[1]}-venv"
        ) from error


@contextlib.contextmanager
def only_one():
    """Two calls of make at once take turns."""
    import fcntl

    folder = os.open(ROOT, os.O_RDONLY)
    try:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            say("another make is setting up .venv: waiting for it")
            fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def fingerprint():
    digest = hashlib.sha256()
    for name in INPUTS:
        with open(os.path.join(ROOT, name), "rb") as file:
            digest.update(file.read())
    return digest.hexdigest()


def read_record():
    """What was installed; UNFINISHED; or None: nothing yet, or by hand."""
    try:
        with open(RECORD) as file:
            return json.load(file)
    except FileNotFoundError:
        return None
    except (OSError, ValueError):
        return UNFINISHED


def write_record(record):
    with open(RECORD + ".new", "w") as file:
        json.dump(record, file)
    os.replace(RECORD + ".new", RECORD)


def is_ready(record, wanted):
    return (
        isinstance(record, dict)
        and not moved(record)
        and record["fingerprint"] == fingerprint()
        and wanted <= set(record["extras"])
        and os.access(PYTHON, os.X_OK)
    )


def moved(record):
    """Scripts in an environment name its folder: a copied or moved checkout needs a new one."""
    return isinstance(record, dict) and record["at"] != VENV


def works():
    """Does .venv hold a Python that is new enough and has pip?"""
    probe = [PYTHON, "-c", f"import sys, pip; sys.exit(sys.version_info < {OLDEST})"]
    try:
        return subprocess.run(probe, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0
    except OSError:
        return False


def remove():
    if os.path.islink(VENV) or not os.path.isdir(VENV):
        raise Problem(f"{VENV} is a link or a file, not an environment of ours: remove it, then run make again")
    shutil.rmtree(VENV)


def create():
    # The base interpreter, since ours may be the very environment that was just removed.
    python = getattr(sys, "_base_executable", None) or sys.executable
    done = subprocess.run([python, "-m", "venv", VENV], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode:
        shutil.rmtree(VENV, ignore_errors=True)
        raise Problem(f"python -m venv failed:\n{done.stdout.decode(errors='replace').strip()}")


def install(extras):
    environment = dict(os.environ, PIP_USER="0", PIP_DISABLE_PIP_VERSION_CHECK="1", UV_PYTHON_DOWNLOADS="never")
    say("installing uv")
    pip = [PYTHON, "-m", "pip"]
    done = subprocess.run(
        [*pip, "install", "--quiet", "--constraint", "constraints.txt", "uv"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    if done.returncode:
        raise Problem(failure(done.stdout.decode(errors="replace")))
    settings = subprocess.run([*pip, "config", "list"], cwd=ROOT, env=environment, stdout=subprocess.PIPE)
    environment.update(uv_settings(settings.stdout.decode(errors="replace"), os.environ))

    package = f".[{','.join(extras)}]"
    say(f"installing genlab{package[1:]}: a few GB the first time, minutes on most networks")
    uv = [PYTHON, "-m", "uv", "pip", "install", "--python", PYTHON, "--constraint", "constraints.txt"]
    if subprocess.run([*uv, "--editable", package], cwd=ROOT, env=environment).returncode:
        raise Problem(failure("the reason is in uv's lines above (a missing network is the usual one)."))


def uv_settings(pip_config, environment):
    """uv's variables for what `pip config list` prints, where the environment does not set them itself.

    >>> uv_settings("global.timeout='60'", {})
    {'UV_HTTP_TIMEOUT': '60'}
    """
    values = {}
    for section in ("global.", "install.", ":env:."):  # later ones win, as in pip
        for line in pip_config.splitlines():
            key, _, value = line.partition("=")
            if key.startswith(section):
                values[key[len(section) :]] = ast.literal_eval(value).split()
    settings = {}
    for option, variables in PIP_TO_UV.items():
        joint = "," if option == "find-links" else " "
        for variable in variables:
            if values.get(option) and not environment.get(variable):
                settings[variable] = joint.join(values[option])
    if "UV_INDEX" in settings:  # pip takes the best version of all indexes, uv the first index that knows the name
        settings["UV_INDEX_STRATEGY"] = environment.get("UV_INDEX_STRATEGY", "unsafe-best-match")
    return settings


def failure(output):
    """What to say about a failed install: no network, a full disk, or the installer's own last words."""
    advice = "Then run make again: what was downloaded is kept."
    if is_full():
        return f"the disk is full (genlab and its libraries take about 7 GB on Linux). Make room. {advice}"
    signs = ("name resolution", "NewConnection", "unreachable", "not known", "ProxyError", "timed out", "SSLError")
    if any(sign in output for sign in signs):
        return (
            "the package registry cannot be reached. Check the network connection, and behind a proxy the variable "
            f"HTTPS_PROXY. {advice}"
        )
    return f"the installation failed: {output.strip()} {advice}"


def is_full():
    return shutil.disk_usage(ROOT).free < ROOM


def say(text):
    sys.stderr.write(f"genlab: {text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    try:
        main(sys.argv[1] if len(sys.argv) > 1 else "all,dev")
    except Problem as problem:
        say(str(problem))
        sys.exit(1)
    except KeyboardInterrupt:
        say("interrupted; run make again to go on")
        sys.exit(130)
