"""Reads a JSON keyset and then lines of plaintext and ciphertext in base64 from standard input; fails
unless Tink decrypts each ciphertext to its plaintext, and prints what Tink encrypts each plaintext to."""

import base64
import sys

import tink
from tink import aead, daead, secret_key_access

daead.register()
aead.register()
keyset, *lines = sys.stdin.read().splitlines()
handle = tink.json_proto_keyset_format.parse(keyset, secret_key_access.TOKEN)
if sys.argv[1] == "daead":
    primitive = handle.primitive(daead.DeterministicAead)
    encrypt, decrypt = primitive.encrypt_deterministically, primitive.decrypt_deterministically
else:
    primitive = handle.primitive(aead.Aead)
    encrypt, decrypt = primitive.encrypt, primitive.decrypt
for line in lines:
    plaintext, ciphertext = (base64.b64decode(part) for part in line.split(" "))
    if decrypt(ciphertext, b"") != plaintext:
        sys.exit("another plaintext")
    print(base64.b64encode(encrypt(plaintext, b"")).decode())
