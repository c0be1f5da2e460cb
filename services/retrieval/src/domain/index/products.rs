//! Products of vectors, by the processor's widest instructions where there are any.
//!
//! Every level gives the same numbers: whole ones are exact, and floats are added in one fixed order, nothing fused.

/// The instructions that this processor has.
#[derive(Debug, Clone, Copy)]
pub enum Level {
    /// Whatever every processor of its kind has.
    Plain(Plain),
    /// AVX2 and what comes with it (x86-64-v3).
    #[cfg(target_arch = "x86_64")]
    V3(V3),
}

impl Level {
    /// This processor's. Cheap: it is found once.
    pub fn of_processor() -> Self {
        #[cfg(target_arch = "x86_64")]
        if let Some(simd) = pulp::x86::V3::try_new() {
            return Self::V3(V3(simd));
        }
        Self::Plain(Plain)
    }
}

/// Runs an expression with the products of a level under a name, compiled for each level.
macro_rules! dispatch {
    ($level:expr, $products:ident => $work:expr) => {
        match $level {
            $crate::domain::index::products::Level::Plain($products) => $work,
            #[cfg(target_arch = "x86_64")]
            $crate::domain::index::products::Level::V3($products) => $work,
        }
    };
}
pub(super) use dispatch;

/// Products at one level of instructions. They are only as fast as the level inside [`Products::vectorize`].
pub trait Products: Copy {
    /// Runs work that is compiled for this level, as far as it is inlined.
    fn vectorize<T>(self, work: impl FnOnce() -> T) -> T;

    /// The product of two rounded vectors, one of them finely. The caller sees to it that it fits.
    #[inline(always)]
    fn of_words(self, left: &[i16], right: &[i8]) -> i32 {
        left.iter().zip(right).fold(0, |sum, (a, b)| sum + i32::from(*a) * i32::from(*b))
    }

    /// The product of two rounded vectors.
    #[inline(always)]
    fn of_bytes(self, left: &[i8], right: &[i8]) -> i32 {
        left.iter().zip(right).fold(0, |sum, (a, b)| sum + i32::from(*a) * i32::from(*b))
    }
}

/// No level at all.
#[derive(Debug, Clone, Copy)]
pub struct Plain;

impl Products for Plain {
    #[inline(always)]
    fn vectorize<T>(self, work: impl FnOnce() -> T) -> T {
        work()
    }
}

#[cfg(target_arch = "x86_64")]
pub use v3::V3;

#[cfg(target_arch = "x86_64")]
mod v3 {
    use pulp::{NullaryFnOnce, cast, i8x16, i16x16, i32x8};

    use super::{Plain, Products};

    /// AVX2. The compiler finds its product of sixteen pairs for vectors of eight bytes only, so it is asked for by name.
    #[derive(Debug, Clone, Copy)]
    pub struct V3(pub pulp::x86::V3);

    impl V3 {
        /// Sums of products of pairs, side by side.
        #[inline(always)]
        fn pairs(self, sums: i32x8, left: i16x16, right: i8x16) -> i32x8 {
            let right = self.0.avx2._mm256_cvtepi8_epi16(cast(right));
            self.0.wrapping_add_i32x8(sums, cast(self.0.avx2._mm256_madd_epi16(cast(left), right)))
        }

        #[inline(always)]
        fn widened(self, bytes: i8x16) -> i16x16 {
            cast(self.0.avx2._mm256_cvtepi8_epi16(cast(bytes)))
        }

        #[inline(always)]
        fn sum(self, left: i32x8, right: i32x8) -> i32 {
            let lanes: [i32; 8] = cast(self.0.wrapping_add_i32x8(left, right));
            lanes.iter().sum()
        }
    }

    impl Products for V3 {
        #[inline(always)]
        fn vectorize<T>(self, work: impl FnOnce() -> T) -> T {
            struct Work<F>(F);
            impl<T, F: FnOnce() -> T> NullaryFnOnce for Work<F> {
                type Output = T;
                #[inline(always)]
                fn call(self) -> T {
                    (self.0)()
                }
            }
            self.0.vectorize(Work(work))
        }

