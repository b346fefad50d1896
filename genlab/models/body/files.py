"""The files in which body models are published: `.npz`, or `.pkl` that Python 2 wrote years ago.

A pickle is a program, and reading it with `pickle` runs it. Here it is read like any other text: its steps build a tree
of inert values, in which a call is written down, by name and arguments, and never made. No name is ever looked up, so a
file needs neither chumpy nor scipy, and can do nothing. Arrays are then recognised in the tree by their form.
"""

import codecs
import io
import math
import os
import re
import struct
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, no_type_check

import numpy as np
from jaxtyping import Float, Int
from numpy.lib import format as npy

from genlab.names import GenlabError, LoadError

MAX_BYTES = 1 << 30  # of a file, and of what a compressed one unpacks to
MAX_NUMBERS = 1 << 27  # in one array
MAX_VERTICES, MAX_JOINTS, MAX_BETAS = 200_000, 200, 500
MAX_STEPS = 1 << 16  # of a pickle: a body model takes about a thousand, for it has few arrays, if large ones
MAX_NESTED = 4  # chumpy's arrays of arrays, such as a slice of an array
ROUNDING = 1e-3  # how far a vertex's weights may be from summing to 1, or below 0, as half precision leaves them
FAR = 100.0  # metres: no vertex of a body is so far out, and no direction moves one so far
LOOSE = 0.1  # how far a joint's weights may be from summing to 1: the published ones were only encouraged to
LARGEST = float(np.finfo(np.float32).max)
ROOTS = (-1, 2**32 - 1, 2**64 - 1)  # what stands for "no parent": -1, as unsigned numbers have it
ALIKE = ("v_template", "shapedirs", "posedirs", "J_regressor", "weights")  # in the files and here
KEYS = (*ALIKE, "kintree_table", "f")


def read(path: str | Path) -> dict[str, np.ndarray]:
    """A body model of V vertices, J joints and B betas from its `.npz` or `.pkl`, whichever the content is:

    v_template (V, 3), shapedirs (V, 3, B), posedirs (V, 3, (J - 1) 9), J_regressor (J, V), weights (V, J) in float32
    where the file has that, else float64; parents (J,), -1 for the root, and faces (F, 3) in int64.

    Lengths are metres, and none is beyond 100; faces are of vertices there are, each parent comes before its children,
    each row of weights sums to 1, and each of J_regressor about so. Raises LoadError for all else; nothing in the file
    is executed.
    """
    try:
        file = Path(path).expanduser()
        if not file.is_file():
            raise FileNotFoundError("there is no such file")
        size = file.stat().st_size
        if size > MAX_BYTES:
            raise ValueError(f"it has {size} bytes, and no body model more than {MAX_BYTES}")
        with open(file, "rb") as opened:
            data = opened.read(size)
        return _body(_npz(data) if data.startswith(b"PK\3\4") else _pickle(data))
    except OSError as error:
        raise LoadError(f"{path} cannot be opened ({error}): give the .npz or .pkl of a body model") from error
    except Exception as error:  # in numpy's and zipfile's eyes, too, a stranger's bytes can be wrong in any way
        raise LoadError(
            f"{path} is no body model that can be read: {_told(str(error) or type(error).__name__, 300)}; "
            "fetch it again from its makers, or have it saved as an .npz of plain arrays where it is trusted"
        ) from error


