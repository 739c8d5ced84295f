//! The Java client's default partitioner: murmur2 of the key, sign bit cleared, modulo partitions.

/// Kafka's murmur2 (`org.apache.kafka.common.utils.Utils.murmur2`).
pub fn murmur2(data: &[u8]) -> u32 {
    const SEED: u32 = 0x9747_b28c;
    const M: u32 = 0x5bd1_e995;
    const R: u32 = 24;

    let mut hash = SEED ^ data.len() as u32;
    let mut words = data.chunks_exact(4);
    for word in &mut words {
        let mut k = u32::from_le_bytes([word[0], word[1], word[2], word[3]]).wrapping_mul(M);
        k ^= k >> R;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        for (i, byte) in rest.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * i);
        }
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ (hash >> 15)
}

/// The partition of `key` in a topic of `partitions` partitions, as every Kafka client chooses it.
///
/// # Panics
/// If `partitions` is not positive.
pub fn murmur2_partition(key: &[u8], partitions: i32) -> i32 {
    assert!(partitions > 0, "a topic has at least one partition");
    (murmur2(key) & 0x7fff_ffff) as i32 % partitions
}

/// Places records without a key: one partition after the other, some 16 kB each, so that batches fill.
#[derive(Debug, Default)]
pub(crate) struct KeylessRun {
    partition: i32,
    bytes: usize,
}

impl KeylessRun {
    const BYTES: usize = 16 << 10;

    /// The partition for a record of `size` bytes.
    pub(crate) fn place(&mut self, size: usize, partitions: i32) -> i32 {
        if self.bytes >= Self::BYTES {
            *self = Self {
                partition: (self.partition + 1) % partitions,
                bytes: 0,
            };
        }
        self.bytes += size;
        self.partition
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_equal_those_of_the_java_client() {
        // From UtilsTest.testMurmur2 of Apache Kafka.
        let cases: [(&str, i32); 6] = [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            (
                "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8",
                -58_897_971,
            ),
            ("abc", 479_470_107),
        ];
        for (key, hash) in cases {
            assert_eq!(murmur2(key.as_bytes()) as i32, hash, "{key}");
        }
    }

    #[test]
    fn partitions_are_never_negative() {
        for key in ["21", "foobar", "abc", ""] {
            assert!(
                (0..7).contains(&murmur2_partition(key.as_bytes(), 7)),
                "{key}"
            );
        }
    }
}
