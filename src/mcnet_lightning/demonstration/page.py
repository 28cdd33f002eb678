"""The page itself, in Gradio: what is asked on the left, what came of it on the right and below."""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from mcnet_lightning.config.problem import SCALES
from mcnet_lightning.demonstration.restoring import Choice, Demonstrator, Shown
from mcnet_lightning.demonstration.views import ErrorMap
from mcnet_lightning.errors import DataError, MCNetError, printable

BACKBONES = [("SRCNN (fastest)", "srcnn"), ("RCAN, compact", "rcan"), ("RDN, compact", "rdn"), ("bicubic", "bicubic")]
BOUNDARIES = [("torch, Pillow", "truncated"), ("MATLAB", "symmetric"), ("older MATLAB", "replicate")]
UNITS = [
    ("the l2 norm, values in [0, 1]", "l2"),
    ("the root mean square, values in [0, 1]", "rms"),
    ("the root mean square, in grey levels", "levels"),
    ("what rounding to 8 bit amounts to", "noise"),
]
INTRODUCTION = """# Enlarge a picture, and keep what was measured

Shrink the result, and the picture you dropped comes back; a certificate says how exactly. Pictures stay on the machine
that serves this page, and are deleted when the server stops."""
MAPS = "Where they differ, in grey levels of 255. Black is equal; the maps of A w − b and A x − b share one scale."
WAITING = 20  # requests that may stand in line; the next ones are told to come back
PROGRESS = gr.Progress()  # which Gradio replaces by that of the request
KEPT = 3600  # seconds for which results can be downloaded
HEIGHT = 480
# no web fonts: the page asks no other machine for anything
THEME = gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"])
# while a picture is made the progress is shown over the words of before, which would shine through
STYLE = "#status { min-height: 5em; } #status .pending { visibility: hidden; }"
# on a phone the progress is below the button, out of sight
SHOW_STATUS = "(...given) => { document.getElementById('status').scrollIntoView({block: 'nearest'}); return given; }"


def build_page(demonstrator: Demonstrator, limits: str, examples: list[Path]) -> gr.Blocks:
    """The page; `limits` says in words what is refused. Restores one picture at a time, the others wait."""
    with gr.Blocks(analytics_enabled=False, title="MCNet", delete_cache=(KEPT, KEPT)) as page:
        gr.Markdown(INTRODUCTION)
        with gr.Row():
            with gr.Column(scale=1, min_width=280):
                inputs = _inputs(limits, examples)
                button = gr.Button("Restore", variant="primary", elem_id="restore")
            with gr.Column(scale=2):
                status = gr.Markdown("Drop a picture, or take an example, and press *Restore*.", elem_id="status")
                with gr.Column(visible=False) as sliders:
                    outputs = _sliders()
        with gr.Column(visible=False) as details:
            outputs += _details()

        def restore(
            upload: str | None,
            backbone: str,
            scale: int,
            boundary: str,
            epsilon: str,
            unit: str,
            shrink: bool,
            progress: gr.Progress = PROGRESS,
        ) -> Iterator[list[Any]]:
            def make(folder: Path) -> Shown:
                choice = Choice(backbone, scale, boundary, _number(epsilon), unit, shrink)
                return demonstrator(Path(upload) if upload else None, choice, folder, tell)

            def tell(share: float, words: str) -> None:
                progress(share, words)

            yield from _answers(make, upload, len(outputs))

        button.click(
            restore,
            inputs,
            [status, sliders, details, *outputs],
            concurrency_limit=1,
            show_progress_on=status,
            js=SHOW_STATUS,
            api_visibility="private",
        )
    page.queue(max_size=WAITING, default_concurrency_limit=1)
    return page


def _inputs(limits: str, examples: list[Path]) -> list[gr.components.Component]:
    """Upload, backbone, scale, boundary, epsilon and its unit, shrinking: in the order of the page's `restore`."""
    upload = gr.File(label=f"Picture ({limits})", height=140, elem_id="upload")
    gr.Examples([[str(path)] for path in examples], [upload], label="Examples (scikit-image's photographs, shrunk)")
    return [
        upload,
        gr.Dropdown(BACKBONES, value="srcnn", label="Backbone", elem_id="backbone"),
        gr.Radio(list(SCALES), value=SCALES[0], label="Scale", elem_id="scale"),
        gr.Dropdown(BOUNDARIES, value="truncated", label="The picture was shrunk by the bicubic filter of"),
        gr.Textbox(  # a number field would show and send 0 where it is empty
            label="epsilon",
            info="how far A x may be from b in each channel; empty: 0, or for a JPEG what compression took",
            elem_id="epsilon",
        ),
        gr.Dropdown(UNITS, value="l2", label="epsilon is", elem_id="unit"),
        gr.Checkbox(True, label="shrink large pictures", info="phone photos are larger than this page enlarges"),
    ]


def _sliders() -> list[gr.components.Component]:
    made = []
    for left, title in (("backbone", "backbone | MCNet"), ("lr", "your picture | MCNet")):
        with gr.Tab(title):
            slider = gr.ImageSlider(format="png", max_height=HEIGHT, label=title, elem_id=f"slider-{left}")
            made.append(slider)
    return made


def _details() -> list[gr.components.Component]:
    with gr.Row():
        pictures = [_picture(name) for name in ("your picture", "backbone", "MCNet")]
    gr.Markdown(MAPS)
    with gr.Row():
        maps = [_picture("") for _ in range(3)]
    with gr.Row():
        files = gr.File(label="Downloads", file_count="multiple", interactive=False, elem_id="downloads")
        certificates = gr.JSON(label="Certificates", max_height=HEIGHT, elem_id="certificates")
    return [*pictures, *maps, files, certificates]


def _picture(label: str) -> gr.Image:
    return gr.Image(label=label, format="png", interactive=False, buttons=["fullscreen"])


def _answers(make: Callable[[Path], Shown], upload: str | None, outputs: int) -> Iterator[list[Any]]:
    """What the components show: the results, or one sentence alone. Files are copied before the folder goes."""
    hidden = gr.update(visible=False)
    if upload:
        yield [f"Restoring {printable(Path(upload).name)} ...", hidden, hidden, *[gr.skip()] * outputs]
    with tempfile.TemporaryDirectory(prefix="mcnet-demo-") as folder:
        try:
            shown = make(Path(folder))
        except MCNetError as error:
            yield [f"**Not restored:** {error}", hidden, hidden, *[gr.skip()] * outputs]
        else:
            visible = gr.update(visible=True)
            yield [shown.sentence, visible, visible, *_results(shown)]


def _number(typed: str) -> float | None:
    """None of an empty field. Raises DataError where it is no number."""
    try:
        return float(typed) if typed.strip() else None
    except ValueError:
        raise DataError(f"epsilon is {printable(typed)!r}, which is no number; leave it empty, or give one") from None


def _results(shown: Shown) -> list[Any]:
    maps = [
        _map(shown.change, "|MCNet − backbone|"),
        _map(shown.residual_before, "|A w − b| of the backbone"),
        _map(shown.residual_after, "|A x − b| of MCNet"),
    ]
    files = [str(path) for path in shown.files]
    sliders = [(shown.backbone, shown.mcnet), (shown.lr, shown.mcnet)]
    return [*sliders, shown.lr, shown.backbone, shown.mcnet, *maps, files, shown.certificates]


def _map(error: ErrorMap, name: str) -> Any:
    return gr.update(value=error.image, label=f"{name}, up to {error.largest:.2g}")
