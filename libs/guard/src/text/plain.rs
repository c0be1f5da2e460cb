//! Words of ASCII letters and digits with nothing tied to them, as most are: found eight bytes at a time.

/// Where a word ends, where ASCII letters and digits stand at `start` and what follows them ties nothing to them
/// at first sight: nearly always.
#[inline]
pub(super) fn plain_end(bytes: &[u8], start: usize) -> Option<usize> {
    let run = bytes.get(start..)?;
    let width = plain_width(run);
    let first = run.first().filter(|_| width > 0)?;
    // The end of the text parts words as a line break does.
    let mark = run.get(width).copied().unwrap_or(b'\n');
    let next = || run.get(width + 1).copied().unwrap_or(b'\n');
    let ends = if first.is_ascii_digit() {
        ends_number(mark, next()) && run[..width].iter().all(u8::is_ascii_digit)
    } else {
        mark == b' ' || ends_name(mark, next())
    };
    ends.then_some(start + width)
}

/// Whether these two bytes behind ASCII letters and digits are sure to tie nothing to them.
fn ends_name(mark: u8, next: u8) -> bool {
    match mark {
        b'.' => matches!(next, b' ' | b'\n'),
        b'-' => !next.is_ascii_digit(),
        b'\'' | b'_' | b':' | b'&' | b'+' | b'#' | b'@' => false,
        other => other.is_ascii(),
    }
}

/// Whether these two bytes behind digits are sure to tie nothing to them; a number may have one blank before its percent
/// sign.
fn ends_number(mark: u8, next: u8) -> bool {
    match mark {
        b' ' => next.is_ascii() && next != b'%',
        b',' => !next.is_ascii_digit(),
        b'.' => matches!(next, b' ' | b'\n'),
        b'\'' | b'_' | b':' | b'&' | b'-' | b'+' | b'#' | b'@' | b'%' => false,
        other => other.is_ascii(),
    }
}

/// How many ASCII letters and digits the bytes begin with.
#[inline]
fn plain_width(bytes: &[u8]) -> usize {
    let mut width = 0;
    while let Some(eight) = bytes[width..].first_chunk() {
        let marks = others(u64::from_le_bytes(*eight));
        if marks != 0 {
            return width + marks.trailing_zeros() as usize / 8;
        }
        width += 8;
    }
    width + bytes[width..].iter().take_while(|b| b.is_ascii_alphanumeric()).count()
}

/// The highest bit of each of eight bytes that is no ASCII letter or digit.
///
/// Whether a byte below 128 is in a range shows in its highest bit after an addition that carries nothing over (Lamport 1975).
#[inline]
fn others(eight: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x80 * ONES;
    let within = |bytes: u64, first: u8, last: u8| {
        let from = bytes + ONES * u64::from(0x80 - first);
        let past = bytes + ONES * u64::from(0x7f - last);
        from & !past
    };
    let low = eight & !HIGH;
    let letters = within(low | (0x20 * ONES), b'a', b'z');
    let digits = within(low, b'0', b'9');
    (!(letters | digits) | eight) & HIGH
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_and_digits_are_counted_eight_at_a_time() {
        for b in 0..=u8::MAX {
            for at in 0..20 {
                let mut bytes = *b"abcxyzABCXYZ0189mM55";
                bytes[at] = b;
                let expected = if b.is_ascii_alphanumeric() { bytes.len() } else { at };
                assert_eq!(plain_width(&bytes), expected, "{b} {at}");
            }
        }
    }
}
