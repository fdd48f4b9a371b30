"""Learned and plain codes that store feature maps in fewer bits."""

from .table import TableCode

__all__ = ["TableCode"]
