"""Pictures of every kind arrive upright, opaque, in sRGB, and no larger than useful."""

import io
import struct
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from mmsearch.errors import Corrupt, LimitExceeded, Unsupported
from mmsearch.media.image import ImageDecoder, formats_of
from mmsearch.media.pixels import scaled
from mmsearch.types import Limits, Metadata, Windowing
from tests.media_files import BLACK, BLUE, CORNERS, GREEN, RED, WHITE, corners, photo, quarters

DECODER = ImageDecoder(Windowing(), Limits())


def decode(path: Path, **windowing: Any) -> list[Any]:
    return [segment.data for segment in ImageDecoder(Windowing(**windowing), Limits()).decode(path)]


def colour(pixels: Any) -> tuple[int, int, int]:
    """The colour of a picture that has but one."""
    assert np.ptp(pixels.reshape(-1, 3), axis=0).max() <= 2
    red, green, blue = pixels[0, 0]
    return int(red), int(green), int(blue)


# Turning: where each EXIF orientation puts the corners of the stored picture.
A, B, C, D = CORNERS
TURNED = {
    1: [A, B, C, D],
    2: [B, A, D, C],
    3: [D, C, B, A],
    4: [C, D, A, B],
    5: [A, C, B, D],
    6: [C, A, D, B],
    7: [D, B, C, A],
    8: [B, D, A, C],
}


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path: Path, suffix: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = photo(tmp_path / f"x{suffix}", 64, 48, exif=exif)
    (pixels,) = decode(path)
    assert pixels.shape == ((48, 64, 3) if orientation < 5 else (64, 48, 3))
    assert corners(pixels) == TURNED[orientation]
    facts = DECODER.describe(path)
    if suffix != ".tif":
        assert (facts["width"], facts["height"]) == ((64, 48) if orientation < 5 else (48, 64))


def test_heic_is_read_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / "x.heic"
    Image.fromarray(quarters(128, 96)).save(path, format="HEIF", exif=exif.tobytes(), quality=95)
    (pixels,) = decode(path)
    assert pixels.shape == (128, 96, 3)
    assert corners(pixels) == TURNED[6]


def with_alpha(mode: str) -> Image.Image:
    """Black, wholly transparent."""
    if mode == "P":
        image = Image.new("P", (8, 8), 0)
        image.putpalette([0, 0, 0] * 256)
        return image
    return Image.new(mode, (8, 8), 0)


@pytest.mark.parametrize(
    ("mode", "options"),
    [
        ("RGBA", {}),
        ("LA", {}),
        ("P", {"transparency": 0}),
        ("L", {"transparency": 0}),
        ("RGB", {"transparency": BLACK}),
    ],
)
def test_transparent_pixels_become_white(tmp_path: Path, mode: str, options: dict[str, Any]) -> None:
    with_alpha(mode).save(tmp_path / "x.png", **options)
    (pixels,) = decode(tmp_path / "x.png")
    assert colour(pixels) == WHITE


def test_half_transparent_pixels_are_blended_with_white(tmp_path: Path) -> None:
    Image.new("RGBA", (8, 8), (255, 0, 0, 128)).save(tmp_path / "x.png")
    assert colour(decode(tmp_path / "x.png")[0]) == (255, 127, 127)


@pytest.mark.parametrize(
    ("mode", "value", "suffix", "expected"),
    [
        ("1", 1, ".png", WHITE),
        ("L", 200, ".png", (200, 200, 200)),
        ("P", 0, ".gif", (9, 8, 7)),
        ("CMYK", (0, 0, 0, 0), ".jpg", WHITE),
        ("CMYK", (0, 0, 0, 255), ".tif", BLACK),
        ("YCbCr", (255, 128, 128), ".jpg", WHITE),
        ("I;16", 257 * 100, ".png", (100, 100, 100)),
        ("I;16", 255, ".png", (1, 1, 1)),
        ("I", 257 * 90, ".tif", (90, 90, 90)),
        ("I", 90, ".tif", (90, 90, 90)),
        ("F", 0.2, ".tif", (51, 51, 51)),
        ("F", 51.0, ".tif", (51, 51, 51)),
    ],
)
def test_every_pixel_mode_becomes_rgb(
    tmp_path: Path, mode: str, value: Any, suffix: str, expected: tuple[int, int, int]
) -> None:
    image = Image.new(mode, (16, 16), value)
    if mode == "P":
        image.putpalette([9, 8, 7] + [0, 0, 0] * 255)
    image.save(tmp_path / f"x{suffix}")
    assert colour(decode(tmp_path / f"x{suffix}")[0]) == expected


def test_lab_is_converted(tmp_path: Path) -> None:
    Image.new("LAB", (8, 8), (255, 128, 128)).save(tmp_path / "x.tif")
    assert min(colour(decode(tmp_path / "x.tif")[0])) >= 250


