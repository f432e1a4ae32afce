#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Reads a segment file of format version 3 and prints it as JSON.

Written from docs/format.md alone, with nothing of the library: what it cannot find, the document
does not say. It reads a file at rest (section 15); the file is untrusted.

usage: format_reader.py FILE"""
import fcntl
import json
import mmap
import os
import struct
import sys

MAGIC, VERSION, BYTE_ORDER = 0x4D50495A, 3, 0x01020304
HEADER, PAGE, LINE, CHUNK = 4096, 4096, 64, 65536
LEAST_SIZE, MOST_SIZE = 256 << 10, 64 << 30
LOCK_BASE = 1 << 62
LAP_BITS = 38
HOLE_SHIFT, OPEN_SHIFT = 4, 18
OPEN, DRAINED, ACCEPTED = range(3)

CLASS_SIZES = (128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096, 6144, 8192, 10880, 16384,
               21824, 32768)
CHUNK_STATES = ("free", "run", "body", "slab", "ledger", "table", "state 6", "state 7")
ENTRY_STATES = {1: "claimed", 2: "published", 3: "removed", 4: "freeing"}
FREE, CLAIMED, READY, TAKEN = range(4)
ARRAY, QUEUE = 1, 2
TYPES = {ARRAY: "array", QUEUE: "queue"}


class Refused(Exception):
    pass


def require(condition, text):
    if not condition:
        raise Refused(text)


def align(value, to):
    return (value + to - 1) // to * to


def text(raw):
    return raw.split(b"\0", 1)[0].decode("utf-8", "replace")


def split_id(value):
    return {"id": value, "slot": value >> 12, "generation": value & 0xFFF}


class Segment:
    def __init__(self, path):
        self.fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        self.length = os.fstat(self.fd).st_size
        require(self.length >= HEADER, "too short for a segment")
        self.bytes = mmap.mmap(self.fd, self.length, access=mmap.ACCESS_READ)
        self.header = self.read_header()

    def get(self, offset, count):
        require(0 <= offset and offset + count <= self.length, f"{offset} is outside the file")
        return self.bytes[offset:offset + count]

    def u32(self, offset):
        return struct.unpack("<I", self.get(offset, 4))[0]

    def u64(self, offset):
        return struct.unpack("<Q", self.get(offset, 8))[0]

    def u64s(self, offset, count):
        return struct.unpack(f"<{count}Q", self.get(offset, 8 * count))

    # ---- section 3 ----

    def read_header(self):
        require(self.u32(0) == MAGIC, "not a segment")
        require(self.u32(4) == VERSION, f"format version {self.u32(4)}")
        require(self.u32(8) == BYTE_ORDER, "another byte order")
        require(self.u64(32) == 0, f"incompatible features {self.u64(32):#x}")
        names32 = {"header_size": 12, "page_size": 40, "line_size": 44, "max_peers": 120,
                   "peer_stride": 124, "entry_stride": 128, "directory_first": 132,
                   "creator_pid": 152, "creator_uid": 156, "slice_min_ms": 160,
                   "slice_max_ms": 164, "flags": 168, "chunk_shift": 172, "chunk_hint": 1096,
                   "peer_cursor": 1328, "waiters_per_peer": 248, "waiter_stride": 252}
        names64 = {"features_compatible": 16, "features_read_only": 24, "max_size": 80,
                   "peers_offset": 88, "directory_offset": 96, "chunks_offset": 104,
                   "first_chunk": 112, "hash_seed": 136, "created_ns": 144, "size": 1024,
                   "waiters_offset": 240}
        h = {"version": VERSION}
        h.update({name: self.u32(at) for name, at in names32.items()})
        h.update({name: self.u64(at) for name, at in names64.items()})
        h["uuid"], h["boot_id"] = self.get(48, 16).hex(), self.get(64, 16).hex()
        h["name"] = text(self.get(176, 64))
        h["heap_lock"], h["directory_lock"] = self.guard(1088), self.guard(1152)
        self.check_geometry(h)
        return h

    def guard(self, offset):
        word = self.u64(offset)
        return {"sequence": word >> 25, "sleepers": word >> 24 & 1, "owner": word & 0xFFFFFF}

    def check_geometry(self, h):
        require((h["header_size"], h["page_size"], h["line_size"], h["chunk_shift"]) ==
                (HEADER, PAGE, LINE, 16), "unknown sizes")
        require(1 <= h["max_peers"] <= 4096, "max_peers")
        require(LEAST_SIZE <= h["max_size"] <= MOST_SIZE and h["max_size"] % CHUNK == 0, "max_size")
        require(1 <= h["slice_min_ms"] <= h["slice_max_ms"] <= 60000, "slices")
        entry = align(320 + 8 * ((h["max_peers"] + 63) // 64), 64)
        waiters = align(HEADER + 128 * h["max_peers"], PAGE)
        directory = align(waiters + 256 * h["max_peers"], PAGE)
        chunks = align(directory + 64 * (8 + entry), PAGE)
        first = align(chunks + 8 * (h["max_size"] // CHUNK), CHUNK)
        require((h["peer_stride"], h["entry_stride"], h["directory_first"], h["peers_offset"],
                 h["waiters_per_peer"], h["waiter_stride"], h["waiters_offset"],
                 h["directory_offset"], h["chunks_offset"], h["first_chunk"]) ==
                (128, entry, 64, HEADER, 8, 32, waiters, directory, chunks, first),
                "the tables' places")
        size = h["size"]
        require(size % CHUNK == 0 and first + CHUNK <= size <= h["max_size"] and
                size <= self.length, "size")

    # ---- sections 4 and 5 ----

    def alive(self, peer_id):
        """True, False; errors mean alive."""
        ask = struct.pack("@hhqqi4x", fcntl.F_RDLCK, os.SEEK_SET, LOCK_BASE + peer_id, 1, 0)
        try:
            answer = fcntl.fcntl(self.fd, fcntl.F_OFD_GETLK, ask)
        except OSError:
            return True
        return struct.unpack_from("@h", answer)[0] != fcntl.F_UNLCK

    def peers(self):
        found = []
        for slot in range(self.header["max_peers"]):
            at = self.header["peers_offset"] + 128 * slot
            generation = self.u32(at) & 0xFFF
            if generation == 0:
                continue
            peer = split_id(slot << 12 | generation)
            peer.update(pid=self.u32(at + 4), uid=self.u32(at + 8), attached_ns=self.u64(at + 16),
                        command=text(self.get(at + 24, 64)), alive=self.alive(peer["id"]))
            found.append(peer)
        return found

    def waiters(self):
        found = []
        for i in range(8 * self.header["max_peers"]):
            owner, gate, since = self.u64s(self.header["waiters_offset"] + 32 * i, 3)
            if owner != 0 and gate != 0 and self.alive(owner & 0xFFFFFF):
                found.append({"entry": i, "id": owner & 0xFFFFFF, "thread": owner >> 24,
                              "gate": gate, "since_ns": since})
        return found

    # ---- section 6 ----

    def directory_blocks(self):
        places = [self.header["directory_offset"]]
        for k, place in enumerate(self.u64s(1216, 14)[1:], 1):
            if place == 0:
                break
            count = 64 << k
            bytes_needed = count * (8 + self.header["entry_stride"])
            require(place % LINE == 0 and place >= self.header["first_chunk"] and
                    place + bytes_needed <= self.header["size"], f"directory block {k}")
            places.append(place)
        return places

    def hash_name(self, name):
        h = 0xCBF29CE484222325 ^ self.header["hash_seed"]
        for byte in name:
            h = (h ^ byte) * 0x100000001B3 % (1 << 64)
        return h | 1

    def entries(self):
        stride = self.header["entry_stride"]
        for k, block in enumerate(self.directory_blocks()):
            count = 64 << k
            hashes = self.u64s(block, count)
            for i in range(count):
                at = block + 8 * count + i * stride
                word = self.u64(at)
                if word & 0xFF != 0:
                    yield self.entry(at, 64 * ((1 << k) - 1) + i, word, hashes[i])

    def entry(self, at, index, word, name_hash):
        raw_name = self.get(at + 64, 64).split(b"\0", 1)[0]
        kind, flags, offset, size, element_size, capacity, alignment, pid, created = struct.unpack(
            "<IIQQQQIIQ", self.get(at + 8, 56))
        words = self.u64s(at + 320, (self.header["max_peers"] + 63) // 64)
        return {
            "index": index, "generation": word >> 32, "owner": word >> 8 & 0xFFFFFF,
            "state": ENTRY_STATES.get(word & 0xFF, f"state {word & 0xFF}"),
            "name": text(raw_name), "hash_fits": name_hash == self.hash_name(raw_name),
            "type": TYPES.get(kind, "unknown"), "type_code": kind, "flags": flags,
            "offset": offset, "size": size, "element_size": element_size, "capacity": capacity,
            "alignment": alignment, "creator_pid": pid, "created_ns": created,
            "schema": text(self.get(at + 128, 128)),
            "handles": [64 * w + b for w, bits in enumerate(words) for b in range(64)
                        if bits >> b & 1],
        }

    def structures(self):
        found = []
        for entry in self.entries():
            if entry["state"] != "published":
                continue
            name = entry["name"]
            require(entry["hash_fits"], f"the hash of '{name}' is another one")
            require(entry["offset"] % LINE == 0 and entry["offset"] >= self.header["first_chunk"]
                    and entry["offset"] + entry["size"] <= self.header["size"],
                    f"'{name}' lies outside the heap")
            del entry["state"], entry["owner"], entry["hash_fits"]
            if entry["type_code"] == ARRAY:
                self.array(entry)
            elif entry["type_code"] == QUEUE:
                self.queue(entry)
            found.append(entry)
        return found

    # ---- section 10 ----

    def array(self, e):
        size, length = e["element_size"], e["capacity"]
        require(size >= 1 and length >= 1 and size * length <= e["size"],
                f"array '{e['name']}': its elements do not fit")
        if size == 8:
            e["elements"] = list(self.u64s(e["offset"], length))
        else:
            e["elements"] = [self.get(e["offset"] + i * size, size).hex() for i in range(length)]

    # ---- section 11 ----

    @staticmethod
    def queue_geometry(e):
        size, capacity, alignment, flags = (
            e[k] for k in ("element_size", "capacity", "alignment", "flags"))
        require(flags & ~7 == 0 and 1 <= size <= 1 << 20 and 1 <= capacity <= 1 << 30 and
                capacity & (capacity - 1) == 0 and 1 <= alignment <= 4096 and
                alignment & (alignment - 1) == 0, f"queue '{e['name']}': its sizes cannot be")
        if size >= 48 or alignment > 8 or flags & 4:
            elements = align(512 + 16 * capacity, max(64, alignment))
            stride = align(size, alignment)
            return {"kind": "apart", "slots": 512, "slot_stride": 16, "elements": elements,
                    "element_stride": stride, "size": elements + capacity * stride}
        if flags & 3 == 3:
            stride = align(size, alignment)
            n = min(14, 56 // stride)
            least = (capacity + n - 1) // n
            lines = least + 1 + min(least, 64)
            return {"kind": "lines", "lines": lines, "per_line": n, "element_stride": stride,
                    "size": 512 + 64 * lines}
        stride = align(8 + size, 8)
        return {"kind": "inline", "slots": 512, "slot_stride": stride, "elements": 520,
                "element_stride": stride, "size": 512 + capacity * stride}

    @staticmethod
    def role(word):
        return {"nonce": word >> 24, "owner": word & 0xFFFFFF}

    def queue(self, e):
        g = e["geometry"] = self.queue_geometry(e)
        require(g["size"] <= e["size"], f"queue '{e['name']}': it does not fit its block")
        base, at_least_once = e["offset"], bool(e["flags"] & 4)
        e["single_producer"], e["single_consumer"] = bool(e["flags"] & 1), bool(e["flags"] & 2)
        e["at_least_once"] = at_least_once
        e["control"] = {
            "items_gate": self.u32(base), "space_gate": self.u32(base + 4),
            "shut_down": self.u32(base + 8), "ended": self.u32(base + 12),
            "tail": self.u64(base + 128),
            "producer": self.role(self.u64(base + 136)), "busy": self.u32(base + 144),
            "high_water": self.u64(base + 152), "head": self.u64(base + 256),
            "consumer": self.role(self.u64(base + 264)), "done": self.u64(base + 272),
            "requeued": self.u32(base + 280), "held": self.u64(base + 288),
            "dropped": self.u64(base + 384), "redelivered": self.u64(base + 392),
        }
        if g["kind"] == "lines":
            self.scan_lines(e, base, g)
        else:
            self.scan_slots(e, base, g)

    def scan_lines(self, e, base, g):
        n, lines, name = g["per_line"], g["lines"], e["name"]
        control = e["control"]
        head, producer = control["head"], control["producer"]["owner"]
        require(control["ended"] in (OPEN, DRAINED, ACCEPTED), f"queue '{name}': its end")
        require(control["tail"] % n == 0, f"queue '{name}': its tail is inside a line")
        e["head"] = e["tail"] = head
        e["items"], e["item_positions"], e["held"] = [], [], []
        self.read_acquired(e, head)
        b = head - head % n
        for _ in range(lines if control["ended"] != DRAINED else 0):
            at = base + 512 + 64 * (b // n % lines)
            word = self.u64(at)
            if word >> 32 != b // n // lines % (1 << 32):
                e["tail"] = b
                break
            count = word & 15
            require(count <= n and (word >> HOLE_SHIFT & 0x3FFF | word >> OPEN_SHIFT & 0x3FFF)
                    >> count == 0, f"queue '{name}': the word of position {b} cannot be")
            e["tail"] = b + count
            for i in range(count):
                if b + i >= head:
                    self.read_element(e, b + i, word >> i, at + 8 + i * g["element_stride"],
                                      producer)
            if count < n:
                break
            b += n
        require(head <= e["tail"] <= head + e["capacity"] and
                (control["tail"] <= e["tail"] or control["ended"] == DRAINED),
                f"queue '{name}': its head and tail cannot be")

    def read_acquired(self, e, head):
        """What [p, head) says: who has some of it, the first for certain."""
        held = e["control"]["held"]
        first = head - (head - (held >> 24)) % (1 << 40)
        if held == 0 or first == head:
            return
        require(0 <= first and head - first <= e["capacity"], f"queue '{e['name']}': what is held")
        e["held"].append({"position": first, "until": head, "state": "taken",
                          "owner": held & 0xFFFFFF, "alive": self.alive(held & 0xFFFFFF)})

    def read_element(self, e, position, bits, at, producer):
        """Element `position`, whose own bits are the lowest of each field of `bits`."""
        hole = bits >> HOLE_SHIFT & 1 == 1
        if bits >> OPEN_SHIFT & 1 == 1 and not hole and producer != 0:
            e["held"].append({"position": position, "state": "claimed", "owner": producer,
                              "alive": self.alive(producer)})
        elif hole or bits >> OPEN_SHIFT & 1 == 1:
            e["held"].append({"position": position, "state": "hole", "owner": 0})
        else:
            e["items"].append(self.get(at, e["element_size"]).hex())
            e["item_positions"].append(position)

    def scan_slots(self, e, base, g):
        capacity, half = e["capacity"], 1 << (LAP_BITS - 1)
        near = e["control"]["tail"] // capacity
        following, gone, slots = [], [], []
        for s in range(capacity):
            at = base + g["slots"] + s * g["slot_stride"]
            word = self.u64(at)
            ahead = ((word >> 26) - near + half) % (2 * half) - half
            state, owner = word & 3, word >> 2 & 0xFFFFFF
            p = (near + ahead) * capacity + s
            following.append(p if state == FREE else p + capacity)
            gone.append(p if state == TAKEN else p - capacity)
            slots.append((p, state, owner, s, at))
        e["tail"] = min(following)
        e["head"] = 1 + max(gone)
        require(e["head"] <= e["tail"], f"queue '{e['name']}': its head is above its tail")
        require(max(following) < e["tail"] + capacity,
                f"queue '{e['name']}': its slots are of laps that cannot be")
        e["items"], e["item_positions"], e["held"] = [], [], []
        if e["at_least_once"]:
            e["item_deliveries"] = []
        for p, state, owner, s, at in sorted(slots):
            if state == READY:
                raw = self.get(base + g["elements"] + s * g["element_stride"], e["element_size"])
                e["items"].append(raw.hex())
                e["item_positions"].append(p)
                if e["at_least_once"]:
                    e["item_deliveries"].append(self.u32(at + 8))
            elif state in (CLAIMED, TAKEN):
                held = {"position": p, "state": "claimed" if state == CLAIMED else "taken",
                        "owner": owner}
                if owner != 0:
                    held["alive"] = self.alive(owner)
                elif state == CLAIMED:
                    held["state"] = "hole"
                if e["at_least_once"]:
                    held["deliveries"] = self.u32(at + 8)
                e["held"].append(held)

    # ---- section 7 ----

    def slab_blocks(self, chunk, word, words):
        size_class, place = word >> 3 & 0x1F, word >> 24
        ledger, part = place >> 4, place & 15
        require(size_class < len(CLASS_SIZES), f"chunk {chunk}: slab of class {size_class}")
        require(ledger < len(words) and words[ledger] & 7 == 4, f"chunk {chunk}: no ledger")
        size = CLASS_SIZES[size_class]
        for i, w in enumerate(self.u64s(CHUNK * ledger + 4096 * part, CHUNK // size)):
            if w != 0:
                require(w & 1 == 1, f"chunk {chunk}: block word {i}")
                yield {"offset": CHUNK * chunk + i * size, "size": size, **self.tag(w >> 1)}

    @staticmethod
    def tag(tag):
        kind, low = tag >> 38, tag & (1 << 38) - 1
        if kind == 0:
            return {"owner": "segment"}
        if kind == 1:
            return {"owner": "peer", **split_id(low)}
        if kind == 2:
            return {"owner": "entry", "index": low >> 18, "generation": low & 0x3FFFF}
        return {"owner": f"kind {kind}"}

    def heap(self):
        count = self.header["size"] // CHUNK
        first = self.header["first_chunk"] // CHUNK
        words = self.u64s(self.header["chunks_offset"], count)
        states = dict.fromkeys(CHUNK_STATES[:6], 0)
        blocks, slabs, used, body_left = [], {}, 0, 0
        for chunk, word in enumerate(words):
            state = CHUNK_STATES[word & 7]
            states[state] = states.get(state, 0) + 1
            require((state == "table") == (chunk < first), f"chunk {chunk} is {state}")
            if body_left > 0:
                require(state == "body", f"chunk {chunk} inside a run is {state}")
                body_left -= 1
            if state == "run":
                n = word >> 3 & 0x1FFFFF
                require(1 <= n <= count - chunk, f"chunk {chunk}: run of {n}")
                body_left = n - 1
                blocks.append({"offset": CHUNK * chunk, "size": CHUNK * n, **self.tag(word >> 24)})
            if state == "slab":
                inside = list(self.slab_blocks(chunk, word, words))
                size = str(CLASS_SIZES[word >> 3 & 0x1F])
                slab = slabs.setdefault(size, {"slabs": 0, "blocks": 0})
                slab["slabs"] += 1
                slab["blocks"] += len(inside)
                used += sum(b["size"] for b in inside)
                blocks.extend(inside)
            elif state not in ("free", "table"):
                used += CHUNK
        return {"chunks": count, "first_chunk": first, "states": states, "slabs": slabs,
                "used_bytes": used, "blocks": blocks}

    def describe(self):
        return {"header": self.header, "peers": self.peers(),
                "waiters": self.waiters(),
                "directory_blocks": self.directory_blocks(), "structures": self.structures(),
                "heap": self.heap()}


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    try:
        json.dump(Segment(sys.argv[1]).describe(), sys.stdout, indent=1)
        print()
    except (Refused, OSError) as error:
        sys.exit(f"format_reader.py: {sys.argv[1]}: {error}")


if __name__ == "__main__":
    main()
