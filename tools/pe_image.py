# SPDX-License-Identifier: Apache-2.0
"""Reads PE32+ images as far as drivers need it: headers, sections, imports, relocations, functions
with their exception scopes, resources and COFF symbols. Nothing is believed that is not in the
file: whatever does not fit raises BadImage."""
import struct

MACHINE_AMD64 = 0x8664
FILE_RELOCS_STRIPPED, FILE_EXECUTABLE, FILE_DLL = 0x0001, 0x0002, 0x2000
SCN_CODE, SCN_DATA, SCN_BSS = 0x20, 0x40, 0x80
SCN_DISCARDABLE, SCN_NOT_PAGED, SCN_SHARED = 0x02000000, 0x08000000, 0x10000000
SCN_EXECUTE, SCN_READ, SCN_WRITE = 0x20000000, 0x40000000, 0x80000000
DIR_EXPORT, DIR_IMPORT, DIR_RESOURCE, DIR_EXCEPTION, DIR_SECURITY, DIR_RELOC = 0, 1, 2, 3, 4, 5
DIR_TLS, DIR_DELAY_IMPORT = 9, 13
RT_VERSION = 16
UNW_EHANDLER, UNW_CHAINED = 1, 4


class BadImage(Exception):
    """The file is no image, or contradicts itself."""


class Section:
    def __init__(self, data, at):
        self.at = at  # of its header
        self.name = data[at:at + 8].rstrip(b"\0").decode("latin-1")
        (self.virtual_size, self.rva, self.raw_size,
         self.raw_at) = struct.unpack_from("<IIII", data, at + 8)
        self.flags = struct.unpack_from("<I", data, at + 36)[0]

    def __contains__(self, rva):
        return self.rva <= rva < self.rva + max(self.virtual_size, 1)

    @property
    def is_pageable_by_name(self):
        return self.name.startswith("PAGE")


class Function:
    """One entry of the exception table: a range of code, and its handler if it has one."""

    def __init__(self, begin, end, handler, handler_data):
        self.begin, self.end = begin, end
        self.handler, self.handler_data = handler, handler_data


