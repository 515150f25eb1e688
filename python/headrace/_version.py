"""The version of the package, which is that of the C++ library in it."""

__version__ = "0.1.0"
