"""Pictures that somebody sends: read, cut to a square, or refused with a sentence before they are unpacked."""

import base64
import io
import struct
import time
import zlib

import numpy as np
import pytest

pytest.importorskip("gradio")

from PIL import Image

from genlab import ui, viz
from genlab.names import GenlabError


def file_of(array: np.ndarray, kind: str = "PNG", **options) -> bytes:
    held = io.BytesIO()
    Image.fromarray(array).save(held, kind, **options)
    return held.getvalue()


PHOTO = file_of(np.random.default_rng(0).integers(0, 256, (99, 99, 3), dtype=np.uint8), "JPEG", progressive=True)


def claims(width: int, height: int) -> bytes:
    """A PNG that says it is so large, and ends soon."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"\0" * 100_000)) + chunk(b"IEND", b"")


def test_a_picture_is_cut_to_a_square_in_the_middle():
    wide = np.zeros((40, 120, 3), np.uint8)
    wide[:, :40], wide[:, 40:80], wide[:, 80:] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    square = ui.read_picture(file_of(wide))
    assert square.shape == (40, 40, 3) and (square == (0, 255, 0)).all()
    assert ui.read_picture(file_of(np.zeros((900, 500, 3), np.uint8))).shape == (336, 336, 3)


def test_all_kinds_of_colour_become_red_green_and_blue():
    grey = np.full((9, 9), 128, np.uint8)
    assert (ui.read_picture(file_of(grey)) == 128).all()
    deep = np.full((9, 9), 128 * 256, np.uint16)
    assert (ui.read_picture(file_of(deep)) == 128).all(), "16 bits"
    clear = np.zeros((9, 9, 4), np.uint8)
    assert (ui.read_picture(file_of(clear)) == 255).all(), "white shows through"
    assert ui.read_picture(file_of(grey, "GIF")).shape == (9, 9, 3)
    turned = Image.Exif()
    turned[0x0112] = 3  # upside down
    half = np.zeros((16, 16, 3), np.uint8)
    half[:8] = 255
    assert ui.read_picture(file_of(half, "JPEG", exif=turned, quality=95))[12].min() > 200


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "no picture that can be read"),
        (b"words", "no picture that can be read"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "no picture that can be read"),
        (
            file_of(np.random.default_rng(0).integers(0, 256, (99, 99), dtype=np.uint8))[:900],
            "no picture that can be read",
        ),
        (claims(10_000, 10_000), "100 million pixels, and 50 are the most: make it smaller first"),
        (claims(60_000, 60_000), "far too many pixels"),
        (claims(5_000, 20), "too thin"),
        (PHOTO[:-2] + 200 * b"\xff\xda\x00\x08\x01\x01\x00\x01\x05\x00" + PHOTO[-2:], "more than 100 passes"),
    ],
    ids=["nothing", "words", "PostScript", "cut off", "large", "a bomb", "thin", "passes"],
)
def test_what_is_no_picture_is_told_at_once(data, said):
    start = time.monotonic()
    with pytest.raises(GenlabError, match=said) as told:
        ui.read_picture(data, "mine.png")
    assert str(told.value).startswith("mine.png") and time.monotonic() - start < 5


def test_a_photograph_may_come_in_passes():
    assert 5 < PHOTO.count(b"\xff\xda") < 20 and ui.read_picture(PHOTO).shape == (99, 99, 3)


def test_a_file_is_called_by_its_name(tmp_path):
    (tmp_path / "notes.txt").write_text("words")
    with pytest.raises(GenlabError, match=r"^notes\.txt is no picture"):
        ui.read_picture(tmp_path / "notes.txt")
    with pytest.raises(GenlabError, match=r"^gone\.png is not there"):
        ui.read_picture(tmp_path / "gone.png")


def test_a_picture_in_base64():
    image = np.random.default_rng(0).integers(0, 256, (12, 12, 3), dtype=np.uint8)
    text = base64.b64encode(viz.png(image)).decode()
    for sent in (text, f"data:image/png;base64,{text}"):
        assert np.array_equal(ui.sent_picture(sent), image)
    for wrong in ("!", "data:image/png;base64,!", None, 7, ["x"], "é"):
        with pytest.raises(GenlabError, match="the picture is no"):
            ui.sent_picture(wrong)


def test_resizing_keeps_flat_colours():
    image = np.full((10, 10, 3), (1, 2, 3), np.uint8)
    assert (ui.resized(image, 64) == (1, 2, 3)).all() and ui.resized(image, 10) is image
