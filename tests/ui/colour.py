"""How colours are seen: contrast (WCAG 2.2) and colour blindness (Machado, Oliveira and Fernandes 2009, severity 1)."""

from __future__ import annotations

from textual.color import Color

_SEEN = {
    "protanopia": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "deuteranopia": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)),
    "tritanopia": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.303900)),
}  # fmt: skip
EYES = ("normal", *_SEEN)
Linear = tuple[float, float, float]


def linear(colour: Color) -> Linear:
    """Light of the three primaries, 0 to 1."""

    def light(value: int) -> float:
        share = value / 255
        return share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4

    return light(colour.r), light(colour.g), light(colour.b)


def luminance(colour: Color) -> float:
    red, green, blue = linear(colour)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: Color, other: Color) -> float:
    """1 to 21."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def seen_by(eyes: str, colour: Color) -> Linear:
    red, green, blue = linear(colour)
    if eyes == "normal":
        return red, green, blue
    rows = [min(1.0, max(0.0, a * red + b * green + c * blue)) for a, b, c in _SEEN[eyes]]
    return rows[0], rows[1], rows[2]


def distance(one: Linear, other: Linear) -> float:
    """CIE 1976 colour difference; 2.3 is just noticeable."""
    pairs = zip(_lab(one), _lab(other), strict=True)
    return float(sum((a - b) ** 2 for a, b in pairs)) ** 0.5


def _lab(light: Linear) -> tuple[float, float, float]:
    red, green, blue = light
    x = (0.4124 * red + 0.3576 * green + 0.1805 * blue) / 0.95047
    y = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    z = (0.0193 * red + 0.1192 * green + 0.9505 * blue) / 1.08883
    fx, fy, fz = (v ** (1 / 3) if v > 0.008856 else 7.787 * v + 16 / 116 for v in (x, y, z))
    return 116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)
