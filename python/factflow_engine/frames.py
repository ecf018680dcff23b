"""Messages as bytes: the codec, the immutable frame that queues carry, and the decoder of a stream of frames.

Kept separate from `native` because these are public names; the implementation is Rust.
"""

from factflow_engine.native import Frame, FrameDecoder, label_of, pack, unpack, validate

__all__ = ["Frame", "FrameDecoder", "label_of", "pack", "unpack", "validate"]
