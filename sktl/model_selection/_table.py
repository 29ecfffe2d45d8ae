"""Tables of strings, as text and as HTML."""

from html import escape

__all__ = ["as_html", "as_text"]


def as_text(table: list[list[str]]) -> str:
    """Columns side by side, two spaces apart; the first line is the head."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in table
    ]
    return "\n".join(lines)


def as_html(table: list[list[str]], caption: str) -> str:
    """Make a table element whose first line is the head and whose first column names rows."""
    head, *body = table
    cells = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    rows = "".join(
        f"<tr><th>{escape(name)}</th>"
        + "".join(f"<td>{escape(cell)}</td>" for cell in line)
        + "</tr>"
        for name, *line in body
    )
    return (
        f"<table><caption>{escape(caption)}</caption>"
        f"<thead><tr>{cells}</tr></thead><tbody>{rows}</tbody></table>"
    )
