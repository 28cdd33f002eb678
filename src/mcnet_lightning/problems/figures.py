"""Figures of quality by name: how a table calls and writes them. Imports no torch: reports read runs at once."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """A column of metrics.csv. `decibel`: differences of it are gains in dB."""

    name: str
    heading: str
    form: str
    smaller_is_better: bool = False
    decibel: bool = False

    @property
    def kind(self) -> str:
        """The name without what it is counted on: `psnr` of `psnr_y`."""
        return self.name.split("_")[0]

    @property
    def signed(self) -> str:
        """The format of a difference."""
        return f"+{self.form}"


def figure(name: str) -> Figure:
    """What a name says: `psnr_y`, `psnr` and `snr` are decibels, `ssim` a number up to 1, `nmse` and other errors are
    better the smaller they are. Any other name is a number that is better the larger it is.
    """
    kind = name.split("_")[0]
    if kind in ("psnr", "snr"):
        return Figure(name, kind.upper(), ".3f", decibel=True)
    if kind in ("nmse", "mse", "rmse", "mae", "error"):
        return Figure(name, kind.upper() if kind != "error" else name, ".2e", smaller_is_better=True)
    return Figure(name, kind.upper() if kind == "ssim" else name, ".4f")
