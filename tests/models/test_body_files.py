"""Files of body models: what the published ones hold comes out exactly, and hostile ones can do nothing at all."""

import contextlib
import io
import os
import pickle
import random
import resource
import signal
import struct
import subprocess
import sys
import time
import tracemalloc
import types
import warnings
import zipfile
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from wounds import mutate

from genlab.models.body import files
from genlab.names import GenlabError, LoadError

SIZES = {"SMPL": (24, 10), "MANO": (16, 10), "SMPL-H": (52, 16)}  # joints and betas
ARRAYS = ["v_template", "shapedirs", "posedirs", "J_regressor", "weights", "parents", "faces"]


def body(J: int = 24, B: int = 10, V: int = 50) -> dict[str, np.ndarray]:
    """A body of random numbers, as `read` is to give it."""
    rng = np.random.default_rng(0)
    regressor = np.where(rng.random((J, V)) < 0.1, rng.random((J, V)), 0)
    regressor[:, 0] += 1e-3  # or a row might be empty
    regressor /= regressor.sum(axis=1, keepdims=True)
    return {
        "v_template": rng.normal(size=(V, 3)),
        "shapedirs": rng.normal(size=(V, 3, B)),
        "posedirs": rng.normal(size=(V, 3, (J - 1) * 9)),
        "J_regressor": regressor,
        "weights": rng.dirichlet(np.full(J, 0.1), size=V),
        "parents": np.array([-1, *(rng.integers(k) for k in range(1, J))]),
        "faces": rng.integers(V, size=(2 * V - 4, 3)),
    }


