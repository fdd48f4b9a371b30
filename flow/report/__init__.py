"""Reports: report.json (schema in docs/reference/report.md), self-contained pages of it."""

from .compare import compare, write_comparison
from .data import FORMAT, LayerFigures, Report, ReportError, load_report
from .html import Section, TableData, render, write_report

__all__ = [
    "FORMAT",
    "LayerFigures",
    "Report",
    "ReportError",
    "Section",
    "TableData",
    "compare",
    "load_report",
    "render",
    "write_comparison",
    "write_report",
]
