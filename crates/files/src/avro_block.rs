//! The codecs of Avro's blocks, as the specification names them.

use std::io::{self, Write};

use flate2::write::DeflateEncoder;

use crate::Compression;

/// The codec's name in the file's header.
pub(crate) fn codec(compression: Compression) -> &'static str {
    match compression {
        // There is none for LZ4; `FileSpec::check` refuses it.
        Compression::None | Compression::Lz4 => "null",
        Compression::Gzip => "deflate",
        Compression::Snappy => "snappy",
        Compression::Zstd => "zstandard",
    }
}

/// Appends the length of a block and the block, compressed.
pub(crate) fn append(compression: Compression, block: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    match compression {
        Compression::None | Compression::Lz4 => append_sized(block, out),
        Compression::Gzip => {
            let mut encoder = DeflateEncoder::new(Vec::new(), flate2::Compression::default());
            encoder.write_all(block)?;
            append_sized(&encoder.finish()?, out);
        }
        Compression::Snappy => {
            let mut compressed = snap::raw::Encoder::new().compress_vec(block)?;
            compressed.extend_from_slice(&crc32fast::hash(block).to_be_bytes());
            append_sized(&compressed, out);
        }
        Compression::Zstd => append_sized(
            &zstd::bulk::compress(block, zstd::DEFAULT_COMPRESSION_LEVEL)?,
            out,
        ),
    }
    Ok(())
}

fn append_sized(bytes: &[u8], out: &mut Vec<u8>) {
    append_long(bytes.len() as i64, out);
    out.extend_from_slice(bytes);
}

/// Appends Avro's `long`: zigzag, seven bits a byte.
pub(crate) fn append_long(value: i64, out: &mut Vec<u8>) {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    while rest > 0x7f {
        out.push((rest as u8 & 0x7f) | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}
