"""Opens with PyCryptodome what the argument holds, and seals it again: key, iv and record come in hexadecimal or base64."""

import base64
import sys
import zlib

from Crypto.Cipher import AES
from Crypto.Util.Padding import pad, unpad

key, iv, sealed = bytes.fromhex(sys.argv[1]), bytes.fromhex(sys.argv[2]), base64.b64decode(sys.argv[3])
inner = unpad(AES.new(key, AES.MODE_CBC, sealed[:16]).decrypt(sealed[16:]), AES.block_size)
text = zlib.decompress(base64.b64decode(inner))
again = AES.new(key, AES.MODE_CBC, iv).encrypt(pad(base64.b64encode(zlib.compress(text)), AES.block_size))
print(text.decode())
print(base64.b64encode(iv + again).decode())
