"""A page on which a picture is restored and its certificate seen; the work is done by the code of `restore`."""
