"""Exceptions whose text is written for the person at the keyboard.

Every message says what is wrong, where, and what to do. The commands print it as one sentence and exit with
`exit_code`; anything else that reaches the top is a bug and keeps its traceback.
"""


class MCNetError(Exception):
    """A failure that the user can act on."""

    exit_code = 1


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
