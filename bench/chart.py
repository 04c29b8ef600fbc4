"""A bar chart of ratios, as SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from xml.sax.saxutils import escape

_ROW, _LEFT, _WIDTH, _RIGHT = 22, 300, 480, 70
_FASTER, _SLOWER = "#2a7f62", "#b5533c"


def bars(ratios: Sequence[tuple[str, float]]) -> str:
    """One bar for each name, from 1 to the right (faster) or to the left (slower), on a logarithmic scale."""
    most = max([2.0, *(max(ratio, 1 / ratio) for _, ratio in ratios)])
    scale = _WIDTH / 2 / math.log(most)
    middle, height = _LEFT + _WIDTH / 2, _ROW * (len(ratios) + 1)
    rows = [_bar(name, ratio, number, middle, scale) for number, (name, ratio) in enumerate(ratios)]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{_LEFT + _WIDTH + _RIGHT}" height="{height}" '
            'font-family="sans-serif" font-size="12">',
            f'<rect width="100%" height="100%" fill="white"/><path d="M{middle:.0f} 0V{height}" stroke="#888"/>',
            *rows,
            "</svg>\n",
        ]
    )


def _bar(name: str, ratio: float, number: int, middle: float, scale: float) -> str:
    length, top = math.log(ratio) * scale, _ROW * number + 8
    left, color = (middle, _FASTER) if ratio >= 1 else (middle + length, _SLOWER)
    return (
        f'<text x="{_LEFT - 8}" y="{top + 12}" text-anchor="end">{escape(name)}</text>'
        f'<rect x="{left:.0f}" y="{top}" width="{max(abs(length), 1):.0f}" height="16" fill="{color}"/>'
        f'<text x="{max(middle, middle + length) + 6:.0f}" y="{top + 12}">{ratio:.2g}</text>'
    )
