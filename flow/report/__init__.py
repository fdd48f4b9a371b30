"""Reports: report.json (schema in docs/reference/report.md) and a self-contained report.html."""

from .data import FORMAT, LayerFigures, Report, ReportError, load_report
from .html import render, write_report

__all__ = [
    "FORMAT",
    "LayerFigures",
    "Report",
    "ReportError",
    "load_report",
    "render",
    "write_report",
]
