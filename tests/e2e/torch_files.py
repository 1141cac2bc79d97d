# SPDX-License-Identifier: Apache-2.0
"""Torch files for tests, as torch.save writes them, with NumPy alone: zip and pickle are put together by hand, so that malformed ones can be."""

from __future__ import annotations

import dataclasses
import struct
import zlib
from typing import Any, Iterator, Mapping, Optional, Sequence

import numpy as np

STORAGES = {
    "F64": "DoubleStorage",
    "F32": "FloatStorage",
    "F16": "HalfStorage",
    "BF16": "BFloat16Storage",
    "C64": "ComplexFloatStorage",
    "I64": "LongStorage",
    "I32": "IntStorage",
    "I16": "ShortStorage",
    "I8": "CharStorage",
    "U8": "ByteStorage",
    "BOOL": "BoolStorage",
}
CODES = {"f8": "F64", "f4": "F32", "f2": "F16", "c8": "C64", "i8": "I64", "i4": "I32", "i2": "I16", "i1": "I8"}
CODES.update({"u1": "U8", "b1": "BOOL"})
UNTYPED = {"U16": "uint16", "U32": "uint32", "U64": "uint64", "F8_E5M2": "float8_e5m2", "F8_E4M3": "float8_e4m3fn"}

# ---- zip


@dataclasses.dataclass
class Entry:
    """An entry, and what its headers say where that is not the truth."""

    name: str
    content: bytes
    central: "dict[str, int]" = dataclasses.field(default_factory=dict)  # flags, method, crc, size, stored, header
    local: "dict[str, int]" = dataclasses.field(default_factory=dict)  # flags, method, crc, size, stored
    local_name: Optional[str] = None
    extra: bytes = b""  # of the central header


def make_zip(entries: Sequence[Entry], like_torch: bool = True, comment: bytes = b"", **end: int) -> bytes:
    """like_torch: sizes behind the data, data at multiples of 64 bytes, zip64 records. `end` overrides count, size, offset, zip64_at, part."""
    file, directory = b"", b""
    for entry in entries:
        name = entry.name.encode()
        header = len(file)
        crc, size = zlib.crc32(entry.content), len(entry.content)
        flags = 0x0808 if like_torch else 0
        told = {"flags": flags, "method": 0, "crc": crc, "size": size, "stored": size, "header": header}
        local = {**told, **({"crc": 0, "size": 0, "stored": 0} if like_torch else {}), **entry.local}
        told.update(entry.central)
        inside = entry.local_name.encode() if entry.local_name is not None else name
        padding = b""
        if like_torch:
            room = -(header + 30 + len(inside) + 4) % 64
            padding = b"FB" + struct.pack("<H", room) + b"Z" * room
        file += struct.pack("<IHHHIIIIHH", 0x04034B50, 0, local["flags"], local["method"], 0, local["crc"],
                            local["stored"], local["size"], len(inside), len(padding))  # fmt: skip
        file += inside + padding + entry.content
        if like_torch:
            file += struct.pack("<IIII", 0x08074B50, crc, size, size)
        directory += struct.pack("<IHHHHIIIIHHHHHII", 0x02014B50, 0, 0, told["flags"], told["method"], 0, told["crc"],
                                 told["stored"], told["size"], len(name), len(entry.extra), 0, 0, 0, 0,
                                 told["header"])  # fmt: skip
        directory += name + entry.extra
    count, size, offset = len(entries), len(directory), len(file)
    count, size, offset = end.get("count", count), end.get("size", size), end.get("offset", offset)
    file += directory
    if like_torch:
        at = len(file)
        part = end.get("part", 0)
        file += struct.pack("<IQHHIIQQQQ", 0x06064B50, 44, 0, 45, part, part, count, count, size, offset)
        file += struct.pack("<IIQI", 0x07064B50, 0, end.get("zip64_at", at), 1)
    few = min(count, 0xFFFF)
    old = end.get("old_count", few)
    file += struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, old, old, size & 0xFFFFFFFF, offset & 0xFFFFFFFF, len(comment))
    return file + comment


# ---- pickle, opcode by opcode


def text(value: str) -> bytes:
    content = value.encode()
    return b"X" + struct.pack("<I", len(content)) + content


def integer(value: int) -> bytes:
    if 0 <= value < 256:
        return b"K" + bytes([value])
    if -(1 << 31) <= value < 1 << 31:
        return b"J" + struct.pack("<i", value)
    content = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(content)]) + content