def test_scaling_to_bytes_keeps_the_range() -> None:
    grey = np.array([[0, 257, 65535]], np.uint16)
    assert scaled(grey).tolist() == [[0, 1, 255]]
    assert scaled(np.array([[-5, 128, 255]], np.int32)).tolist() == [[0, 128, 255]]
    assert scaled(np.array([[0, 2**31 - 1]], np.int32)).tolist() == [[0, 255]]
    assert scaled(np.array([[np.nan, 0.5, 1.0]], np.float32)).tolist() == [[0, 128, 255]]
    assert scaled(np.array([[-1000.0, 0.0, 1000.0]], np.float32)).tolist() == [[0, 128, 255]]


def linear_profile() -> bytes:
    """A profile whose red and blue are swapped against sRGB: made from sRGB's own tags."""
    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    count = struct.unpack_from(">I", data, 128)[0]
    entries = {bytes(data[132 + 12 * i : 136 + 12 * i]): 136 + 12 * i for i in range(count)}
    red, blue = entries[b"rXYZ"], entries[b"bXYZ"]
    data[red : red + 8], data[blue : blue + 8] = data[blue : blue + 8], data[red : red + 8]
    where = struct.unpack_from(">I", data, entries[b"desc"])[0]
    size = struct.unpack_from(">I", data, entries[b"desc"] + 4)[0]
    data[where : where + size] = bytes(data[where : where + size]).replace(b"s\x00R\x00G\x00B", b"q\x00Q\x00Q\x00Q")
    return bytes(data)


def test_an_icc_profile_is_applied(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8), RED).save(tmp_path / "x.png", icc_profile=linear_profile())
    red, _, blue = colour(decode(tmp_path / "x.png")[0])
    assert blue > 240 and red < 15


@pytest.mark.parametrize("profile", [b"broken", b"\x00" * 200])
def test_a_broken_icc_profile_is_ignored(tmp_path: Path, profile: bytes) -> None:
    Image.new("RGB", (8, 8), RED).save(tmp_path / "x.png", icc_profile=profile)
    assert colour(decode(tmp_path / "x.png")[0]) == RED


@pytest.mark.slow
@pytest.mark.parametrize(
    ("suffix", "size", "expected"),
    [
        (".jpg", (4000, 3000), (375, 500)),  # the JPEG decoder's eighth
        (".png", (4000, 3000), (300, 400)),  # a tenth
        (".png", (600, 583), (583, 600)),
        (".png", (600, 584), (292, 300)),
        (".png", (100, 80), (80, 100)),
        (".png", (1, 2000), (2000, 1)),
    ],
)
def test_a_large_picture_is_reduced_but_not_below_the_wanted_side(
    tmp_path: Path, suffix: str, size: tuple[int, int], expected: tuple[int, int]
) -> None:
    (pixels,) = decode(photo(tmp_path / f"x{suffix}", *size))
    assert pixels.shape[:2] == expected
    if min(size) > 1:
        assert corners(pixels) == list(CORNERS)


def animation(path: Path, frames: int, **options: Any) -> Path:
    """Frame i is of grey 10 + 10 i, and stays for 100 ms."""
    shades = [Image.new("L", (8, 8), 10 + 10 * i).convert("RGB") for i in range(frames)]
    shades[0].save(path, save_all=True, append_images=shades[1:], duration=100, **options)
    return path


@pytest.mark.parametrize(("suffix", "options"), [(".gif", {}), (".png", {}), (".webp", {"lossless": True})])
def test_an_animation_gives_evenly_spaced_frames(tmp_path: Path, suffix: str, options: dict[str, Any]) -> None:
    segments = list(DECODER.decode(animation(tmp_path / f"x{suffix}", 9, **options)))
    assert [colour(segment.data)[0] for segment in segments] == [20, 50, 80]
    assert [(segment.span.start, segment.span.end) for segment in segments] == [(0.1, 0.2), (0.4, 0.5), (0.7, 0.8)]
    assert DECODER.describe(tmp_path / f"x{suffix}")["frames"] == 9


def test_two_frames_give_two_segments_and_pages_are_numbered(tmp_path: Path) -> None:
    assert len(decode(animation(tmp_path / "x.gif", 2))) == 2
    pages = list(DECODER.decode(animation(tmp_path / "x.tif", 6)))
    assert [segment.span.page for segment in pages] == [2, 4, 6]


def test_a_damaged_later_frame_costs_itself_only(tmp_path: Path) -> None:
    path = animation(tmp_path / "x.gif", 9)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert 1 <= len(decode(path)) <= 3


def noise(width: int, height: int) -> Image.Image:
    """A picture that no format makes much smaller."""
    return Image.fromarray(np.random.default_rng(1).integers(0, 256, (height, width, 3)).astype(np.uint8))