def same(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> bool:
    """Equal in every bit, in a dtype and memory of their own."""
    assert list(found) == ARRAYS
    return all(
        np.array_equal(found[key], expected[key])
        and found[key].dtype == (expected[key].dtype if expected[key].dtype.kind == "f" else np.int64)
        and found[key].flags.writeable
        and found[key].flags.c_contiguous
        for key in ARRAYS
    )


def is_body(found: dict[str, np.ndarray]) -> bool:
    """What a caller may rely on, whatever the file held."""
    assert list(found) == ARRAYS
    v_template, shapedirs, posedirs, J_regressor, weights, parents, faces = found.values()
    V, J = weights.shape
    shapes = (v_template.shape, posedirs.shape, J_regressor.shape, parents.shape, shapedirs.shape[:2])
    assert shapes == ((V, 3), (V, 3, 9 * (J - 1)), (J, V), (J,), (V, 3))
    assert all(np.isfinite(array.astype(np.float32)).all() for array in list(found.values())[:5])
    assert all(abs(lengths).max(initial=0) <= 100 for lengths in (v_template, shapedirs, posedirs))
    assert abs(J_regressor.sum(1, dtype=np.float64) - 1).max() < 0.11
    assert (weights >= 0).all() and abs(weights.sum(1) - 1).max() < 2e-6
    assert parents[0] == -1 and all(0 <= parent < joint for joint, parent in enumerate(parents) if joint)
    return faces.shape[1:] == (3,) and faces.min() >= 0 and faces.max() < V


SMALL = body(J=2, B=1, V=3)


# -- files as they are published -------------------------------------------------------------------------------------


class Fake:
    """Stands in for a class of chumpy or scipy that need not be installed: attributes are all that a pickle keeps."""

    def __init__(self, **attributes):
        self.__dict__.update(attributes)


def fake(module: str, name: str) -> type:
    return type(name, (Fake,), {"__module__": module})


Ch, Select = fake("chumpy.ch", "Ch"), fake("chumpy.reordering", "Select")
MatVecMult = fake("chumpy.ch", "MatVecMult")
OldSparse, NewSparse = fake("scipy.sparse.csc", "csc_matrix"), fake("scipy.sparse._csc", "csc_matrix")


def importable(*classes: type):
    """A context: while a file is pickled, its classes are where their names say; never while one is read."""
    modules = {}
    for kind in classes:
        parts = kind.__module__.split(".")
        for name in (".".join(parts[:i]) for i in range(1, len(parts) + 1)):
            modules.setdefault(name, types.ModuleType(name))
        setattr(modules[kind.__module__], kind.__name__, kind)
    return mock.patch.dict(sys.modules, modules)


def ch(array: np.ndarray):
    """An array of chumpy's, with what else its pickles carry along."""
    deps = {"r": {"deps": {"x"}, "value": None, "out_of_date": True}}
    return Ch(x=array, _dirty_vars={"x"}, _itr=None, _depends_on_deps=deps, _make_dense=False, dr_lookup={(3, None): 1})


def select(array: np.ndarray):
    """chumpy's slice [..., :B] of a longer array: all numbers, and which of them, flat."""
    longer = np.concatenate([array, array + 1], axis=-1)
    places = np.arange(longer.size).reshape(longer.shape)[..., : array.shape[-1]]
    return Select(a=ch(longer), idxs=places.ravel(), preferred_shape=array.shape, _itr=None)


def csc(kind: type, dense: np.ndarray):
    columns = [np.flatnonzero(column) for column in dense.T]
    return kind(
        _shape=dense.shape,
        maxprint=50,
        indices=np.concatenate(columns).astype(np.int32),
        indptr=np.cumsum([0, *map(len, columns)]).astype(np.int32),
        data=dense.T[dense.T != 0],
    )


def published(of: dict[str, np.ndarray], sparse: type | None = NewSparse, wrap=ch, **changed) -> dict:
    """The dict in an official file: the seven entries that count, among others that do not."""
    J, V = of["J_regressor"].shape
    regressor = csc(sparse, of["J_regressor"]) if sparse else of["J_regressor"]
    parents = np.where(of["parents"] < 0, 2**32 - 1, of["parents"])
    return {
        "J_regressor_prior": regressor,
        "f": of["faces"].astype(np.uint32),
        "J_regressor": regressor,
        "kintree_table": np.stack([parents, np.arange(J)]).astype(np.uint32),
        "J": MatVecMult(mtx=regressor, vec=wrap(of["v_template"])) if sparse else np.zeros((J, 3)),
        "hands_mean": np.zeros(45),
        "vert_sym_idxs": np.arange(V),
        "posedirs": np.asfortranarray(of["posedirs"]),
        "bs_style": "lbs",
        "v_template": wrap(of["v_template"]),
        "weights": of["weights"],
        "shapedirs": wrap(of["shapedirs"]),
        "bs_type": "lrotmin",
        "names": {"pelvis": 0, "hand": [1, 300, 2.5, -3, 2**40, True, None, (1, 2), ()]},
    } | changed


def few(entries: dict) -> dict:
    """Only what counts, so that a mutation, too, counts."""
    return {key: entries[key] for key in files.KEYS}


def pickled(value, protocol: int) -> bytes:
    with importable(Ch, Select, MatVecMult, OldSparse, NewSparse):
        return pickle.dumps(value, protocol)


class Python2:
    """Pickles as Python 2 did: text is bytes, modules have their old names, old numpy's arrays keep theirs as text."""

    def __init__(self, protocol: int, shares: bool = True):
        self.protocol, self.shares, self.memo = protocol, shares, {}

    def dumps(self, value) -> bytes:
        return (b"\x80\x02" if self.protocol == 2 else b"") + self.save(value) + b"."

    def put(self, made: bytes, key) -> bytes:
        place = self.memo[key] = len(self.memo)
        return made + (b"p%d\n" % place if self.protocol == 0 else b"r" + struct.pack("<I", place))

    def text(self, raw: bytes) -> bytes:
        if raw in self.memo:
            place = self.memo[raw]
            return b"g%d\n" % place if self.protocol == 0 else b"j" + struct.pack("<I", place)
        if self.protocol == 0:
            made = b"S" + repr(raw)[1:].encode() + b"\n"
        else:
            made = b"U%c" % len(raw) + raw if len(raw) < 256 else b"T" + struct.pack("<I", len(raw)) + raw
        return self.put(made, raw) if self.shares else made

    def integer(self, value: int) -> bytes:
        if not -(2**31) <= value < 2**31:
            return b"L%dL\n" % value if self.protocol < 2 else b"\x8a\x08" + struct.pack("<q", value)
        return b"I%d\n" % value if self.protocol == 0 else b"J" + struct.pack("<i", value)

    def tuple(self, *items) -> bytes:
        parts = [item if isinstance(item, Raw) else self.save(item) for item in items]
        if self.protocol < 2 or len(parts) > 3:
            return b"(" + b"".join(parts) + b"t"
        return b"".join(parts) + (b")", b"\x85", b"\x86", b"\x87")[len(parts)]

    def array(self, value: np.ndarray) -> bytes:
        kind = b"cnumpy\ndtype\n" + self.tuple(value.dtype.str[1:], 0, 1) + b"R"
        order = value.dtype.newbyteorder("S").newbyteorder("S").str[0]
        kind += self.tuple(3, order, None, None, None, -1, -1, 0) + b"b"
        fortran = value.flags.f_contiguous and not value.flags.c_contiguous
        made = b"cnumpy.core.multiarray\n_reconstruct\n"
        made += self.tuple(Raw(b"cnumpy\nndarray\n"), (0,), "b") + b"R"
        return made + self.tuple(1, value.shape, Raw(kind), fortran, value.tobytes("A")) + b"b"

    def object(self, value: Fake) -> bytes:
        kind = Raw(f"c{type(value).__module__}\n{type(value).__name__}\n".encode())
        if self.protocol == 2:
            made = kind + b")\x81"
        else:
            made = b"ccopy_reg\n_reconstructor\n" + self.tuple(kind, Raw(b"c__builtin__\nobject\n"), None) + b"R"
        return made + self.save(vars(value)) + b"b"

    def save(self, value) -> bytes:
        match value:
            case Raw():
                return value
            case None:
                return b"N"
            case bool():
                return (b"\x89", b"\x88")[value] if self.protocol == 2 else (b"I00\n", b"I01\n")[value]
            case int():
                return self.integer(value)
            case float():
                return b"F%r\n" % value if self.protocol == 0 else b"G" + struct.pack(">d", value)
            case str() | bytes():
                return self.text(value if isinstance(value, bytes) else value.encode("latin1"))
            case tuple():
                return self.tuple(*value)
            case list() if self.protocol == 0:
                return b"(l" + b"".join(self.save(item) + b"a" for item in value)
            case list():
                return b"](" + b"".join(self.save(item) for item in value) + b"e"
            case set():
                return b"c__builtin__\nset\n" + self.tuple(sorted(value)) + b"R"
            case dict() if self.protocol == 0:
                return b"(d" + b"".join(self.save(key) + self.save(item) + b"s" for key, item in value.items())
            case dict():
                return b"}(" + b"".join(self.save(key) + self.save(item) for key, item in value.items()) + b"u"
            case np.ndarray():
                return self.array(value)
        return self.object(value)


class Raw(bytes):
    """What is pickled already."""

    def __add__(self, other: bytes) -> "Raw":
        return Raw(bytes(self) + other)


@pytest.fixture
def file(tmp_path) -> Path:
    return tmp_path / "body.pkl"


def read(file: Path, data: bytes) -> dict[str, np.ndarray]:
    file.write_bytes(data)
    return files.read(file)


def refused(file: Path, data: bytes, says: str = "") -> str:
    """Assert that reading fails as it should: with LoadError, in one line that holds `says`, and soon."""
    file.write_bytes(data)
    start = time.process_time()
    with pytest.raises(LoadError) as caught:
        files.read(file)
    message = str(caught.value)
    assert says in message, message
    assert len(message) < 700 and message.isprintable() and str(file) in message
    assert time.process_time() - start < 30  # a bomb takes hours: no matter how busy the machine is
    return message


@pytest.mark.parametrize("model", SIZES)
@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("wrap", [ch, select, np.array], ids=["Ch", "Select", "ndarray"])
def test_a_pickle_of_any_protocol_is_read_exactly(file, model, protocol, wrap):
    expected = body(*SIZES[model])
    assert same(read(file, pickled(published(expected, wrap=wrap), protocol)), expected)


@pytest.mark.parametrize("model", SIZES)
@pytest.mark.parametrize("protocol", range(3))
@pytest.mark.parametrize("wrap", [ch, select, np.array], ids=["Ch", "Select", "ndarray"])
def test_a_pickle_of_python_2_is_read_exactly(file, model, protocol, wrap):
    expected = body(*SIZES[model])
    entries = published(expected, sparse=OldSparse, wrap=wrap)
    data = Python2(protocol).dumps(entries)
    with importable(Ch, Select, MatVecMult, OldSparse), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # numpy has moved
        official = pickle.loads(data, encoding="latin1")  # the file is one that others can read
    assert official.keys() == entries.keys() and official["names"] == entries["names"]
    assert np.array_equal(official["weights"], expected["weights"])
    assert same(read(file, data), expected)


@pytest.mark.parametrize("kind", [OldSparse, NewSparse, None], ids=["old scipy", "new scipy", "dense"])
def test_the_regressor_may_be_sparse_or_dense(file, kind):
    expected = body()
    assert same(read(file, pickled(published(expected, sparse=kind), 2)), expected)


@pytest.mark.parametrize("protocol", range(6))
def test_real_sparse_matrices_and_numpys_matrices(file, protocol):
    sparse = pytest.importorskip("scipy.sparse")
    expected = body()
    real = sparse.csc_matrix(expected["J_regressor"])
    for regressor in (real, real.todense(), sparse.csc_matrix(np.asfortranarray(expected["J_regressor"]))):
        entries = published(expected, sparse=None, wrap=np.array, J_regressor=regressor)
        assert same(read(file, pickle.dumps(entries, protocol)), expected)


def test_entries_of_a_sparse_matrix_that_share_a_place_add_up(file):
    expected = body()
    twice = csc(NewSparse, expected["J_regressor"])
    twice.data, twice.indices = np.repeat(twice.data, 2) / 2, np.repeat(twice.indices, 2)
    twice.indptr = 2 * twice.indptr
    twice._shape = tuple(map(np.int64, twice._shape))  # as some versions of scipy left it
    assert same(read(file, pickled(published(expected, J_regressor=twice), 2)), expected)


@pytest.mark.parametrize("dtype", ["<f4", ">f4", "<f8", ">f8", "<f2", "|i1", "<u2", ">i8", "|u1"])
@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_numbers_of_any_kind_and_byte_order_keep_their_values(file, dtype, protocol):
    expected = body()
    expected["v_template"] = np.arange(150).reshape(50, 3) % 100
    entries = published(expected, wrap=np.array, v_template=expected["v_template"].astype(dtype))
    expected["v_template"] = expected["v_template"].astype(np.float32 if dtype[1:] == "f4" else np.float64)
    assert same(read(file, pickled(entries, protocol)), expected)


@pytest.mark.parametrize("protocol", range(6))
def test_arrays_in_any_order_of_axes_keep_their_places(file, protocol):
    expected = body()
    for order in [(0, 1, 2), (2, 1, 0), (1, 0, 2), (1, 2, 0), (2, 0, 1)]:
        stored = np.ascontiguousarray(expected["posedirs"].transpose(order)).transpose(np.argsort(order))
        assert same(read(file, pickled(published(expected, posedirs=stored), protocol)), expected)


@pytest.mark.parametrize("root", [2**32 - 1, -1, 2**64 - 1, 0])
def test_the_root_is_whatever_stands_for_no_parent(file, root):
    expected = body()
    parents = [root, *expected["parents"][1:].tolist()]
    table = np.array([parents, range(24)], dtype=np.uint64 if root > 2**32 else np.int64)
    entries = published(expected, kintree_table=table)
    if root == 0:
        refused(file, pickled(entries, 2), "no tree")
    else:
        assert same(read(file, pickled(entries, 2)), expected)


def test_an_ordered_dict_and_a_single_joint_will_do(file):
    from collections import OrderedDict

    expected = body(J=1, B=1, V=3)
    for protocol in range(6):
        entries = OrderedDict(published(expected, sparse=None, wrap=np.array))
        if protocol >= 2:
            assert same(read(file, pickle.dumps(entries, protocol)), expected)
        assert same(read(file, pickle.dumps(dict(entries), protocol)), expected)


def test_neither_suffix_nor_what_follows_matters_and_home_is_found(tmp_path, monkeypatch):
    expected = body()
    data = pickled(published(expected), 4) + b"more"
    assert same(read(tmp_path / "body.npz", data), expected)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert same(files.read("~/body.npz"), expected)


def test_each_step_is_one_that_some_file_takes(file, monkeypatch):
    taken = set()
    steps = {code: lambda p, code=code, step=step: (taken.add(code), step(p)) for code, step in files.STEPS.items()}
    monkeypatch.setattr(files, "STEPS", steps)
    for protocol in range(6):
        assert same(read(file, pickled(published(SMALL), protocol)), SMALL)
    for protocol in range(3):
        assert same(read(file, Python2(protocol).dumps(published(SMALL, sparse=OldSparse))), SMALL)
    assert {bytes([code]) for code in steps} == {bytes([code]) for code in taken}


def harmless(rng: random.Random, depth: int = 0):
    """A random value of those that any pickle may hold."""
    few = range(rng.randrange(4 if depth < 4 else 1))
    words = ["", "a", "é\n\\", "\u2603\U0001f600", "x" * 300, "'\""]
    match rng.randrange(12):
        case 0:
            return tuple(harmless(rng, depth + 1) for _ in few)
        case 1:
            return [harmless(rng, depth + 1) for _ in few]
        case 2:
            return {rng.choice(words): harmless(rng, depth + 1) for _ in few}
        case 3:
            return rng.choice(words)
        case 4:
            return rng.choice([0, 1, 255, 256, 65536, -1, -129, 2**31, 2**40, -(2**63), 10**30])
        case 5:
            return rng.choice([0.0, -1.5, 1e300, float("inf"), 5e-324])
        case 6:
            return rng.choice([True, False, None])
    return [rng.choice(words), rng.randrange(1000)]


def test_the_machine_agrees_with_pythons_own_on_harmless_values():
    rng = random.Random(0)
    for turn in range(300):
        shared = harmless(rng)
        value = [shared, harmless(rng), shared]
        data = pickle.dumps(value, turn % 6)
        assert files._Pickle(data).run() == pickle.loads(data) == value
    for raw in (b"", b"ab\xff\0\n", b"x" * 300):
        assert bytes(files._Pickle(pickle.dumps(bytearray(raw), 5)).run()) == raw
        assert bytes(files._Pickle(pickle.dumps(raw, 4)).run()) == raw
        assert bytes(files._raw(files._Pickle(pickle.dumps(raw, 0)).run())) == raw
        assert bytes(files._Pickle(Python2(0).dumps(raw)).run()) == raw


# -- .npz ------------------------------------------------------------------------------------------------------------


def zipped(entries: dict, save=np.savez) -> bytes:
    out = io.BytesIO()
    save(out, **entries)
    return out.getvalue()


@pytest.mark.parametrize("model", SIZES)
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_an_npz_is_read_exactly(file, model, save):
    expected = body(*SIZES[model])
    entries = published(expected, sparse=None, wrap=np.array)
    assert same(read(file, zipped(entries, save)), expected)  # among others that numpy would have to unpickle
    single = {key: value.astype(np.float32) if value.dtype == np.float64 else value for key, value in expected.items()}
    entries = published(single, sparse=None, wrap=np.array)
    found = read(file, zipped(entries, save))
    assert found["posedirs"].dtype == np.float32 and is_body(found)
    assert np.array_equal(found["posedirs"], single["posedirs"])


class Bomb:
    """Makes a file when unpickled."""

    def __init__(self, sentinel: Path, call=Path.touch):
        self.sentinel, self.call = sentinel, call

    def __reduce__(self):
        return (self.call, (self.sentinel,))


def test_objects_in_an_npz_are_refused_and_not_unpickled(file):
    sentinel = file.with_name("boom")
    bomb = np.array([Bomb(sentinel)], dtype=object)
    for key in files.KEYS:
        entries = published(body(), sparse=None, wrap=np.array) | {key: bomb}
        refused(file, zipped(entries), f"its {key} is an array of object, not of plain numbers")
    assert same(read(file, zipped(published(body(), sparse=None, wrap=np.array, J=bomb))), body())  # nobody asks for J
    assert not sentinel.exists()
    np.load(file, allow_pickle=True)["J"]
    assert sentinel.exists()


def member(header: str, raw: bytes = b"", version: bytes = b"\1\0") -> bytes:
    return b"\x93NUMPY" + version + struct.pack("<H", len(header)) + header.encode() + raw


def archive(members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as opened:
        for name, data in members.items():
            opened.writestr(name, data)
    return out.getvalue()


def header(descr: str = "'<f8'", shape: str = "(50, 3)", fortran: str = "False") -> str:
    return f"{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}, }}\n"


@pytest.mark.parametrize(
    ("content", "says"),
    {
        "no member": (b"", ""),
        "no header": (b"\x93NUMPY\1\0", ""),
        "huge": (member(header(shape="(1000000000, 3)"), b"\0" * 24), "which are no"),
        "huge and empty": (member(header(shape=f"(0, {2**62})")), ""),
        "overflowing": (member(header(shape=f"({2**61}, 8, 3)"), b"\0" * 24), "which are no"),
        "negative": (member(header(shape="(-50, -3)"), b"\0" * 1200), "which are no"),
        "too short": (member(header(), b"\0" * 1199), "which are no"),
        "too long": (member(header(), b"\0" * 1201), "which are no"),
        "objects": (member(header(descr="'|O'"), b"\0" * 1200), "not of plain numbers"),
        "records": (member(header(descr="[('a', '<f8')]"), b"\0" * 1200), "not of plain numbers"),
        "text": (member(header(descr="'<U2'"), b"\0" * 1200), "not of plain numbers"),
        "complex": (member(header(descr="'<c16'"), b"\0" * 2400), "not of plain numbers"),
        "void of 2 GB": (member(header(descr="'|V2000000000'", shape="()")), "not of plain numbers"),
        "dates": (member(header(descr="'<M8[s]'"), b"\0" * 1200), "not of plain numbers"),
        "code": (member("__import__('os').abort()\n"), ""),
        "deep": (member("(" * 900 + ")" * 900), ""),
        "negations": (member("-" * 60_000 + "1"), "header"),
        "another version": (member(header(), b"\0" * 1200, b"\2\0"), "another version"),
        "no version": (member(header(), b"\0" * 1200, b"\7\7"), ""),
        "pickle": (pickle.dumps([1, 2]), ""),
    }.values(),
)
def test_a_broken_array_in_an_npz_is_refused(file, content, says):
    members = {f"{key}.npy": zipfile.ZipFile(io.BytesIO(NPZ)).read(f"{key}.npy") for key in files.KEYS}
    assert same(read(file, archive(members)), body())
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        refused(file, archive(members | {"v_template.npy": content}, method), says)


NPZ = zipped(published(body(), sparse=None, wrap=np.array))


def test_an_archive_of_something_else_is_refused(file):
    refused(file, archive({"SMPL/models/model.pkl": b"..."}), "unpack it")
    refused(file, archive({}), "as neither")
    refused(file, zipped({"v_template": np.zeros((3, 3))}), "it holds no shapedirs, posedirs, J_regressor")
    for method in (zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):  # whose memory a file may choose
        refused(file, archive({"v_template.npy": b"x"}, method), "compressed in a way that numpy does not use")


def test_zip_bombs_are_defused_by_the_table_of_contents(file):
    """A gigabyte of zeros has a megabyte; and a directory may say anything of what it lists."""

    def bomb(start: bytes, claims: int) -> bytes:
        raw = start + bytes(12_000_000)
        packed = archive(entries | {"v_template.npy": raw}, zipfile.ZIP_DEFLATED)
        return packed.replace(struct.pack("<I", len(raw)), struct.pack("<I", claims))

    entries = {f"{key}.npy": zipfile.ZipFile(io.BytesIO(NPZ)).read(f"{key}.npy") for key in files.KEYS}
    long, short = member(header(shape="(500000, 3)")), member(header())
    for data, says in (
        (bomb(long, len(long) + 12_000_000), "not (1..200000, 3)"),
        (bomb(long, 2**32 - 2), "unpack to more than"),
        (bomb(long, len(long) + 1200), "CRC"),  # less than its header says, and than there is
        (bomb(short, len(short) + 1200), "CRC"),  # less than there is
        (bomb(short, len(short) + 12_000_000), "which are no"),
        (archive({f"{i:030}": b"" for i in range(15_000)}), "a table of contents of"),
    ):
        refused(file, data, says)
        assert peak(file) < (30_000_000 if says.startswith("not") else 2_000_000 + len(data))


def test_an_npz_cut_anywhere_is_refused(file):
    data = zipped(few(published(SMALL, sparse=None, wrap=np.array)))
    assert same(read(file, data), SMALL)
    for size in range(0, len(data), 10):
        refused(file, data[:size])


# -- what is no body -------------------------------------------------------------------------------------------------


def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for path in (
        tmp_path,
        tmp_path / "none.pkl",
        tmp_path / "pipe",
        tmp_path / "loop",
        "/dev/zero",
        "",
        "a\0b",
        "x" * 999,
    ):
        with pytest.raises(LoadError):
            files.read(path)


def test_a_file_too_large_is_refused_unread(file, monkeypatch):
    with open(file, "wb") as opened:
        opened.truncate(files.MAX_BYTES + 1)  # takes no room on the disk
    monkeypatch.setattr("builtins.open", lambda *_, **__: pytest.fail("opened it"))
    with pytest.raises(LoadError, match="no body model more than 1073741824"):
        files.read(file)


@pytest.mark.parametrize(
    "data",
    [b"", b".", b"<!DOCTYPE html><title>Log in</title>", b"version https://git-lfs.github.com/spec/v1\n", b"\0" * 100]
    + [
        pickle.dumps(value, protocol)
        for value in (None, 3, "text", [1], b"x", (), {1: 2}, {})
        for protocol in (0, 2, 4)
    ],
    ids=lambda data: repr(data[:20]),
)
def test_what_is_no_model_at_all_is_refused(file, data):
    refused(file, data)


def test_a_refusal_does_not_print_what_is_in_the_file(file):
    assert "secret" not in refused(file, b"\xffsecret", says="begins as neither an .npz nor a .pkl")


def of(**changed) -> dict:
    return published(body(), wrap=np.array, **changed)


def with_(key: str, place, value) -> np.ndarray:
    """One entry of a good body, one number of it changed."""
    array = np.array(of(J_regressor=body()["J_regressor"])[key])
    array[place] = value
    return array


WRONG = {
    "no template": ({"v_template": None}, "its v_template is no array"),
    "a template of text": ({"v_template": "text"}, "its v_template is no array"),
    "no vertices": ({"v_template": np.zeros((0, 3))}, "its v_template is (0, 3), not (1..200000, 3)"),
    "too many vertices": ({"v_template": np.zeros((200_001, 3), np.int8)}, "not (1..200000, 3)"),
    "flat vertices": ({"v_template": np.zeros((50, 2))}, "its v_template is (50, 2)"),
    "other vertices": ({"v_template": np.zeros((49, 3))}, "its shapedirs is (50, 3, 10), not (49, 3, 1..500)"),
    "NaN": ({"v_template": with_("v_template", (3, 1), np.nan)}, "its v_template holds numbers that are not finite"),
    "infinity": ({"shapedirs": with_("shapedirs", (3, 1, 2), -np.inf)}, "its shapedirs holds numbers that are not"),
    "too large": ({"posedirs": with_("posedirs", (3, 1, 2), 1e39)}, "or not in float32"),
    "light years": (
        {"v_template": with_("v_template", (3, 1), -3e38)},
        "its v_template goes up to 3e+38, which in metres",
    ),
    "a person of miles": ({"shapedirs": with_("shapedirs", (3, 1, 2), 1609)}, "its shapedirs goes up to 1.61e+03"),
    "a bend of miles": ({"posedirs": with_("posedirs", (3, 1, 2), -1609)}, "its posedirs goes up to 1.61e+03"),
    "complex": ({"v_template": np.zeros((50, 3), complex)}, "not of plain numbers"),
    "truth": ({"v_template": np.zeros((50, 3), bool)}, "not of real numbers"),
    "objects": ({"v_template": np.full((50, 3), None)}, "not of plain numbers"),
    "words": ({"weights": np.full((50, 24), "w")}, "not of plain numbers"),
    "records": ({"weights": np.zeros((50, 24), "f8,f8")}, "not of plain numbers"),
    "long doubles": ({"weights": np.zeros((50, 24), np.longdouble)}, "not of plain numbers"),
    "no betas": ({"shapedirs": np.zeros((50, 3, 0))}, "not (50, 3, 1..500)"),
    "too many betas": ({"shapedirs": np.zeros((50, 3, 501))}, "not (50, 3, 1..500)"),
    "other joints' pose": ({"posedirs": np.zeros((50, 3, 135))}, "its posedirs is (50, 3, 135), not (50, 3, 207)"),
    "flat pose": ({"posedirs": np.zeros((150, 207))}, "its posedirs is (150, 207), not (50, 3, 207)"),
    "other joints' weights": ({"weights": np.full((50, 16), 1 / 16)}, "its weights is (50, 16), not (50, 24)"),
    "weights of 0": ({"weights": np.zeros((50, 24))}, "its weights sum to 0 up to 0 at a vertex, not to 1"),
    "weights of 1": ({"weights": np.ones((50, 24))}, "its weights sum to 24 up to 24"),
    "negative weights": ({"weights": with_("weights", (3, 1), -0.5)}, "its weights lie between -0.5 and"),
    "huge weights": ({"weights": with_("weights", (3, 1), 1e38)}, "1e+38, not 0 and 1"),
    "another regressor": ({"J_regressor": np.zeros((16, 50))}, "its J_regressor is (16, 50), not (24, 50)"),
    "a regressor of nothing": ({"J_regressor": np.zeros((24, 50))}, "that sum to 0 up to 0 at a joint, not to about 1"),
    "a huge regressor": ({"J_regressor": with_("J_regressor", (3, 1), 1e38)}, "has weights up to 1e+38, that sum to 1"),
    "a regressor that cancels": (
        {"J_regressor": with_("J_regressor", (3, slice(2)), [1e38, -1e38])},
        "has weights up to 1e+38, that sum to",
    ),
    "a regressor on its side": ({"J_regressor": csc(NewSparse, np.ones((50, 24)))}, "not (24, 50)"),
    "one row of parents": ({"kintree_table": np.arange(24)}, "its kintree_table is (24,), not (2, 1..200)"),
    "no joints": ({"kintree_table": np.zeros((2, 0), int)}, "not (2, 1..200)"),
    "too many joints": ({"kintree_table": np.zeros((2, 201), int)}, "not (2, 1..200)"),
    "parents that are no numbers": ({"kintree_table": np.zeros((2, 24))}, "not of whole numbers"),
    "joints in another order": ({"kintree_table": with_("kintree_table", (1, 5), 6)}, "does not number the joints"),
    "a parent after its child": ({"kintree_table": with_("kintree_table", (0, 5), 6)}, "no tree"),
    "a joint of its own": ({"kintree_table": with_("kintree_table", (0, 5), 5)}, "no tree"),
    "two roots": ({"kintree_table": with_("kintree_table", (0, 5), 2**32 - 1)}, "no tree"),
    "a face too far": ({"f": with_("f", (3, 1), 50)}, "its f names vertices 0 to 50, where there are 0 to 49"),
    "a face of the last": ({"f": with_("f", (3, 1), 2**32 - 1)}, "to 4294967295"),
    "a face before the first": ({"f": np.full((9, 3), -1)}, "its f names vertices -1 to -1"),
    "no faces": ({"f": np.zeros((0, 3), int)}, "its f is (0, 3)"),
    "squares": ({"f": np.zeros((9, 4), int)}, "its f is (9, 4)"),
    "faces between": ({"f": np.zeros((9, 3))}, "not of whole numbers"),
    "another of chumpy's": ({"shapedirs": MatVecMult(mtx=1)}, "its shapedirs is a chumpy.ch.MatVecMult"),
    "an empty Ch": ({"shapedirs": Ch()}, "its shapedirs is a chumpy.ch.Ch, which is no array"),
    "Ch of text": ({"shapedirs": ch("x")}, "its shapedirs is no array"),
    "Select of too far": (
        {"shapedirs": Select(a=ch(np.zeros(9)), idxs=np.array([9]), preferred_shape=(1,))},
        "its shapedirs index 9 is out of bounds",
    ),
    "Select of fractions": (
        {"shapedirs": Select(a=ch(np.zeros(9)), idxs=np.array([0.5]))},
        "its shapedirs arrays used",
    ),
    "Select of another shape": (
        {"shapedirs": Select(a=ch(np.zeros(9)), idxs=np.array([0]), preferred_shape=(50, 3, 10))},
        "its shapedirs cannot reshape",
    ),
    "Select of no shape": (
        {"shapedirs": Select(a=ch(np.zeros(9)), idxs=np.array([0]), preferred_shape="C")},
        "its shapedirs has a shape that is none",
    ),
}


@pytest.mark.parametrize("how", WRONG)
def test_an_entry_that_makes_no_body_is_refused_by_name(file, how):
    changed, says = WRONG[how]
    refused(file, pickled(of(**changed), 2), says)


@pytest.mark.parametrize("key", files.KEYS)
def test_no_entry_may_be_missing(file, key):
    entries = of()
    del entries[key]
    refused(file, pickled(entries, 2), f"it holds no {key}")


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"_shape": (24, 10**9)}, "not (J, V)"),
        ({"_shape": (10**9, 50)}, "not (J, V)"),
        ({"_shape": (-24, 50)}, "not (J, V)"),
        ({"_shape": (24,)}, "not (J, V)"),
        ({"_shape": [24, 50]}, "a shape that is none"),
        ({"_shape": ("24", 50)}, "not of whole numbers"),
        ({"_shape": (24.0, 50)}, "not of whole numbers"),
        ({"_shape": (True, 50)}, "not of whole numbers"),
        ({"_shape": (np.float64(24), 50)}, "not of whole numbers"),
        ({"_shape": (np.datetime64(24, "s"), 50)}, "not of plain numbers"),
        ({"_shape": (23, 50)}, "outside its 23 rows"),
        ({"_shape": (25, 50)}, "is (25, 50), not (24, 50)"),
        ({"_shape": (24, 49)}, "do not fit"),
        ({"indptr": np.zeros(51)}, "numbered places"),
        ({"indptr": np.full(51, 5)}, "overlap or end nowhere"),
        ({"indptr": np.arange(51)[::-1].copy()}, "overlap or end nowhere"),
        ({"indptr": np.arange(51) * 10**9}, "overlap or end nowhere"),
        ({"indptr": np.array([0, 9, 5]).repeat([1, 1, 49])}, "overlap or end nowhere"),
        ({"indptr": np.array([0, 2**63], dtype=np.uint64).repeat([1, 50])}, "overlap or end nowhere"),
        ({"indices": np.full(500, -1)}, "outside its 24 rows"),
        ({"indices": np.full(500, 2**40)}, "outside its 24 rows"),
        ({"indices": np.zeros(500)}, "numbered places"),
        ({"indices": np.zeros((500, 1), int)}, "do not fit"),
        ({"indices": np.zeros(5, int)}, "overlap or end nowhere"),
        ({"data": np.zeros(5)}, "overlap or end nowhere"),
        ({"data": np.full(500, np.nan)}, "not finite"),
        ({"data": np.full(500, 1.7e308), "indices": np.zeros(500, int)}, "not finite"),
        ({"data": np.full(500, None)}, "not of plain numbers"),
        ({"data": "text"}, "is no array"),
    ],
    ids=lambda value: str(value)[:40].replace("\n", " "),
)
def test_a_broken_sparse_matrix_is_refused(file, changed, says):
    regressor = csc(NewSparse, body()["J_regressor"])
    vars(regressor).update(changed)
    message = refused(file, pickled(of(J_regressor=regressor), 2), says)
    assert "J_regressor" in message


