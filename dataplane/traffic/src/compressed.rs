//! Captures that were compressed with gzip or zstd, recognized by how they begin.

use std::fs::File;
use std::io::{self, Cursor, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;

use crate::readahead::{Fetched, read_ahead};

/// RFC 1952 §2.3.1.
const GZIP: [u8; 2] = [0x1f, 0x8b];
/// RFC 8878 §3.1.1.
const ZSTD: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// The content of a capture file, decompressed, and fetched from the disk in advance. Errors: it can't be
/// opened.
pub fn open(file: &Path) -> io::Result<Box<dyn Read + Send>> {
    transparent(Fetched::new(File::open(file)?))
}

/// The content of a file, decompressed where it is compressed, also in several members or frames: by a
/// thread of its own, in advance. Errors: those of reading its first bytes; no thread can be started.
pub fn transparent(mut file: impl Read + Send + 'static) -> io::Result<Box<dyn Read + Send>> {
    let mut magic = Vec::with_capacity(ZSTD.len());
    file.by_ref().take(ZSTD.len() as u64).read_to_end(&mut magic)?;
    let is_gzip = magic.starts_with(&GZIP);
    let is_zstd = magic == ZSTD;
    let whole = Cursor::new(magic).chain(file);
    Ok(if is_gzip {
        Box::new(read_ahead(MultiGzDecoder::new(whole))?)
    } else if is_zstd {
        Box::new(read_ahead(zstd::Decoder::new(whole)?)?)
    } else {
        Box::new(whole)
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn zstd(bytes: &[u8]) -> Vec<u8> {
        zstd::encode_all(bytes, 1).unwrap()
    }

    /// Bytes that do not compress: a file cut in half is then cut in the middle of its content.
    fn noise(len: usize) -> Vec<u8> {
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        };
        (0..len).map(|_| next()).collect()
    }

    /// What comes out of a file, and whether it ends in order.
    fn read(file: Vec<u8>) -> (Vec<u8>, bool) {
        let mut bytes = Vec::new();
        let ended = transparent(Cursor::new(file)).and_then(|mut it| it.read_to_end(&mut bytes));
        (bytes, ended.is_ok())
    }

    #[test]
    fn files_of_several_members_are_read_to_their_end() {
        let (one, two) = (noise(100_000), noise(70_000));
        let both = [one.as_slice(), &two].concat();
        for compress in [gzip, zstd, <[u8]>::to_vec] {
            let file = [compress(&one), compress(&two)].concat();
            assert!(read(file) == (both.clone(), true));
        }
    }

    #[test]
    fn what_comes_before_a_cut_is_read() {
        for compress in [gzip, zstd] {
            let mut file = compress(&noise(3_000_000));
            file.truncate(file.len() / 2);
            let (bytes, is_whole) = read(file);
            assert!(!is_whole);
            assert!(bytes.len() > 1_000_000, "{}", bytes.len());
        }
    }

    #[test]
    fn files_shorter_than_a_magic_number_are_themselves() {
        for len in 0..4 {
            assert_eq!(read(ZSTD[..len].to_vec()), (ZSTD[..len].to_vec(), true));
        }
    }
}
