#!/usr/bin/env python3
"""Reads what programs built with D=cov left, and reports the branches of store/ and history/ that were taken.

    scripts/coverage-report.py OBJECTS REASONS [--show]

OBJECTS is the build directory of the variant; REASONS names the file that says why a branch is not taken. Each of its lines is

    FILE | TEXT OF THE LINE | REASON

and speaks for all branches not taken of the lines of FILE with that text. Lines move, their texts rarely do. FILE may be `*`.
TEXT that begins and ends with a slash is a regular expression that must match the whole line.

Prints one line a file, the branches not taken that nobody gives a reason for (all, with --show), and reasons that are no longer needed.
Exits 1 if under 95 % of the branches were taken, or any that was not has no reason, or a reason is not needed.
"""
import glob
import json
import os
import re
import subprocess
import sys

WANTED = 95.0


def measured(objects):
    """{file: {line number: [count of each branch]}}, of all programs together."""
    files = {}
    for layer in ("store", "history"):
        data = sorted(glob.glob(os.path.join(objects, layer, "*.gcda")))
        if not data:
            sys.exit(f"coverage: {objects}/{layer} has no measurements: run programs built with D=cov first")
        out = subprocess.run(["gcov", "--branch-probabilities", "--json-format", "--stdout", *data],
                             check=True, capture_output=True).stdout
        for document in out.splitlines():
            for file in json.loads(document)["files"]:
                if not file["file"].startswith(("store/", "history/")):
                    continue
                lines = files.setdefault(file["file"], {})
                for line in file["lines"]:
                    counts = [branch["count"] for branch in line["branches"] if not branch["throw"]]
                    if counts:  # a function of a header is measured once in each file that uses it
                        known = lines.setdefault(line["line_number"], [])
                        lines[line["line_number"]] = [a + b for a, b in zip(known, counts)] if len(known) == len(counts) else \
                            max(known, counts, key=lambda c: (sum(1 for n in c if n), len(c)))
    return files


def read_reasons(path):
    reasons = []
    with open(path, encoding="utf-8") as file:
        for number, text in enumerate(file, 1):
            text = text.strip()
            if not text or text.startswith("#"):
                continue
            parts = [part.strip() for part in re.split(r" \| ", text)]
            if len(parts) < 3 or not parts[-1]:
                sys.exit(f"{path}:{number}: expected FILE | TEXT | REASON")
            where, what, why = parts[0], " | ".join(parts[1:-1]), parts[-1]
            pattern = what[1:-1] if len(what) > 2 and what[0] == what[-1] == "/" else re.escape(what)
            reasons.append({"number": number, "file": where, "pattern": re.compile(pattern), "why": why, "used": 0})
    return reasons


def main():
    show = "--show" in sys.argv[1:]
    arguments = [a for a in sys.argv[1:] if a != "--show"]
    if len(arguments) != 2:
        sys.exit(__doc__)
    files, reasons = measured(arguments[0]), read_reasons(arguments[1])
    total = taken = unexplained = 0
    for name in sorted(files):
        with open(name, encoding="utf-8") as source:
            text = source.read().splitlines()
        all_here = taken_here = 0
        missing = []
        for number, counts in sorted(files[name].items()):
            all_here += len(counts)
            taken_here += sum(1 for count in counts if count)
            if all(counts):
                continue
            line, why = text[number - 1].strip(), None
            for reason in reasons:
                if reason["file"] in ("*", name) and reason["pattern"].fullmatch(line):
                    reason["used"] += 1
                    why = reason["why"]
                    break
            if why is None:
                unexplained += sum(1 for count in counts if not count)
            if show or why is None:
                sides = ",".join(str(i) for i, count in enumerate(counts) if not count)
                missing.append(f"    {name}:{number}: {line}  [{sides} of {len(counts)}]" + (f"  # {why}" if why else ""))
        total += all_here
        taken += taken_here
        if all_here:
            print(f"{100 * taken_here / all_here:6.1f} %  {taken_here:5d} of {all_here:5d}  {name}")
        for line in missing:
            print(line)
    unneeded = [reason for reason in reasons if not reason["used"]]
    for reason in unneeded:
        print(f"{arguments[1]}:{reason['number']}: no branch needs this reason any more")
    share = 100 * taken / total
    print(f"branches: {share:.2f} % taken, {taken} of {total}; {unexplained} not taken without a reason")
    return 0 if share >= WANTED and not unexplained and not unneeded else 1


if __name__ == "__main__":
    sys.exit(main())
