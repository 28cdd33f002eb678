"""TIFF: the main picture among previews, pyramids and masks, with all of its bits, whatever it is compressed with."""

import io
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image
from tifffile import TiffFile, TiffFrame, TiffPage

from mcnet_lightning.errors import DataError
from mcnet_lightning.imaging.picture import FLOAT_DEPTH, Samples, check_channels, check_size
from mcnet_lightning.imaging.pillow_images import image_samples
from mcnet_lightning.imaging.tiff_codecs import (
    COMPRESSIONS,
    FLOATING,
    HORIZONTAL,
    NONE,
    REVERSED,
    decompressed,
    unpacked,
    without_remarks,
)

MAX_PAGES = 64  # directories looked at: a file may chain thousands
REDUCED, MASK = 1, 4  # bits of NewSubfileType
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, YCBCR = 0, 1, 2, 3, 6
OTHER_COLOURS = {5: "CMYK", 8: "LAB", 9: "LAB", 10: "LAB"}
UNSIGNED, SIGNED, FLOAT, UNTYPED = 1, 2, 3, 4  # sample formats
ASSOCIATED, UNASSOCIATED = 1, 2  # kinds of extra samples: colour times alpha, and alpha alone


def read_tiff(path: Path, max_megapixels: float) -> Samples:
    with TiffFile(path) as tiff:
        page = _main_page(path, tiff)
        check_size(str(path), page.imagewidth, page.imagelength, max_megapixels)
        check_channels(str(path), page.samplesperpixel)
        bits = _bits(path, page)
        if bits <= 8 and (page.photometric in (PALETTE, YCBCR) or page.compression not in (NONE, *COMPRESSIONS)):
            with without_remarks():
                return _by_pillow(path, tiff, page)
        _check_kind(path, page, bits)
        with without_remarks():
            return _samples(path, tiff, page, bits)


def _main_page(path: Path, tiff: TiffFile) -> TiffPage:
    """The one picture that is neither a smaller version nor a mask; cameras' raw files keep it behind a thumbnail."""
    pages = _first(tiff.pages)
    if len(pages) > MAX_PAGES:
        raise DataError(f"{path} has more than {MAX_PAGES} pages; save the one you want as a picture of its own")
    main = [page for page in pages if _is_main(page)]
    if not main:
        main = [page for parent in pages if parent.subifds for page in _first(parent.pages or ()) if _is_main(page)]
    main = main or pages
    if len(main) > 1:
        raise DataError(f"{path} has {len(main)} pages; save the one you want as a picture of its own")
    return main[0]


def _first(pages: Iterable[TiffPage | TiffFrame]) -> list[TiffPage]:
    return [page for page in islice(pages, MAX_PAGES + 1) if isinstance(page, TiffPage)]


def _is_main(page: TiffPage) -> bool:
    return not page.subfiletype & (REDUCED | MASK)


def _bits(path: Path, page: TiffPage) -> int:
    bits = page.tags.valueof("BitsPerSample", 1)
    kinds = set(bits) if isinstance(bits, tuple) else {bits}
    if len(kinds) > 1:
        raise DataError(f"{path} has samples of different depth; save it with 8 or 16 bit")
    return int(kinds.pop())


def _check_kind(path: Path, page: TiffPage, bits: int) -> None:
    """Raises DataError for what has no known range or colour, before anything is decoded."""
    if page.photometric in OTHER_COLOURS:
        raise DataError(
            f"{path} holds {OTHER_COLOURS[page.photometric]} colours; convert it to RGB with your own profile first"
        )
    if page.photometric not in (WHITE_IS_ZERO, BLACK_IS_ZERO, RGB):
        kind = str(getattr(page.photometric, "name", page.photometric))
        raise DataError(f"{path} is a TIFF of photometric kind {kind}; save it as gray or RGB")
    if page.sampleformat == SIGNED:
        raise DataError(f"{path} holds signed samples, whose range is unknown; save it with 8 or 16 bit, unsigned")
    floating = page.sampleformat == FLOAT
    if bits not in ((16, 32, 64) if floating else range(1, 17)) or page.sampleformat not in (UNSIGNED, FLOAT, UNTYPED):
        raise DataError(f"{path} holds {bits}-bit samples, whose range is unknown; save it with 8 or 16 bit")
    if page.compression not in (NONE, *COMPRESSIONS):
        kind = str(getattr(page.compression, "name", page.compression))
        raise DataError(f"{path} is compressed by {kind} at {bits} bit, which is not supported; save it with LZW")
    if page.predictor not in (1, HORIZONTAL, FLOATING) or (page.predictor != 1 and bits not in (8, 16, 32, 64)):
        raise DataError(f"{path} is compressed with predictor {int(page.predictor)}, which is not supported")
    if page.imagedepth > 1:
        raise DataError(f"{path} is a volume of {page.imagedepth} layers; save the one you want as a picture")


