"""Push and pull for real: the `huggingface_hub` client, in processes of its own, against the Hub of hub_server.py."""

import json
import os
import pickle
import subprocess
import sys
import time
from math import inf
from pathlib import Path

import pytest
import tiny
from hub_server import HubServer

from genlab.names import CARD, CONFIG, WEIGHTS

ALICE, BOB = {"HF_TOKEN": "hf_alice"}, {"HF_TOKEN": "hf_bob"}

# Reads jobs, runs each in a fork and prints what it put into `out`. So torch is imported once (2 s), and all that the
# Hub's client needs; but the client itself, which reads its environment when imported, every job imports afresh.
WORKER = """
import json, os, sys, time, traceback
import pytest, torch, genlab, tiny, huggingface_hub.hf_api, genlab.cards
from genlab import hub
from genlab.names import GenlabError

def make(width=8, scale=1.0, **config):
    torch.manual_seed(int(scale * 1000))
    return tiny.Tiny(tiny.TinyConfig(width=width, scale=scale, **config))

def same(a, b):
    a, b = a.state_dict(), b.state_dict()
    return a.keys() == b.keys() and all(a[k].dtype == b[k].dtype and torch.equal(a[k], b[k]) for k in a)

for name in list(sys.modules):
    if name.startswith(("huggingface_hub", "genlab.cards")):
        del sys.modules[name]
del genlab.cards
tiny.export(pytest.MonkeyPatch())
torch.set_num_threads(1)
for line in sys.stdin:
    job, child = json.loads(line), os.fork()
    if child == 0:
        os.environ.update(job["env"])
        if job["hurry"]:
            sleep = time.sleep
            time.sleep = lambda seconds: sleep(min(seconds, 0.01))
        out, start = {}, time.perf_counter()
        try:
            exec(job["code"], globals())
        except GenlabError as error:
            out |= {"error": type(error).__name__, "message": str(error)}
        except BaseException:
            out["crash"] = traceback.format_exc()
        print(json.dumps(out | {"seconds": time.perf_counter() - start}), flush=True)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    if status:
        print(json.dumps({"crash": f"the process ended with status {status}"}), flush=True)
"""


@pytest.fixture(scope="module")
def worker():
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parent), "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, "-c", WORKER]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env) as process:
        yield process
        process.stdin.close()


@pytest.fixture
def hub():
    with HubServer(tokens={"hf_alice": "alice", "hf_bob": "bob"}) as server:
        yield server


@pytest.fixture
def client(worker, hub, tmp_path):
    """Run code as a user would, by default as a stranger with an empty cache; `home` names a cache to keep.

    The code may use `make` (a small model), `same`, `genlab`, `torch`, and put things into `out`. A GenlabError ends up
    as out["error"], out["message"]; anything else fails the test. `hurry` shortens the waits between retries.
    """
    homes = iter(range(1000))

    def run(code: str, home: str | None = None, hurry: bool = False, **env: str) -> dict:
        folder = tmp_path / (home or f"home-{next(homes)}")
        env = {**hub.env(), "HF_HOME": str(folder), "HF_HUB_OFFLINE": "0", **env}
        worker.stdin.write(json.dumps({"code": code, "env": env, "hurry": hurry}) + "\n")
        worker.stdin.flush()
        out = json.loads(worker.stdout.readline())
        assert "crash" not in out, out["crash"]
        return out

    return run


def fails(out: dict, error: str, *says: str) -> None:
    """The one documented error, with words that help, and long before the client's own 23 s of retries."""
    assert out.get("error") == error, out
    for words in says:
        assert words in out["message"], out["message"]
    assert out["seconds"] < 10, out["seconds"]


def branch(hub: HubServer, name: str = "main", repo: str = "alice/tiny"):
    """The newest commit of a branch, as the server has it."""
    found = hub.repos["model", repo]
    return found.commits[found.branches[name]]


PUSH = "out['url'] = make({}).push_to_hub('alice/tiny')"
PULL = "out['scale'] = genlab.from_pretrained('alice/tiny').config.scale"


# -- it works --------------------------------------------------------------------------------------------------------