def write(path: str | Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Save what `read` gives as the `.npz` that other tools read too: the same keys, but for `f`, the faces, and
    `kintree_table` (2, J), each joint's parent (2^32 - 1 for the root) above its own number.

    The file is there whole or not at all. Raises GenlabError for arrays that `read` would refuse, and a full disk.
    """
    try:
        file = Path(path).expanduser()
        if file.suffix != ".npz":
            raise ValueError("its name does not end in .npz")
        named = {key: np.asarray(value) for key, value in arrays.items()}
        unknown = sorted(named.keys() - {*ALIKE, "parents", "faces"})
        if unknown:
            raise ValueError(f"{', '.join(unknown)} would be lost")
        parents, faces = named.pop("parents"), named.pop("faces")
        body = _body(named | {"f": faces, "kintree_table": np.stack([parents, np.arange(len(parents))])})
        parents, faces = body.pop("parents"), body.pop("faces")
        table = np.stack([parents % 2**32, np.arange(len(parents))])
        partial = file.with_name(f".{file.name}.{os.getpid()}")
        try:
            with open(partial, "wb") as opened:
                np.savez(opened, **body, kintree_table=table.astype(np.uint32), f=faces.astype(np.uint32))
                opened.flush()
                os.fsync(opened.fileno())
            os.replace(partial, file)
        finally:
            partial.unlink(missing_ok=True)
    except KeyError as error:
        raise GenlabError(f"{path} was not written: there is no {error} to write; give what `read` gives") from error
    except (OSError, RuntimeError, TypeError, ValueError) as error:  # RuntimeError: ~nobody
        raise GenlabError(f"{path} was not written: {error}; mend that and write again") from error


# -- what makes a body -----------------------------------------------------------------------------------------------


def _body(found: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The checked arrays of a file's entries. Raises ValueError for what is missing, misshapen or out of bounds."""
    absent = [key for key in KEYS if key not in found]
    if absent:
        raise ValueError(f"it holds no {', '.join(absent)}")
    parents = _parents(_shaped(found, "kintree_table", 2, (1, MAX_JOINTS)))
    J = len(parents)
    v_template = _shaped(found, "v_template", (1, MAX_VERTICES), 3)
    V = len(v_template)
    return {
        "v_template": _metres("v_template", v_template),
        "shapedirs": _metres("shapedirs", _shaped(found, "shapedirs", V, 3, (1, MAX_BETAS))),
        "posedirs": _metres("posedirs", _shaped(found, "posedirs", V, 3, (J - 1) * 9)),
        "J_regressor": _regressor(_finite("J_regressor", _shaped(found, "J_regressor", J, V))),
        "weights": _weights(_finite("weights", _shaped(found, "weights", V, J))),
        "parents": parents,
        "faces": _faces(_shaped(found, "f", (1, MAX_NUMBERS), 3), V),
    }


def _shaped(found: Mapping[str, Any], key: str, *expected: int | tuple[int, int]) -> np.ndarray:
    """An entry as an array, of these sizes; a pair is the least and the most. Raises ValueError."""
    with _of(key):
        array = _array(found[key])
    bounds = [size if isinstance(size, tuple) else (size, size) for size in expected]
    fits = [low <= n <= high for n, (low, high) in zip(array.shape, bounds, strict=False)]
    if array.ndim != len(bounds) or not all(fits):
        wanted = ", ".join(str(low) if low == high else f"{low}..{high}" for low, high in bounds)
        raise ValueError(f"its {key} is {array.shape}, not ({wanted})")
    return array


@contextmanager
def _of(key: str) -> Iterator[None]:
    """Put the name of the entry before what is wrong with it."""
    try:
        yield
    except (IndexError, ValueError) as error:
        raise ValueError(f"its {key} {error}") from error


def _finite(key: str, array: np.ndarray) -> Float[np.ndarray, "..."]:
    """A copy in float32 or float64. Raises ValueError for what is no real number."""
    if array.dtype.kind not in "iuf":
        raise ValueError(f"its {key} is of {array.dtype}, not of real numbers")
    single = array.dtype.kind == "f" and array.dtype.itemsize == 4
    array = np.array(array, dtype=np.float32 if single else np.float64, order="C")
    if not -LARGEST <= array.min(initial=0) <= array.max(initial=0) <= LARGEST:  # NaN is not even itself
        raise ValueError(f"its {key} holds numbers that are not finite, or not in float32")
    return array


def _metres(key: str, array: np.ndarray) -> Float[np.ndarray, "..."]:
    """The same, of lengths. Raises ValueError where they are no body's."""
    array = _finite(key, array)
    most = max(abs(array.max(initial=0)), abs(array.min(initial=0)))
    if most > FAR:
        raise ValueError(f"its {key} goes up to {most:.3g}, which in metres is no body's")
    return array


def _regressor(weights: Float[np.ndarray, "J V"]) -> Float[np.ndarray, "J V"]:
    """Raises ValueError for joints that are no means of vertices."""
    sums, most = weights.sum(axis=1, dtype=np.float64), abs(weights).max()
    if abs(sums - 1).max() > LOOSE or most > 10:  # those that cancel sum to 1 too
        raise ValueError(
            f"its J_regressor has weights up to {most:.3g}, that sum to {sums.min():.3g} up to {sums.max():.3g} at a "
            "joint, not to about 1"
        )
    return weights


def _parents(table: np.ndarray) -> Int[np.ndarray, " J"]:
    """kintree_table's parents, -1 for the root. Raises ValueError for what is no tree with parents before children."""
    if table.dtype.kind not in "iu":
        raise ValueError(f"its kintree_table is of {table.dtype}, not of whole numbers")
    parents, joints = table.tolist()
    if joints != list(range(len(joints))):
        raise ValueError("its kintree_table does not number the joints 0, 1, 2, ... in its second row")
    if parents[0] not in ROOTS or any(not 0 <= parent < joint for joint, parent in enumerate(parents) if joint):
        raise ValueError("its kintree_table is no tree in which joint 0 is the root and each parent precedes its child")
    return np.array([-1, *parents[1:]], dtype=np.int64)


def _weights(weights: Float[np.ndarray, "V J"]) -> Float[np.ndarray, "V J"]:
    """Rows that are 0 or more and sum to 1, up to float32's rounding. Raises ValueError where they are far from it."""
    if weights.min() < -ROUNDING or weights.max() > 1 + ROUNDING:
        raise ValueError(f"its weights lie between {weights.min():.3g} and {weights.max():.3g}, not 0 and 1")
    weights = weights.clip(min=0)
    sums = weights.sum(axis=1, dtype=np.float64)
    if abs(sums - 1).max() > ROUNDING:
        raise ValueError(f"its weights sum to {sums.min():.3g} up to {sums.max():.3g} at a vertex, not to 1")
    off = abs(sums - 1) > 1e-6
    weights[off] /= sums[off, None]
    return weights


def _faces(faces: np.ndarray, V: int) -> Int[np.ndarray, "F 3"]:
    """Raises ValueError for a face of vertices that there are not."""
    if faces.dtype.kind not in "iu":
        raise ValueError(f"its f is of {faces.dtype}, not of whole numbers")
    if faces.min() < 0 or faces.max() >= V:
        raise ValueError(f"its f names vertices {faces.min()} to {faces.max()}, where there are 0 to {V - 1}")
    return np.array(faces, dtype=np.int64, order="C")


# -- arrays, by their form in a pickle -------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False, slots=True)
class Name:
    """The name of a class or function, which is all there is of it here."""

    name: str


@dataclass(eq=False, slots=True)
class Thing:
    """What a call would have made: the name of what the pickle calls, with what, and the state it then gives it."""

    name: str
    args: tuple
    state: Any = None


def _array(value: Any, depth: int = 0) -> np.ndarray:
    """The array that a value stands for; it may share the file's memory. Raises ValueError for what is none."""
    if depth > MAX_NESTED:
        raise ValueError("is nested too deeply")
    innermost = max(depth + 1, MAX_NESTED)
    match value:
        case np.ndarray():
            return value
        case Thing("numpy.core.multiarray._reconstruct", state=(_, shape, dtype, fortran, raw)):
            return _numbers(_dtype(dtype), _whole(shape), "F" if fortran else "C", _raw(raw))
        case Thing("numpy.core.numeric._frombuffer", args=(raw, dtype, shape, "C" | "F" as order)):
            return _numbers(_dtype(dtype), _whole(shape), order, _raw(raw))
        case Thing("numpy.core.numeric._frombuffer", args=(raw, dtype, shape, "K", axes)):
            return _numbers(_dtype(dtype), _whole(shape), "C", _raw(raw)).transpose(_whole(axes))
        case Thing("chumpy.ch.Ch", state={"x": x}):
            return _array(x, depth + 1)
        case Thing("chumpy.reordering.Select", state={"a": a, "idxs": idxs, **rest}):
            picked = _array(a, depth + 1).ravel()[_array(idxs, innermost)]
            return picked.reshape(_whole(rest["preferred_shape"])) if "preferred_shape" in rest else picked
        case Thing("scipy.sparse.csc.csc_matrix", state={"data": data, "indices": rows, "indptr": starts, **rest}):
            shape = _whole(rest.get("_shape", rest.get("shape")))
            return _dense(*(_array(one, innermost) for one in (data, rows, starts)), shape)
        case Thing(name):
            raise ValueError(f"is a {_told(name, 60)}, which is no array and is not computed here")
    raise ValueError("is no array")


def _numbers(dtype: np.dtype, shape: tuple[int, ...], order: str, raw: bytes | memoryview) -> np.ndarray:
    """The array that these bytes are. Raises ValueError."""
    _sized(dtype, shape, len(raw))
    return np.ndarray(shape, dtype, raw, order=order)


def _sized(dtype: np.dtype, shape: tuple[int, ...], size: int) -> None:
    """Raises ValueError where an array of that shape would not have this many bytes."""
    n = math.prod(shape)
    if min(shape, default=1) < 0 or n > MAX_NUMBERS or n * dtype.itemsize != size:
        raise ValueError(f"has {size} bytes, which are no {_told(str(shape), 60)} numbers of {dtype}")


def _dense(data: np.ndarray, rows: np.ndarray, starts: np.ndarray, shape: tuple[int, ...]) -> Float[np.ndarray, "J V"]:
    """A matrix kept by columns: column v has data[starts[v] : starts[v + 1]], in these rows. Raises ValueError."""
    if len(shape) != 2 or not (0 <= shape[0] <= MAX_JOINTS and 0 <= shape[1] <= MAX_VERTICES):
        raise ValueError(f"is a sparse matrix of the shape {_told(str(shape), 60)}, not (J, V)")
    if data.dtype.kind not in "iuf" or rows.dtype.kind not in "iu" or starts.dtype.kind not in "iu":
        raise ValueError("is a sparse matrix, but not of numbers in numbered places")
    if data.ndim != 1 or rows.ndim != 1 or starts.shape != (shape[1] + 1,):
        raise ValueError("is a sparse matrix whose parts do not fit each other")
    starts, n = starts.astype(np.int64), int(starts[-1])
    counts = np.diff(starts)
    if starts[0] != 0 or counts.min(initial=0) < 0 or n > min(len(rows), len(data)):
        raise ValueError("is a sparse matrix whose columns overlap or end nowhere")
    if n and (rows[:n].min() < 0 or rows[:n].max() >= shape[0]):
        raise ValueError(f"is a sparse matrix with entries outside its {shape[0]} rows")
    dense = np.zeros(shape)
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite then is told later
        np.add.at(dense, (rows[:n], np.repeat(np.arange(shape[1]), counts)), data[:n])
    return dense


def _dtype(value: Any) -> np.dtype:
    """The type of a pickled array's numbers. Raises ValueError for objects, and all that are no plain numbers."""
    match value:
        case Thing("numpy.dtype", args=(text, *_), state=None):
            kind = "=" + _text(text)
        case Thing("numpy.dtype", args=(text, *_), state=(_, order, *_)):
            kind = _text(order).replace("|", "=") + _text(text)
        case _:
            raise ValueError("does not say of what numbers it is")
    if not re.fullmatch(r"[<>=](b1|[iu][1248]|f[248])", kind):
        raise ValueError(f"is an array of {_told(kind[1:], 20)}, not of plain numbers")
    return np.dtype(kind)


def _whole(value: Any) -> tuple[int, ...]:
    """A tuple of a few whole numbers, such as a shape. Raises ValueError."""
    if type(value) is not tuple or len(value) > 4:
        raise ValueError("has a shape that is none")
    found = tuple(
        _numbers(_dtype(one.args[0]), (), "C", _raw(one.args[1])).item()
        if isinstance(one, Thing) and one.name == "numpy.core.multiarray.scalar" and len(one.args) == 2
        else one
        for one in value
    )
    if not all(type(one) is int for one in found):
        raise ValueError("has a shape that is not of whole numbers")
    return found


def _raw(value: Any) -> bytes | memoryview:
    """An array's bytes. Below protocol 3 Python 3 writes them as text to be encoded. Raises ValueError."""
    match value:
        case bytes() | memoryview():
            return value
        case Thing("_codecs.encode", args=(str() as text, "latin1")):
            return text.encode("latin1")
        case Thing("builtins.bytes", args=()):
            return b""
    raise ValueError("is not made of bytes")


def _text(value: Any) -> str:
    """Text, which Python 2 wrote as bytes. Raises ValueError."""
    if isinstance(value, bytes | memoryview) and len(value) <= 100:
        return str(value, "latin1")
    if not isinstance(value, str):
        raise ValueError("has something else where text belongs")
    return value


def _told(text: str, most: int) -> str:
    """A stranger's words, fit to be printed."""
    text = "".join(c if c.isprintable() else "?" for c in text[: most + 1])
    return text if len(text) <= most else text[:most] + "..."


# -- .npz ------------------------------------------------------------------------------------------------------------


class _Zip(io.BytesIO):
    """A zip file whose table of contents is read at once, and not if it is long: a gigabyte of it has millions of
    entries."""

    most = 1 << 20

    def read(self, size: int | None = -1) -> bytes:
        if size is not None and size > self.most:
            raise ValueError(f"it has a table of contents of {size} bytes")
        return super().read(size)


def _npz(data: bytes) -> dict[str, np.ndarray]:
    """Those arrays of a zip file that make a body. Raises ValueError, or what zipfile and numpy raise."""
    zipped = _Zip(data)
    with zipfile.ZipFile(zipped) as archive:
        zipped.most = MAX_BYTES
        names = set(archive.namelist())
        members = {key: archive.getinfo(f"{key}.npy") for key in KEYS if f"{key}.npy" in names}
        if not members:
            raise ValueError("it is a zip archive without arrays (unpack it, and give the .npz or .pkl inside)")
        if sum(info.file_size for info in members.values()) > MAX_BYTES:
            raise ValueError(f"it would unpack to more than {MAX_BYTES} bytes")
        found = {}
        for key, info in members.items():
            with _of(key):
                found[key] = _member(archive, info)
        return found


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> np.ndarray:
    """One array. Its header is looked at before there is room made for its numbers. Raises ValueError."""
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError("is compressed in a way that numpy does not use")
    with archive.open(info) as member:
        if npy.read_magic(member) != (1, 0):
            raise ValueError("is of another version of numpy's format than plain numbers need")
        shape, fortran, dtype = npy.read_array_header_1_0(member, max_header_size=1000)
        if dtype.kind not in "biuf" or dtype.itemsize > 8:
            raise ValueError(f"is an array of {_told(str(dtype), 20)}, not of plain numbers")
        left = info.file_size - member.tell()
        _sized(dtype, shape, left)
        return _numbers(dtype, shape, "F" if fortran else "C", member.read(left))


# -- .pkl ------------------------------------------------------------------------------------------------------------

# What body models name. All of chumpy's and scipy.sparse's classes may stand where nobody looks, among unused entries.
NAMES = {
    "_codecs.encode",
    "builtins.bytes",
    "builtins.object",
    "builtins.set",
    "collections.OrderedDict",
    "copyreg._reconstructor",
    "numpy.core.multiarray._reconstruct",
    "numpy.core.multiarray.scalar",
    "numpy.core.numeric._frombuffer",
    "numpy.dtype",
    "numpy.matrix",
    "numpy.matrixlib.defmatrix.matrix",
    "numpy.ndarray",
}
PACKAGES = ("chumpy.", "scipy.sparse.")
RENAMED = {  # modules that have moved over the years, by the names that are used here
    "__builtin__": "builtins",
    "copy_reg": "copyreg",
    "numpy._core.multiarray": "numpy.core.multiarray",
    "numpy._core.numeric": "numpy.core.numeric",
    "scipy.sparse._csc": "scipy.sparse.csc",
}


def _pickle(data: bytes) -> dict[str, Any]:
    """The entries of a pickled dict, as inert values. Raises ValueError for what is none."""
    if data and data[0] not in STEPS:
        raise ValueError("it begins as neither an .npz nor a .pkl does")
    found = _Pickle(data).run()
    if type(found) is not dict:
        raise ValueError("it is a pickle of something else than a dict of arrays")
    return found


@no_type_check  # in tests, checking the types of each little step would take seconds
class _Pickle:
    """The pickle machine, which follows a pickle step by step, without its power: it makes numbers, text, bytes, lists,
    tuples, dicts with text for keys, Names and Things. A set becomes a list."""

    def __init__(self, data):
        self.data, self.view, self.at = data, memoryview(data), 0
        self.stack, self.below, self.memo = [], [], {}  # below: a stack for each mark that is open

    def run(self):
        """What the pickle is of. Raises ValueError for what is damaged, too long, or wants what no body model does."""
        try:
            for _ in range(MAX_STEPS):
                code = self.number(1)
                if code == STOP:
                    return self.stack.pop()
                if code not in STEPS:
                    raise ValueError(f"it is damaged, or does what no body model needs (opcode {bytes([code])!r})")
                STEPS[code](self)
        except (AttributeError, LookupError, TypeError, UnicodeError, struct.error) as error:
            raise ValueError(f"it is damaged at byte {self.at}") from error
        raise ValueError(f"it takes more than {MAX_STEPS} steps, as no body model does")

    # what stands in the file

    def take(self, size):
        if size > len(self.view) - self.at:
            raise ValueError("it is cut short")
        self.at += size
        return self.view[self.at - size : self.at]

    def number(self, size, signed=False):
        if size > 16:
            raise ValueError("it holds a number of absurd length")
        return int.from_bytes(self.take(size), "little", signed=signed)

    def line(self):
        end = self.data.find(b"\n", self.at)
        if end < 0:
            raise ValueError("it is cut short")
        line = self.data[self.at : end]
        self.at = end + 1
        return line

    def decimal(self, kind=int):
        line = self.line()
        if len(line) > 40:
            raise ValueError("it holds a number of absurd length")
        return kind(line.removesuffix(b"L")) if line not in (b"00", b"01") else line == b"01"

    def quoted(self):
        line = self.line()
        if len(line) < 2 or line[:1] not in b"'\"" or line[:1] != line[-1:]:
            raise ValueError("it holds text without quotes")
        return codecs.escape_decode(line[1:-1])[0]

    # what happens on the stack

    def push(self, value):
        self.stack.append(value)

    def mark(self):
        self.below.append(self.stack)
        self.stack = []

    def marked(self):
        """All since the last mark, taken away with it."""
        items, self.stack = self.stack, self.below.pop()
        return items

    def last(self, count):
        """The last few, taken away."""
        return [self.stack.pop() for _ in range(count)][::-1]

    def put(self, key):
        self.memo[key] = self.stack[-1]

    def extend(self, items):
        if type(self.stack[-1]) is not list:
            raise TypeError("no list")
        self.stack[-1].extend(items)

    def update(self, items):
        if type(self.stack[-1]) is not dict:
            raise TypeError("no dict")
        for key, value in zip(items[::2], items[1::2], strict=True):
            if isinstance(key, str | bytes | memoryview):  # others are nothing that is looked for
                self.stack[-1][_text(key)] = value

    def mapping(self, items):
        self.stack.append({})
        self.update(items)

    # what would be done

    def named(self, module, name):
        """A name that is known to be one of a body model's. Raises ValueError."""
        full = f"{RENAMED.get(module, module)}.{name}"
        if full not in NAMES and not (full.startswith(PACKAGES) and re.fullmatch(r"[\w.]+", full, re.ASCII)):
            raise ValueError(f"it asks for {_told(full, 60)}, which no body model needs and which is not given to it")
        return Name(full)

    def call(self, name, args):
        if type(name) is not Name or type(args) is not tuple:
            raise TypeError("no call")
        if name.name == "copyreg._reconstructor":
            name, args = args[0], ()
        made = Thing(name.name, args)
        self.stack.append({} if name.name == "collections.OrderedDict" and not args else made)

    def build(self, state):
        if type(self.stack[-1]) is not Thing:
            raise TypeError("no object")
        self.stack[-1].state = state


# The steps that put a value on the stack, by what they put there.
VALUES: dict[bytes, Callable[[_Pickle], Any]] = {
    b"N": lambda p: None,
    b"\x88": lambda p: True,
    b"\x89": lambda p: False,
    b"I": lambda p: p.decimal(),
    b"L": lambda p: p.decimal(),
    b"J": lambda p: p.number(4, signed=True),
    b"K": lambda p: p.number(1),
    b"M": lambda p: p.number(2),
    b"\x8a": lambda p: p.number(p.number(1), signed=True),
    b"F": lambda p: p.decimal(float),
    b"G": lambda p: struct.unpack(">d", p.take(8))[0],
    b"S": lambda p: p.quoted(),
    b"T": lambda p: p.take(p.number(4)),
    b"U": lambda p: p.take(p.number(1)),
    b"B": lambda p: p.take(p.number(4)),
    b"C": lambda p: p.take(p.number(1)),
    b"\x96": lambda p: p.take(p.number(8)),
    b"V": lambda p: str(p.line(), "raw-unicode-escape"),
    b"X": lambda p: str(p.take(p.number(4)), "utf-8", "surrogatepass"),
    b"\x8c": lambda p: str(p.take(p.number(1)), "utf-8", "surrogatepass"),
    b")": lambda p: (),
    b"t": lambda p: tuple(p.marked()),
    b"\x85": lambda p: tuple(p.last(1)),
    b"\x86": lambda p: tuple(p.last(2)),
    b"\x87": lambda p: tuple(p.last(3)),
    b"]": lambda p: [],
    b"l": lambda p: p.marked(),
    b"\x8f": lambda p: [],
    b"}": lambda p: {},
    b"g": lambda p: p.memo[p.decimal()],
    b"h": lambda p: p.memo[p.number(1)],
    b"j": lambda p: p.memo[p.number(4)],
    b"c": lambda p: p.named(str(p.line(), "utf-8"), str(p.line(), "utf-8")),
    b"\x93": lambda p: p.named(*map(_text, p.last(2))),
}
# The others, but for STOP. What no body model needs is left out: the instances of old classes, and all that reaches out
# of the file (persistent ids, the registry of extensions, buffers that lie elsewhere).
MOVES: dict[bytes, Callable[[_Pickle], None]] = {
    b"\x80": lambda p: p.take(1),
    b"\x95": lambda p: p.take(8),
    b"(": lambda p: p.mark(),
    b"p": lambda p: p.put(p.decimal()),
    b"q": lambda p: p.put(p.number(1)),
    b"r": lambda p: p.put(p.number(4)),
    b"\x94": lambda p: p.put(len(p.memo)),
    b"a": lambda p: p.extend(p.last(1)),
    b"e": lambda p: p.extend(p.marked()),
    b"\x90": lambda p: p.extend(p.marked()),
    b"d": lambda p: p.mapping(p.marked()),
    b"s": lambda p: p.update(p.last(2)),
    b"u": lambda p: p.update(p.marked()),
    b"R": lambda p: p.call(*p.last(2)),
    b"\x81": lambda p: p.call(*p.last(2)),
    b"b": lambda p: p.build(*p.last(1)),
}
STOP = ord(".")
STEPS = {code[0]: lambda p, value=value: p.push(value(p)) for code, value in VALUES.items()}
STEPS |= {code[0]: move for code, move in MOVES.items()}
