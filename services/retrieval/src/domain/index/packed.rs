//! Ascending numbers in few bytes: the difference of each to the one before, seven bits a byte, the lowest first, the last
//! byte of a number without its highest bit.

/// Numbers in ascending order, each once.
#[derive(Debug, Default)]
pub struct Packed(Box<[u8]>);

impl Packed {
    /// These numbers, which are in ascending order and each once.
    pub fn new(numbers: &[u32]) -> Self {
        let (mut bytes, mut before) = (Vec::with_capacity(numbers.len() * 2), 0);
        for number in numbers {
            let mut step = number - before;
            before = *number;
            while step > 0x7F {
                bytes.push(step as u8 | 0x80);
                step >>= 7;
            }
            bytes.push(step as u8);
        }
        Self(bytes.into())
    }

    /// Them, in order.
    pub fn iter(&self) -> impl Iterator<Item = u32> {
        let (mut bytes, mut before) = (self.0.iter(), 0);
        std::iter::from_fn(move || {
            let (mut step, mut shift) = (0, 0);
            loop {
                let byte = *bytes.next()?;
                step |= u32::from(byte & 0x7F) << shift;
                if byte < 0x80 {
                    before += step;
                    return Some(before);
                }
                shift += 7;
            }
        })
    }

    /// How many bytes they take.
    pub fn bytes(&self) -> usize {
        self.0.len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn gives_back_what_it_was_given(numbers in prop::collection::btree_set(any::<u32>(), 0..200), near in prop::collection::btree_set(0u32..5_000, 0..200)) {
            for numbers in [numbers, near] {
                let numbers: Vec<u32> = numbers.into_iter().collect();
                let packed = Packed::new(&numbers);
                prop_assert_eq!(packed.iter().collect::<Vec<_>>(), numbers);
            }
        }
    }

    #[test]
    fn near_numbers_take_a_byte_each() {
        assert_eq!(Packed::new(&(0..100).map(|at| at * 127).collect::<Vec<u32>>()).bytes(), 100);
        assert_eq!(Packed::new(&[u32::MAX]).bytes(), 5);
    }
}