def tuple_of(*items: bytes) -> bytes:
    return b"(" + b"".join(items) + b"t"


def sizes(values: Sequence[int]) -> bytes:
    return tuple_of(*(integer(value) for value in values))


def global_of(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


def call(function: bytes, *arguments: bytes) -> bytes:
    return function + tuple_of(*arguments) + b"R"


ORDERED_DICT = global_of("collections", "OrderedDict") + b")R"


def dict_of(*pairs: "tuple[bytes, bytes]", begin: bytes = ORDERED_DICT) -> bytes:
    return begin + b"(" + b"".join(key + value for key, value in pairs) + b"u"


def storage(key: str, kind: str, count: int, module: str = "torch") -> bytes:
    return tuple_of(text("storage"), global_of(module, kind), text(key), text("cpu"), integer(count)) + b"Q"


def tensor(
    storage: bytes,
    shape: Sequence[int],
    strides: Optional[Sequence[int]] = None,
    offset: int = 0,
    metadata: bytes = b"",
) -> bytes:
    """metadata: of the tensor, which newer releases of PyTorch add where there are any."""
    if strides is None:
        strides = [int(np.prod(shape[i + 1 :])) for i in range(len(shape))]
    return call(
        global_of("torch._utils", "_rebuild_tensor_v2"),
        storage,
        integer(offset),
        sizes(shape),
        sizes(strides),
        b"\x89",
        ORDERED_DICT,
        metadata,
    )


def pickled(value: bytes, protocol: int = 2) -> bytes:
    return b"\x80" + bytes([protocol]) + value + b"."


# ---- whole files


def make_file(
    pickle: bytes, storages: Mapping[str, bytes], prefix: str = "archive", more: Sequence[Entry] = (), **options: Any
) -> bytes:
    """An archive of this data.pkl and these storages, with the entries that torch.save adds."""
    entries = [Entry(f"{prefix}/data.pkl", pickle), Entry(f"{prefix}/byteorder", b"little")]
    entries += [Entry(f"{prefix}/data/{key}", content) for key, content in storages.items()]
    entries += [Entry(f"{prefix}/version", b"3\n"), *more]
    return make_zip(entries, **options)


def make_torch(
    tensors: "Mapping[str, np.ndarray[Any, Any]]",
    dtypes: Optional[Mapping[str, str]] = None,
    ties: Optional[Mapping[str, str]] = None,
    nest: Optional[str] = None,
    **options: Any,
) -> bytes:
    """What torch.save(state_dict) writes. Arrays that are not C-contiguous keep their strides. ties: other names for tensors, which come
    last; nest: the key of an outer dict that the state dict is put under."""
    storages: "dict[str, bytes]" = {}
    values: "dict[str, bytes]" = {}
    for number, (name, array) in enumerate(tensors.items()):
        dtype = (dtypes or {}).get(name) or CODES[array.dtype.str[1:]]
        axes = sorted(range(array.ndim), key=lambda i: -array.strides[i])
        laid = np.ascontiguousarray(array.transpose(axes))
        places = [int(np.prod(laid.shape[i + 1 :])) for i in range(laid.ndim)]
        strides = [places[axes.index(i)] for i in range(array.ndim)]
        key = str(number)
        storages[key] = laid.tobytes()
        if dtype in STORAGES:
            values[name] = tensor(storage(key, STORAGES[dtype], array.size), array.shape, strides)
        else:
            values[name] = call(
                global_of("torch._utils", "_rebuild_tensor_v3"),
                storage(key, "UntypedStorage", len(storages[key]), "torch.storage"),
                integer(0),
                sizes(array.shape),
                sizes(strides),
                b"\x89",
                ORDERED_DICT,
                global_of("torch", UNTYPED[dtype]),
            )
    for alias, name in (ties or {}).items():
        values[alias] = values[name]
    metadata = dict_of((text("_metadata"), dict_of((text(""), b"}" + text("version") + integer(1) + b"s"))), begin=b"}")
    pickle = dict_of(*((text(name), value) for name, value in values.items())) + metadata + b"b"
    if nest is not None:
        pickle = dict_of((text("epoch"), integer(3)), (text(nest), pickle), (text("loss"), b"G" + bytes(8)), begin=b"}")
    return make_file(pickled(pickle), storages, **options)


# ---- malformed


def malformed_pickles() -> "Iterator[tuple[str, bytes, str, str]]":
    """A data.pkl beside the storage "0" of 8 bytes: (name, bytes, code, message behind the file's name)."""
    bad, unsupported = "bad_checkpoint", "unsupported_checkpoint"
    two = storage("0", "FloatStorage", 2)

    def of(value: bytes, name: bytes = text("a")) -> bytes:
        return pickled(dict_of((name, value)))

    def none_needs(what: str) -> str:
        return f'"{what}" is none that a state dict needs: save the state dict alone, as torch.save(model.state_dict(), FILE) does'

    system = global_of("posix", "system") + text("true") + b"\x85R"
    yield "system", pickled(system), unsupported, "torch file: data.pkl: byte 2: the global " + none_needs(
        "posix.system"
    )
    evil = text("builtins") + text("eval") + b"\x93"
    yield "eval", pickled(evil, 4), unsupported, "torch file: data.pkl: byte 24: the global " + none_needs(
        "builtins.eval"
    )
    yield "global-escaped", pickled(
        b"ca\x1b[0m\nb\n"
    ), unsupported, "torch file: data.pkl: byte 2: the global " + none_needs(r"a\x1b[0m.b")
    for symbol, name in ((b"i", "INST"), (b"\x81", "NEWOBJ"), (b"P", "PERSID"), (b"\x82", "EXT1"), (b"2", "DUP")):
        yield f"opcode-{name.lower()}", pickled(
            symbol
        ), unsupported, f"torch file: data.pkl: byte 2: the opcode {name} is none that a state dict needs"
    yield "opcode-none", pickled(b"\xff"), bad, "torch file: data.pkl: byte 2: 0xff is no opcode"
    yield "protocol-1", pickled(b"}", 1), unsupported, "torch file: data.pkl: byte 0: protocol 1 of pickle, not 2 to 5"
    yield "protocol-6", pickled(b"}", 6), unsupported, "torch file: data.pkl: byte 0: protocol 6 of pickle, not 2 to 5"
    yield "empty", b"", bad, "torch file: data.pkl: byte 0: the pickle is cut short"
    yield "no-stop", b"\x80\x02}", bad, "torch file: data.pkl: byte 3: the pickle is cut short"
    yield "stop-first", pickled(b""), bad, "torch file: data.pkl: byte 2: a value is missing"
    yield "bytes-behind", pickled(b"}") + b"x", bad, "torch file: data.pkl: byte 3: bytes follow the end of the pickle"
    yield "string-2-gib", pickled(b"X\xff\xff\xff\x7f"), bad, "torch file: data.pkl: byte 2: the pickle is cut short"
    yield "string-2-to-63", pickled(
        b"\x8d" + b"\xff" * 7 + b"\x7f"
    ), bad, "torch file: data.pkl: byte 2: the pickle is cut short"
    yield "frame-beyond", pickled(b"\x95" + b"\xff" * 8), bad, "torch file: data.pkl: byte 2: the pickle is cut short"
    yield "name-endless", pickled(b"ctorch"), bad, "torch file: data.pkl: byte 2: a name does not end"
    yield "stack-empty", pickled(b"R"), bad, "torch file: data.pkl: byte 2: a value is missing"
    yield "pop-nothing", pickled(b"0"), bad, "torch file: data.pkl: byte 2: a value is missing"
    yield "mark-missing", pickled(b"t"), bad, "torch file: data.pkl: byte 2: a mark is missing"
    yield "mark-as-value", pickled(b"(\x85"), bad, "torch file: data.pkl: byte 3: a value is missing"
    yield "memo-none", pickled(b"h\0"), bad, "torch file: data.pkl: byte 2: the memo has no number 0"
    yield "memo-gap", pickled(
        b"}r\xff\xff\xff\xff"
    ), bad, "torch file: data.pkl: byte 3: number 0 of the memo is left out"
    yield "memo-of-nothing", pickled(b"q\0"), bad, "torch file: data.pkl: byte 2: a value is missing"
    yield "key-alone", pickled(b"}(Nu"), bad, "torch file: data.pkl: byte 5: a key without a value"
    yield "item-of-none", pickled(b"NNNs"), bad, "torch file: data.pkl: byte 5: an item of None"
    yield "append-to-dict", pickled(b"}Na"), bad, "torch file: data.pkl: byte 4: an item of a dict"
    yield "call-a-dict", pickled(b"})R"), bad, "torch file: data.pkl: byte 4: a dict is called with a tuple"
    yield "call-a-class", pickled(
        global_of("torch", "FloatStorage") + b")R"
    ), unsupported, 'torch file: data.pkl: byte 23: a call of "torch.FloatStorage"'
    yield "build-a-list", pickled(b"]}b"), bad, "torch file: data.pkl: byte 4: a state of a list"
    yield "build-state", pickled(b"}Nb"), unsupported, "torch file: data.pkl: byte 4: a state that is None"
    yield "persistent-none", pickled(
        b"NQ"
    ), bad, "torch file: data.pkl: byte 3: a persistent id is not that of a storage"
    yield "persistent-module", pickled(
        tuple_of(text("module"), b"N", b"N", b"N", b"N") + b"Q"
    ), bad, "torch file: data.pkl: byte 19: a persistent id is not that of a storage"
    yield "storage-class", pickled(
        storage("0", "float32", 2)
    ), bad, 'torch file: data.pkl: byte 47: a storage\'s class is "torch.float32"'
    yield "storage-quantized", pickled(
        storage("0", "QInt8Storage", 2)
    ), unsupported, "torch file: data.pkl: byte 15: the global " + none_needs("torch.QInt8Storage")
    yield "storage-overflow", pickled(
        storage("0", "DoubleStorage", (1 << 62))
    ), bad, f"torch file: data.pkl: byte 61: a storage of {1 << 62} elements is too large"
    yield "storage-negative", of(
        tensor(storage("0", "FloatStorage", -1), [2])
    ), bad, "torch file: data.pkl: byte 123: a persistent id is not that of a storage"
    yield "tensor-of-none", pickled(
        call(global_of("torch._utils", "_rebuild_tensor_v2"), b"N")
    ), bad, "torch file: data.pkl: byte 38: a tensor is made of other arguments than PyTorch's"
    yield "tensor-strides", of(
        tensor(two, [2], [1, 1])
    ), bad, "torch file: data.pkl: byte 162: a tensor has 1 dimensions, but 2 strides"
    yield "tensor-shape-negative", of(
        tensor(two, [-2], [1])
    ), bad, "torch file: data.pkl: byte 163: a tensor's shape has what is no integer from 0 to 2^63-1"
    yield "tensor-offset-negative", of(
        tensor(two, [2], offset=-1)
    ), bad, "torch file: data.pkl: byte 163: a tensor's offset is no integer from 0 to 2^63-1"
    yield "tensor-shape-of-2-to-64", of(
        tensor(two, [1 << 64], [1])
    ), bad, "torch file: data.pkl: byte 169: a tensor's shape has what is no integer from 0 to 2^63-1"
    yield "tensor-33-dimensions", of(
        tensor(two, [1] * 33)
    ), bad, "torch file: data.pkl: byte 288: a tensor of more than 32 dimensions"
    yield "tensor-without-dtype", of(
        tensor(storage("0", "UntypedStorage", 8), [2])
    ), bad, "torch file: data.pkl: byte 162: a tensor has no dtype"
    for key in ("neg", "conj", "foo"):
        yield f"tensor-metadata-{key}", of(
            tensor(two, [2], metadata=b"}" + text(key) + b"\x88s")
        ), unsupported, f'torch file: data.pkl: byte {168 + len(key)}: a tensor with the metadata "{key}": its values would have to be computed'
    yield "tensor-metadata-list", of(
        tensor(two, [2], metadata=b"]")
    ), bad, "torch file: data.pkl: byte 161: a tensor's metadata are a list"
    yield "parameter-of-none", pickled(
        call(global_of("torch._utils", "_rebuild_parameter"), b"N", b"N", b"N")
    ), bad, "torch file: data.pkl: byte 40: a parameter is made of other arguments than PyTorch's"
    yield "root-list", pickled(b"]"), unsupported, "torch file: it holds a list, not a state dict"
    yield "root-tensor", pickled(tensor(two, [2])), unsupported, "torch file: it holds a tensor, not a state dict"
    yield "no-tensors", of(integer(3)), unsupported, "torch file: it holds no tensors"
    yield "dict-within", of(dict_of((text("b"), tensor(two, [2])))), unsupported, (
        'torch file: the value of "a" is a dict, not a tensor'
    )
    yield "list-within", of(b"]" + tensor(two, [2]) + b"a"), unsupported, (
        'torch file: the value of "a" is a list, not a tensor'
    )
    yield "name-number", of(tensor(two, [2]), integer(1)), unsupported, (
        "torch file: the name of a tensor is an integer, not a string"
    )
    yield "name-not-utf8", of(tensor(two, [2]), b"X\1\0\0\0\xff"), bad, 'tensor "\\xff": its name is not valid UTF-8'
    yield "name-empty", of(tensor(two, [2]), text("")), bad, "torch file: the name of a tensor is empty"
    yield "name-nul", of(tensor(two, [2]), text("a\0")), bad, "torch file: the name of a tensor has a NUL character"
    yield "name-metadata", of(tensor(two, [2]), text("__metadata__")), unsupported, (
        'torch file: a tensor of the name "__metadata__"'
    )
    pair = (text("a"), tensor(two, [2]))
    yield "name-twice", pickled(dict_of(pair, pair)), bad, 'tensor "a": the name appears twice'
    yield "storage-none", of(tensor(storage("1", "FloatStorage", 2), [2])), bad, (
        'tensor "a": its storage "1" is not in the file'
    )
    yield "storage-up", of(tensor(storage("../data.pkl", "ByteStorage", 2), [2])), bad, (
        'tensor "a": its storage "../data.pkl" is not in the file'
    )
    yield "storage-other-size", of(tensor(storage("0", "FloatStorage", 3), [2])), bad, (
        'tensor "a": its storage has 8 bytes, not 12'
    )
    beyond = 'tensor "a": it reaches beyond the end of its storage of 8 bytes'
    yield "beyond-shape", of(tensor(two, [3])), bad, beyond
    yield "beyond-offset", of(tensor(two, [2], offset=1)), bad, beyond
    yield "beyond-stride", of(tensor(two, [2], [2])), bad, beyond
    yield "beyond-offset-wraps", of(tensor(two, [2], offset=1 << 62)), bad, beyond
    yield "beyond-stride-wraps", of(tensor(two, [3], [1 << 62])), bad, beyond
    yield "shape-wraps", of(tensor(two, [1 << 62, 4], [0, 0])), bad, 'tensor "a": the product of its shape is too large'
    yield "expanded", of(tensor(two, [1 << 40], [0])), "too_large", (
        "torch file: its tensors are more than 16 times its size"
    )
    yield "many-objects", pickled(b"}" * 1000000), "too_large", "its objects take more than the limit of "


def malformed_zips() -> "Iterator[tuple[str, bytes, str, str]]":
    """Whole files: (name, bytes, code, message behind the file's name)."""
    bad, unsupported = "bad_checkpoint", "unsupported_checkpoint"
    pickle = pickled(dict_of((text("a"), tensor(storage("0", "FloatStorage", 2), [2]))))
    good = make_file(pickle, {"0": bytes(8)})

    def with_entry(like_torch: bool = True, **entry: Any) -> bytes:
        fields: "dict[str, Any]" = {"name": "archive/data/0", "content": bytes(8), **entry}
        own = Entry(**fields)
        return make_file(pickle, {}, more=[own], like_torch=like_torch)

    cut = "torch file: the end of the zip is missing: the file is cut short"
    yield "cut", good[:-1], bad, cut
    yield "cut-in-half", good[: len(good) // 2], bad, cut
    yield "bytes-behind", good + b"x", bad, cut
    yield "begin-alone", b"PK\3\4" + bytes(30), bad, cut
    yield "few-bytes", b"PK\3\4" + bytes(10), bad, "torch file: 14 bytes are too few for a zip"
    entry = 'torch file: entry "archive/data/0": '
    yield "compressed", with_entry(central={"method": 8}, local={"method": 8}), unsupported, entry + "it is compressed"
    for bit in (0, 6, 13):
        flags = {"flags": 0x0808 | 1 << bit}
        yield f"encrypted-{bit}", with_entry(central=flags, local=flags), unsupported, entry + "it is encrypted"
    yield "name-nul", with_entry(name="archive/data/0\0"), bad, (
        'torch file: entry "archive/data/0\\x00": its name has a NUL character'
    )
    yield "twice", make_file(pickle, {"0": bytes(8)}, more=[Entry("archive/data/0", bytes(8))]), bad, (
        entry + "the name appears twice"
    )
    yield "local-name", with_entry(local_name="archive/data/1"), bad, entry + "its local header has another name"
    other = entry + "its local header has other flags or another method"
    yield "local-flags", with_entry(local={"flags": 8}), bad, other
    yield "local-method", with_entry(local={"method": 8}), bad, other
    for field in ("size", "stored", "crc"):
        yield f"local-{field}", with_entry(False, local={field: 7}), bad, (
            entry + "its local header has other sizes or another checksum"
        )
    yield "local-zip64-missing", with_entry(local={"size": 0xFFFFFFFF}), bad, (
        entry + "its local header has other sizes or another checksum"
    )
    yield "two-sizes", with_entry(central={"size": 4}), bad, entry + "it is stored, but its two sizes differ"
    malformed = entry + "its extra fields in the directory are malformed"
    yield "zip64-missing", with_entry(central={"size": 0xFFFFFFFF}), bad, malformed
    yield "zip64-short", with_entry(central={"size": 0xFFFFFFFF}, extra=b"\1\0\4\0" + bytes(4)), bad, malformed
    yield "extra-beyond", with_entry(extra=b"\1\0\xff\0"), bad, malformed
    beyond = entry + "its bytes reach beyond the beginning of what comes next"
    yield "size-beyond", with_entry(central={"size": 1 << 20, "stored": 1 << 20}), bad, beyond
    huge = struct.pack("<HHQQ", 1, 16, (1 << 64) - 1, (1 << 64) - 1)
    yield "size-of-2-to-64", with_entry(central={"size": 0xFFFFFFFF, "stored": 0xFFFFFFFF}, extra=huge), bad, beyond
    outside = entry + "its local header is not within the file or overlaps another entry"
    yield "header-beyond", with_entry(central={"header": 1 << 20}), bad, outside
    two = [Entry(f"archive/data/{i}", bytes(8), central={"header": 1 << 20 + i}) for i in range(2)]
    yield "headers-beyond", make_file(pickle, {}, more=two), bad, outside
    far = struct.pack("<HHQ", 1, 8, (1 << 64) - 1)
    yield "header-of-2-to-64", with_entry(central={"header": 0xFFFFFFFF}, extra=far), bad, outside
    at = good.rindex(b"PK\3\4")
    yield "local-signature", good[:at] + b"PK\3\5" + good[at + 4 :], bad, (
        'torch file: entry "archive/version": it has no local header'
    )
    yield "overlap", with_entry(central={"header": 0}), bad, "overlaps another entry"
    entries = [Entry("archive/data.pkl", pickle), Entry("archive/data/0", bytes(8))]
    elsewhere = "torch file: the zip64 end record is not where it is said to be, at byte "
    yield "zip64-end-at-0", make_zip(entries, zip64_at=0), bad, elsewhere + "0"
    yield "zip64-end-at-2-to-64", make_zip(entries, zip64_at=(1 << 64) - 1), bad, elsewhere + str((1 << 64) - 1)
    yield "ends-contradict", make_zip(
        entries, old_count=3
    ), bad, "torch file: its two end records contradict each other"
    yield "parts", make_zip(entries, part=1), unsupported, "torch file: a zip in several parts"
    yield "many-entries", make_zip(entries, False, count=60000), bad, (
        "torch file: 60000 entries do not fit into a directory of 122 bytes"
    )
    yield "more-entries", make_zip(
        entries, count=1
    ), bad, "torch file: its directory has 60 bytes more than its entries"
    yield "directory-beyond", make_zip(entries, False, offset=1 << 30), bad, (
        "torch file: its directory, of 122 bytes from byte 1073741824 on, does not end where the end record begins"
    )
    yield "zip64-end-missing", make_zip(entries, False, offset=(1 << 32) - 1), bad, "the zip64 end record is missing"
    yield "no-pickle", make_zip([Entry("archive/version", b"3\n")]), unsupported, (
        "torch file: no data.pkl in it: another kind of zip"
    )
    yield "empty-zip", b"PK\3\4" + make_zip(
        [], offset=4, zip64_at=4
    ), unsupported, "no data.pkl in it: another kind of zip"
    yield "two-pickles", make_file(pickle, {"0": bytes(8)}, more=[Entry("b/data.pkl", pickle)]), bad, (
        "torch file: more than one data.pkl"
    )
    big = [*entries, Entry("archive/byteorder", b"big")]
    yield "big-endian", make_zip(big), unsupported, 'torch file: its byte order is "big", not "little"'
    long = [*entries, Entry("archive/byteorder", bytes(17))]
    yield "byteorder-long", make_zip(long), bad, "torch file: its byteorder is of 17 bytes"


def malformed_torch_files() -> "Iterator[tuple[str, bytes, str, str]]":
    """Whole files: (name, bytes, code, message behind the file's name)."""
    for name, pickle, code, message in malformed_pickles():
        yield f"torch-pickle-{name}", make_file(pickle, {"0": bytes(8)}), code, message
    for name, content, code, message in malformed_zips():
        yield f"torch-zip-{name}", content, code, message