def decoded_with_facts(path: Path) -> tuple[Any, Metadata]:
    """The only segment's pixels, and what decoding found."""
    segments = DECODER.decode(path)
    pixels = next(segments).data
    with pytest.raises(StopIteration) as end:
        next(segments)
    return pixels, end.value.value


@pytest.mark.parametrize("missing", [1, 2])
@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_without_its_end_mark_is_whole_and_marked_as_cut_off(
    tmp_path: Path, progressive: bool, missing: int
) -> None:
    path = tmp_path / "x.jpg"
    noise(64, 64).save(path, progressive=progressive)
    whole, nothing = decoded_with_facts(path)
    path.write_bytes(path.read_bytes()[:-missing])
    pixels, found = decoded_with_facts(path)
    assert np.array_equal(pixels, whole)
    assert (nothing, found) == ({}, {"cut_off": True})


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".gif", ".bmp", ".tif", ".ppm", ".tga"])
def test_what_a_cut_off_picture_has_is_shown(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"x{suffix}"
    noise(64, 64).save(path)
    whole, _ = decoded_with_facts(path)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * 0.9)])
    pixels, found = decoded_with_facts(path)
    half = slice(32, 64) if suffix in (".bmp", ".tga") else slice(0, 32)  # these begin at the bottom
    assert np.array_equal(pixels[half], whole[half])
    assert found == {"cut_off": True}


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".heic"])
def test_a_picture_of_which_most_is_missing_is_corrupt(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"x{suffix}"
    noise(64, 64).save(path)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * 0.4)])
    with pytest.raises(Corrupt, match="most of the picture is missing"):
        decode(path)


@pytest.mark.parametrize("missing", [12, 9])
def test_a_png_without_its_end_is_whole_and_marked_as_cut_off(tmp_path: Path, missing: int) -> None:
    path = tmp_path / "x.png"
    noise(64, 64).save(path)
    whole, nothing = decoded_with_facts(path)
    path.write_bytes(path.read_bytes()[:-missing])
    pixels, found = decoded_with_facts(path)
    assert np.array_equal(pixels, whole)
    assert (nothing, found) == ({}, {"cut_off": True})


def test_a_cut_off_picture_whose_lower_half_is_white_is_shown(tmp_path: Path) -> None:
    path = tmp_path / "x.jpg"
    page = Image.new("RGB", (64, 64), WHITE)
    page.paste(noise(64, 16))
    page.save(path)
    path.write_bytes(path.read_bytes()[:-2])
    assert decoded_with_facts(path)[1] == {"cut_off": True}


def test_a_picture_with_another_behind_it_is_reduced_by_its_decoder(tmp_path: Path) -> None:
    one, several = tmp_path / "one.jpg", tmp_path / "several.jpg"
    Image.fromarray(quarters(4000, 3000)).save(one, quality=75)
    Image.fromarray(quarters(4000, 3000)).save(several, format="MPO", save_all=True, append_images=[noise(64, 48)])
    assert DECODER.describe(several)["format"] == "MPO"
    (pixels,) = decode(several)
    # An eighth, and one segment: the other picture is no page.
    assert pixels.shape == (375, 500, 3)
    assert np.array_equal(pixels, decode(one)[0])


def test_data_after_the_end_of_a_picture_is_ignored(tmp_path: Path) -> None:
    path = photo(tmp_path / "x.jpg")
    before = decode(path)[0]
    path.write_bytes(path.read_bytes() + b"MotionPhoto" * 10_000)
    assert np.array_equal(decode(path)[0], before)


