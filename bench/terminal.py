"""Enough of an xterm to know what text stands where on a program's screen. Colours are ignored."""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections.abc import Callable

TOKEN = re.compile(
    r"\x1b\[(?P<args>[0-?]*)(?P<mid>[ -/]*)(?P<final>[@-~])"
    r"|\x1b\](?P<osc>[^\x07\x1b]*)(?:\x07|\x1b\\)"
    r"|\x1b[P_^X](?:[^\x1b]|\x1b(?!\\))*\x1b\\"
    r"|\x1b[ -/]+[0-~]|\x1b(?P<esc>[0-Z\\`-~])"
    r"|(?P<control>[\x00-\x1a\x1c-\x1f\x7f])"
    r"|(?P<text>[^\x00-\x1f\x7f]+)"
)
UNFINISHED = re.compile(r"\x1b(?:[ -/]*|\[[0-?]*[ -/]*|\][^\x07\x1b]*\x1b?|[P_^X](?:[^\x1b]|\x1b(?!\\))*)$")


class Screen:
    """The visible cells. Unknown sequences are ignored, the usual queries are answered."""

    def __init__(self, columns: int, rows: int) -> None:
        self.columns, self.rows = columns, rows
        self.decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self.rest, self.x, self.y, self.last = "", 0, 0, " "
        self.cells: list[list[str]] = []
        self.clear()

    def clear(self) -> None:
        self.cells = [[" "] * self.columns for _ in range(self.rows)]

    def text(self) -> str:
        return "\n".join("".join(row).rstrip() for row in self.cells)

    def feed(self, data: bytes) -> bytes:
        """Take the program's output; return the answers to its queries."""
        s = self.rest + self.decoder.decode(data)
        cut = UNFINISHED.search(s)
        if cut and len(s) - cut.start() < 4096:
            s, self.rest = s[: cut.start()], s[cut.start() :]
        else:
            self.rest = ""
        answers = ""
        for m in TOKEN.finditer(s):
            if m["text"]:
                self.put(m["text"])
            elif m["final"]:
                answers += self.csi(m["args"], m["mid"], m["final"])
            elif m["control"]:
                self.control(m["control"])
            elif m["osc"] and m["osc"][-2:] == ";?":
                answers += f"\x1b]{m['osc'][:-2]};rgb:0000/0000/0000\x1b\\"
            elif m["esc"] == "c":
                self.clear()
        return answers.encode()

    def put(self, text: str) -> None:
        for char in text:
            width = 1
            if char > "\u02ff":
                if unicodedata.combining(char):
                    continue
                width = 2 if unicodedata.east_asian_width(char) in "WF" else 1
            if self.x + width > self.columns:
                self.x, self.y = 0, min(self.rows - 1, self.y + 1)
            self.cells[self.y][self.x] = char
            if width == 2:
                self.cells[self.y][self.x + 1] = ""
            self.x += width
            self.last = char

    def control(self, char: str) -> None:
        if char == "\r":
            self.x = 0
        elif char in "\n\x0b\x0c":
            if self.y == self.rows - 1:
                self.cells = [*self.cells[1:], [" "] * self.columns]
            else:
                self.y += 1
        elif char == "\b":
            self.x = max(0, self.x - 1)
        elif char == "\t":
            self.x = min(self.columns - 1, self.x // 8 * 8 + 8)

    def csi(self, args: str, mid: str, final: str) -> str:
        """Carry out one control sequence; return the answer if it is a query."""
        numbers = [int(n) if n.isdigit() else 0 for n in args.lstrip("?>=<").split(";")]
        if mid:
            if mid == "$" and final == "p":  # synchronized output is supported, other modes are unknown
                return f"\x1b[?{numbers[0]};{2 if numbers[0] == 2026 else 0}$y"
            return ""
        if final == "n":
            reports = {5: "\x1b[0n", 6: f"\x1b[{self.y + 1};{self.x + 1}R"}
            return reports.get(numbers[0], "")
        if final == "c":
            return "\x1b[>41;330;0c" if args.startswith(">") else "\x1b[?62;22c" * (not args.strip("0"))
        if final in "hl" and args in ("?1049", "?47", "?1047"):
            self.clear()
        elif final in MOVES:
            self.move(final, max(1, numbers[0]), numbers)
        elif final in "JKXPb@":
            self.edit(final, numbers[0], max(1, numbers[0]))
        return ""

    def move(self, final: str, count: int, numbers: list[int]) -> None:
        second = max(1, numbers[1]) if len(numbers) > 1 else 1
        moves: dict[str, Callable[[], tuple[int, int]]] = {
            "H": lambda: (second - 1, count - 1),
            "f": lambda: (second - 1, count - 1),
            "G": lambda: (count - 1, self.y),
            "d": lambda: (self.x, count - 1),
            "A": lambda: (self.x, self.y - count),
            "B": lambda: (self.x, self.y + count),
            "C": lambda: (self.x + count, self.y),
            "D": lambda: (self.x - count, self.y),
            "E": lambda: (0, self.y + count),
            "F": lambda: (0, self.y - count),
        }
        x, y = moves[final]()
        self.x, self.y = max(0, min(self.columns - 1, x)), max(0, min(self.rows - 1, y))

    def edit(self, final: str, n: int, count: int) -> None:
        row = self.cells[self.y]
        if final == "J" and n >= 2:
            self.clear()
        elif final == "J" and n == 0:
            row[self.x :] = [" "] * (self.columns - self.x)
            for y in range(self.y + 1, self.rows):
                self.cells[y] = [" "] * self.columns
        elif final == "K":
            ends = {0: (self.x, self.columns), 1: (0, self.x + 1)}
            start, end = ends.get(n, (0, self.columns))
            row[start:end] = [" "] * (end - start)
        elif final == "X":
            end = min(self.columns, self.x + count)
            row[self.x : end] = [" "] * (end - self.x)
        elif final == "P":
            self.cells[self.y] = (row[: self.x] + row[self.x + count :] + [" "] * count)[: self.columns]
        elif final == "@":
            self.cells[self.y] = (row[: self.x] + [" "] * count + row[self.x :])[: self.columns]
        elif final == "b":
            self.put(self.last * count)


MOVES = "HfGdABCDEF"
