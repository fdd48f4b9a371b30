"""The link: framed requests from a host over a serial line (docs/reference/link.md)."""
