"""Pictures that people bring."""

from __future__ import annotations

import io
import random

import pytest
from PIL import Image

from core.companies.service import LOGO_PIXELS, clean_logo
from core.errors import UserError
from core.pictures import UnreadablePictureError, fitted, size_of

BOX = (1200, 4000)


def file(picture: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    out = io.BytesIO()
    picture.save(out, kind, **options)
    return out.getvalue()


def seen(data: bytes) -> Image.Image:
    picture = Image.open(io.BytesIO(data))
    picture.load()
    return picture


def held(orientation: int) -> bytes:
    """A wide photo, red on its left as the camera wrote it."""
    photo = Image.new("RGB", (3000, 2000), "blue")
    photo.paste("red", (0, 0, 1500, 2000))
    exif = Image.Exif()
    exif[0x0112] = orientation
    return file(photo, "JPEG", exif=exif)


def is_red(pixel: object) -> bool:
    assert isinstance(pixel, tuple)
    return bool(pixel[0] > 200 and pixel[2] < 60)


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_photo_is_made_as_small_as_it_is_shown(kind: str) -> None:
    noise = Image.frombytes("RGB", (400, 300), random.Random(1).randbytes(400 * 300 * 3))  # noqa: S311 (noise)
    photo = file(noise.resize((4000, 3000), Image.Resampling.BICUBIC), kind)
    made = fitted(photo, BOX)
    assert (made.width, made.height) == seen(made.data).size == (1200, 900)
    assert made.media_type == "image/jpeg", "a photo from the clipboard comes as PNG"
    assert len(made.data) < 500_000


def test_a_drawing_stays_a_png_with_what_shines_through() -> None:
    drawing = Image.new("RGBA", (2400, 1000), (0, 0, 0, 0))
    drawing.paste((0, 0, 255, 255), (0, 0, 1200, 1000))
    made = fitted(file(drawing), BOX)
    assert (made.media_type, made.width, made.height) == ("image/png", 1200, 500)
    assert seen(made.data).getpixel((1000, 100))[3] == 0


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF"])
def test_what_fits_stays_octet_by_octet(kind: str) -> None:
    data = file(Image.new("RGB", (600, 200), "navy"), kind)
    assert fitted(data, BOX).data == data


def test_a_moving_picture_keeps_moving() -> None:
    frames = [Image.new("RGB", (1500, 100), color) for color in ("red", "navy", "green")]
    data = file(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert fitted(data, BOX).data == data


@pytest.mark.parametrize(
    ("orientation", "size", "where"),
    [(3, (1200, 800), (1100, 400)), (6, (1200, 1800), (600, 100)), (8, (1200, 1800), (600, 1700))],
)
def test_a_photo_is_turned_as_the_camera_was_held(
    orientation: int, size: tuple[int, int], where: tuple[int, int]
) -> None:
    made = fitted(held(orientation), BOX)
    picture = seen(made.data)
    assert (made.width, made.height) == picture.size == size
    assert is_red(picture.getpixel(where))
    assert picture.getexif().get(0x0112, 1) == 1


def test_a_logo_is_turned_as_well() -> None:
    logo = seen(clean_logo(held(6)))
    assert logo.size == (133, 200)
    assert is_red(logo.getpixel((60, 20)))


@pytest.mark.parametrize("make", [lambda data: fitted(data, BOX).data, clean_logo], ids=["mail", "logo"])
def test_grey_of_sixteen_bits_stays_grey(make) -> None:
    grey = Image.frombytes("I;16", (100, 50), (0x8000).to_bytes(2, "little") * 5000)
    value = seen(make(file(grey))).convert("L").getpixel((50, 20))
    assert abs(value - 128) <= 2


def test_a_photo_for_print_can_be_seen() -> None:
    made = fitted(file(Image.new("CMYK", (300, 200), (0, 255, 255, 0)), "JPEG"), BOX)
    assert seen(made.data).mode == "RGB"
    assert is_red(seen(made.data).getpixel((100, 100)))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x89PNG\r\n\x1a\n" + b"0" * 30,
        file(Image.new("RGB", (600, 200), "navy"))[:200],
        file(Image.new("RGB", (60, 20), "navy"), "WEBP"),
        b"<svg/>",
    ],
)
def test_what_no_mail_program_shows_is_no_picture(data: bytes) -> None:
    with pytest.raises(UnreadablePictureError):
        fitted(data, BOX)


def test_only_the_head_is_read_for_the_size() -> None:
    assert size_of(io.BytesIO(file(Image.new("L", (9000, 9000)))[:400])) == (9000, 9000)
    assert size_of(io.BytesIO(b"no picture")) is None


def test_a_photo_of_a_large_camera_is_taken_and_fits_a_logo() -> None:
    data = file(Image.new("RGB", (9000, 6000), "navy"), "JPEG")
    assert fitted(data, BOX).width == 1200
    assert seen(clean_logo(data)).size <= LOGO_PIXELS


def test_a_logo_that_is_small_as_a_file_only_is_refused() -> None:
    bomb = file(Image.new("1", (13_370, 13_370)))
    with pytest.raises(UserError, match="pixels"):
        clean_logo(bomb)