def test_small_errors_of_weights_are_mended_and_large_ones_are_not(file):
    for dtype, size in ((np.float64, 4e-4), (np.float32, 4e-4), (np.float16, 0)):
        weights = (body()["weights"] * (1 + size)).astype(dtype)
        weights[:, 3] -= size / 10
        found = read(file, pickled(of(weights=weights), 2))
        assert is_body(found) and abs(found["weights"] - body()["weights"]).max() < 1e-3
        assert abs(found["weights"].sum(1) - 1).max() < 1e-6
    for wrong in (1.01, 0.99):
        refused(file, pickled(of(weights=body()["weights"] * wrong), 2), "not")


def test_random_entries_make_a_body_or_a_load_error(file):
    """Well-formed pickles of senseless content get past the machine, and must not get past the checks."""
    good = of()
    rng, loaded = random.Random(0), 0
    values = [
        None,
        True,
        3,
        -1.5,
        "text",
        b"raw",
        (),
        [],
        {},
        {"x": 1},
        ch(None),
        ch([]),
        Select(),
        Select(a=1, idxs=2),
    ]
    values += [
        Select(a=ch(np.zeros(3)), idxs=np.zeros(0, int)),
        MatVecMult(),
        NewSparse(),
        NewSparse(data=1, indices=2),
    ]
    values += [
        np.zeros(()),
        np.zeros(0),
        np.zeros((50, 3)),
        np.zeros((24, 50)),
        np.full((50, 24), 1 / 24),
        np.eye(3, dtype=int),
    ]
    values += [np.float64(3), np.int32(3), np.bool_(True), np.dtype("f8"), np.dtype("O"), np.zeros((2, 24), int)]
    for turn in range(300):
        key = rng.choice(files.KEYS)
        changed = {key: rng.choice([*values, ch(rng.choice(values)), good[rng.choice(files.KEYS)], good[key]])}
        file.write_bytes(pickled(good | changed, turn % 6))
        with contextlib.suppress(LoadError):
            loaded += is_body(files.read(file))
    assert 10 < loaded < 150


