"""
Codecs: what becomes of a record's JSON before it rests in the store. JSON as it is, compressed, sealed.

Bytes at rest start with `{` or `[` when they are JSON, else with the tag of a codec. Compression comes before
sealing. Ids, event keys and labels are not part of the record and stay readable.
"""

from pyarvo.memory.codecs.codec import Codec, Where
from pyarvo.memory.codecs.keys import KEYS_VARIABLE, KeyRing
from pyarvo.memory.codecs.named import codec_of
from pyarvo.memory.codecs.sealed import Cipher, Sealed
from pyarvo.memory.codecs.zstd import Zstd

__all__ = ["KEYS_VARIABLE", "Cipher", "Codec", "KeyRing", "Sealed", "Where", "Zstd", "codec_of"]