def png_header(width: int, height: int) -> bytes:
    """A PNG that promises a size and holds next to nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 64)) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("step", ["decode", "describe"])
def test_a_decompression_bomb_is_refused_by_its_header(tmp_path: Path, step: str) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(png_header(60_000, 60_000))
    with pytest.raises(LimitExceeded, match="pixels"):
        list(DECODER.decode(path)) if step == "decode" else DECODER.describe(path)


def test_the_pixel_limit_is_exact_and_leaves_pillow_as_it_was(tmp_path: Path) -> None:
    path = photo(tmp_path / "x.png", 100, 50)
    before, filters = Image.MAX_IMAGE_PIXELS, warnings.filters[:]
    assert list(ImageDecoder(Windowing(), Limits(pixels=5000)).decode(path))
    with pytest.raises(LimitExceeded):
        list(ImageDecoder(Windowing(), Limits(pixels=4999)).decode(path))
    assert before == Image.MAX_IMAGE_PIXELS
    assert warnings.filters == filters


def test_metadata_has_what_the_camera_recorded(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x010F], exif[0x0110] = "Maker\x00", "Model 5"
    camera = exif.get_ifd(0x8769)
    camera[0x9003], camera[0x9011], camera[0xA434] = "2019:06:30 12:34:56", "+02:00", "50 mm"
    place = exif.get_ifd(0x8825)
    place.update({1: "S", 2: (33.0, 51.0, 24.0), 3: "E", 4: (151.0, 12.0, 36.0)})
    facts = DECODER.describe(photo(tmp_path / "x.jpg", exif=exif))
    assert facts == {
        "width": 64,
        "height": 48,
        "format": "JPEG",
        "taken": "2019-06-30T12:34:56+02:00",
        "make": "Maker",
        "model": "Model 5",
        "lens": "50 mm",
        "gps": [-33.856667, 151.21],
    }


def test_a_camera_without_a_fix_has_no_place(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0132] = "2019-06-30 12:34:56"
    exif.get_ifd(0x8825).update({1: "N", 2: (0.0, 0.0, 0.0), 3: "E", 4: (0.0, 0.0, 0.0)})
    facts = DECODER.describe(photo(tmp_path / "x.jpg", exif=exif))
    assert facts == {"width": 64, "height": 48, "format": "JPEG", "taken": "2019-06-30T12:34:56"}


def test_senseless_exif_values_are_left_out(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0132], exif[0x0112] = "0000:00:00 00:00:00", 77
    exif.get_ifd(0x8825).update({1: "N", 2: (999.0, 0.0, 0.0), 3: "E", 4: (1.0, 0.0, 0.0)})
    assert DECODER.describe(photo(tmp_path / "x.jpg", exif=exif)) == {"width": 64, "height": 48, "format": "JPEG"}


@pytest.mark.parametrize(
    "head",
    [
        b"BMW builds cars in Munich and elsewhere, as everybody knows.",
        b"P1 is the highest priority, P5 the lowest.",
        b"#define ANSWER 42\nint main(void) { return ANSWER; }\n",
        b"%!PS-Adobe-3.0 EPSF-3.0\n",
        b"\xd7\xcd\xc6\x9a" + b"\0" * 40,
        b"icns are Apple's icons",
        b"",
        b"G",
    ],
)
def test_texts_and_command_formats_are_no_pictures(head: bytes) -> None:
    assert formats_of(Path("x.jpg"), head) == []


def test_a_format_without_signature_goes_by_its_suffix(tmp_path: Path) -> None:
    path = photo(tmp_path / "x.tga")
    assert corners(decode(path)[0]) == list(CORNERS)
    assert not DECODER.accepts(tmp_path / "x.dat", path.read_bytes()[:64])
    (tmp_path / "y.tga").write_bytes(b"\xff" * 500)
    with pytest.raises(Corrupt):
        decode(tmp_path / "y.tga")


def test_an_unsupported_bmp_variant_is_unsupported_and_named(tmp_path: Path) -> None:
    out = io.BytesIO()
    Image.fromarray(quarters(8, 8)).save(out, "BMP")
    data = bytearray(out.getvalue())
    struct.pack_into("<H", data, 28, 13)
    (tmp_path / "x.bmp").write_bytes(data)
    with pytest.raises(Unsupported, match="13"):
        decode(tmp_path / "x.bmp")


@pytest.mark.parametrize(("tag", "value", "said"), [(259, 50002, "a variant of TIFF"), (262, 32803, "raw picture")])
def test_a_tiff_of_another_compression_or_of_a_sensor_is_not_damaged(
    tmp_path: Path, tag: int, value: int, said: str
) -> None:
    out = io.BytesIO()
    Image.fromarray(quarters(8, 8)).save(out, "TIFF")
    data = bytearray(out.getvalue())
    entries = struct.unpack_from("<I", data, 4)[0] + 2
    (at,) = (at for at in range(entries, entries + 12 * 20, 12) if struct.unpack_from("<H", data, at)[0] == tag)
    struct.pack_into("<H", data, at + 8, value)
    (tmp_path / "x.tif").write_bytes(data)
    with pytest.raises(Unsupported, match=said):
        decode(tmp_path / "x.tif")


def test_a_heif_sequence_with_a_picture_of_its_own_is_a_picture(tmp_path: Path) -> None:
    path = tmp_path / "x.heics"
    Image.fromarray(quarters(64, 48)).save(path, format="HEIF", quality=95)
    data = path.read_bytes()
    path.write_bytes(data[:8] + b"hevc" + data[12:])
    (pixels,) = decode(path)
    assert pixels.shape == (48, 64, 3)


def test_colours_survive_jpeg(tmp_path: Path) -> None:
    for value in (RED, GREEN, BLUE):
        Image.new("RGB", (32, 32), value).save(tmp_path / "x.jpg", quality=95)
        assert np.abs(np.subtract(colour(decode(tmp_path / "x.jpg")[0]), value)).max() <= 2
