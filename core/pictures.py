"""Pictures that people bring: read with care, turned as they were held, and made no larger than they are shown."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from PIL import Image

from core.errors import EnvoiError

MAX_PIXELS = 36_000_000
"""Of a picture in memory, 4 octets each; a small file may well say that it has a thousand times as many."""

MAIL_FORMATS = ("PNG", "JPEG", "GIF")
"""What every mail program shows. Pillow reads dozens of formats, and the rarer ones have had holes."""

_ORIENTATION = 0x0112  # EXIF 2.32, section 4.6.4
_SIDEWAYS = range(5, 9)  # turned by 90 degrees
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""By orientation, what brings a picture upright."""
_MUCH = 200_000  # octets of a PNG beyond which a photo is looked for in it
_BOMBS = (Image.DecompressionBombError, Image.DecompressionBombWarning)
_FAULTS = (OSError, ValueError, SyntaxError, EOFError)  # whatever else Pillow raises for a damaged file


class UnreadablePictureError(EnvoiError):
    """The octets are no picture of the wanted formats, or are damaged."""


class TooManyPixelsError(UnreadablePictureError):
    """The picture would take too much memory."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture as it is kept.

    Attributes:
        data: The file.
        media_type: For example `image/jpeg`.
        width: In pixels, as it is seen.
        height: In pixels, as it is seen.
    """

    data: bytes
    media_type: str
    width: int
    height: int


def fitted(data: bytes, box: tuple[int, int], formats: tuple[str, ...] = MAIL_FORMATS) -> Picture:
    """Return a picture that stands within a box, as it is meant to be seen.

    One that stands there already stays as it is, octet by octet. Of any other the turn of the camera is carried out
    (EXIF), which mail programs and PDFs do not do, grey of 16 bits is brought to 8, and what no camera needs any
    more, such as the place, is left behind. Moving pictures stay as they are.

    Args:
        data: The file.
        box: Width and height at most.
        formats: Of Pillow's names, those that may be read.

    Raises:
        UnreadablePictureError: It is no such picture, or is damaged.
        TooManyPixelsError: It would take too much memory.
    """
    with _faults_told(), Image.open(io.BytesIO(data), formats=formats) as picture:
        kind = str(picture.format)
        turned = picture.getexif().get(_ORIENTATION, 1)
        if getattr(picture, "is_animated", False) and kind == "GIF":
            return Picture(data, "image/gif", *picture.size)
        fits = picture.width <= box[0] and picture.height <= box[1]
        if fits and turned == 1 and picture.mode in {"1", "L", "LA", "P", "RGB", "RGBA"}:
            picture.load()  # a file that was cut off is told here, not by whoever gets the mail
            return Picture(data, Image.MIME[kind], *picture.size)
        # A profile for print says nothing about the colors of a screen.
        profile = picture.info.get("icc_profile") if picture.mode in {"RGB", "RGBA"} else None
        return _written(_drawn(picture, box), kind, profile)


def drawn(data: bytes, box: tuple[int, int], formats: tuple[str, ...]) -> Image.Image:
    """Return what `fitted` returns as a picture in memory, of mode L, LA, RGB or RGBA; arguments and errors are its."""
    with _faults_told(), Image.open(io.BytesIO(data), formats=formats) as picture:
        return _drawn(picture, box)


def size_of(file: Path | BinaryIO) -> tuple[int, int] | None:
    """Return width and height of a picture, of which only the head is read; None for what is none."""
    try:
        with Image.open(file, formats=MAIL_FORMATS) as picture:
            return picture.size
    except (*_BOMBS, *_FAULTS):
        return None


@contextmanager
def _faults_told() -> Iterator[None]:
    try:
        yield
    except _BOMBS as error:
        raise TooManyPixelsError(str(error)) from error
    except _FAULTS as error:
        raise UnreadablePictureError(str(error)) from error


def _drawn(picture: Image.Image, box: tuple[int, int]) -> Image.Image:
    turned = picture.getexif().get(_ORIENTATION, 1)
    if turned in _SIDEWAYS:
        box = (box[1], box[0])
    # A JPEG is read at a fraction of its size, so that a photo of 100 megapixels takes no more memory than another.
    scale = min(box[0] / picture.width, box[1] / picture.height, 1)
    picture.draft("RGB", (int(2 * scale * picture.width), int(2 * scale * picture.height)))
    if picture.width * picture.height > MAX_PIXELS:
        raise TooManyPixelsError(f"{picture.width} × {picture.height}")
    made = _eight_bits(picture)
    if made.mode not in {"L", "LA", "RGB", "RGBA"}:
        made = made.convert("RGBA" if made.has_transparency_data else "RGB")
    made.thumbnail(box, Image.Resampling.LANCZOS)
    return made.transpose(_TURNS[turned]) if turned in _TURNS else made


def _eight_bits(picture: Image.Image) -> Image.Image:
    """Return a picture whose grey has 8 bits: a conversion by Pillow cuts off whatever is lighter than 255."""
    if picture.mode.startswith("I;16"):
        octets = picture.tobytes()
        return Image.frombytes("L", picture.size, octets[0::2] if picture.mode == "I;16B" else octets[1::2])
    if picture.mode in {"I", "F"}:
        return picture.point(lambda value: value * (1 / 256)).convert("L")
    return picture


def _written(made: Image.Image, kind: str, profile: bytes | None) -> Picture:
    def write(kind: str, **options: object) -> Picture:
        out = io.BytesIO()
        made.save(out, kind, icc_profile=profile, **options)
        return Picture(out.getvalue(), Image.MIME[kind], *made.size)

    made.info.pop("exif", None)  # that of the source: it would turn the picture again
    opaque = not made.has_transparency_data
    if kind == "JPEG":
        return write("JPEG", quality=85, optimize=True)
    png = write("PNG", optimize=True)
    # A photo from the clipboard comes as PNG, five times as large as it needs to be; a drawing is best as PNG.
    if opaque and len(png.data) > _MUCH:
        jpeg = write("JPEG", quality=85, optimize=True)
        if len(jpeg.data) * 2 < len(png.data):
            return jpeg
    return png
