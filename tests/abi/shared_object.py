#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The shared object exports exactly the symbols of the map, and the map lists exactly the functions
that the public headers declare; it cannot be unloaded, and is read-only after relocation.

usage: shared_object.py LIBRARY MAP INCLUDE_DIR"""
import pathlib
import re
import subprocess
import sys

VERSION_NODE = "ZIPC_0.1"


def output_of(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def without_comments(path):
    with open(path, encoding="utf-8") as file:
        return re.sub(r"/\*.*?\*/", " ", file.read(), flags=re.S)


def exported(library):
    """{symbol: version node} as the dynamic linker sees it."""
    symbols = {}
    for line in output_of("nm", "-D", "--defined-only", library).splitlines():
        name, _, version = line.split()[2].partition("@@")
        if name != version and name != VERSION_NODE:
            symbols[name] = version
    return symbols


def listed(map_file):
    body = re.search(re.escape(VERSION_NODE) + r"\s*\{(.*?)\}", without_comments(map_file), re.S)
    global_part, local_part = body.group(1).split("local:")
    if local_part.split() != ["*;"]:
        sys.exit(f"{map_file}: everything but the list must be local")
    return set(re.findall(r"(\w+);", global_part))


def declared(include_dir):
    names = set()
    for header in pathlib.Path(include_dir).rglob("*.h"):
        code = re.sub(r"^#(?:.*\\\n)*.*", "", without_comments(header), flags=re.M)
        names.update(re.findall(r"ZIPC_API[^;]*?\b(\w+)\s*\(", code))
    return names


def main(library, map_file, include_dir):
    problems = []
    symbols = exported(library)
    in_map = listed(map_file)
    in_headers = declared(include_dir)
    if not in_headers:
        problems.append("no function found in the headers")
    for names, text in (
        (in_map - set(symbols), "in the map, not exported"),
        (set(symbols) - in_map, "exported, not in the map"),
        (in_headers - in_map, "declared in a header, not in the map"),
        (in_map - in_headers, "in the map, not declared in a header"),
        ({s for s, v in symbols.items() if v != VERSION_NODE}, f"not of version {VERSION_NODE}"),
    ):
        problems += [f"{name}: {text}" for name in sorted(names)]
    dynamic = output_of("readelf", "-dlW", library)
    for pattern, text in (
        (r"SONAME.*\[libzeroipc\.so\.0\]", "soname is not libzeroipc.so.0"),
        (r"FLAGS_1.*\bNODELETE\b", "dlclose() could unload it (-z nodelete)"),
        (r"FLAGS_1.*\bNOW\b", "lazily bound (-z now)"),
        (r"GNU_RELRO", "relocations stay writable (-z relro)"),
    ):
        if not re.search(pattern, dynamic):
            problems.append(text)
    print(*problems, sep="\n")
    print(f"{len(symbols)} exported, {len(in_map)} in the map, {len(in_headers)} declared")
    return 1 if problems else 0


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
