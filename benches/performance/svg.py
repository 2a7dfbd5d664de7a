"""Draws a plot of a few lines as SVG."""

import math
from html import escape

WIDTH, HEIGHT = 720, 400
LEFT, RIGHT, TOP, BOTTOM = 80, 24, 56, 60
# Distinct also without colour vision (the palette of Okabe and Ito), and by their marks.
COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7"]
STYLE = """<style>
text { font: 13px system-ui, sans-serif; fill: #222 }
.title { font-size: 16px; font-weight: 600 }
.grid { stroke: #ddd }
.axis { stroke: #222 }
</style>"""


def short(value):
    """Such as 10k, 1M and 0.25."""
    for size, unit in ((1_000_000, "M"), (1_000, "k")):
        if value >= size:
            return f"{value / size:g}{unit}"
    return f"{value:g}"


def decades(low, high):
    """The powers of ten that hold `low` and `high`."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    return [10.0**power for power in range(first, max(last, first + 1) + 1)]


def steps(high):
    """About five round steps from 0 to at least `high`."""
    rough = high / 5
    unit = 10 ** math.floor(math.log10(rough))
    step = next(unit * factor for factor in (1, 2, 2.5, 5, 10) if unit * factor >= rough)
    return [step * number for number in range(math.ceil(high / step) + 1)]


def plot(title, x_label, y_label, lines, x_ticks=None, y_log=False):
    """The SVG of `lines`: a dict of labels and points (x, y, lowest y, highest y). The x axis is
    logarithmic."""
    points = [point for line in lines.values() for point in line]
    xs, highs = [point[0] for point in points], [point[3] for point in points]
    x_ticks = x_ticks or decades(min(xs), max(xs))
    y_ticks = decades(min(point[2] for point in points), max(highs)) if y_log else steps(max(highs) * 1.05)
    x_low, x_high = math.log10(x_ticks[0]), math.log10(x_ticks[-1])

    def x_at(value):
        return LEFT + (WIDTH - LEFT - RIGHT) * (math.log10(value) - x_low) / ((x_high - x_low) or 1)

    def y_at(value):
        low, high = y_ticks[0], y_ticks[-1]
        share = math.log10(value / low) / math.log10(high / low) if y_log else value / high
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * share

    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">', STYLE,
        f"<title>{escape(title)}</title>", f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
        f'<text class="title" x="{LEFT}" y="22">{escape(title)}</text>',
    ]
    for value in y_ticks:
        y = y_at(value)
        parts.append(f'<path class="grid" d="M{LEFT} {y:.1f}H{right}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{short(round(value, 6))}</text>')
    for value in x_ticks:
        x = x_at(value)
        parts.append(f'<path class="grid" d="M{x:.1f} {TOP}V{bottom}"/>')
        parts.append(f'<text x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">{short(value)}</text>')
    parts += [
        f'<path class="axis" fill="none" d="M{LEFT} {TOP}V{bottom}H{right}"/>',
        f'<text x="{(LEFT + right) / 2}" y="{HEIGHT - 14}" text-anchor="middle">{escape(x_label)}</text>',
        f'<text transform="translate(18 {(TOP + bottom) / 2}) rotate(-90)" text-anchor="middle">{escape(y_label)}</text>',
    ]
    place = LEFT
    for number, (label, line) in enumerate(lines.items()):
        colour = COLOURS[number % len(COLOURS)]
        path = "L".join(f"{x_at(x):.1f} {y_at(y):.1f}" for x, y, _, _ in line)
        parts.append(f'<path fill="none" stroke="{colour}" stroke-width="2" d="M{path}"/>')
        for x, y, low, high in line:
            parts.append(f'<path stroke="{colour}" d="M{x_at(x):.1f} {y_at(low):.1f}V{y_at(high):.1f}"/>')
            parts.append(mark(number, x_at(x), y_at(y), colour))
        parts.append(mark(number, place + 6, 40, colour))
        parts.append(f'<text x="{place + 16}" y="44">{escape(label)}</text>')
        place += 36 + 7 * len(label)
    return "\n".join([*parts, "</svg>"]) + "\n"


def mark(number, x, y, colour):
    if number % 4 == 0:
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"/>'
    if number % 4 == 1:
        return f'<rect x="{x - 4:.1f}" y="{y - 4:.1f}" width="8" height="8" fill="{colour}"/>'
    if number % 4 == 2:
        return f'<path d="M{x:.1f} {y - 5:.1f}l5 9h-10z" fill="{colour}"/>'
    return f'<path d="M{x:.1f} {y - 5:.1f}l5 5l-5 5l-5 -5z" fill="{colour}"/>'
