//! What stands between the products: normalisation of layers, softmax, GELU. Loops are written so that the compiler
//! turns them into vector instructions; [`wide`] gives them the processor's widest.

use pulp::{Arch, Simd, WithSimd};

/// Values that are summed side by side: one after the other would wait for each sum.
const LANES: usize = 16;

/// Runs `work` compiled for the widest vectors of the processor.
#[inline(always)]
pub(super) fn wide<T>(work: impl FnOnce() -> T) -> T {
    struct Wide<F>(F);
    impl<T, F: FnOnce() -> T> WithSimd for Wide<F> {
        type Output = T;
        #[inline(always)]
        fn with_simd<S: Simd>(self, _: S) -> T {
            (self.0)()
        }
    }
    Arch::new().dispatch(Wide(work))
}

#[inline(always)]
fn fold(values: &[f32], start: f32, each: impl Fn(f32, f32) -> f32, join: impl Fn(f32, f32) -> f32) -> f32 {
    let (chunks, rest) = values.as_chunks::<LANES>();
    let mut lanes = [start; LANES];
    for chunk in chunks {
        for (lane, value) in lanes.iter_mut().zip(chunk) {
            *lane = each(*lane, *value);
        }
    }
    for (lane, value) in lanes.iter_mut().zip(rest) {
        *lane = each(*lane, *value);
    }
    lanes.into_iter().fold(start, join)
}

#[inline(always)]
pub(super) fn sum(values: &[f32]) -> f32 {
    fold(values, 0.0, |sum, value| sum + value, |a, b| a + b)
}

#[inline(always)]
fn sum_of_squares(values: &[f32]) -> f32 {
    fold(values, 0.0, |sum, value| sum + value * value, |a, b| a + b)
}

/// Normalises every row of this width to mean 0 and variance 1, then scales and shifts it.
pub(super) fn layer_norm(rows: &mut [f32], gamma: &[f32], beta: &[f32], epsilon: f32) {
    let width = gamma.len().max(1);
    wide(
        #[inline(always)]
        || {
            for row in rows.chunks_exact_mut(width) {
                let mean = sum(row) / width as f32;
                for value in row.iter_mut() {
                    *value -= mean;
                }
                let scale = 1.0 / (sum_of_squares(row) / width as f32 + epsilon).sqrt();
                for ((value, gamma), beta) in row.iter_mut().zip(gamma).zip(beta) {
                    *value = *value * scale * gamma + beta;
                }
            }
        },
    );
}

/// Makes every row of this width a distribution: e to each value, divided by their sum.
pub(super) fn softmax(rows: &mut [f32], width: usize) {
    wide(
        #[inline(always)]
        || {
            for row in rows.chunks_exact_mut(width) {
                let most = fold(row, f32::NEG_INFINITY, f32::max, f32::max);
                for value in row.iter_mut() {
                    *value = exp(*value - most);
                }
                let share = 1.0 / sum(row);
                for value in row.iter_mut() {
                    *value *= share;
                }
            }
        },
    );
}

/// x · Φ(x), exactly as models are trained: with the error function, not with its tanh-like stand-in.
pub(super) fn gelu(values: &mut [f32]) {
    wide(
        #[inline(always)]
        || {
            for value in values {
                *value = 0.5 * *value * (1.0 + erf(*value * std::f32::consts::FRAC_1_SQRT_2));
            }
        },
    );
}

/// Scales a vector to length 1; one of zeros stays as it is.
pub(crate) fn normalize(values: &mut [f32]) {
    let length = values.iter().map(|value| f64::from(*value) * f64::from(*value)).sum::<f64>().sqrt();
    if length > 0.0 {
        for value in values {
            *value = (f64::from(*value) / length) as f32;
        }
    }
}

/// e to a number that is not above 0, within three units in the last place.
#[inline(always)]
fn exp(x: f32) -> f32 {
    /// Adding it leaves the nearest whole number in the lowest bits.
    const ROUND: f32 = 12_582_912.0;
    const LN2_HIGH: f32 = 0.693_359_375;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let x = x.max(-87.0);
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let whole = shifted - ROUND;
    let part = x - whole * LN2_HIGH - whole * LN2_LOW;
    let mut series = 1.987_569_1e-4;
    for coefficient in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5] {
        series = series * part + coefficient;
    }
    let power = f32::from_bits((shifted.to_bits() << 23).wrapping_add(0x3f80_0000));
    (series * part * part + part + 1.0) * power
}

/// The error function, by a quotient of two polynomials; beyond ±4 it is ±1 as far as 32 bits tell.
#[inline(always)]
fn erf(x: f32) -> f32 {
    const ABOVE: [f32; 7] = [
        -2.726_142_3e-10,
        2.770_681_4e-8,
        -2.101_024e-6,
        -5.692_506_4e-5,
        -7.349_906_4e-4,
        -2.954_6e-3,
        -1.609_603_3e-2,
    ];
    const BELOW: [f32; 5] =
        [-1.456_607_2e-5, -2.133_740_6e-4, -1.682_827e-3, -7.373_329_2e-3, -1.426_473_9e-2];
    let x = x.clamp(-4.0, 4.0);
    let square = x * x;
    let (mut above, mut below) = (ABOVE[0], BELOW[0]);
    for coefficient in &ABOVE[1..] {
        above = above * square + coefficient;
    }
    for coefficient in &BELOW[1..] {
        below = below * square + coefficient;
    }
    x * above / below
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_and_erf_are_right_over_their_range() {
        for step in 0..=8_700 {
            let x = -f64::from(step) / 100.0;
            let (got, wanted) = (f64::from(exp(x as f32)), f64::from(x as f32).exp());
            assert!((got - wanted).abs() <= wanted * 4e-7, "exp({x}) = {got}, not {wanted}");
        }
        // From tables: erf(0.5), erf(1), erf(2), erf(3).
        for (x, wanted) in
            [(0.0, 0.0), (0.5, 0.520_499_88), (1.0, 0.842_700_8), (2.0, 0.995_322_3), (3.0, 0.999_977_9)]
        {
            assert!((erf(x) - wanted).abs() < 3e-7, "erf({x}) = {}", erf(x));
            assert!((erf(-x) + wanted).abs() < 3e-7);
        }
        assert!((erf(9.0) - 1.0).abs() < 1e-6);
    }

    #[test]
    fn rows_become_distributions() {
        let mut rows = vec![1.0, 2.0, 3.0, -100.0, 0.0, 0.0];
        softmax(&mut rows, 3);
        assert!((rows[2] - 0.665_240_9).abs() < 1e-6 && (sum(&rows[..3]) - 1.0).abs() < 1e-6);
        assert!((0.0..1e-30).contains(&rows[3]) && (rows[4] - 0.5).abs() < 1e-6);
    }

    #[test]
    fn layers_are_normalised() {
        let mut rows: Vec<f32> = (0..37).map(|at| at as f32).collect();
        layer_norm(&mut rows, &[2.0; 37], &[1.0; 37], 1e-12);
        let mean = sum(&rows) / 37.0;
        assert!((mean - 1.0).abs() < 1e-5, "{mean}");
        let spread = rows.iter().map(|value| (value - mean).powi(2)).sum::<f32>() / 37.0;
        assert!((spread - 4.0).abs() < 1e-4, "{spread}");
        let mut zero = [0.0; 3];
        normalize(&mut zero);
        assert_eq!(zero, [0.0; 3]);
    }
}
