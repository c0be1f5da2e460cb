//! Writes a picture's plain samples as a PNG file, so that a model can look at it.

use std::io::Write;

use flate2::Compression;
use flate2::write::ZlibEncoder;

/// A picture's samples.
pub struct Samples<'a> {
    /// Pixels in a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Bits of a sample: 1 or 8.
    pub bits: u8,
    /// 1 for grey, 3 for red, green and blue.
    pub channels: u8,
    /// The rows, each a whole number of bytes.
    pub rows: &'a [u8],
}

/// The file; `None` when the samples are not what the sizes say.
pub fn encode(samples: &Samples<'_>) -> Option<Vec<u8>> {
    let colour = match (samples.channels, samples.bits) {
        (1, 1 | 8) => 0,
        (3, 8) => 2,
        _ => return None,
    };
    let bits = u64::from(samples.width) * u64::from(samples.channels) * u64::from(samples.bits);
    let stride = usize::try_from(bits.div_ceil(8)).ok()?;
    let rows = samples.rows.get(..stride.checked_mul(samples.height as usize)?)?;
    if rows.is_empty() {
        return None;
    }
    let mut packed = ZlibEncoder::new(Vec::new(), Compression::fast());
    for row in rows.chunks(stride) {
        packed.write_all(&[0]).ok()?;
        packed.write_all(row).ok()?;
    }
    let mut head = Vec::new();
    head.extend(samples.width.to_be_bytes());
    head.extend(samples.height.to_be_bytes());
    head.extend([samples.bits, colour, 0, 0, 0]);
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    part(&mut file, b"IHDR", &head);
    part(&mut file, b"IDAT", &packed.finish().ok()?);
    part(&mut file, b"IEND", &[]);
    Some(file)
}

fn part(file: &mut Vec<u8>, name: &[u8; 4], content: &[u8]) {
    file.extend((content.len() as u32).to_be_bytes());
    let start = file.len();
    file.extend(name);
    file.extend(content);
    let mut sum = flate2::Crc::new();
    sum.update(&file[start..]);
    file.extend(sum.sum().to_be_bytes());
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn the_rows_come_back_out_of_the_file() {
        let rows = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
        let samples = Samples { width: 2, height: 2, bits: 8, channels: 3, rows: &rows };
        let file = encode(&samples).unwrap();
        let data = file.windows(4).position(|name| name == b"IDAT").unwrap();
        let length = u32::from_be_bytes(file[data - 4..data].try_into().unwrap()) as usize;
        let mut unpacked = Vec::new();
        flate2::read::ZlibDecoder::new(&file[data + 4..data + 4 + length])
            .read_to_end(&mut unpacked)
            .unwrap();
        assert_eq!(unpacked, [0, 1, 2, 3, 4, 5, 6, 0, 7, 8, 9, 10, 11, 12]);
        assert!(encode(&Samples { height: 3, ..samples }).is_none());
    }
}
