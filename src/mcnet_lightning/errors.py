"""Exceptions whose text is written for the person at the keyboard.

Every message says what is wrong, where, and what to do. The commands print it as one sentence and exit with
`exit_code`; anything else that reaches the top is a bug and keeps its traceback.
"""

import unicodedata

OBEYED = ("Cc", "Cf", "Cs")  # Unicode's control and format characters, and the surrogates of what is no UTF-8
HARMLESS = "\n\t\u200c\u200d"  # white space, and joiners that scripts and emoji need


def printable(text: str) -> str:
    """The text without what a terminal would obey or an encoding refuse, such as escapes in the name of a file."""
    return "".join("\ufffd" if unicodedata.category(c) in OBEYED and c not in HARMLESS else c for c in text)


class MCNetError(Exception):
    """A failure that the user can act on."""

    exit_code = 1

    def __str__(self) -> str:
        return printable(super().__str__())


class ConfigError(MCNetError):
    """A setting that does not exist, has the wrong type, or lies outside its range."""

    exit_code = 2


class DataError(MCNetError):
    """A dataset, image or folder that is missing or cannot be read."""

    exit_code = 3


class WeightsError(MCNetError):
    """A weight file that is missing, damaged, or made for something else."""

    exit_code = 4


class ConvergenceError(MCNetError):
    """A fixed point that could not be reached, where the caller asked for one."""

    exit_code = 5


class CertificateError(MCNetError):
    """A picture that does not keep what was asked or certified."""

    exit_code = 6


class Terminated(SystemExit):
    """Another process has asked this one to end (SIGTERM, or a job's time limit), and it does, when it can go on."""

    def __init__(self, code: int = 143) -> None:  # what a shell reports after SIGTERM
        super().__init__(code)
