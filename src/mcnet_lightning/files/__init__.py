"""Files: written in one step, told apart by digests, named, downloaded, and weights read safely. Imports no torch."""

from mcnet_lightning.files.writing import (
    disk_failure,
    file_digest,
    files_digest,
    locked,
    make_folder,
    staged,
    sync,
    unwritable,
    write_csv,
    write_file,
)

__all__ = [
    "disk_failure",
    "file_digest",
    "files_digest",
    "locked",
    "make_folder",
    "staged",
    "sync",
    "unwritable",
    "write_csv",
    "write_file",
]
