"""Command: `python -m mcnet_lightning.report runs=DIR` makes tables, figures and one HTML page from finished runs."""

from omegaconf import DictConfig, OmegaConf

from mcnet_lightning.cli.launch import launch


def main() -> None:
    launch("report", run, "train")


def run(config: DictConfig) -> None:
    """Writes tables (.md, .tex, .csv), figures (.svg), crops (.png) and index.html into `output`."""
    from pathlib import Path

    from mcnet_lightning.reporting.report import write_report

    folders = list(config.runs) if OmegaConf.is_list(config.runs) else [config.runs]
    written = write_report([str(folder) for folder in folders], Path(config.output), config.seed)
    tables = [path for path in written if path.suffix == ".md"]
    print("\n".join(path.read_text() for path in tables if path.stem in ("table2_quality", "gains", "robustness")))
    print(f"wrote {config.output}: {len(written)} files; open {Path(config.output) / 'index.html'}")


if __name__ == "__main__":
    main()
