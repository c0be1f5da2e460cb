//! Minimising a smooth convex function: L-BFGS (Nocedal & Wright, Numerical Optimization, algorithm 7.5) with
//! backtracking. No randomness and a fixed order of sums, so the same data give the same weights.

use std::collections::VecDeque;

/// Steps remembered.
const MEMORY: usize = 8;
/// Decrease, relative to the value, at which it stops.
const STILL: f64 = 1e-9;

/// The minimum of `value_and_slope`, which writes the gradient at a point and gives the value there, from zero on, in so
/// many steps at most.
pub(crate) fn minimise(
    size: usize,
    steps: usize,
    mut value_and_slope: impl FnMut(&[f64], &mut [f64]) -> f64,
) -> Vec<f64> {
    let mut at = vec![0.0; size];
    let mut slope = vec![0.0; size];
    let mut value = value_and_slope(&at, &mut slope);
    let mut memory: VecDeque<Step> = VecDeque::with_capacity(MEMORY);
    for _ in 0..steps {
        let direction = direction(&slope, &memory);
        let descent = dot(&direction, &slope);
        if descent >= 0.0 {
            break;
        }
        let mut length = if memory.is_empty() { 1.0 / dot(&slope, &slope).sqrt().max(1.0) } else { 1.0 };
        let mut next = vec![0.0; size];
        let mut next_slope = vec![0.0; size];
        let found = (0..40).find_map(|_| {
            for (to, (from, step)) in next.iter_mut().zip(at.iter().zip(&direction)) {
                *to = from + length * step;
            }
            let reached = value_and_slope(&next, &mut next_slope);
            if reached <= value + 1e-4 * length * descent {
                return Some(reached);
            }
            length *= 0.5;
            None
        });
        let Some(reached) = found else { break };
        let gain = value - reached;
        let step = Step::new(&at, &next, &slope, &next_slope);
        at = next;
        slope = next_slope;
        value = reached;
        if gain <= STILL * value.abs().max(1.0) {
            break;
        }
        if step.curvature > 1e-12 {
            if memory.len() == MEMORY {
                memory.pop_front();
            }
            memory.push_back(step);
        }
    }
    at
}

struct Step {
    moved: Vec<f64>,
    bent: Vec<f64>,
    curvature: f64,
}

impl Step {
    fn new(from: &[f64], to: &[f64], slope_from: &[f64], slope_to: &[f64]) -> Self {
        let less = |a: &[f64], b: &[f64]| -> Vec<f64> { b.iter().zip(a).map(|(b, a)| b - a).collect() };
        let (moved, bent) = (less(from, to), less(slope_from, slope_to));
        let curvature = dot(&moved, &bent);
        Self { moved, bent, curvature }
    }
}

fn direction(slope: &[f64], memory: &VecDeque<Step>) -> Vec<f64> {
    let mut rest: Vec<f64> = slope.iter().map(|part| -part).collect();
    let mut shares = Vec::with_capacity(memory.len());
    for step in memory.iter().rev() {
        let share = dot(&step.moved, &rest) / step.curvature;
        add(&mut rest, &step.bent, -share);
        shares.push(share);
    }
    if let Some(last) = memory.back() {
        let scale = last.curvature / dot(&last.bent, &last.bent);
        rest.iter_mut().for_each(|part| *part *= scale);
    }
    for (step, share) in memory.iter().zip(shares.into_iter().rev()) {
        let back = dot(&step.bent, &rest) / step.curvature;
        add(&mut rest, &step.moved, share - back);
    }
    rest
}

/// The sum of products.
pub(crate) fn dot(left: &[f64], right: &[f64]) -> f64 {
    left.iter().zip(right).map(|(a, b)| a * b).sum()
}

fn add(to: &mut [f64], what: &[f64], times: f64) {
    for (to, what) in to.iter_mut().zip(what) {
        *to += times * what;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_minimum_of_a_stretched_bowl() {
        let target = [3.0, -2.0, 0.5, 10.0];
        let weight = [1.0, 100.0, 0.01, 5.0];
        let found = minimise(4, 300, |at, slope| {
            (0..4)
                .map(|i| {
                    let off = at[i] - target[i];
                    slope[i] = 2.0 * weight[i] * off;
                    weight[i] * off * off
                })
                .sum()
        });
        for (got, wanted) in found.iter().zip(target) {
            assert!((got - wanted).abs() < 1e-2, "{found:?}");
        }
    }
}