def test_push_creates_the_repository_and_pull_brings_every_bit_back(client, hub):
    pushed = client(
        """
        model = make(width=64, depth=3, note="é").to(torch.bfloat16)
        out['url'] = model.push_to_hub('alice/tiny', private=True, commit_message='First light')
        """.replace("\n        ", "\n"),
        **ALICE,
    )
    commit = branch(hub)
    assert pushed["url"] == f"{hub.url}/alice/tiny/commit/{commit.sha}"
    assert hub.repos["model", "alice/tiny"].private
    assert commit.message == "First light" and commit.files.keys() == {".gitattributes", CARD, CONFIG, WEIGHTS}
    assert commit.files[CARD].data.startswith(b"---\n")
    assert commit.files[WEIGHTS].lfs and not commit.files[CONFIG].lfs
    uploads = [request for request in hub.log if request.method == "PUT"]
    assert [request.path for request in uploads] == [f"/lfs/{commit.files[WEIGHTS].etag}"]

    pulled = client(
        """
        model, original = genlab.from_pretrained('alice/tiny'), make(width=64, depth=3, note="é").to(torch.bfloat16)
        out |= dict(same=same(model, original), config=model.config == original.config, dtype=str(model.dtype))
        out |= dict(card=model.card, training=model.training)
        out['own'] = same(tiny.Tiny.from_pretrained('alice/tiny', dtype=torch.float32), original.float())
        """.replace("\n        ", "\n"),
        **ALICE,
    )
    assert pulled["same"] and pulled["config"] and pulled["own"] and pulled["dtype"] == "torch.bfloat16"
    assert pulled["card"] == commit.files[CARD].data.decode() and not pulled["training"]
    assert not any(request.authorized for request in hub.log if request.path.startswith("/lfs/")), "token leaked"


def test_the_commit_message_has_a_default_and_a_model_keeps_its_card(client, hub):
    client(
        "model = make(); model.card = '---\\nlicense: mit\\n---\\n# Mine\\n'; model.push_to_hub('alice/tiny')", **ALICE
    )
    assert branch(hub).message.startswith("Upload with genlab")
    assert branch(hub).files[CARD].data == b"---\nlicense: mit\n---\n# Mine\n"
    assert not hub.repos["model", "alice/tiny"].private


def test_a_branch_is_made_and_main_stays(client, hub):
    client(PUSH.format("scale=1.0"), **ALICE)
    before = branch(hub).sha
    for scale in (2.0, 3.0):
        out = client(f"out['url'] = make(scale={scale}).push_to_hub('alice/tiny', branch='trial/one')", **ALICE)
        assert out["url"].endswith(branch(hub, "trial/one").sha)
    assert branch(hub).sha == before
    assert client(PULL)["scale"] == 1
    assert (
        client("out['scale'] = genlab.from_pretrained('alice/tiny', revision='trial/one').config.scale")["scale"] == 3
    )


def test_a_pinned_revision_stays_when_the_branch_moves_on(client, hub):
    client(PUSH.format("scale=1.0"), **ALICE)
    first = branch(hub).sha
    hub.repos["model", "alice/tiny"].tags["v1"] = first
    client(PULL, home="kept")
    client(PUSH.format("scale=2.0"), **ALICE)
    code = f"""
for name, revision in dict(sha='{first}', tag='v1', branch='main', none=None).items():
    out[name] = genlab.from_pretrained('alice/tiny', revision=revision).config.scale
"""
    for home in ("kept", "fresh"):
        out = client(code, home=home)
        assert [out[name] for name in ("sha", "tag", "branch", "none")] == [1, 1, 2, 2]
    hub.log.clear()
    assert client(f"out['s'] = genlab.from_pretrained('alice/tiny', revision='{first}').config.scale", home="kept")["s"]
    assert not hub.log, "a commit that is cached asks nobody"


def test_pushing_the_same_again_makes_no_commit(client, hub):
    url = client(PUSH.format(""), **ALICE)["url"]
    assert client(PUSH.format(""), **ALICE)["url"] == url
    assert len(hub.repos["model", "alice/tiny"].commits) == 2  # the repository's own first one, and ours


