"""MCNet and the files of its layer."""