def _samples(path: Path, tiff: TiffFile, page: TiffPage, bits: int) -> Samples:
    floating = page.sampleformat == FLOAT
    dtype = np.dtype(f"{tiff.byteorder}{'f' if floating else 'u'}{bits // 8 if bits % 8 == 0 else 2}")
    array = _decoded(tiff, page, bits, dtype)
    white = 1.0 if floating else 2.0**bits - 1
    if page.photometric == WHITE_IS_ZERO:
        array[..., :1] = array.dtype.type(white) - array[..., :1]
    alpha = _alpha_kind(path, page)
    depth = FLOAT_DEPTH if floating else 8 if bits <= 8 else 16
    orientation = page.tags.valueof("Orientation", 1)
    icc = page.tags.valueof("InterColorProfile")
    return Samples(array, white, depth, alpha == ASSOCIATED, int(orientation), icc)


def _alpha_kind(path: Path, page: TiffPage) -> int | None:
    """What the sample beside gray or RGB is; three or four samples that are said to be nothing are RGB and alpha."""
    kinds = tuple(int(kind) for kind in page.extrasamples)
    typed = any(kind in (ASSOCIATED, UNASSOCIATED) for kind in kinds)
    colours = 3 if page.photometric == RGB or (page.samplesperpixel >= 3 and not typed) else 1
    beside = page.samplesperpixel - colours
    if beside < 0 or beside > 1:
        raise DataError(f"{path} has {page.samplesperpixel} channels; save it as gray or RGB")
    return None if beside == 0 else (kinds[-1] if kinds else UNASSOCIATED)


def _decoded(tiff: TiffFile, page: TiffPage, bits: int, dtype: np.dtype) -> np.ndarray:
    """(H, W, S) in native byte order, put together from strips or tiles, of all samples or of one each."""
    height, width, samples = page.imagelength, page.imagewidth, page.samplesperpixel
    planes = samples if page.planarconfig == tifffile.PLANARCONFIG.SEPARATE else 1
    together = samples // planes
    rows, columns = (page.tilelength, page.tilewidth) if page.is_tiled else (min(page.rowsperstrip, height), width)
    if min(rows, columns, height, width) < 1:
        raise ValueError("its sizes make no sense")
    down, across = -(-height // rows), -(-width // columns)
    row_bytes = -(-columns * together * bits // 8)
    segments = list(zip(page.dataoffsets, page.databytecounts, strict=False))[: planes * down * across]
    if len(segments) < planes * down * across or min(map(min, segments)) < 1:
        raise ValueError("parts of it are missing")
    array = np.empty((height, width, samples), dtype.newbyteorder("="))
    for index, (offset, size) in enumerate(segments):
        plane, place = divmod(index, down * across)
        top, left = place // across * rows, place % across * columns
        length = rows if page.is_tiled else min(rows, height - top)
        tiff.filehandle.seek(offset)
        segment = tiff.filehandle.read(size)
        segment = segment.translate(REVERSED) if page.fillorder == 2 else segment
        block = unpacked(
            decompressed(segment, page.compression, length, row_bytes), bits, dtype, columns, together, page.predictor
        )
        target = array[top : top + rows, left : left + columns, plane * together : (plane + 1) * together]
        target[...] = block[: target.shape[0], : target.shape[1]]
    return array


def _by_pillow(path: Path, tiff: TiffFile, page: TiffPage) -> Samples:
    """Palettes, JPEG and fax of 8 bit or less, which Pillow reads without loss; it is shown this page as the first."""
    content = bytearray(path.read_bytes())
    place = slice(8, 16) if tiff.is_bigtiff else slice(4, 8)
    content[place] = page.offset.to_bytes(place.stop - place.start, "little" if tiff.byteorder == "<" else "big")
    with Image.open(io.BytesIO(bytes(content)), formats=["TIFF"]) as picture:
        return image_samples(picture, str(path))
