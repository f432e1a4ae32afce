#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The program of consumer.c over ctypes: no header, no macro, only the exported functions.

usage: consumer.py LIBRARY make|take|send|receive|remove SEGMENT"""
import ctypes
import errno
import sys
from ctypes import byref, c_char_p, c_int, c_int64, c_size_t, c_uint32, c_uint64, c_void_p

NOWAIT, FOREVER = 0, -1
NUMBERS, TABLE, BLOCK_DATA = 100, 16, 4092


class QueueOptions(ctypes.Structure):
    _fields_ = [
        ("struct_size", c_uint32),
        ("flags", c_uint32),
        ("alignment", c_uint32),
        ("reserved", c_uint32),
        ("schema", c_char_p),
    ]


class Block(ctypes.Structure):
    _fields_ = [("length", c_uint32), ("data", ctypes.c_ubyte * BLOCK_DATA)]


SIGNATURES = {
    "zipc_version": (c_uint32,),
    "zipc_strerror": (c_char_p, c_int),
    "zipc_last_error": (c_char_p,),
    "zipc_segment_open_or_create": (c_int, c_char_p, c_void_p, c_void_p),
    "zipc_segment_close": (None, c_void_p),
    "zipc_segment_remove": (c_int, c_char_p, c_void_p),
    "zipc_segment_verify": (c_int, c_void_p, c_void_p, c_void_p),
    "zipc_queue_create": (c_int, c_void_p, c_char_p, c_uint64, c_uint64, c_void_p, c_void_p),
    "zipc_queue_open": (c_int, c_void_p, c_char_p, c_uint64, c_void_p, c_void_p),
    "zipc_queue_open_or_create": (
        c_int, c_void_p, c_char_p, c_uint64, c_uint64, c_void_p, c_void_p),
    "zipc_queue_close": (None, c_void_p),
    "zipc_queue_push": (c_int, c_void_p, c_void_p, c_int64),
    "zipc_queue_push_n": (c_int, c_void_p, c_void_p, c_size_t, c_int64),
    "zipc_queue_pop": (c_int, c_void_p, c_void_p, c_int64),
    "zipc_queue_size": (c_uint64, c_void_p),
    "zipc_queue_shutdown": (c_int, c_void_p),
    "zipc_array_create": (c_int, c_void_p, c_char_p, c_uint64, c_uint64, c_void_p, c_void_p),
    "zipc_array_open": (c_int, c_void_p, c_char_p, c_uint64, c_uint64, c_void_p, c_void_p),
    "zipc_array_close": (None, c_void_p),
    "zipc_array_data": (c_void_p, c_void_p),
    "zipc_array_length": (c_uint64, c_void_p),
    "zipc_array_add64": (c_int, c_void_p, c_uint64, c_uint64, c_void_p),
}


class Failure(Exception):
    pass


class Library:
    """The functions under their own names; a negative result is raised with its sentence."""

    def __init__(self, path):
        loaded = ctypes.CDLL(path)
        for name, (result, *arguments) in SIGNATURES.items():
            function = getattr(loaded, name)
            function.restype, function.argtypes = result, arguments
            setattr(self, name, function)

    def check(self, code, *allowed):
        if code < 0 and code not in allowed:
            text = self.zipc_strerror(code).decode()
            raise Failure(f"{text} ({self.zipc_last_error().decode()})")
        return code

    def handle(self, function, *arguments):
        out = c_void_p()
        self.check(function(*arguments, byref(out)))
        return out


def expect(condition, text):
    if not condition:
        raise Failure(text)


def make(library, segment):
    options = QueueOptions(struct_size=ctypes.sizeof(QueueOptions), schema=b"u64 number")
    queue = library.handle(
        library.zipc_queue_create, segment, b"numbers", 8, NUMBERS, byref(options))
    numbers = (c_uint64 * NUMBERS)(*range(1, NUMBERS + 1))
    library.check(library.zipc_queue_push(queue, numbers, NOWAIT))
    rest = byref(numbers, 8)
    moved = library.check(library.zipc_queue_push_n(queue, rest, NUMBERS - 1, NOWAIT))
    expect(moved == NUMBERS - 1, "push_n moved too few")
    array = library.handle(library.zipc_array_create, segment, b"table", 8, TABLE, None)
    view = (c_uint64 * TABLE).from_address(library.zipc_array_data(array))
    view[:] = [i * i for i in range(TABLE)]
    library.zipc_array_close(array)
    library.zipc_queue_close(queue)


def take(library, segment):
    queue = library.handle(library.zipc_queue_open, segment, b"numbers", 8, None)
    value = c_uint64()
    expect(library.zipc_queue_size(queue) == NUMBERS, "the queue has another size")
    for i in range(1, NUMBERS + 1):
        library.check(library.zipc_queue_pop(queue, byref(value), NOWAIT))
        expect(value.value == i, f"number {i} was expected, not {value.value}")
    code = library.zipc_queue_pop(queue, byref(value), NOWAIT)
    expect(code == -errno.EAGAIN, "the queue should be empty")
    array = library.handle(library.zipc_array_open, segment, b"table", 8, 0, None)
    expect(library.zipc_array_length(array) == TABLE, "the array has another length")
    view = (c_uint64 * TABLE).from_address(library.zipc_array_data(array))
    for i in range(TABLE):
        library.check(library.zipc_array_add64(array, i, 1, byref(value)))
        expect((value.value, view[i]) == (i * i, i * i + 1), f"element {i} is wrong")
    library.zipc_array_close(array)
    library.zipc_queue_close(queue)
    expect(library.zipc_segment_verify(segment, None, None) == 0, "the segment is not sound")


def bytes_queue(library, segment):
    return library.handle(
        library.zipc_queue_open_or_create, segment, b"bytes", ctypes.sizeof(Block), 8, None)


def send(library, segment):
    queue = bytes_queue(library, segment)
    while data := sys.stdin.buffer.read(BLOCK_DATA):
        block = Block(len(data))
        ctypes.memmove(block.data, data, len(data))
        library.check(library.zipc_queue_push(queue, byref(block), FOREVER))
    library.check(library.zipc_queue_shutdown(queue))
    library.zipc_queue_close(queue)


def receive(library, segment):
    queue = bytes_queue(library, segment)
    block = Block()
    while library.check(library.zipc_queue_pop(queue, byref(block), FOREVER), -errno.EPIPE) == 0:
        sys.stdout.buffer.write(bytes(block.data[:block.length]))
    library.zipc_queue_close(queue)


def main(path, command, name):
    library = Library(path)
    expect(library.zipc_version() >> 16 == 0, "another major version")
    if command == "remove":
        library.check(library.zipc_segment_remove(name.encode(), None))
        return
    segment = library.handle(library.zipc_segment_open_or_create, name.encode(), None)
    {"make": make, "take": take, "send": send, "receive": receive}[command](library, segment)
    library.zipc_segment_close(segment)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    try:
        main(*sys.argv[1:])
    except Failure as failure:
        sys.exit(f"consumer.py: {sys.argv[2]}: {failure}")