# -- what would do harm ----------------------------------------------------------------------------------------------

CALLS = {  # what Python's own pickle module runs; %s is a command for the shell
    "os.system": b"cos\nsystem\n(S'%s'\ntR",
    "posix.system": b"cposix\nsystem\n(S'%s'\ntR",
    "eval": b"c__builtin__\neval\n(S\"__import__('os').system('%s')\"\ntR",
    "exec": b"cbuiltins\nexec\n(S\"import os; os.system('%s')\"\ntR",
    "getattr": b"c__builtin__\ngetattr\n(c__builtin__\n__import__\n(S'os'\ntRS'system'\ntR(S'%s'\ntR",
    "attrgetter": b"coperator\nattrgetter\n(S'system'\ntR(c__builtin__\n__import__\n(S'os'\ntRtR(S'%s'\ntR",
    "partial": b"cfunctools\npartial\n(cos\nsystem\nS'%s'\ntR)R",
    "subprocess": b"csubprocess\ncall\n((S'sh'\nS'-c'\nS'%s'\nltR",
    "INST": b"(S'%s'\nios\nsystem\n",
    "OBJ": b"(cos\nsystem\nS'%s'\no",
    "STACK_GLOBAL": b"\x80\x04\x8c\x02os\x8c\x06system\x93(S'%s'\ntR",
    "dotted": b"\x80\x04\x8c\x06shutil\x8c\x09os.system\x93(S'%s'\ntR",
    "dotted in numpy": b"\x80\x04\x8c\x05numpy\x8c\x0ef2py.os.system\x93(S'%s'\ntR",
    "dotted in a known module": b"\x80\x04cbuiltins\ngetattr\n(\x8c\x0bcollections\x8c\x10_sys.modules.get\x93"
    b"(S'os'\ntRS'system'\ntR(S'%s'\ntR",
    "a pickle in the pickle": b"cpickle\nloads\n(c_codecs\nencode\n"
    b"(Vcos\\u000asystem\\u000a(S'%s'\\u000atR.\nS'latin1'\ntRtR",
    "numpy's exec": b"cnumpy.testing\nrunstring\n(S\"import os; os.system('%s')\"\n}tR",
    "BUILD afterwards": b"cos\nsystem\n(S'%s'\ntR}S'__class__'\nNsb",
}


