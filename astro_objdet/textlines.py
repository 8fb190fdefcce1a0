"""Results as lines of text."""

__all__ = ["table_lines"]


def table_lines(header, rows):
    """Lines of a plain table: first column to the left, the others to the right."""
    cells = [list(header), *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    for row in cells:
        first = row[0].ljust(widths[0])
        rest = [cell.rjust(width) for cell, width in zip(row, widths, strict=True)][1:]
        yield "  ".join([first, *rest]).rstrip()
