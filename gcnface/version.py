"""The version, in the one place that the package metadata reads as well."""

__version__ = "0.1.0"