def attacks(sentinel: Path) -> dict[str, bytes]:
    return {name: code.replace(b"%s", b"touch " + str(sentinel).encode()) for name, code in CALLS.items()}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", CALLS)
def test_what_pickle_would_run_is_not_run(file, name):
    sentinel = file.with_name("boom")
    code = attacks(sentinel)[name]
    with contextlib.suppress(Exception):
        pickle.loads(code + b".")
    assert sentinel.exists(), "the attack is none"
    sentinel.unlink()
    refused(file, code + b".", "no body model needs")
    for protocol in range(3):
        entries = published(SMALL, sparse=OldSparse)
        assert same(read(file, Python2(protocol).dumps(entries)), SMALL)
        for key in ("v_template", "J_regressor", "J", "bs_style", "another"):
            refused(file, Python2(protocol).dumps(entries | {key: Raw(code)}), "no body model needs")
        refused(file, Python2(protocol).dumps(entries | {"v_template": ch(Raw(code))}), "no body model needs")
        hidden = Raw(Python2(protocol, shares=False).tuple(Raw(code), 3))
        refused(file, Python2(protocol).dumps({"x": hidden} | entries), "no body model needs")
    assert sorted(file.parent.iterdir()) == [file]


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("call", [Path.touch, os.mkdir, os.mkfifo])
def test_bombs_of_any_protocol_are_refused(file, protocol, call):
    sentinel = file.with_name("boom")
    bomb = Bomb(sentinel, call)
    for value in (bomb, [bomb], {"v_template": bomb}, published(SMALL) | {"other": (1, bomb)}, {"x": {bomb}}):
        refused(file, pickled(value, protocol), "it asks for ")
    assert not sentinel.exists()
    pickle.loads(pickle.dumps(bomb, protocol))
    assert sentinel.exists()