def test_a_token_can_be_given(client, hub):
    client("make().push_to_hub('alice/tiny', token='hf_alice', private=True)")
    assert hub.repos["model", "alice/tiny"].private


# -- the connection breaks -------------------------------------------------------------------------------------------


def test_a_download_cut_once_is_resumed_where_it_broke(client, hub):
    large = "width=2400, depth=2"  # 23 MB: the client writes, and so resumes, in pieces of 10 MB
    client(PUSH.format(large), **ALICE)
    hub.break_next("GET", f"/{WEIGHTS}")
    assert client(f"out['same'] = same(genlab.from_pretrained('alice/tiny'), make({large}))", hurry=True)["same"]
    asked = [r.range for r in hub.log if r.method == "GET" and r.path.startswith("/lfs/")]
    assert asked == [None, "bytes=10485760-"]


def test_a_download_cut_for_good_is_an_error_and_nothing_half_loads(client, hub):
    client(PUSH.format("width=300"), **ALICE)
    hub.break_next("GET", f"/{WEIGHTS}", at=0.5)
    hub.break_next("GET", f"/{WEIGHTS}", at=0.0, times=inf)
    fails(client(PULL, home="kept", hurry=True), "LoadError", "the connection to", "try again")
    fails(client(PULL, home="kept", HF_HUB_OFFLINE="1"), "LoadError", "HF_HUB_OFFLINE")
    hub.heal()
    assert client("out['same'] = same(genlab.from_pretrained('alice/tiny'), make(width=300))", home="kept")["same"]


def test_a_config_cut_half_way_is_an_error_and_a_retry_mends_it(client, hub):
    client(PUSH.format(""), **ALICE)
    hub.break_next("GET", f"/{CONFIG}", at=0.5)
    hub.break_next("GET", f"/{CONFIG}", at=0.0, times=inf)
    fails(client(PULL, home="kept", hurry=True), "LoadError", "the connection to")
    hub.heal()
    assert client(PULL, home="kept")["scale"] == 1


@pytest.mark.parametrize("part", ["/lfs/", "/commit/", "/preupload/"])
def test_an_upload_cut_half_way_publishes_nothing_and_a_retry_succeeds(client, hub, part):
    hub.break_next("PUT" if part == "/lfs/" else "POST", part, times=inf)
    fails(client(PUSH.format("width=300"), hurry=True, **ALICE), "HubError", "the connection to", "try again")
    assert branch(hub).files.keys() == {".gitattributes"}
    fails(client(PULL), "LoadError", "holds no config.json")
    hub.heal()
    hub.log.clear()
    client(PUSH.format("width=300"), **ALICE)
    assert client("out['same'] = same(genlab.from_pretrained('alice/tiny'), make(width=300))")["same"]
    sent = [request for request in hub.log if request.method == "PUT"]
    assert len(sent) == (0 if part == "/commit/" else 1)  # what had arrived is not sent again


def test_an_upload_cut_half_way_leaves_the_version_before(client, hub):
    client(PUSH.format("scale=1.0"), **ALICE)
    hub.break_next("POST", "/commit/")
    fails(client(PUSH.format("scale=2.0"), **ALICE), "HubError")
    assert client(PULL)["scale"] == 1


# -- offline ---------------------------------------------------------------------------------------------------------


def test_offline_the_cache_serves_and_nobody_is_asked(client, hub):
    client(PUSH.format(""), **ALICE)
    first = branch(hub).sha
    client(PULL, home="kept")
    hub.log.clear()
    code = f"""
for revision in (None, 'main', '{first}'):
    out['same'] = same(genlab.from_pretrained('alice/tiny', revision=revision), make())
"""
    assert client(code, home="kept", HF_HUB_OFFLINE="1")["same"]
    fails(client(PULL, HF_HUB_OFFLINE="1"), "LoadError", "HF_HUB_OFFLINE is set", "Unset it")
    other = "genlab.from_pretrained('alice/tiny', revision='trial')"
    fails(client(other, home="kept", HF_HUB_OFFLINE="1"), "LoadError", "HF_HUB_OFFLINE is set")
    fails(client(PUSH.format(""), HF_HUB_OFFLINE="1", **ALICE), "HubError", "HF_HUB_OFFLINE is set")
    assert not hub.log


