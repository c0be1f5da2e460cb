//! How a record lies in the queue's files: a mark, its length, a checksum, and itself.
//!
//! The mark is no UTF-8, and the payload is JSON, so a mark is where a record begins and nowhere else: after damage the
//! reader finds the next record by it.

/// What a record begins with.
const MARK: [u8; 4] = [0xff, 0xc0, 0xde, 0xff];

/// Mark, length and checksum.
pub(super) const HEADER: usize = 12;

/// The longest payload.
pub(super) const LONGEST: usize = 1 << 20;

/// What is found at the beginning of some bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found<'a> {
    /// A record, and how many bytes it takes.
    Record(&'a [u8], usize),
    /// So many bytes that are no record.
    Damage(usize),
    /// The bytes end within what may be a record.
    Cut,
}

/// A payload as it lies in a file.
pub(super) fn frame(payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER + payload.len());
    bytes.extend_from_slice(&MARK);
    bytes.extend_from_slice(&u32::try_from(payload.len()).unwrap_or(u32::MAX).to_le_bytes());
    bytes.extend_from_slice(&checksum(payload));
    bytes.extend_from_slice(payload);
    bytes
}

/// Reads what is at the beginning of `bytes`, which are not empty.
pub(super) fn next(bytes: &[u8]) -> Found<'_> {
    if bytes.len() < HEADER {
        // A header that was cut, unless it could not be one.
        let some = bytes.len().min(MARK.len());
        return if bytes[..some] == MARK[..some] { Found::Cut } else { Found::Damage(skip(bytes)) };
    }
    let length = u32::from_le_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]) as usize;
    if bytes[..MARK.len()] != MARK || length > LONGEST {
        return Found::Damage(skip(bytes));
    }
    match bytes.get(HEADER..HEADER + length) {
        Some(payload) if checksum(payload) == bytes[8..HEADER] => Found::Record(payload, HEADER + length),
        Some(_) => Found::Damage(skip(bytes)),
        // A wrong length may reach beyond the records that follow; then they are found by their mark.
        None => match mark_after(bytes) {
            Some(at) => Found::Damage(at),
            None => Found::Cut,
        },
    }
}

fn skip(bytes: &[u8]) -> usize {
    mark_after(bytes).unwrap_or(bytes.len())
}

fn mark_after(bytes: &[u8]) -> Option<usize> {
    bytes.get(1..)?.windows(MARK.len()).position(|window| window == MARK).map(|at| at + 1)
}

fn checksum(payload: &[u8]) -> [u8; 4] {
    let hash = blake3::hash(payload);
    let bytes = hash.as_bytes();
    [bytes[0], bytes[1], bytes[2], bytes[3]]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The payloads that a reader gets out of bytes, and how many damaged places it passed.
    fn read(mut bytes: &[u8]) -> (Vec<String>, usize) {
        let (mut found, mut damaged) = (Vec::new(), 0);
        while !bytes.is_empty() {
            match next(bytes) {
                Found::Record(payload, length) => {
                    found.push(String::from_utf8(payload.to_vec()).unwrap());
                    bytes = &bytes[length..];
                }
                Found::Damage(length) => {
                    damaged += 1;
                    bytes = &bytes[length..];
                }
                Found::Cut => break,
            }
        }
        (found, damaged)
    }

    fn three() -> (Vec<u8>, usize) {
        let frames = ["one", "two", "three"].map(|text| frame(text.as_bytes()));
        (frames.concat(), frames[0].len())
    }

    #[test]
    fn damage_costs_the_damaged_record_only() {
        let (bytes, second) = three();
        let length = frame(b"two").len();
        for at in second..second + length {
            let mut bad = bytes.clone();
            bad[at] ^= 0x55;
            let (found, damaged) = read(&bad);
            assert_eq!((found, damaged), (vec!["one".to_owned(), "three".to_owned()], 1), "byte {at}");
        }
    }

    proptest! {
        #[test]
        fn a_cut_file_gives_every_whole_record(cut in 0_usize..46) {
            let (bytes, _) = three();
            let whole = [15, 30, 47].iter().filter(|end| **end <= cut).count();
            let (found, damaged) = read(&bytes[..cut]);
            prop_assert_eq!((found.len(), damaged), (whole, 0));
        }

        #[test]
        fn no_bytes_confuse_the_reader(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            read(&bytes);
        }
    }
}