def test_what_reaches_out_of_the_file_is_refused(file):
    """Persistent ids, the registry of extensions (which may hold what others put there), and buffers elsewhere."""
    import copyreg

    sentinel = file.with_name("boom")
    command = b"(S'touch %s'\ntR." % str(sentinel).encode()
    copyreg.add_extension("os", "system", 0xF0)
    try:
        for code in (b"\x82\xf0", b"\x83\xf0\0", b"\x84\xf0\0\0\0"):
            pickle.loads(b"\x80\x02" + code + command)
            assert sentinel.exists()
            sentinel.unlink()
            refused(file, b"\x80\x02" + code + command)
    finally:
        copyreg.remove_extension("os", "system", 0xF0)
        copyreg.clear_extension_cache()
    for code in (b"P1\n", b"\x80\x02K\x01Q", b"\x80\x05\x97", b"\x80\x05\x97\x98"):
        refused(file, code + b".")
        refused(file, b"}U\1x" + code + b"s.")
    assert not sentinel.exists()


def test_state_sets_no_more_than_state(file):
    """Attributes with a meaning to Python have none here; nor is a name, a list or a number given a state."""
    wrapped = ch(SMALL["v_template"])
    more = {"__class__": Raw(b"cchumpy.ch\nCh\n"), "__dict__": {"x": 1}, "__setstate__": 3, "__slots__": (), "args": 4}
    hooks = {"__reduce__": Raw(b"cchumpy.ch\nCh\n"), "__array__": 5, "__getattr__": 6, "state": {}, "name": "x"}
    wrapped = Ch(**vars(wrapped), **more, **hooks)
    for protocol in range(3):
        entries = published(SMALL, sparse=OldSparse, v_template=wrapped)
        assert same(read(file, Python2(protocol).dumps(entries)), SMALL)
    for target in (b"cchumpy.ch\nCh\n", b"]", b"}", b"K\1", b")", b"U\1x"):
        refused(file, b"}U\1x" + target + b"}U\1xNsbs.", "damaged")
    for target in (b"K\1", b"]", b"U\1x", b"cchumpy.ch\nCh\n)\x81"):  # nor is what is no name called
        refused(file, b"}U\1x" + target + b")Rs.", "damaged")
    assert files.Thing.__setattr__ is object.__setattr__ and files.Thing.__slots__ == ("name", "args", "state")


def stored(shape, kind: str = "f8", order: str = "<", raw: bytes = b"", fortran=False, version=1) -> Raw:
    """An array of numpy's as any file may claim it to be."""
    writer = Python2(2, shares=False)
    dtype = (
        b"cnumpy\ndtype\n"
        + writer.tuple(kind, 0, 1)
        + b"R"
        + writer.tuple(3, order, None, None, None, -1, -1, 0)
        + b"b"
    )
    made = b"cnumpy.core.multiarray\n_reconstruct\n" + writer.tuple(Raw(b"cnumpy\nndarray\n"), (0,), "b") + b"R"
    return Raw(made + writer.tuple(version, shape, Raw(dtype), fortran, raw) + b"b")