def test_a_dead_server_is_told_at_once_and_the_cache_steps_in(client, hub):
    client(PUSH.format(""), **ALICE)
    client(PULL, home="kept")
    hub.stop()
    fails(client(PULL), "LoadError", f"the connection to {hub.url} failed", "Check the network")
    fails(client(PUSH.format("scale=2.0"), **ALICE), "HubError", f"the connection to {hub.url} failed")
    assert client(PULL, home="kept")["scale"] == 1


def test_a_silent_server_is_not_waited_for_for_ever(client, hub):
    client(PUSH.format(""), **ALICE)
    client(PULL, home="kept")
    for method in ("HEAD", "GET", "POST"):
        hub.break_next(method, "", times=inf, silent=True)
    impatient = "hub.TIMEOUT = 0.5; "
    fails(client(impatient + PULL), "LoadError", "Timeout", "Check the network")
    fails(client(impatient + PUSH.format("scale=2.0"), **ALICE), "HubError", "Timeout")
    assert client(impatient + PULL, home="kept")["scale"] == 1


def test_a_server_out_of_order_is_named(client, hub):
    client(PUSH.format(""), **ALICE)
    client(PULL, home="kept")
    for method in ("HEAD", "GET", "POST"):
        hub.break_next(method, "", times=inf, status=503)
    fails(client(PULL, hurry=True), "LoadError", "answered 503", "Try again later")
    fails(client(PUSH.format(""), hurry=True, **ALICE), "HubError", "answered 503")
    assert client(PULL, home="kept", hurry=True)["scale"] == 1


# -- what a user may not, or mistypes --------------------------------------------------------------------------------


def test_no_such_repository_and_private_ones_look_alike_to_strangers(client, hub):
    hub.create("alice/tiny", private=True)
    for env in ({}, BOB):
        for name in ("alice/tiny", "alice/nothing"):
            out = client(f"genlab.from_pretrained({name!r})", **env)
            fails(out, "LoadError", name, "no such repository, or it is private", "hf auth login", "HF_TOKEN")


def test_a_wrong_token_is_told(client, hub):
    hub.create("alice/tiny")
    fails(client(PULL, HF_TOKEN="hf_old"), "LoadError", "refused (401)", "the token is wrong", "hf auth login")
    fails(client(PUSH.format(""), HF_TOKEN="hf_old"), "HubError", "refused (401)", "the token is wrong")


@pytest.mark.parametrize("revision", ["nope", "0" * 40, "refs/pr/1"])
def test_no_such_revision(client, hub, revision):
    hub.create("alice/tiny")
    hub.commit("alice/tiny", {CONFIG: b"{}"})
    out = client(f"genlab.from_pretrained('alice/tiny', revision={revision!r})")
    fails(out, "LoadError", f"no revision {revision!r}", "/alice/tiny/commits/main")


@pytest.mark.parametrize("revision", ["", "../../x", "/etc/passwd", "a b", "a\nb", "a/../b", "-x"])
def test_what_can_be_no_revision_asks_nobody(client, hub, revision):
    hub.create("alice/tiny")
    fails(client(f"genlab.from_pretrained('alice/tiny', revision={revision!r})"), "LoadError", "is no revision")
    assert not hub.log


def test_a_gated_repository_says_where_its_terms_are(client, hub):
    client(PUSH.format(""), **ALICE)
    hub.repos["model", "alice/tiny"].gated = True
    for env in ({}, BOB):
        fails(client(PULL, **env), "LoadError", "it is gated", f"Accept its terms at {hub.url}/alice/tiny", "HF_TOKEN")
    hub.repos["model", "alice/tiny"].readers.add("bob")
    assert client(PULL, **BOB)["scale"] == 1


def test_pushing_needs_a_login_and_asks_nobody_without(client, hub):
    fails(client(PUSH.format("")), "HubError", "you are not logged in", "hf auth login", "HF_TOKEN")
    assert not hub.log


def test_pushing_to_somebody_else_is_refused(client, hub):
    fails(client(PUSH.format(""), **BOB), "HubError", "refused (403)", "may not do this")
    hub.create("alice/tiny")
    fails(client(PUSH.format(""), **BOB), "HubError", "refused (403)")
    assert len(hub.repos["model", "alice/tiny"].commits) == 1


