#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A queue in shared memory from Python, with nothing but ctypes.

Every call of libzeroipc takes and returns plain integers and pointers, so any language that can
load a shared library can do this.
"""
import ctypes
import ctypes.util
import os

zipc = ctypes.CDLL(ctypes.util.find_library("zeroipc") or "libzeroipc.so.0")
zipc.zipc_last_error.restype = ctypes.c_char_p
zipc.zipc_strerror.restype = ctypes.c_char_p
pointer, text, u64, ns = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_uint64, ctypes.c_int64
zipc.zipc_segment_create.argtypes = [text, pointer, ctypes.POINTER(pointer)]
zipc.zipc_segment_remove.argtypes = [text, pointer]
zipc.zipc_segment_close.argtypes = [pointer]
zipc.zipc_queue_create.argtypes = [pointer, text, u64, u64, pointer, ctypes.POINTER(pointer)]
zipc.zipc_queue_push.argtypes = [pointer, pointer, ns]
zipc.zipc_queue_pop.argtypes = [pointer, pointer, ns]
zipc.zipc_queue_close.argtypes = [pointer]

SECOND = 1_000_000_000
ELEMENT = 64


def check(code):
    """Negative results are -errno, and zipc_last_error() is a sentence about it."""
    if code < 0:
        raise OSError(-code, (zipc.zipc_last_error() or zipc.zipc_strerror(code)).decode())
    return code


segment, queue = pointer(), pointer()
name = b"hello-%d" % os.getpid()
check(zipc.zipc_segment_create(name, None, ctypes.byref(segment)))
try:
    check(zipc.zipc_queue_create(segment, b"words", ELEMENT, 16, None, ctypes.byref(queue)))
    if os.fork() == 0:  # the child is a peer of its own
        try:
            for word in "hello from another process".split():
                element = ctypes.create_string_buffer(word.encode(), ELEMENT)
                check(zipc.zipc_queue_push(queue, element, SECOND))
        finally:
            os._exit(0)
    element = ctypes.create_string_buffer(ELEMENT)
    for _ in range(4):
        check(zipc.zipc_queue_pop(queue, element, 5 * SECOND))
        print(element.value.decode(), flush=True)
    os.wait()
    zipc.zipc_queue_close(queue)
finally:
    zipc.zipc_segment_remove(name, None)
    zipc.zipc_segment_close(segment)
