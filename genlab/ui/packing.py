"""Bytes as text short enough for a link."""

import base64
import binascii
import zlib

LONGEST = 4_000  # characters: browsers and servers take no endless links


def pack(value: bytes) -> str:
    """Of letters, digits, - and _; "" for what stays too long, a photograph."""
    text = base64.urlsafe_b64encode(zlib.compress(value, 9)).decode().rstrip("=")
    return text if len(text) <= LONGEST else ""


def unpack(text, size: int) -> bytes:
    """The `size` bytes that `pack` packed; none for anything else, from a stranger's link."""
    if not isinstance(text, str) or not 0 < len(text) <= LONGEST:
        return b""
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        value = zlib.decompressobj().decompress(raw, size + 1)  # bounded: a link may hold a zip bomb
    except (binascii.Error, ValueError, zlib.error):
        return b""
    return value if len(value) == size else b""
