#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A second implementation of the network slots of docs/format.md: curves, shares and the exchange in
plain integers. Run as a program it prints tests/vectors/key-network-v1.json anew."""
import base64
import hashlib
import json
import struct
import sys
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

sys.path.insert(0, str(Path(__file__).resolve().parent))
import key_oracle as oracle  # noqa: E402


class Curve:
    """y^2 = x^3 - 3x + b over the field of p, as SP 800-186 has them."""

    def __init__(self, number, name, size, p, b, x, y):
        self.number, self.name, self.size, self.p, self.b = number, name, size, p, b
        self.generator = (x, y)
        assert self.has(self.generator)

    def has(self, point):
        x, y = point
        return (y * y - (x * x * x - 3 * x + self.b)) % self.p == 0

    def add(self, one, other):
        if one is None or other is None:
            return other if one is None else one
        (x, y), (u, v) = one, other
        if x == u and (y + v) % self.p == 0:
            return None
        slope = (3 * x * x - 3) * pow(2 * y, -1, self.p) if one == other else \
            (v - y) * pow(u - x, -1, self.p)
        w = (slope * slope - x - u) % self.p
        return w, (slope * (x - w) - y) % self.p

    def subtract(self, one, other):
        return self.add(one, (other[0], -other[1] % self.p))

    def times(self, factor, point):
        result = None
        while factor:
            if factor & 1:
                result = self.add(result, point)
            point = self.add(point, point)
            factor >>= 1
        return result


CURVES = {curve.number: curve for curve in (
    Curve(1, "P-256", 32, 2**256 - 2**224 + 2**192 + 2**96 - 1,
          0x5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604b,
          0x6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296,
          0x4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5),
    Curve(2, "P-384", 48, 2**384 - 2**128 - 2**96 + 2**32 - 1,
          int("b3312fa7e23ee7e4988e056be3f82d19181d9c6efe8141120314088f5013875a"
              "c656398d8a2ed19d2a85c8edd3ec2aef", 16),
          int("aa87ca22be8b05378eb1c71ef320ad746e1d3b628ba79b9859f741e082542a38"
              "5502f25dbf55296c3a545e3872760ab7", 16),
          int("3617de4a96262c6f5d9e98bf9292dc29f8f41dbd289a147ce9da3113b5f0b8c0"
              "0a60b1ce1d7e819d7a431d7c90ea0e5f", 16)),
    Curve(3, "P-521", 66, 2**521 - 1,
          int("0051953eb9618e1c9a1f929a21a0b68540eea2da725b99b315f3b8b489918ef109e1"
              "56193951ec7e937b1652c0bd3bb1bf073573df883d2c34f1ef451fd46b503f00", 16),
          int("00c6858e06b70404e9cd9e3ecb662395b4429c648139053fb521f828af606b4d3dba"
              "a14b5e77efe75928fe1dc127a2ffa8de3348b3c1856a429bf97e7e31c2e5bd66", 16),
          int("011839296a789a3bc0045c8a5fb42c7d1bd998f54449579b446817afbd17273e662c"
              "97ee72995ef42640c550b9013fad0761353c7086a272c24088be94769fd16650", 16)))}


# ---- JWKs ----

def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unbase64url(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def jwk(curve, point):
    x, y = (base64url(value.to_bytes(curve.size, "big")) for value in point)
    return {"crv": curve.name, "kty": "EC", "x": x, "y": y}


def thumbprint(key):
    needed = {name: key[name] for name in ("crv", "kty", "x", "y")}
    return hashlib.sha256(json.dumps(needed, separators=(",", ":")).encode()).digest()


# ---- shares ----

def gf_times(a, b):
    product = 0
    for bit in range(8):
        if b >> bit & 1:
            product ^= a << bit
    for bit in range(14, 7, -1):
        if product >> bit & 1:
            product ^= 0x11b << (bit - 8)
    return product


INVERSE = {a: b for a in range(1, 256) for b in range(1, 256) if gf_times(a, b) == 1}


def split(coefficients, count):
    """coefficients[0] is the secret; {number: share}"""
    shares = {}
    for number in range(1, count + 1):
        share = bytearray(32)
        for at in range(32):
            power = 1
            for coefficient in coefficients:
                share[at] ^= gf_times(coefficient[at], power)
                power = gf_times(power, number)
        shares[number] = bytes(share)
    return shares


def combine(shares):
    secret = bytearray(32)
    for number, share in shares.items():
        factor = 1
        for other in shares:
            if other != number:
                factor = gf_times(factor, gf_times(other, INVERSE[other ^ number]))
        for at in range(32):
            secret[at] ^= gf_times(share[at], factor)
    return bytes(secret)


# ---- the binding ----

def point_bytes(point):
    return b"".join(value.to_bytes(66, "big") for value in point)


def share_cipher(curve, agreed):
    key = HKDF(hashes.SHA256(), 32, None, b"VCK network share").derive(
        agreed[0].to_bytes(curve.size, "big"))
    return AESGCM(key)


class Server:
    def __init__(self, data):
        size, self.curve, url, zero = struct.unpack_from("<HHHH", data)
        assert zero == 0 and size == (352 + url + 7) // 8 * 8 and not any(data[352 + url:size])
        self.size, self.data = size, data[:size]
        self.curve = CURVES[self.curve]
        self.signer = data[8:40]
        x, y, u, v = (int.from_bytes(data[40 + 66 * i:106 + 66 * i], "big") for i in range(4))
        self.server_key, self.slot_key = (x, y), (u, v)
        assert self.curve.has(self.server_key) and self.curve.has(self.slot_key)
        self.url = data[352:352 + url].decode("ascii")

    def kid(self):
        return base64url(thumbprint(jwk(self.curve, self.server_key)))


class Binding:
    def __init__(self, data):
        version, self.threshold, count, zero = struct.unpack_from("<HBBI", data)
        assert version == 1 and zero == 0 and 1 <= self.threshold <= count <= 10
        self.servers = []
        at = 8
        for _ in range(count):
            self.servers.append(Server(data[at:]))
            at += self.servers[-1].size
        assert at == len(data)

    def share(self, number, agreed):
        """The share of server `number`, from 1; None with a wrong key."""
        server = self.servers[number - 1]
        covered = bytes((self.threshold, number)) + server.data[:304]
        try:
            return share_cipher(server.curve, agreed).decrypt(
                bytes(12), server.data[304:352], covered)
        except InvalidTag:
            return None

    def secret(self, answers):
        """answers: {number: s of that server}"""
        shares = {}
        for number, s in answers.items():
            server = self.servers[number - 1]
            # As the slot is opened: blinded by e, which the server never sees.
            e = 0x1234567
            asked = server.curve.add(server.slot_key,
                                     server.curve.times(e, server.curve.generator))
            answer = server.curve.times(s, asked)
            agreed = server.curve.subtract(answer, server.curve.times(e, server.server_key))
            shares[number] = self.share(number, agreed)
        return combine(shares)


def make_binding(threshold, servers, shares):
    """servers: (curve, signer, S, c, URL)"""
    data = struct.pack("<HBBI", 1, threshold, len(servers), 0)
    for number, (curve, signer, server_key, c, url) in enumerate(servers, 1):
        slot_key = curve.times(c, curve.generator)
        agreed = curve.times(c, server_key)
        size = (352 + len(url) + 7) // 8 * 8
        head = struct.pack("<HHHH32s", size, curve.number, len(url), 0, signer)
        head += point_bytes(server_key) + point_bytes(slot_key)
        covered = bytes((threshold, number)) + head
        sealed = share_cipher(curve, agreed).encrypt(bytes(12), shares[number], covered)
        data += (head + sealed + url.encode()).ljust(size, b"\0")
    return data


# ---- vectors ----

def pattern(seed, size):
    return hashlib.shake_128(seed.encode()).digest(size)


SERVERS = ((3, "http://tang.example"), (1, "http://192.0.2.7:7500/tang"), (2, "http://[2001:db8::1]"))


def make_vectors():
    volume_id, vmk = pattern("volume", 16), pattern("vmk", 32)
    coefficients = [pattern(f"coefficient {i}", 32) for i in range(2)]
    shares = split(coefficients, len(SERVERS))
    assert all(combine({a: shares[a], b: shares[b]}) == coefficients[0]
               for a in shares for b in shares if a != b)
    made, described = [], []
    for number, (curve, url) in enumerate(SERVERS, 1):
        curve = CURVES[curve]
        s, c = (int.from_bytes(pattern(f"{name} {number}", 31), "big") for name in "sc")
        server_key = curve.times(s, curve.generator)
        signer = pattern(f"signer {number}", 32)
        made.append((curve, signer, server_key, c, url))
        agreed = curve.times(c, server_key)
        described.append({"url": url, "curve": curve.number, "signer": signer.hex(),
                          "kid": base64url(thumbprint(jwk(curve, server_key))),
                          "agreed_x": agreed[0].to_bytes(66, "big").hex(),
                          "share": shares[number].hex(), "s": f"{s:x}"})
    binding = make_binding(2, made, shares)
    record = oracle.make_slot(volume_id, 4, oracle.NETWORK, coefficients[0], vmk, oracle.HKDF_KIND,
                              0, 0, 0, pattern("uuid", 16), pattern("salt", 32),
                              pattern("nonce", 12), 1700000000, "network", binding)
    read = Binding(oracle.Slot(record).payload)
    assert read.secret({i + 1: int(one["s"], 16) for i, one in
                                   enumerate(described[1:], 1)}) == coefficients[0]
    assert oracle.Slot(record).open(volume_id, coefficients[0]) == vmk
    return {"volume_id": volume_id.hex(), "vmk": vmk.hex(), "secret": coefficients[0].hex(),
            "threshold": 2, "servers": described, "binding_size": len(binding),
            "binding": binding.hex(), "record_size": len(record), "record": record.hex()}


if __name__ == "__main__":
    json.dump(make_vectors(), sys.stdout, indent=1)
    print()
