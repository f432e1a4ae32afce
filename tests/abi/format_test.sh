#!/bin/sh
# SPDX-License-Identifier: MIT
# Fills segments through the library and has them read by format_reader.py, which knows nothing but
# docs/format.md: what was put in has to come out, from the live file and from a byte copy.
# usage: format_test.sh LIBZEROIPC_SO [PYTHON]
set -eu

[ $# -ge 1 ] || {
	echo "usage: format_test.sh LIBZEROIPC_SO [PYTHON]" >&2
	exit 2
}
library=$(realpath "$1") python=${2:-python3}
here=$(cd "$(dirname "$0")" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"; rm -f "/dev/shm/zipc.format%2F$$%25"' EXIT

PYTHONDONTWRITEBYTECODE=1 "$python" - "$library" "$here/format_reader.py" "$scratch" "format/$$%" \
	"/dev/shm/zipc.format%2F$$%25" <<'PYTHON'
import ctypes
import json
import os
import shutil
import struct
import subprocess
import sys
import threading
import time
from ctypes import byref, c_char_p, c_int, c_int64, c_size_t, c_uint32, c_uint64, c_void_p

LIBRARY, READER, SCRATCH, NAME, SHM_PATH = sys.argv[1:]
SHM, FILE = 0, 1
SINGLE_PRODUCER, SINGLE_CONSUMER, AT_LEAST_ONCE = 1, 2, 4
EAGAIN, EPIPE = 11, 32
failures = 0


class SegmentOptions(ctypes.Structure):
    _fields_ = [("struct_size", c_uint32), ("backing", c_uint32), ("flags", c_uint32),
                ("mode", c_uint32), ("size", c_uint64), ("max_size", c_uint64),
                ("max_peers", c_uint32), ("slice_min_ms", c_uint32), ("slice_max_ms", c_uint32),
                ("reserved", c_uint32), ("spin_ns", c_int64)]


class QueueOptions(ctypes.Structure):
    _fields_ = [("struct_size", c_uint32), ("flags", c_uint32), ("alignment", c_uint32),
                ("reserved", c_uint32), ("schema", c_char_p)]


class ArrayOptions(ctypes.Structure):
    _fields_ = [("struct_size", c_uint32), ("alignment", c_uint32), ("schema", c_char_p)]


class Info(ctypes.Structure):
    _fields_ = [("struct_size", c_uint32), ("version", c_uint32), ("backing", c_uint32),
                ("read_only", c_uint32), ("size", c_uint64), ("max_size", c_uint64),
                ("used", c_uint64), ("free", c_uint64), ("max_peers", c_uint32),
                ("peers", c_uint32), ("structures", c_uint32), ("creator_pid", c_uint32),
                ("creator_uid", c_uint32), ("self_id", c_uint32), ("created_ns", c_uint64),
                ("uuid", ctypes.c_uint8 * 16), ("name", ctypes.c_char * 64)]


z = ctypes.CDLL(LIBRARY)
P = c_void_p
for function, result, *arguments in (
        ("zipc_last_error", c_char_p),
        ("zipc_segment_create", c_int, c_char_p, P, P),
        ("zipc_segment_close", None, P),
        ("zipc_segment_get_info", c_int, P, P),
        ("zipc_segment_gc", c_int, P),
        ("zipc_segment_verify", c_int, P, P, P),
        ("zipc_segment_open", c_int, c_char_p, P, P),
        ("zipc_alloc", c_int, P, c_uint64, c_uint64, P),
        ("zipc_publish", c_int, P, c_uint64),
        ("zipc_free", c_int, P, c_uint64),
        ("zipc_remove", c_int, P, c_char_p),
        ("zipc_array_create", c_int, P, c_char_p, c_uint64, c_uint64, P, P),
        ("zipc_array_open", c_int, P, c_char_p, c_uint64, c_uint64, P, P),
        ("zipc_array_set", c_int, P, c_uint64, P),
        ("zipc_array_close", None, P),
        ("zipc_queue_create", c_int, P, c_char_p, c_uint64, c_uint64, P, P),
        ("zipc_queue_push", c_int, P, P, c_int64),
        ("zipc_queue_pop", c_int, P, P, c_int64),
        ("zipc_queue_push_n", c_int, P, P, c_size_t, c_int64),
        ("zipc_queue_reserve", c_int, P, c_int64, P, P),
        ("zipc_queue_commit", c_int, P, c_uint64),
        ("zipc_queue_abort", c_int, P, c_uint64),
        ("zipc_queue_acquire", c_int, P, c_int64, P, P),
        ("zipc_queue_release", c_int, P, c_uint64),
        ("zipc_queue_requeue", c_int, P, c_uint64),
        ("zipc_queue_shutdown", c_int, P),
        ("zipc_queue_close", None, P)):
    f = getattr(z, function)
    f.restype, f.argtypes = result, arguments


def call(name, *arguments):
    r = getattr(z, name)(*arguments)
    if r < 0:
        sys.exit(f"format_test: {name}: {r} ({z.zipc_last_error().decode()})")
    return r


def handle(name, *arguments):
    out = c_void_p()
    call(name, *arguments, byref(out))
    return out


def options(kind, **members):
    return kind(struct_size=ctypes.sizeof(kind), **members)


def equal(what, got, wanted):
    global failures
    if got != wanted:
        failures += 1
        print(f"format_test: {what}: {str(got)[:400]}\n     instead of: {str(wanted)[:400]}")


def read(path):
    run = subprocess.run([sys.executable, READER, path], capture_output=True, text=True)
    if run.returncode != 0:
        sys.exit(f"format_test: the reader refuses {path}: {run.stderr}")
    return json.loads(run.stdout)


def info_of(segment):
    info = options(Info)
    call("zipc_segment_get_info", segment, byref(info))
    return info


def u64(n):
    return struct.pack("<Q", n)


# ---- what is put in: for each structure what must come out -------------------------------------

def queue(segment, name, size, capacity, **members):
    return handle("zipc_queue_create", segment, name, size, capacity,
                  byref(options(QueueOptions, **members)))


def push(q, *items):
    for item in items:
        call("zipc_queue_push", q, item, 0)


def pop(q, size, count):
    out = ctypes.create_string_buffer(size)
    return [call("zipc_queue_pop", q, out, 0) or out.raw.hex() for _ in range(count)]


def acquire(q):
    element, ticket = c_void_p(), c_uint64()
    call("zipc_queue_acquire", q, 0, byref(element), byref(ticket))
    return ticket.value


def reserve(q):
    element, ticket = c_void_p(), c_uint64()
    call("zipc_queue_reserve", q, 0, byref(element), byref(ticket))
    return ticket.value


def geometry(kind, stride, elements, element_stride, size):
    return {"kind": kind, "slots": 512, "slot_stride": stride, "elements": elements,
            "element_stride": element_stride, "size": size}


def lines(count, per_line, element_stride, size):
    return {"kind": "lines", "lines": count, "per_line": per_line,
            "element_stride": element_stride, "size": size}


wanted = {}


def want(name, **fields):
    wanted[name] = fields


def fill_arrays(segment):
    squares = [i * i << 40 | i for i in range(16)]
    a = handle("zipc_array_create", segment, b"squares", 8, 16,
               byref(options(ArrayOptions, alignment=4096, schema=b"u64 square")))
    for i, n in enumerate(squares):
        call("zipc_array_set", a, i, u64(n))
    z.zipc_array_close(a)
    want("squares", type="array", type_code=1, flags=0, element_size=8, capacity=16, size=128,
         alignment=4096, schema="u64 square", elements=squares, handles=[])
    a = handle("zipc_array_create", segment, "größe/3".encode(), 3, 5, None)
    call("zipc_array_set", a, 4, b"\x01\x02\x03")
    z.zipc_array_close(a)
    want("größe/3", type="array", element_size=3, capacity=5, size=15, alignment=64, schema="",
         elements=["000000"] * 4 + ["010203"])


def fill_inline(segment):
    q = queue(segment, b"inline", 8, 5, schema=b"u64 n")
    equal("empty pops", pop(q, 8, 0), [])
    for n in range(11):
        push(q, u64(n))
        if n < 5:
            pop(q, 8, 1)
    want("inline", type="queue", type_code=2, flags=0, element_size=8, capacity=8, alignment=8,
         schema="u64 n", size=640, geometry=geometry("inline", 16, 520, 16, 640), head=5, tail=11,
         items=[u64(n).hex() for n in range(5, 11)], item_positions=list(range(5, 11)), held=[],
         handles=[0, 1])  # the second is the dead child's of fill_again()
    q = queue(segment, b"empty", 1, 1024)
    want("empty", element_size=1, capacity=1024, alignment=1, head=0, tail=0, items=[], held=[],
         geometry=geometry("inline", 16, 520, 16, 16896))
    q = queue(segment, b"one", 40, 1)
    items = [bytes([n] * 40) for n in range(3)]
    push(q, items[0])
    pop(q, 40, 1)
    push(q, items[1])
    want("one", capacity=1, alignment=8, head=1, tail=2, items=[items[1].hex()], held=[],
         geometry=geometry("inline", 48, 520, 48, 560))
    q = queue(segment, b"full", 8, 4)
    for n in range(70):
        push(q, u64(n))
        if n < 66:
            pop(q, 8, 1)
    want("full", head=66, tail=70, items=[u64(n).hex() for n in range(66, 70)])


def fill_apart(segment):
    q = queue(segment, b"apart", 65536, 8)
    items = [os.urandom(65536) for _ in range(4)]
    push(q, *items)
    pop(q, 65536, 1)
    want("apart", element_size=65536, capacity=8, alignment=64, size=524928, head=1, tail=4,
         items=[i.hex() for i in items[1:]], held=[],
         geometry=geometry("apart", 16, 640, 65536, 524928))
    q = queue(segment, b"page", 100, 2, alignment=4096)
    push(q, bytes(range(100)))
    want("page", alignment=4096, head=0, tail=1, items=[bytes(range(100)).hex()],
         geometry=geometry("apart", 16, 4096, 4096, 12288))
    q = queue(segment, b"sixteen", 16, 8, alignment=16)
    push(q, b"0123456789abcdef")
    want("sixteen", alignment=16, items=[b"0123456789abcdef".hex()],
         geometry=geometry("apart", 16, 640, 16, 768))
    q = queue(segment, b"fortyseven", 47, 2)
    push(q, bytes(range(47)))
    want("fortyseven", alignment=1, items=[bytes(range(47)).hex()],
         geometry=geometry("inline", 56, 520, 56, 624))
    q = queue(segment, b"fortyeight", 48, 2, alignment=8)
    push(q, bytes(range(48)))
    want("fortyeight", alignment=8, items=[bytes(range(48)).hex()],
         geometry=geometry("apart", 16, 576, 48, 672))


def fill_claims(segment, me):
    """Holes, reservations, acquisitions of the living."""
    q = queue(segment, b"claims", 8, 8)
    push(q, u64(0), u64(1))
    pop(q, 8, 1)
    call("zipc_queue_abort", q, reserve(q))
    push(q, u64(3))
    reserve(q)
    push(q, u64(5))
    acquire(q)
    want("claims", head=2, tail=6, items=[u64(3).hex(), u64(5).hex()], item_positions=[3, 5],
         held=[{"position": 1, "state": "taken", "owner": me, "alive": True},
               {"position": 2, "state": "hole", "owner": 0},
               {"position": 4, "state": "claimed", "owner": me, "alive": True}])
    q = queue(segment, b"single", 24, 128, flags=SINGLE_PRODUCER | SINGLE_CONSUMER)
    items = b"".join(bytes([n] * 24) for n in range(100))
    equal("push_n", call("zipc_queue_push_n", q, items, 100, 0), 100)
    pop(q, 24, 70)
    call("zipc_queue_shutdown", q)
    equal("push after shutdown", z.zipc_queue_push(q, items, 0), -EPIPE)
    want("single", flags=3, single_producer=True, single_consumer=True, at_least_once=False,
         head=70, tail=100, items=[bytes([n] * 24).hex() for n in range(70, 100)], held=[],
         geometry=lines(129, 2, 24, 8768), roles=[me, me], shut_down=1, ended=0)


def fill_single(segment):
    """One consumer, over several laps and with a hole."""
    for name, flags in ((b"single/many", SINGLE_CONSUMER), (b"single/one", 3)):
        q = queue(segment, name, 8, 4, flags=flags)
        for n in range(11):
            push(q, u64(n))
            pop(q, 8, 1)
        push(q, u64(11))
        call("zipc_queue_abort", q, reserve(q))
        push(q, u64(13))
        want(name.decode(), flags=flags, head=11, tail=14,
             items=[u64(11).hex(), u64(13).hex()], item_positions=[11, 13],
             held=[{"position": 12, "state": "hole", "owner": 0}])


def fill_lines(segment, me):
    """One producer, one consumer: all kinds of elements, over several laps of the lines."""
    q = queue(segment, b"lines", 8, 16, flags=3)
    for n in range(60):
        push(q, u64(n))
        if n >= 4:
            equal("pop", pop(q, 8, 1), [u64(n - 4).hex()])
    call("zipc_queue_abort", q, reserve(q))
    push(q, u64(61))
    reserve(q)
    push(q, u64(63))
    first = acquire(q)
    acquire(q)
    call("zipc_queue_release", q, first)
    equal("pop", pop(q, 8, 1), [u64(58).hex()])
    want("lines", flags=3, head=59, tail=64, items=[u64(n).hex() for n in (59, 61, 63)],
         item_positions=[59, 61, 63], geometry=lines(7, 7, 8, 960), roles=[me, me], ended=0,
         held=[{"position": 57, "until": 59, "state": "taken", "owner": me, "alive": True},
               {"position": 60, "state": "hole", "owner": 0},
               {"position": 62, "state": "claimed", "owner": me, "alive": True}])
    for size, alignment, per_line, stride, count in ((1, 0, 14, 1, 3), (5, 4, 7, 8, 5),
                                                     (24, 0, 2, 24, 9), (47, 0, 1, 47, 17),
                                                     (47, 8, 1, 48, 17)):
        name = f"lines/{size}/{alignment}"
        q = queue(segment, name.encode(), size, 8, flags=3, alignment=alignment)
        items = [bytes((n + i) % 256 for i in range(size)) for n in range(150)]
        for n, item in enumerate(items):
            push(q, item)
            if n >= 5:
                equal("pop", pop(q, size, 1), [items[n - 5].hex()])
        want(name, head=145, tail=150, items=[i.hex() for i in items[145:]], held=[],
             item_positions=list(range(145, 150)),
             geometry=lines(count, per_line, stride, 512 + 64 * count))
        z.zipc_queue_close(q)
    q = queue(segment, b"lines/drained", 8, 1, flags=3)
    for n in range(8):
        push(q, u64(n))
        pop(q, 8, 1)
    call("zipc_queue_shutdown", q)
    equal("drained", z.zipc_queue_pop(q, ctypes.create_string_buffer(8), 0), -EPIPE)
    want("lines/drained", head=8, tail=8, items=[], held=[], geometry=lines(3, 7, 8, 704),
         shut_down=1, ended=1)
    q = queue(segment, b"lines/full", 8, 16, flags=3)
    push(q, *(u64(n) for n in range(16)))
    equal("full", z.zipc_queue_push(q, u64(16), 0), -EAGAIN)
    want("lines/full", head=0, tail=16, items=[u64(n).hex() for n in range(16)])


def die_on_lines(q):
    """What the child of fill_again() leaves: 0 acquired, 1, 2 reserved, 3."""
    push(q, u64(0), u64(1))
    reserve(q)
    push(q, u64(3))
    acquire(q)


def fill_again(segment, me):
    """At-least-once: 0 acknowledged, 1 held by us, 2 requeued, 3 held by a dead child, 4, 5."""
    q = queue(segment, b"again", 8, 8, flags=AT_LEAST_ONCE)
    push(q, *(u64(n) for n in range(6)))
    tickets = [acquire(q) for _ in range(3)]
    one = queue(segment, b"lines/dead", 8, 4, flags=3)
    child = os.fork()
    if child == 0:
        acquire(q)
        die_on_lines(one)
        os._exit(0)
    equal("the child's end", os.waitpid(child, 0)[1], 0)
    call("zipc_queue_release", q, tickets[0])
    call("zipc_queue_requeue", q, tickets[2])
    dead = {"position": 3, "state": "taken", "alive": False, "deliveries": 1}
    mine = {"position": 1, "state": "taken", "owner": me, "alive": True, "deliveries": 1}
    want("again", flags=4, at_least_once=True, head=4, tail=6, element_size=8, alignment=8,
         items=[u64(n).hex() for n in (2, 4, 5)], item_positions=[2, 4, 5],
         item_deliveries=[1, 0, 0], held=[mine, dead],
         geometry=geometry("apart", 16, 640, 8, 704))
    want("lines/dead", head=1, tail=4, items=[u64(1).hex(), u64(3).hex()], item_positions=[1, 3],
         held=[{"position": 0, "until": 1, "state": "taken", "alive": False},
               {"position": 2, "state": "claimed", "alive": False}])
    return child


def fill_names(segment, count):
    """More names than block 0 has, with two holes in between."""
    for i in range(count):
        a = handle("zipc_array_create", segment, b"name/%d" % i, 8, 1, None)
        call("zipc_array_set", a, 0, u64(i))
        z.zipc_array_close(a)
        want(f"name/{i}", elements=[i])
    for i in (3, count - 1):
        call("zipc_remove", segment, b"name/%d" % i)
        del wanted[f"name/{i}"]
    kept = handle("zipc_array_open", segment, b"name/7", 8, 1, None)
    call("zipc_remove", segment, b"name/7")  # open still: removed, not freed
    del wanted["name/7"]
    return kept


CLASSES = (128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096, 6144, 8192, 10880, 16384,
           21824, 32768)


def fill_heap(segment):
    """Blobs of all kinds; grows the segment. What they are, by offset."""
    blobs = {}
    exact = tuple((size, 0, size, True) for size in CLASSES)
    above = tuple((size + 1, 0, more, False) for size, more in zip(CLASSES, CLASSES[1:]))
    for size, alignment, rounded, published in (
            (1, 0, 128, True), (129, 0, 192, False), (200, 256, 256, True), (5000, 0, 6144, True),
            (10000, 4096, 16384, False), (32768, 32768, 32768, True), (32769, 0, 65536, True),
            (1, 65536, 65536, False), (5 << 20, 0, 5 << 20, True)) + exact + above:
        offset = c_uint64()
        call("zipc_alloc", segment, size, alignment, byref(offset))
        if published:
            call("zipc_publish", segment, offset)
        blobs[offset.value] = (rounded, "segment" if published else "peer")
    return blobs


# ---- comparing ---------------------------------------------------------------------------------

def compare_structure(got, fields, live):
    name = got["name"]
    if got["type"] == "queue":  # as the library sized it
        equal(f"{name}: size", got["size"], got["geometry"]["size"])
    for key, value in fields.items():
        if key == "roles":
            seen = [got["control"][role]["owner"] for role in ("producer", "consumer")]
            equal(f"{name}: roles", seen, value)
        elif key in ("shut_down", "ended"):
            equal(f"{name}: {key}", got["control"][key], value)
        elif key == "held":
            equal(f"{name}: how many are held", len(got["held"]), len(value))
            for g, w in zip(got["held"], value):
                if not live and "alive" in w:  # in a copy everybody is dead
                    w = {**w, "alive": False}
                equal(f"{name}: held", {k: g.get(k) for k in w}, w)
        else:
            equal(f"{name}: {key}", got.get(key), value)


def compare_structures(document, live):
    got = {s["name"]: s for s in document["structures"]}
    equal("names", sorted(got), sorted(wanted))
    for name, fields in wanted.items():
        if name in got:
            compare_structure(got[name], fields, live)


def compare_header(document, info, name, backing_name):
    h = document["header"]
    equal("header", {k: h[k] for k in ("version", "max_size", "max_peers", "creator_pid",
                                       "creator_uid", "created_ns", "uuid", "name")},
          {"version": info.version, "max_size": info.max_size, "max_peers": info.max_peers,
           "creator_pid": os.getpid(), "creator_uid": os.geteuid(),
           "created_ns": info.created_ns, "uuid": bytes(info.uuid).hex(), "name": backing_name})
    equal("name", info.name.decode(), name)
    equal("features", (h["features_compatible"], h["features_read_only"]), (0, 0))
    equal("guards", (h["heap_lock"]["owner"], h["directory_lock"]["owner"]), (0, 0))
    equal("structures", len(document["structures"]), info.structures)


def compare_heap(document, info, blobs, me):
    """The library's own sums, and every block we know."""
    heap, h = document["heap"], document["header"]
    tables = (h["chunks_offset"] + 8 * (h["size"] // 65536) + 4095) // 4096 * 4096
    equal("size", tables + h["size"] - h["first_chunk"], info.size)
    equal("used", tables + heap["used_bytes"], info.used)
    equal("chunks", sum(heap["states"].values()), h["size"] // 65536)
    equal("stray bodies", heap["states"]["body"],
          sum(b["size"] // 65536 - 1 for b in heap["blocks"] if b["size"] > 65536))
    by_offset = {b["offset"]: b for b in heap["blocks"]}
    for offset, (size, owner) in blobs.items():
        block = by_offset.get(offset, {})
        equal(f"blob {offset}", (block.get("size"), block.get("owner"), block.get("id")),
              (size, owner, me if owner == "peer" else None))
    for s in document["structures"]:
        block = by_offset.get(s["offset"], {})
        equal(f"block of {s['name']}",
              (block.get("owner"), block.get("index"), block.get("generation")),
              ("entry", s["index"], s["generation"]))
    for k, place in enumerate(document["directory_blocks"][1:], 1):
        block = by_offset.get(place, {})
        equal(f"directory block {k}",
              (block.get("owner"), block.get("index"), block.get("generation")),
              ("entry", 64 * ((1 << k) - 1), 0))


def compare_peers(document, me, child, live):
    peers = {p["pid"]: p for p in document["peers"]}
    equal("peers", sorted(peers), sorted([os.getpid(), child]))
    mine = peers.get(os.getpid(), {})
    equal("our peer", (mine.get("id"), mine.get("alive"), mine.get("uid")),
          (me, live, os.geteuid()))
    age = time.time_ns() - mine.get("attached_ns", 0)
    equal("attached lately", 0 <= age < 600 * 10**9, True)
    equal("our command", mine.get("command"), open("/proc/self/comm").read().rstrip("\n"))
    equal("the dead child", peers.get(child, {}).get("alive"), False)
    dead = [h["owner"] for s in document["structures"] if s["name"] == "again"
            for h in s["held"] if h["position"] == 3]
    equal("the dead child's claim", dead, [peers.get(child, {}).get("id")])
    left = [s for s in document["structures"] if s["name"] == "lines/dead"]
    named = [h["owner"] for s in left for h in s["held"]] + [
        s["control"][role]["owner"] for s in left for role in ("producer", "consumer")]
    equal("the dead child's lines", named, [peers.get(child, {}).get("id")] * 4)


def compare_waiter(segment, path, me):
    """A thread that sleeps at the items gate of a queue is in the table, and gone afterwards."""
    q = queue(segment, b"waited", 8, 4, flags=3)
    taken = ctypes.create_string_buffer(8)
    thread = threading.Thread(target=z.zipc_queue_pop, args=(q, taken, 60 * 10**9))
    thread.start()
    document, end = read(path), time.monotonic() + 20
    while not document["waiters"] and time.monotonic() < end:
        document = read(path)
    gates = [s["offset"] for s in document["structures"] if s["name"] == "waited"]
    equal("who waits", [(w["id"], w["thread"], w["gate"]) for w in document["waiters"]],
          [(me, thread.native_id, gate) for gate in gates])
    for w in document["waiters"]:
        age = time.clock_gettime_ns(time.CLOCK_MONOTONIC) - w["since_ns"]
        equal("waits since", 0 <= age < 60 * 10**9, True)
    push(q, u64(7))
    thread.join()
    equal("what came", (taken.raw, read(path)["waiters"]), (u64(7), []))
    z.zipc_queue_close(q)


# ---- the tests ---------------------------------------------------------------------------------

def test_content():
    o = options(SegmentOptions, size=256 << 10, max_size=64 << 20, max_peers=70,
                slice_min_ms=7, slice_max_ms=9)
    segment = handle("zipc_segment_create", NAME.encode(), byref(o))
    equal("the file's name", os.path.exists(SHM_PATH), True)
    fresh = read(SHM_PATH)
    me = info_of(segment).self_id
    born = fresh["header"]["size"]
    equal("born", (born - fresh["header"]["first_chunk"], fresh["structures"]), (256 << 10, []))
    equal("slices", (fresh["header"]["slice_min_ms"], fresh["header"]["slice_max_ms"]), (7, 9))
    fill_arrays(segment)
    fill_inline(segment)
    fill_apart(segment)
    fill_claims(segment, me)
    fill_single(segment)
    fill_lines(segment, me)
    child = fill_again(segment, me)
    fill_names(segment, 200)
    blobs = fill_heap(segment)
    info = info_of(segment)
    copy = os.path.join(SCRATCH, "copy")
    shutil.copyfile(SHM_PATH, copy)
    for path, live in ((SHM_PATH, True), (copy, False)):
        document = read(path)
        compare_header(document, info, NAME, NAME)
        compare_structures(document, live)
        compare_heap(document, info, blobs, me)
        compare_peers(document, me, child, live)
        equal("directory blocks", len(document["directory_blocks"]), 3)
        equal("grown", document["header"]["size"] > born, True)
    test_copy_attached(copy, blobs)
    equal("verify", call("zipc_segment_verify", segment, None, None), 0)


def test_copy_attached(copy, blobs):
    """The library takes a copy for a segment in which everybody died: the claims come back."""
    segment = handle("zipc_segment_open", copy.encode(),
                     byref(options(SegmentOptions, backing=FILE, mode=0o666)))
    call("zipc_segment_gc", segment)
    equal("verify the copy", call("zipc_segment_verify", segment, None, None), 0)
    document = read(copy)
    got = {s["name"]: s for s in document["structures"]}
    again = [u64(n).hex() for n in range(1, 6)]
    equal("copy: again", (got["again"]["items"], got["again"]["held"]), (again, []))
    held = [(h["position"], h["state"]) for h in got["claims"]["held"]]
    equal("copy: claims", (got["claims"]["items"], held),
          ([u64(3).hex(), u64(5).hex()], [(2, "hole"), (4, "hole")]))
    for name, items, holes in (("lines", (59, 61, 63), [60, 62]), ("lines/dead", (1, 3), [2])):
        held = [(h["position"], h["state"]) for h in got[name]["held"]]
        equal(f"copy: {name}", (got[name]["items"], held),
              ([u64(n).hex() for n in items], [(p, "hole") for p in holes]))
    for name in ("single", "lines", "lines/dead"):
        roles = [got[name]["control"][r]["owner"] for r in ("producer", "consumer")]
        equal(f"copy: roles of {name}", roles, [0, 0])
    equal("copy: given up", [got[n]["control"]["dropped"] for n in ("lines", "lines/dead")], [2, 1])
    left = {b["offset"] for b in document["heap"]["blocks"]}
    equal("copy: published blobs stay, the others go", [o in left for o in blobs],
          [owner == "segment" for _, owner in blobs.values()])
    z.zipc_segment_close(segment)


def test_file():
    """A file of the largest size: sparse tables, and a name that is the path's last part."""
    path = os.path.join(SCRATCH, "large.segment")
    wanted.clear()
    segment = handle("zipc_segment_create", path.encode(), byref(options(SegmentOptions,
                                                                         backing=FILE)))
    h = read(path)["header"]
    equal("large", (h["name"], h["max_size"], h["max_peers"], h["entry_stride"],
                    h["directory_offset"], h["chunks_offset"], h["first_chunk"]),
          ("large.segment", 64 << 30, 256, 384, 102400, 131072, 8519680))
    q = queue(segment, b"large", 1 << 20, 4)
    push(q, b"\xaa" * (1 << 20))
    want("large", items=["aa" * (1 << 20)], geometry=geometry("apart", 16, 576, 1 << 20,
                                                              576 + (4 << 20)))
    document, info = read(path), info_of(segment)
    compare_header(document, info, "large.segment", "large.segment")
    compare_structures(document, True)
    compare_heap(document, info, {}, info.self_id)
    compare_waiter(segment, path, info.self_id)
    z.zipc_queue_close(q)
    z.zipc_segment_close(segment)
    equal("gone in good order", [(p["pid"], p["alive"]) for p in read(path)["peers"]],
          [(0, False)])
    return path


def test_refusals(path):
    """What the document says must be refused, is: by the reader and by the library."""
    whole = open(path, "rb").read()
    for what, at, raw in (("magic", 0, b"X"), ("version", 4, b"\4"), ("byte order", 8, b"\1"),
                          ("header size", 12, b"\1"), ("incompatible", 32, b"\1"),
                          ("page size", 41, b"\0"), ("max_size", 80, b"\1"),
                          ("peers_offset", 89, b"\0"), ("max_peers", 120, b"\xff\xff"),
                          ("peer_stride", 124, b"\1"), ("directory_first", 132, b"\1"),
                          ("slice", 160, bytes(4)), ("chunk_shift", 172, b"\1"),
                          ("size", 1024, b"\1"), ("size 2", 1028, b"\x7f"),
                          ("waiters_offset", 241, b"\0"), ("waiters_per_peer", 248, b"\7"),
                          ("waiter_stride", 252, b"\1"), ("short", 8519680, None),
                          ("shorter", 4000, None)):
        bad = os.path.join(SCRATCH, "bad")
        with open(bad, "wb") as f:
            f.write(whole[:at] if raw is None else whole[:at] + raw + whole[at + len(raw):])
        run = subprocess.run([sys.executable, READER, bad], capture_output=True)
        equal(f"the reader refuses {what}", run.returncode, 1)
        r = z.zipc_segment_open(bad.encode(), byref(options(SegmentOptions, backing=FILE,
                                                            mode=0o666)), byref(c_void_p()))
        equal(f"the library refuses {what}", r < 0, True)


test_content()
test_refusals(test_file())
if failures:
    sys.exit(f"format_test: {failures} differences")
PYTHON
