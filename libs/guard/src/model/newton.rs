//! Ridge-penalised logistic regression whose weights may be kept on one side of 0: projected Newton steps (Bertsekas 1982),
//! halved until they gain.

use super::weights::logistic;
use crate::descent::dot;
use crate::features::Leaning;

/// One observation.
pub(super) struct Point {
    pub(super) values: Vec<f64>,
    /// 1 for a sentence that is not supported, else 0.
    pub(super) target: f64,
    /// How much it counts.
    pub(super) part: f64,
}

/// Most steps; a dozen is usual.
const STEPS: usize = 60;
/// Most halvings of a step.
const HALVINGS: usize = 30;
/// The search ends when a step gains less than this part of the loss.
const STILL: f64 = 1e-10;
/// What keeps the intercept's own equation solvable when every point is certain.
const LEAST: f64 = 1e-9;

/// The weights, one for each of `leanings`, and last the intercept, which costs nothing and is free.
pub(super) fn fit(points: &[Point], leanings: &[Leaning], trust: f64) -> Vec<f64> {
    let mut at = vec![0.0; leanings.len() + 1];
    let mut loss = value(points, &at, trust);
    for _ in 0..STEPS {
        let (slope, bend) = slope_and_bend(points, &at, trust);
        let free: Vec<usize> = (0..at.len()).filter(|place| is_free(leanings, &at, &slope, *place)).collect();
        let Some(step) = solve(&bend, &slope, &free) else { break };
        let Some((next, reached)) = shortened(points, leanings, &at, &step, loss, trust) else { break };
        let gain = loss - reached;
        (at, loss) = (next, reached);
        if gain <= STILL * loss.abs().max(1.0) {
            break;
        }
    }
    at
}

/// Whether a weight may move: one at 0 that is drawn to its wrong side stays.
fn is_free(leanings: &[Leaning], at: &[f64], slope: &[f64], place: usize) -> bool {
    match leanings.get(place) {
        Some(Leaning::Raises) => at[place] > 0.0 || slope[place] < 0.0,
        Some(Leaning::Lowers) => at[place] < 0.0 || slope[place] > 0.0,
        _ => true,
    }
}

/// The first of the step, its half, its quarter … that does not lose, each brought back to the right side of 0.
fn shortened(
    points: &[Point],
    leanings: &[Leaning],
    at: &[f64],
    step: &[f64],
    loss: f64,
    trust: f64,
) -> Option<(Vec<f64>, f64)> {
    let mut length = 1.0;
    for _ in 0..HALVINGS {
        let mut next: Vec<f64> = at.iter().zip(step).map(|(from, step)| from - length * step).collect();
        for (weight, leaning) in next.iter_mut().zip(leanings) {
            match leaning {
                Leaning::Raises => *weight = weight.max(0.0),
                Leaning::Lowers => *weight = weight.min(0.0),
                Leaning::Free => {}
            }
        }
        let reached = value(points, &next, trust);
        if reached <= loss {
            return Some((next, reached));
        }
        length *= 0.5;
    }
    None
}

fn score(point: &Point, at: &[f64]) -> f64 {
    at.last().copied().unwrap_or(0.0) + dot(&point.values, at)
}

/// Penalised log loss.
fn value(points: &[Point], at: &[f64], trust: f64) -> f64 {
    let weights = &at[..at.len() - 1];
    let data = points.iter().map(|point| {
        let score = score(point, at);
        let signed = if point.target > 0.5 { score } else { -score };
        // ln(1 + e^-x), stable on both sides.
        point.part * ((-signed.abs()).exp().ln_1p() + (-signed).max(0.0))
    });
    trust * data.sum::<f64>() + 0.5 * dot(weights, weights)
}

/// The slope of the loss, and its second derivatives below the diagonal and on it.
fn slope_and_bend(points: &[Point], at: &[f64], trust: f64) -> (Vec<f64>, Vec<Vec<f64>>) {
    let last = at.len() - 1;
    let mut slope = at.to_vec();
    slope[last] = 0.0;
    let mut bend: Vec<Vec<f64>> = (0..=last).map(|row| vec![0.0; row + 1]).collect();
    for (row, line) in bend.iter_mut().enumerate() {
        line[row] = if row < last { 1.0 } else { LEAST };
    }
    for point in points {
        let risk = logistic(score(point, at));
        let pull = trust * point.part * (risk - point.target);
        let heft = trust * point.part * risk * (1.0 - risk);
        for (row, value) in point.values.iter().enumerate().filter(|(_, value)| **value != 0.0) {
            slope[row] += pull * value;
            let scaled = heft * value;
            for (sum, other) in bend[row].iter_mut().zip(&point.values) {
                *sum += scaled * other;
            }
            bend[last][row] += scaled;
        }
        slope[last] += pull;
        bend[last][last] += heft;
    }
    (slope, bend)
}

/// The step in the `free` places, 0 in all others: Cholesky's decomposition of a symmetric positive matrix.
fn solve(bend: &[Vec<f64>], slope: &[f64], free: &[usize]) -> Option<Vec<f64>> {
    let mut lower: Vec<Vec<f64>> = Vec::with_capacity(free.len());
    for (row, place) in free.iter().enumerate() {
        let mut line: Vec<f64> = free[..=row].iter().map(|other| bend[*place][*other]).collect();
        for column in 0..row {
            let done: f64 = dot(&line[..column], &lower[column][..column]);
            line[column] = (line[column] - done) / lower[column][column];
        }
        let rest = line[row] - dot(&line[..row], &line[..row]);
        line[row] = if rest > 0.0 { rest.sqrt() } else { return None };
        lower.push(line);
    }
    let mut found: Vec<f64> = free.iter().map(|place| slope[*place]).collect();
    for row in 0..found.len() {
        found[row] = (found[row] - dot(&lower[row][..row], &found[..row])) / lower[row][row];
    }
    for row in (0..found.len()).rev() {
        let later: f64 = (row + 1..found.len()).map(|below| lower[below][row] * found[below]).sum();
        found[row] = (found[row] - later) / lower[row][row];
    }
    let mut step = vec![0.0; slope.len()];
    for (place, part) in free.iter().zip(found) {
        step[*place] = part;
    }
    Some(step)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points() -> Vec<Point> {
        let rows = [(2.0, 1.0, 1.0), (1.0, -1.0, 1.0), (0.5, 2.0, 0.0), (-1.0, 0.5, 0.0), (-2.0, -1.0, 0.0)];
        rows.into_iter().map(|(a, b, target)| Point { values: vec![a, b], target, part: 1.0 }).collect()
    }

    #[test]
    fn a_free_fit_ends_where_the_loss_is_level() {
        let found = fit(&points(), &[Leaning::Free; 2], 2.0);
        let (slope, _) = slope_and_bend(&points(), &found, 2.0);
        assert!(slope.iter().all(|part| part.abs() < 1e-4), "{slope:?}");
        assert!(found[0] > 0.5 && found[1] < 0.0, "{found:?}");
    }

    #[test]
    fn a_weight_stays_on_its_side_and_the_others_make_the_best_of_it() {
        let found = fit(&points(), &[Leaning::Free, Leaning::Raises], 2.0);
        assert_eq!(found[1], 0.0);
        let (slope, _) = slope_and_bend(&points(), &found, 2.0);
        assert!(slope[0].abs() < 1e-4 && slope[2].abs() < 1e-4 && slope[1] > 0.0, "{slope:?}");
        let held = fit(&points(), &[Leaning::Lowers, Leaning::Free], 2.0);
        assert_eq!(held[0], 0.0);
    }
}
