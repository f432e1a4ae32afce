#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Memory orders in the sources keep their promises:
  - a comment that begins with a label (QUEUE-W2, GATE-R1) names its partners after "Pairs with";
    every partner named is defined at the beginning of some comment, and names the label back;
  - memory orders and compiler builtins for atomics are spelled in src/base/atomic.h alone.

usage: memory_orders.py SOURCE_DIR"""
import pathlib
import re
import sys

SPELLED_IN = pathlib.PurePath("base/atomic.h")
SPELLING = re.compile(
    r"\b(__atomic_\w+|__ATOMIC_\w+|__sync_\w+|memory_order_\w+|stdatomic"
    r"|atomic_(?:load|store|exchange|compare|fetch|thread|signal)\w*)\b")
COMMENT = re.compile(r"/\*(.*?)\*/|//([^\n]*)", re.S)
LABEL = re.compile(r"\b[A-Z][A-Z0-9]*(?:-[A-Z][A-Z0-9]*)*-[WR]\d+\b")
PARTNERS = re.compile(r"[Pp]airs\s+with\s+(.*?)(?:\.(?:\s|$)|;|$)", re.S)


def line_of(text, position):
    return text.count("\n", 0, position) + 1


class Label:
    def __init__(self):
        self.places = []
        self.partners = set()


def comments(text):
    """(line, text) of each comment, the leading stars of its lines taken away; comments on
    consecutive lines of // are taken one by one."""
    for match in COMMENT.finditer(text):
        body = match.group(1) if match.group(1) is not None else match.group(2)
        yield line_of(text, match.start()), re.sub(r"\n\s*\*", "\n", body).strip()


def read_labels(files):
    labels = {}
    for name, text in files:
        for line, body in comments(text):
            first = LABEL.match(body)
            if first:
                label = labels.setdefault(first.group(), Label())
                label.places.append(f"{name}:{line}")
                for partners in PARTNERS.findall(body):
                    label.partners.update(LABEL.findall(partners))
    return labels


def label_problems(labels):
    for name, label in sorted(labels.items()):
        place = label.places[0]
        if not label.partners:
            yield f"{place}: {name} names no partner"
        for partner in sorted(label.partners):
            if partner not in labels:
                yield f"{place}: {name} pairs with {partner}, which is not defined"
            elif name not in labels[partner].partners:
                yield f"{labels[partner].places[0]}: {partner} does not name {name} back ({place})"


def spelling_problems(files):
    for name, text in files:
        if name == SPELLED_IN:
            continue
        code = COMMENT.sub(lambda match: re.sub(r"[^\n]", " ", match.group()), text)
        for match in SPELLING.finditer(code):
            yield f"{name}:{line_of(code, match.start())}: {match.group()} outside {SPELLED_IN}"


def main(source_dir):
    root = pathlib.Path(source_dir)
    files = [
        (path.relative_to(root), path.read_text(encoding="utf-8"))
        for path in sorted(root.rglob("*.[ch]"))
    ]
    labels = read_labels(files)
    problems = [*label_problems(labels), *spelling_problems(files)]
    if not files:
        problems.append(f"{source_dir}: no sources")
    print(*problems, sep="\n")
    print(f"{len(files)} files, {len(labels)} labels, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1]))