def test_what_was_meant_to_be_private_is_not_pushed_to_a_public_repository(client, hub):
    hub.create("alice/tiny")
    out = client("make().push_to_hub('alice/tiny', private=True)", **ALICE)
    fails(out, "HubError", "is public", "take another name")
    assert branch(hub).files.keys() == {".gitattributes"}


@pytest.mark.parametrize("name", ["alice/-tiny-", "alice/tiny.git", "a--b/tiny", "alice/" + "x" * 100, "a/b/c", "../x"])
def test_what_can_be_no_hub_id_is_told(client, hub, name):
    fails(client(f"genlab.from_pretrained({name!r})"), "LoadError")
    fails(client(f"make().push_to_hub({name!r})", **ALICE), "HubError", "not a valid Hub id")
    assert not hub.log


# -- what a repository may hold --------------------------------------------------------------------------------------


def test_repositories_of_other_kinds_are_refused_and_nothing_of_theirs_runs(client, hub, tmp_path):
    model = tiny.Tiny(tiny.TinyConfig(width=8)).save_pretrained(tmp_path / "model")
    config, weights = (model / CONFIG).read_bytes(), (model / WEIGHTS).read_bytes()
    bomb = pickle.dumps(tiny.TinyConfig(width=3))
    for name, files, says in [
        ("other", {"config.json": b'{"architectures": ["Bert"]}', WEIGHTS: weights}, "is not a genlab config"),
        ("empty", {"data.txt": b"hello"}, "holds no config.json"),
        ("pickle", {CONFIG: config, "pytorch_model.bin": bomb}, "holds no model.safetensors"),
        ("disguised", {CONFIG: config, WEIGHTS: bomb}, "it is a pickle under another name"),
        ("cut", {CONFIG: config, WEIGHTS: weights[:-1]}, "is no safetensors file"),
        ("grown", {CONFIG: config.replace(b'"width": 8', b'"width": 9'), WEIGHTS: weights}, "does not fit its config"),
        ("code", {CONFIG: config.replace(b'"Tiny"', b'"os.system"'), WEIGHTS: weights}, "names the model 'os.system'"),
    ]:
        hub.create(f"bob/{name}")
        hub.commit(f"bob/{name}", files)
        fails(client(f"genlab.from_pretrained('bob/{name}')", home="kept"), "LoadError", says)
    hub.create("bob/good")
    hub.commit("bob/good", {CONFIG: config, WEIGHTS: weights})
    assert client("out['width'] = genlab.from_pretrained('bob/good').config.width", home="kept")["width"] == 8


def test_the_server_itself_refuses_what_the_hub_would(hub):
    """The double must not be more lenient than the real thing: a wrong hash, an unknown object, a stale parent."""
    from urllib.error import HTTPError
    from urllib.request import Request, urlopen

    hub.create("alice/tiny")

    def send(method: str, path: str, *lines: dict | bytes) -> int:
        body = b"\n".join(line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines)
        request = Request(hub.url + path, body, {"Authorization": "Bearer hf_alice"}, method=method)
        try:
            with urlopen(request, timeout=5) as answer:
                return answer.status
        except HTTPError as error:
            return error.code

    commit = "/api/models/alice/tiny/commit/main"
    header = {"key": "header", "value": {"summary": "x"}}
    assert send("PUT", f"/lfs/{'0' * 64}", b"data") == 400
    assert send("POST", commit, header, {"key": "lfsFile", "value": {"path": WEIGHTS, "oid": "0" * 64}}) == 400
    assert send("POST", commit, {"key": "header", "value": {"summary": "x", "parentCommit": "0" * 40}}) == 412
    assert send("POST", commit.replace("main", "other"), header) == 404
    assert send("GET", "/api/nothing") == 404
    assert branch(hub).message == "initial commit"
    start = time.perf_counter()
    assert send("POST", commit, header, {"key": "file", "value": {"path": "a.txt", "content": "aGk="}}) == 200
    assert branch(hub).files["a.txt"].data == b"hi" and time.perf_counter() - start < 1
