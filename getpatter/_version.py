"""The version, in one place: the build, the events and the user agent read it here."""

__version__ = "0.8.0.dev0"