class Image:
    """data is the file; a bytearray can be patched through it."""

    def __init__(self, data):
        self.data = data
        if len(data) < 0x40 or data[:2] != b"MZ":
            raise BadImage("no MZ header")
        self.pe = self.field("<I", 0x3C)
        if bytes(data[self.pe:self.pe + 4]) != b"PE\0\0":
            raise BadImage("no PE header")
        (self.machine, count, self.timestamp, self.symbols_at, self.symbol_count, optional_size,
         self.characteristics) = self.fields("<HHIIIHH", self.pe + 4)
        self.optional = self.pe + 24
        if self.field("<H", self.optional) != 0x20B:
            raise BadImage("not PE32+")
        self.entry = self.field("<I", self.optional + 16)
        self.image_base = self.field("<Q", self.optional + 24)
        self.section_alignment, self.file_alignment = self.fields("<II", self.optional + 32)
        self.os_version = self.fields("<HH", self.optional + 40)
        self.subsystem_version = self.fields("<HH", self.optional + 48)
        self.image_size, self.headers_size, self.checksum = self.fields("<III", self.optional + 56)
        self.subsystem, self.dll_characteristics = self.fields("<HH", self.optional + 68)
        directories = min(self.field("<I", self.optional + 108), 16)
        self.directories = [self.fields("<II", self.optional + 112 + 8 * i)
                            for i in range(directories)] + [(0, 0)] * (16 - directories)
        table = self.optional + optional_size
        if table + 40 * count > len(data):
            raise BadImage("section table beyond the end")
        self.sections = [Section(data, table + 40 * i) for i in range(count)]
        for section in self.sections:
            if section.raw_size and section.raw_at + section.raw_size > len(data):
                raise BadImage(f"section {section.name} beyond the end of the file")

    # ---- bytes ----

    def fields(self, form, at):
        if at < 0 or at + struct.calcsize(form) > len(self.data):
            raise BadImage(f"{at:#x} is beyond the end of the file")
        return struct.unpack_from(form, self.data, at)

    def field(self, form, at):
        return self.fields(form, at)[0]

    def section_of(self, rva):
        return next((section for section in self.sections if rva in section), None)

    def at_rva(self, rva):
        """Where in the file the byte at this address is."""
        section = self.section_of(rva)
        if not section or rva - section.rva >= section.raw_size:
            raise BadImage(f"nothing in the file is at {rva:#x}")
        return section.raw_at + rva - section.rva

    def text_at(self, rva):
        at = self.at_rva(rva)
        end = self.data.find(b"\0", at, at + 512)
        if end < 0:
            raise BadImage(f"text without end at {rva:#x}")
        return bytes(self.data[at:end]).decode("latin-1")

    def raw(self, section):
        size = min(section.raw_size, section.virtual_size or section.raw_size)
        return self.data[section.raw_at:section.raw_at + size]

    # ---- tables ----

    def imports(self):
        """(module, name or ordinal, address of its slot) of every import."""
        found = []
        at, size = self.directories[DIR_IMPORT]
        if not size:
            return found
        while True:
            names, _, _, module, slots = self.fields("<IIIII", self.at_rva(at))
            if not module:
                return found
            found += self.imports_of(self.text_at(module), names or slots, slots)
            at += 20

    def imports_of(self, module, names, slots):
        found = []
        while True:
            value = self.field("<Q", self.at_rva(names))
            if not value:
                return found
            name = value & 0xFFFF if value >> 63 else self.text_at((value & 0x7FFFFFFF) + 2)
            found.append((module.lower(), name, slots))
            names, slots = names + 8, slots + 8

    def relocations(self):
        """Addresses of the 64-bit pointers that move with the image."""
        found = []
        at, size = self.directories[DIR_RELOC]
        end = at + size
        while at < end:
            page, block = self.fields("<II", self.at_rva(at))
            if block < 8 or at + block > end:
                raise BadImage("relocation block of a wrong size")
            for i in range(8, block, 2):
                entry = self.field("<H", self.at_rva(at + i))
                if entry >> 12 == 10:
                    found.append(page + (entry & 0xFFF))
                elif entry >> 12:
                    raise BadImage(f"relocation of kind {entry >> 12}")
            at += block
        return found

    def functions(self):
        """The exception table, in order of addresses."""
        found = []
        at, size = self.directories[DIR_EXCEPTION]
        for i in range(size // 12):
            begin, end, unwind = self.fields("<III", self.at_rva(at + 12 * i))
            found.append(Function(begin, end, *self.handler_of(unwind)))
        return sorted(found, key=lambda function: function.begin)

    def handler_of(self, unwind):
        """(handler, its data) of unwind data; (0, 0) when exceptions pass."""
        for _ in range(32):
            at = self.at_rva(unwind)
            head, _, codes, _ = self.fields("<BBBB", at)
            after = at + 4 + 2 * (codes + codes % 2)
            if head >> 3 & UNW_CHAINED:
                unwind = self.fields("<III", after)[2]
            elif head >> 3 & UNW_EHANDLER:
                return self.field("<I", after), after + 4
            else:
                return 0, 0
        raise BadImage("unwind data without end")

    def scopes_of(self, function):
        """[begin, end) of each __try with an __except, if the handler is __C_specific_handler."""
        count = self.field("<I", function.handler_data)
        if count > 4096:
            raise BadImage("exception scopes without end")
        scopes = [self.fields("<IIII", function.handler_data + 4 + 16 * i) for i in range(count)]
        # Without a target it is a __finally, which catches nothing.
        return [(begin, end) for begin, end, _, target in scopes if target]

    def resource_types(self):
        at, size = self.directories[DIR_RESOURCE]
        if not size:
            return []
        at = self.at_rva(at)
        named, numbered = self.fields("<HH", at + 12)
        return [self.field("<I", at + 16 + 8 * i) for i in range(named, named + numbered)]

    def symbols(self):
        """(name, address, is a function) of every COFF symbol that is in a section."""
        found = []
        strings = self.symbols_at + 18 * self.symbol_count
        index = 0
        while self.symbols_at and index < self.symbol_count:
            at = self.symbols_at + 18 * index
            name = bytes(self.data[at:at + 8])
            value, section, kind, storage, more = self.fields("<IhHBB", at + 8)
            if name[:4] == b"\0\0\0\0":
                start = strings + struct.unpack("<I", name[4:])[0]
                name = bytes(self.data[start:self.data.find(b"\0", start)])
            if 0 < section <= len(self.sections) and storage in (2, 3):
                rva = self.sections[section - 1].rva + value
                found.append((name.rstrip(b"\0").decode("latin-1"), rva, kind == 0x20))
            index += 1 + more
        return found

    # ---- checksum ----

    def computed_checksum(self):
        """The sum of 16-bit words with the carry added, without its own field, and the length."""
        data = bytearray(self.data)
        data[self.optional + 64:self.optional + 68] = bytes(4)
        if len(data) % 2:
            data.append(0)
        total = sum(struct.unpack(f"<{len(data) // 2}H", data))
        while total >> 16:
            total = (total & 0xFFFF) + (total >> 16)
        return total + len(self.data) & 0xFFFFFFFF