        #[inline(always)]
        fn of_words(self, left: &[i16], right: &[i8]) -> i32 {
            let ((left, left_rest), (right, right_rest)) = (left.as_chunks::<32>(), right.as_chunks::<32>());
            let (mut even, mut odd): (i32x8, i32x8) = (cast([0i32; 8]), cast([0i32; 8]));
            for (left, right) in left.iter().zip(right) {
                let (left, right): ([i16x16; 2], [i8x16; 2]) = (cast(*left), cast(*right));
                even = self.pairs(even, left[0], right[0]);
                odd = self.pairs(odd, left[1], right[1]);
            }
            self.sum(even, odd) + Plain.of_words(left_rest, right_rest)
        }

        #[inline(always)]
        fn of_bytes(self, left: &[i8], right: &[i8]) -> i32 {
            let ((left, left_rest), (right, right_rest)) = (left.as_chunks::<32>(), right.as_chunks::<32>());
            let (mut even, mut odd): (i32x8, i32x8) = (cast([0i32; 8]), cast([0i32; 8]));
            for (left, right) in left.iter().zip(right) {
                let (left, right): ([i8x16; 2], [i8x16; 2]) = (cast(*left), cast(*right));
                even = self.pairs(even, self.widened(left[0]), right[0]);
                odd = self.pairs(odd, self.widened(left[1]), right[1]);
            }
            self.sum(even, odd) + Plain.of_bytes(left_rest, right_rest)
        }
    }
}

/// The product of two vectors of floats. Sums side by side, so that the compiler can use vector instructions, and then
/// halves onto halves: the order of additions is fixed.
#[inline(always)]
pub fn of_floats(left: &[f32], right: &[f32]) -> f64 {
    const LANES: usize = 32;
    let mut lanes = [0.0f32; LANES];
    let ((left, left_rest), (right, right_rest)) = (left.as_chunks::<LANES>(), right.as_chunks::<LANES>());
    for (a, b) in left.iter().zip(right) {
        for at in 0..LANES {
            lanes[at] += a[at] * b[at];
        }
    }
    for (lane, (a, b)) in lanes.iter_mut().zip(left_rest.iter().zip(right_rest)) {
        *lane += a * b;
    }
    let mut sums = [0.0f64; LANES / 2];
    for at in 0..LANES / 2 {
        sums[at] = f64::from(lanes[at]) + f64::from(lanes[at + LANES / 2]);
    }
    let mut half = LANES / 4;
    while half > 0 {
        for at in 0..half {
            sums[at] += sums[at + half];
        }
        half /= 2;
    }
    sums[0]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_level_gives_the_same_numbers(
            values in prop::collection::vec((-32_000i16..=32_000, -127i8..=127, -127i8..=127, -9.0f32..9.0, -9.0f32..9.0), 0..500),
        ) {
            let words: Vec<i16> = values.iter().map(|value| value.0).collect();
            let (left, right): (Vec<i8>, Vec<i8>) = values.iter().map(|value| (value.1, value.2)).unzip();
            let (a, b): (Vec<f32>, Vec<f32>) = values.iter().map(|value| (value.3, value.4)).unzip();
            let wide = dispatch!(Level::of_processor(), products => products.vectorize(
                #[inline(always)]
                || (products.of_words(&words, &right), products.of_bytes(&left, &right), of_floats(&a, &b).to_bits()),
            ));
            let plain = (Plain.of_words(&words, &right), Plain.of_bytes(&left, &right), of_floats(&a, &b).to_bits());
            prop_assert_eq!(wide, plain);
            let exact: f64 = a.iter().zip(&b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
            prop_assert!((of_floats(&a, &b) - exact).abs() <= 1e-3 * (1.0 + exact.abs()));
        }
    }
}
