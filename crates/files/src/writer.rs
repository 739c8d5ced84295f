//! What writes one file.

use penstock_connect::{Error, Record, RecordError};

/// Writes one file. All records of a file have the same [`group`](crate::FileSpec::group).
///
/// Bytes go into memory only, so nothing fails but a record, or an encoder that runs out of memory;
/// that comes out at [`finish`](Self::finish), and the file is then worth nothing.
pub trait FileWriter: Send {
    /// Takes one record, or rejects it and is as it was before.
    fn push(&mut self, record: &Record) -> Result<(), RecordError>;

    /// Bytes that the file holds in memory, encoders' states and those ready for
    /// [`drain`](Self::drain) included.
    fn held(&self) -> usize;

    /// Length of the file so far, estimated for what is not compressed yet; a function of the records
    /// alone, never of how often the file was drained.
    fn length(&self) -> u64;

    /// Bytes that [`drain`](Self::drain) would give.
    fn ready(&self) -> usize;

    /// Appends the bytes that are final to `out`, whose room may stay with the file where it is empty. How
    /// often this is called never changes the file.
    fn drain(&mut self, out: &mut Vec<u8>);

    /// Gives back memory as far as the format can. This may change the bytes of the file (a Parquet row
    /// group ends here), never its rows.
    fn shrink(&mut self) -> Result<(), Error>;

    /// Ends the file and appends its last bytes to `out`. Nothing is called after this.
    fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), Error>;
}
