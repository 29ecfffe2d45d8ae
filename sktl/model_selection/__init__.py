"""Choosing and judging models: what transfer gains over the target data alone."""

from ._report import TransferReport, transfer_report

__all__ = ["TransferReport", "transfer_report"]
