#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the seeds of fuzz_http_answer and fuzz_tang to fuzz/corpus; see these for what the first byte
means. Signatures are new in each run."""
import json
import sys
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT.parent / "tests"))
import network_oracle as oracle  # noqa: E402


def put(fuzzer, name, data):
    directory = ROOT / "corpus" / fuzzer
    directory.mkdir(parents=True, exist_ok=True)
    (directory / name).write_bytes(data)


def sign(key, payload):
    """A flattened JWS by ES512."""
    head = oracle.base64url(b'{"alg":"ES512","cty":"jwk-set+json"}')
    payload = oracle.base64url(payload)
    r, s = decode_dss_signature(key.sign(f"{head}.{payload}".encode(), ec.ECDSA(hashes.SHA512())))
    return {"payload": payload, "protected": head,
            "signature": oracle.base64url(r.to_bytes(66, "big") + s.to_bytes(66, "big"))}


def adverts():
    curve = oracle.CURVES[3]
    key = ec.derive_private_key(12345, ec.SECP521R1())
    signer = {"alg": "ES512", "key_ops": ["verify"],
              **oracle.jwk(curve, curve.times(12345, curve.generator))}
    exchange = {"alg": "ECMR", "key_ops": ["deriveKey"], **oracle.jwk(curve, curve.generator)}
    for name, keys in (("good", [signer, exchange]), ("no-signer", [exchange]),
                       ("no-exchange", [signer])):
        jws = sign(key, json.dumps({"keys": keys}).encode())
        put("tang", "advert-" + name, b"\0" + json.dumps(jws).encode())
    several = {"payload": jws["payload"], "signatures": [
        {"protected": jws["protected"], "signature": jws["signature"]}] * 2}
    put("tang", "advert-several", b"\0" + json.dumps(several).encode())


def main():
    adverts()
    p256 = oracle.CURVES[1]
    for name, point in (("good", p256.times(77, p256.generator)), ("generator", p256.generator),
                        ("off", (1, 2))):
        put("tang", "answer-" + name,
            b"\1" + json.dumps({"alg": "ECMR", **oracle.jwk(p256, point)}).encode())
    for i, name in enumerate(("http://tang.example", "http://[2001:db8::1]:7500/a/",
                              "http://192.0.2.1:80," + "A" * 43)):
        put("tang", f"name-{i}", b"\2" + name.encode())
    vectors = json.loads((ROOT.parent / "tests/vectors/key-network-v1.json").read_text())
    put("tang", "payload", b"\3" + bytes.fromhex(vectors["binding"]))
    for name, answer in (
            ("good", b"HTTP/1.1 200 OK\r\nContent-Type: a/b\r\nContent-Length: 2\r\n\r\n{}"),
            ("to-the-end", b"HTTP/1.0 404 Not Found\r\nServer: x\r\n\r\nnothing"),
            ("chunked", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"),
            ("lengths", b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\ncontent-length: 1\r\n\r\nx"),
            ("long", b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n")):
        put("http_answer", name, answer)


if __name__ == "__main__":
    main()
