//! Which texts are run together: those of about one length, since a graph wants them filled up to the longest.

/// Tokens of one run, padding included: more at once do not go faster, and a query waits for a run.
const AREA: usize = 512;

/// Texts of one run, as tokens, and where each stood among all.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Batch {
    pub(super) places: Vec<usize>,
    pub(super) texts: Vec<Vec<u32>>,
}

/// Every text in one batch, the longest first; each alone if `one_by_one`.
pub(super) fn batches(texts: Vec<Vec<u32>>, one_by_one: bool) -> Vec<Batch> {
    let mut order: Vec<(usize, Vec<u32>)> = texts.into_iter().enumerate().collect();
    order.sort_by_key(|(_, text)| std::cmp::Reverse(text.len()));
    let mut batches: Vec<Batch> = Vec::new();
    for (place, text) in order {
        match batches.last_mut() {
            Some(batch) if !one_by_one && fits(batch, text.len()) => {
                batch.places.push(place);
                batch.texts.push(text);
            }
            _ => batches.push(Batch { places: vec![place], texts: vec![text] }),
        }
    }
    batches
}

/// Whether there is room for a text of this length, and less than a fifth of it would be padding.
fn fits(batch: &Batch, length: usize) -> bool {
    let longest = batch.texts[0].len();
    (batch.texts.len() + 1) * longest <= AREA && longest * 4 <= length * 5
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lengths(of: &[usize], one_by_one: bool) -> Vec<Vec<usize>> {
        let texts = of.iter().map(|length| vec![0; *length]).collect();
        let batches = batches(texts, one_by_one);
        for batch in &batches {
            for (place, text) in batch.places.iter().zip(&batch.texts) {
                assert_eq!(of[*place], text.len());
            }
        }
        batches.iter().map(|batch| batch.texts.iter().map(Vec::len).collect()).collect()
    }

    #[test]
    fn texts_of_about_one_length_go_together() {
        assert_eq!(lengths(&[10, 100, 9, 90, 700], false), [vec![700], vec![100, 90], vec![10, 9]]);
        assert_eq!(lengths(&[256, 256, 256], false), [vec![256, 256], vec![256]]);
        assert_eq!(lengths(&[10, 10], true), [[10], [10]]);
        assert_eq!(lengths(&[], false), Vec::<Vec<usize>>::new());
    }
}