@pytest.mark.parametrize(
    "array",
    {
        "huge": stored((10**9, 3)),
        "huge and small": stored((2**62, 3), raw=bytes(24)),
        "overflowing": stored((2**62, 2**62), raw=bytes(24)),
        "overflowing to 0": stored((2**32, 2**32), "u1"),
        "huge and empty": stored((2**62, 0)),
        "beyond 64 bits": stored((Raw(b"\x8a\x10" + b"\xff" * 15 + b"\x7f"), 0)),
        "negative": stored((-3, -3), raw=bytes(72)),
        "-1": stored((-1, 3), raw=bytes(72)),
        "cut short": stored((3, 3), raw=bytes(71)),
        "too long": stored((3, 3), raw=bytes(73)),
        "of 40 axes": stored((1,) * 40, raw=bytes(8)),
        "of fractions": stored((3.0, 3), raw=bytes(72)),
        "of truth": stored((True, 3), raw=bytes(24)),
        "of a list": stored([3, 3], raw=bytes(72)),
        "of a word": stored("33", raw=bytes(72)),
        "of None": stored(None, raw=bytes(72)),
        "of shapes": stored(((3,), (3,)), raw=bytes(72)),
        "objects": stored((3, 3), "O8", "|", raw=bytes(72)),
        "objects of other length": stored((3, 3), "O", "|", raw=bytes(72)),
        "objects in a list": stored((3, 3), "O8", "|", raw=[None] * 9),
        "text": stored((3, 3), "S8", "|", raw=bytes(72)),
        "void": stored((3, 3), "V8", "|", raw=bytes(72)),
        "dates": stored((3, 3), "M8", raw=bytes(72)),
        "records": stored((3, 3), "f4,f4", raw=bytes(72)),
        "an unknown type": stored((3, 3), "f7", raw=bytes(63)),
        "no type": stored((3, 3), "", raw=bytes(72)),
        "a type of two lines": stored((3, 3), "f8\n", raw=bytes(72)),
        "a type of a megabyte": stored((3, 3), "f" * 1_000_000, raw=bytes(72)),
        "a type that is a number": stored((3, 3), 8, raw=bytes(72)),
        "an unknown order": stored((3, 3), order="!", raw=bytes(72)),
        "an order of None": stored((3, 3), order=None, raw=bytes(72)),
        "bytes that are None": stored((3, 3), raw=None),
        "bytes that are a number": stored((3, 3), raw=72),
        "bytes that are an array": stored((3, 3), raw=stored((72,), "u1", raw=bytes(72))),
        "bytes of another codec": stored((3, 3), raw=Raw(b"c_codecs\nencode\n(X\1\0\0\0aX\3\0\0\0hextR")),
        "bytes that cannot be encoded": stored(
            (4, 3), raw=Raw(b"c_codecs\nencode\n(X\3\0\0\0\xe2\x98\x83X\6\0\0\0latin1tR")
        ),
        "no state": Raw(b"cnumpy.core.multiarray\n_reconstruct\n)R"),
        "a state of two": Raw(b"cnumpy.core.multiarray\n_reconstruct\n)RK\1K\2\x86b"),
        "a state of bytes": Raw(b"cnumpy.core.multiarray\n_reconstruct\n)RU\5abcdeb"),
        "a scalar": Raw(b"cnumpy.core.multiarray\nscalar\n)R"),
        "ndarray itself": Raw(b"cnumpy\nndarray\n((K\4K\3ttR"),
        "ndarray": Raw(b"cnumpy\nndarray\n"),
        "axes that are none": Raw(
            b"cnumpy.core.numeric\n_frombuffer\n(U\1xcnumpy\ndtype\n(U\2u1tRK\1\x85U\1KK\5\x85tR"
        ),
        "an unknown order of axes": Raw(b"cnumpy.core.numeric\n_frombuffer\n(U\1xcnumpy\ndtype\n(U\2u1tRK\1\x85U\1ZtR"),
        "nothing from a buffer": Raw(b"cnumpy.core.numeric\n_frombuffer\n)R"),
    }.items(),
    ids=lambda item: item[0],
)
def test_hostile_arrays_are_refused_without_room_made_for_them(file, array):
    entries = published(SMALL, sparse=OldSparse, wrap=np.array)
    good = stored((3, 3), raw=SMALL["v_template"].tobytes())
    assert same(read(file, Python2(2).dumps(entries | {"v_template": good})), SMALL)
    for wrapped in (array[1], ch(array[1]), Select(a=ch(SMALL["v_template"]), idxs=array[1])):
        data = Python2(2).dumps(entries | {"v_template": wrapped})
        refused(file, data, "its v_template ")
        assert peak(file) < 1_000_000 + 5 * len(data)


def peak(file: Path) -> int:
    """The most memory that reading a file takes, in bytes."""
    tracemalloc.start()
    try:
        with contextlib.suppress(LoadError):
            files.read(file)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


N = 70_000  # more than there may be of any step


@pytest.mark.parametrize(
    "data",
    {
        "a place in the memo": b"\x80\x02}r\xff\xff\xff\xff.",
        "many places in the memo": b"\x80\x02}" + b"".join(b"r" + struct.pack("<I", i << 10) for i in range(N)),
        "a place of many digits": b"}p" + b"9" * N + b"\n.",
        "places that are not there": b"\x80\x02h\0.",
        "a place before the first": b"\x80\x02}p-1\ng-1\n.",
        "lists": b"]" * N + b".",
        "dicts": b"}" * N + b".",
        "marks": b"(" * N + b".",
        "marks and dicts": b"(}" * N + b".",
        "lists in lists": b"]" * N + b"a" * N + b".",
        "tuples in tuples": b")" + b"\x85" * N + b".",
        "tuples in tuples, just allowed": b"})" + b"\x85" * 60_000 + b".",
        "doubled tuples": b")" + b"q\0h\0\x86" * N + b".",
        "a key of doubled tuples": b"})" + b"q\0h\0\x86" * 60 + b"Ns.",
        "a key of tuples in tuples": b"})" + b"\x85" * 60_000 + b"Ns.",
        "a set of doubled tuples": b"\x80\x04}U\1x\x8f()" + b"q\0h\0\x86" * 60 + b"\x90s.",
        "things in things": b"}U\x01x" + b"cchumpy.ch\nCh\n)\x81}U\x01x" * 8_000 + b"N" + b"sb" * 8_000 + b"s.",
        "a dict of itself": b"}q\0U\1xh\0s.",
        "a list of itself": b"}U\1x]q\0h\0as.",
        "a frame": b"\x80\x04\x95" + b"\xff" * 8 + b"}.",
        "bytes": b"B\xff\xff\xff\xff.",
        "many bytes": b"\x80\x04\x8e" + b"\xff" * 7 + b"\x7f.",
        "bytes of 2**64 - 1": b"\x80\x04\x8e" + b"\xff" * 8 + b".",
        "an array of bytes": b"\x80\x05\x96" + b"\xff" * 7 + b"\x7f.",
        "an array of 100 GB": b"\x80\x05\x96" + struct.pack("<Q", 100 << 30) + b".",
        "text": b"X\xff\xff\xff\x7f.",
        "much text": b"\x80\x04\x8d" + b"\xff" * 7 + b"\x7f.",
        "old text": b"T\xff\xff\xff\xff.",
        "old text of 2 GB": b"T\xff\xff\xff\x7f.",
        "a number of bytes": b"\x80\x02\x8b\xff\xff\xff\x7f.",
        "a number of a megabyte": b"\x80\x02\x8b" + struct.pack("<I", N) + b"\x7f" * N + b".",
        "a number of digits": b"I" + b"9" * N + b"\n.",
        "a long number of digits": b"L" + b"9" * N + b"L\n.",
        "a fraction of digits": b"F" + b"9" * N + b"\n.",
        "a number of underscores": b"I1" + b"_1" * N + b"\n.",
        "lines without end": b"S'" * N,
        "text without quotes": b"Stext\n.",
        "half a quote": b"S'\n.",
        "an escape that is none": b"S'\\x'\n.",
        "unicode that is none": b"X\2\0\0\0\xff\xff.",
        "an escape of unicode that is none": b"V\\ud\n.",
        "names in unicode": b"c\xff\n\xff\n.",
        "a name of a megabyte": b"c" + b"a" * N + b"\nb\n.",
        "a name with escapes": b"cos\x1b[2J\nsystem\n.",
        "a name of numbers": b"\x80\x04K\1K\2\x93.",
        "pops": b"0" * N + b".",
        "pops of marks": b"1" * N + b".",
        "an empty stack": b"\x80\x02.",
        "a mark for a dict": b"(.",
        "half a pair": b"(U\1xd.",
        "pairs for a list": b"](U\1xNu.",
        "items for a dict": b"}(Ne.",
        "an item for nothing": b"(Na.",
        "a call of nothing": b"\x80\x02R.",
        "a call without arguments": b"cchumpy.ch\nCh\nR.",
        "a call with a list": b"cchumpy.ch\nCh\n]R.",
        "reconstructed from nothing": b"ccopy_reg\n_reconstructor\n)R.",
        "reconstructed from a number": b"ccopy_reg\n_reconstructor\nK\1\x85R.",
    }.items(),
    ids=lambda item: item[0],
)
def test_bombs_of_time_and_memory_and_broken_steps_are_refused_soon(file, data):
    _, data = data
    refused(file, data)
    assert len(data) > 1000 or peak(file) < 500_000


