"""What Pillow decodes: files of formats whose samples it keeps, and images that a caller opened with it."""

from pathlib import Path

import numpy as np
from PIL import Image

from mcnet_lightning.errors import DataError
from mcnet_lightning.imaging.compression import jpeg_noise
from mcnet_lightning.imaging.picture import FLOAT_DEPTH, Samples, check_size

# never Image.open without this list: it would hand a file called .png to Ghostscript if it looks like PostScript
FORMATS = ("AVIF", "BMP", "DIB", "GIF", "JPEG", "JPEG2000", "PCX", "PNG", "PPM", "QOI", "TGA", "TIFF", "WEBP")
SEVERAL_BUT_ONE_COUNTS = "MPO"  # a camera's JPEG with a preview, depth or gain map behind the picture
ORIENTATION = 0x0112
SIXTEEN_BIT = 65535
KEPT_MODES = ("1", "L", "LA", "La", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "YCbCr")
GRAY_MODES = ("1", "L", "LA", "La")
ALPHA_MODES = ("LA", "La", "PA", "RGBA", "RGBa")


def read_with_pillow(path: Path, max_megapixels: float) -> Samples:
    """The picture of a file in one of FORMATS. Raises DataError where Pillow would cut it, or it is animated."""
    Image.MAX_IMAGE_PIXELS = None  # the limit is ours, and is checked before a pixel is decoded
    with Image.open(path, formats=FORMATS) as picture:
        check_frames(str(path), picture)
        check_size(str(path), *picture.size, max_megapixels)
        if picture.format in ("JPEG2000", "AVIF"):
            _check_depth(path, picture.mode)
        return image_samples(picture, str(path))


def check_frames(name: str, picture: Image.Image) -> None:
    frames = getattr(picture, "n_frames", 1)
    if frames > 1 and picture.format != SEVERAL_BUT_ONE_COUNTS:
        raise DataError(f"{name} has {frames} frames; save the one you want as a picture of its own")


def image_samples(picture: Image.Image, name: str) -> Samples:
    """The samples of a Pillow image: what `read_picture` reads of the same file, or DataError, calling it `name`."""
    layout = _layout(picture)
    if _changes_values(picture, layout):
        raise DataError(f"{name} has a depth or scale that Pillow does not keep; read it with read_picture")
    picture.load()
    icc, orientation, mode = picture.info.get("icc_profile"), orientation_of(picture), picture.mode
    if mode.startswith("I;16"):
        gray = np.asarray(picture).astype(np.uint16)
        return Samples(with_key(gray, _key(picture, layout)), SIXTEEN_BIT, 16, orientation=orientation, icc=icc)
    if mode == "F":
        return Samples(np.asarray(picture), 1.0, FLOAT_DEPTH, orientation=orientation, icc=icc)
    if mode == "I":
        raise DataError(f"{name} holds 32-bit pixels, whose range is unknown; save it with 8 or 16 bit")
    if mode not in KEPT_MODES:
        raise DataError(f"{name} holds {mode} colours; convert it to RGB with your own profile first")
    key = _key(picture, layout)
    if mode == "P":
        array = np.asarray(picture.convert("RGBA" if "transparency" in picture.info else "RGB"))
    elif mode in ("LA", "RGBA", "La", "RGBa"):
        array = np.asarray(picture)
    else:
        opaque = picture.copy()
        opaque.info.pop("transparency", None)
        target = ("LA" if mode in ALPHA_MODES else "L") if mode in GRAY_MODES else ("RGBA" if mode == "PA" else "RGB")
        array = with_key(np.asarray(opaque.convert(target)), key)
    return Samples(array, 255.0, 8, mode in ("La", "RGBa"), orientation, icc, jpeg_noise=jpeg_noise(picture))


def orientation_of(picture: Image.Image) -> int:
    """As EXIF says it, 1 to 8; 1 where nothing is said."""
    orientation = picture.getexif().get(ORIENTATION, 1)
    return orientation if isinstance(orientation, int) else 1


def _changes_values(picture: Image.Image, layout: str) -> bool:
    """Whether Pillow cuts, stretches or inverts what the file holds."""
    tags = getattr(picture, "tag_v2", {})  # of a TIFF
    deep = picture.mode.startswith("I;16")
    if tags and deep:
        return tags.get(258) not in (16, (16,)) or tags.get(262) == 0
    largest = max((a for a in _arguments(picture) if isinstance(a, int)), default=0) if picture.format == "PPM" else 0
    return (";16" in layout and not deep) or largest > 255


def _layout(picture: Image.Image) -> str:
    """How the file holds its samples, such as RGB;16B; empty for an image that was decoded already."""
    return next((argument for argument in _arguments(picture) if isinstance(argument, str)), "")


def _arguments(picture: Image.Image) -> tuple[object, ...]:
    """Of the decoder that is still to run."""
    tile = getattr(picture, "tile", None)
    arguments = (tile[0][3] if tile else None) or ()
    return arguments if isinstance(arguments, tuple) else (arguments,)


def _key(picture: Image.Image, layout: str) -> int | tuple[int, ...] | None:
    """The one colour that PNG's tRNS makes transparent, on the scale of the decoded samples."""
    key = picture.info.get("transparency")
    if picture.mode == "P" or not isinstance(key, int | tuple):
        return None
    if isinstance(key, tuple):
        return tuple(level & 255 for level in key)
    if picture.mode == "1":
        return 255 * (key & 1)
    if layout in ("L;2", "L;4"):
        largest = 2 ** int(layout[-1]) - 1
        return (key & largest) * 255 // largest
    return key if picture.mode.startswith("I;16") else key & 255


def with_key(array: np.ndarray, key: int | tuple[int, ...] | None) -> np.ndarray:
    """The samples, and alpha 0 where they equal `key` and the largest value elsewhere."""
    if key is None:
        return array
    layers = array[..., None] if array.ndim == 2 else array
    opaque = (layers != np.asarray(key)).any(axis=-1, keepdims=True)
    return np.concatenate([layers, opaque * np.iinfo(array.dtype).max], axis=-1, dtype=array.dtype, casting="unsafe")


def _check_depth(path: Path, mode: str) -> None:
    """Raises DataError for JPEG 2000 and AVIF of more than 8 bits, of which Pillow would drop some."""
    start = path.read_bytes()[: 1 << 20]
    siz, configuration = start.find(b"\xff\x4f\xff\x51"), start.find(b"av1C")
    bits = 8
    if siz >= 0 and len(start) > siz + 42:
        bits = (start[siz + 42] & 0x7F) + 1
    elif configuration >= 0 and len(start) > configuration + 6:
        bits = 10 + 2 * bool(start[configuration + 6] & 0x20) if start[configuration + 6] & 0x40 else 8
    if bits > 8 and (mode, bits) != ("I;16", 16):
        raise DataError(f"{path} has {bits} bits per sample, which would be cut to 8; save it as a 16-bit PNG or TIFF")