def test_arrays_of_arrays_end(file):
    """Wrapped in itself, or deeper than anyone would; and places picked from what is itself picked and picked."""
    entries = published(SMALL, sparse=OldSparse, wrap=np.array)
    wrapped = SMALL["v_template"]
    for depth in range(1, 12):
        wrapped = ch(wrapped)
        data = Python2(2).dumps(entries | {"v_template": wrapped})
        if depth <= files.MAX_NESTED:
            assert same(read(file, data), SMALL)
        else:
            refused(file, data, "its v_template is nested too deeply")
    itself = Raw(b"cchumpy.ch\nCh\n)\x81r\0\0\0\1}U\1xj\0\0\0\1sb")
    refused(file, Python2(2).dumps(entries | {"v_template": itself}), "nested too deeply")
    itself = Raw(b"cchumpy.reordering\nSelect\n)\x81r\0\0\0\1}(U\1aj\0\0\0\1U\4idxsj\0\0\0\1ub")
    refused(file, Python2(2).dumps(entries | {"v_template": itself}), "nested too deeply")
    itself = Raw(
        b"cscipy.sparse.csc\ncsc_matrix\n)\x81r\0\0\0\1}(U\6_shapeK\2K\3\x86"
        b"U\4dataj\0\0\0\1U\7indicesj\0\0\0\1U\6indptrj\0\0\0\1ub"
    )
    refused(file, Python2(2).dumps(entries | {"J_regressor": itself}), "nested too deeply")
    picked = SMALL["v_template"].astype(np.int64) * 0
    for _ in range(8):
        picked = Select(a=picked, idxs=picked)
    refused(file, Python2(2).dumps(entries | {"v_template": picked}), "nested too deeply")


def small_files() -> dict[str, bytes]:
    """A small body in each of the forms of a pickle."""
    made = {f"protocol {p}": pickled(few(published(SMALL)), p) for p in range(6)}
    old = few(published(SMALL, sparse=OldSparse, wrap=select))
    return made | {f"protocol {p} of Python 2": Python2(p).dumps(old) for p in range(3)}


@pytest.mark.parametrize("form", small_files())
def test_a_pickle_cut_anywhere_is_refused(file, form):
    data = small_files()[form]
    assert same(read(file, data), SMALL)
    for size in range(0, len(data), 10):
        refused(file, data[:size])


STEPS = [  # of a pickle
    b"(",
    b".",
    b"0",
    b"1",
    b"2",
    b"R",
    b"b",
    b"s",
    b"u",
    b"t",
    b"\x85",
    b"}",
    b"]",
    b"N",
    b"h\0",
    b"q\0",
    b"K\1",
    b"\x81",
    b"\x93",
    b"\x94",
    b"o",
    b"cos\nsystem\n",
    b"ios\nsystem\n",
    b"S'x'\n",
    b"I-1\n",
    b"\xff" * 8,
    b"\n",
]  # fmt: skip


@pytest.mark.filterwarnings("ignore:invalid escape sequence")
@pytest.mark.parametrize("form", [*small_files(), "npz"])
def test_mutations_make_a_body_or_a_load_error(file, form):
    data = zipped(few(published(SMALL, sparse=None, wrap=np.array))) if form == "npz" else small_files()[form]
    rng, loaded = random.Random(form), 0
    for _ in range(250):
        file.write_bytes(mutate(data, rng, STEPS))
        start = time.process_time()
        with contextlib.suppress(LoadError):
            loaded += is_body(files.read(file))
        assert time.process_time() - start < 30  # a bomb takes hours: no matter how busy the machine is
    assert 0 < loaded < 200  # some wounds are harmless (a bit of a number); most are not
    assert sorted(file.parent.iterdir()) == [file]


WATCH = """
import sys
from pathlib import Path
from genlab.models.body import files
from genlab.names import LoadError

def read(file):
    try:
        files.read(file)
        return True
    except LoadError:
        return False

good, bad = ([file for file in sorted(Path(sys.argv[1]).iterdir()) if file.suffix == end] for end in (".good", ".bad"))
assert all(read(file) for file in good)  # what Python imports when it first meets an encoding, it has imported now
events, watched = set(), True
sys.addaudithook(lambda event, args: events.add((event, *map(str, args[:1]))) if watched else None)
known = set(sys.modules)
read_well = [read(file) for file in good]
misread = [read(file) for file in bad]
watched = False
assert events and all(read_well) and not any(misread), "not what was to be seen"
print(sorted({event for event, *_ in events}))
print(sorted(set(sys.modules) - known))
"""


def test_to_read_a_pickle_is_to_open_a_file_and_nothing_else(tmp_path):
    """As the interpreter itself reports it: no import, no code compiled or run, no process, no name looked up."""
    for i, data in enumerate(small_files().values()):
        (tmp_path / f"{i}.good").write_bytes(data)
    for i, code in enumerate(attacks(tmp_path / "boom").values()):
        (tmp_path / f"{i}.bad").write_bytes(code + b".")
    command = [sys.executable, "-c", WATCH, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["['open']", "[]"]
    assert not (tmp_path / "boom").exists()


# -- writing ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", SIZES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_is_written_is_read_again_exactly(tmp_path, model, dtype):
    expected = body(*SIZES[model])
    arrays = {key: value.astype(dtype) if value.dtype.kind == "f" else value for key, value in expected.items()}
    files.write(tmp_path / "body.npz", arrays)
    assert same(files.read(tmp_path / "body.npz"), arrays)
    files.write(str(tmp_path / "body.npz"), files.read(tmp_path / "body.npz"))
    assert same(files.read(tmp_path / "body.npz"), arrays)
    assert [file.name for file in tmp_path.iterdir()] == ["body.npz"]


def test_other_tools_find_what_they_look_for(tmp_path):
    expected = body()
    files.write(tmp_path / "body.npz", expected)
    found = np.load(tmp_path / "body.npz", allow_pickle=False)
    assert sorted(found) == sorted(files.KEYS)
    assert found["kintree_table"].dtype == np.uint32 and found["kintree_table"].shape == (2, 24)
    assert found["kintree_table"][:, 0].tolist() == [4294967295, 0]
    assert found["kintree_table"].astype(np.int32)[0].tolist() == expected["parents"].tolist()  # as some tools read it
    assert found["f"].dtype == np.uint32 and np.array_equal(found["f"], expected["faces"])
    for key in ("v_template", "shapedirs", "posedirs", "J_regressor", "weights"):
        assert found[key].dtype == np.float64 and np.array_equal(found[key], expected[key])


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"weights": np.zeros((50, 24))}, "its weights sum to 0"),
        ({"posedirs": np.full((50, 3, 207), np.nan)}, "its posedirs holds numbers that are not finite"),
        ({"v_template": np.full((50, 3), 3e38)}, "its v_template goes up to 3e[+]38"),
        ({"parents": np.arange(24)}, "no tree"),
        ({"parents": np.array(3)}, "of unsized object"),
        ({"parents": np.arange(5) - 1}, "its posedirs is"),
        ({"faces": np.full((3, 3), 50)}, "its f names vertices"),
        ({"v_template": np.full((50, 3), None)}, "not of real numbers"),
        ({"hands_mean": np.zeros(45)}, "hands_mean would be lost"),
    ],
    ids=lambda value: str(value)[:24],
)
def test_what_could_not_be_read_again_is_not_written(tmp_path, changed, says):
    files.write(tmp_path / "body.npz", body())
    before = (tmp_path / "body.npz").read_bytes()
    with pytest.raises(GenlabError, match=says):
        files.write(tmp_path / "body.npz", body() | changed)
    for key in ARRAYS:
        with pytest.raises(GenlabError, match=key):
            files.write(tmp_path / "body.npz", {k: value for k, value in body().items() if k != key})
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [before]


def test_where_nothing_can_be_written_it_says_so(tmp_path):
    (tmp_path / "folder.npz").mkdir()
    (tmp_path / "file").write_text("mine")
    for path in (
        "folder.npz",
        "none/body.npz",
        "file/body.npz",
        "body.pkl",
        "body",
        "",
        "x" * 999 + ".npz",
        "a\0b.npz",
    ):
        with pytest.raises(GenlabError, match="was not written"):
            files.write(tmp_path / path, SMALL)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder.npz"]


@pytest.mark.parametrize("room", [0, 1_000, 60_000])
def test_a_full_disk_leaves_the_old_file(tmp_path, room):
    """The limit on a file's size plays the full disk: a write fails half way, with an error."""
    files.write(tmp_path / "body.npz", SMALL)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    try:
        with pytest.raises(GenlabError, match="was not written"):
            files.write(tmp_path / "body.npz", body())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    assert [file.name for file in tmp_path.iterdir()] == ["body.npz"]
    assert same(files.read(tmp_path / "body.npz"), SMALL)
