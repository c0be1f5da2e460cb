//! How a brand writes: figures over its published texts.

mod background;
mod diversity;
mod phrases;

use copydesk_guard::text;

use super::prose;
pub use phrases::SignaturePhrase;

/// Figures of a brand's published texts of one content type.
#[derive(Debug, Clone, PartialEq)]
pub struct BrandMetrics {
    /// Texts measured.
    pub texts: u32,
    /// Sentences measured.
    pub sentences: u32,
    /// Mean words in a sentence.
    pub sentence_words_mean: f64,
    /// Standard deviation (of the population) of the words in a sentence.
    pub sentence_words_sd: f64,
    /// Mean words in a text.
    pub text_words_mean: f64,
    /// Median sentences in a paragraph.
    pub paragraph_sentences_median: f64,
    /// Flesch reading ease, about 0 (hard) to 100 (easy).
    pub flesch_reading_ease: f64,
    /// Flesch–Kincaid grade, in years of school.
    pub flesch_kincaid_grade: f64,
    /// Lexical diversity, MTLD with threshold 0.72.
    pub lexical_diversity: f64,
    /// Share of sentences that are questions, 0 to 1.
    pub question_share: f64,
    /// Mean hashtags in a text.
    pub hashtags_mean: f64,
    /// Phrases that the brand uses often, strongest first.
    pub signature_phrases: Vec<SignaturePhrase>,
}

/// One sentence's words in lower case, and whether it asks.
struct Sentence {
    words: Vec<String>,
    question: bool,
}

/// One text: its paragraphs with at least one sentence each, and its hashtags.
struct Read {
    paragraphs: Vec<Vec<Sentence>>,
    hashtags: usize,
}

/// Measures the texts. Front matter, headings, code and lines of hashtags alone are not measured; texts without a
/// single sentence do not count. `None` when nothing is left.
pub fn measure(texts: &[String]) -> Option<BrandMetrics> {
    let read: Vec<Read> =
        texts.iter().map(|text| read(text)).filter(|text| !text.paragraphs.is_empty()).collect();
    let paragraphs: Vec<&Vec<Sentence>> = read.iter().flat_map(|text| &text.paragraphs).collect();
    let sentences: Vec<&Sentence> = paragraphs.iter().copied().flatten().collect();
    let words: Vec<&str> = sentences.iter().flat_map(|s| s.words.iter().map(String::as_str)).collect();
    if words.is_empty() {
        return None;
    }
    let lengths: Vec<f64> = sentences.iter().map(|s| s.words.len() as f64).collect();
    let syllables: usize = words.iter().map(|word| text::syllables(word).max(1)).sum();
    let (ease, grade) = readability(words.len(), sentences.len(), syllables);
    let questions = sentences.iter().filter(|s| s.question).count();
    let hashtags: usize = read.iter().map(|text| text.hashtags).sum();
    let rows: Vec<&[String]> = sentences.iter().map(|s| s.words.as_slice()).collect();
    Some(BrandMetrics {
        texts: count(read.len()),
        sentences: count(sentences.len()),
        sentence_words_mean: mean(&lengths),
        sentence_words_sd: deviation(&lengths),
        text_words_mean: words.len() as f64 / read.len() as f64,
        paragraph_sentences_median: median(paragraphs.iter().map(|paragraph| paragraph.len()).collect()),
        flesch_reading_ease: ease,
        flesch_kincaid_grade: grade,
        lexical_diversity: diversity::mtld(&words),
        question_share: questions as f64 / sentences.len() as f64,
        hashtags_mean: hashtags as f64 / read.len() as f64,
        signature_phrases: phrases::signature(&rows),
    })
}

fn read(text: &str) -> Read {
    let paragraphs = prose::paragraphs(text)
        .iter()
        .map(|paragraph| prose_sentences(paragraph))
        .filter(|p| !p.is_empty())
        .collect();
    Read { paragraphs, hashtags: prose::hashtags(text) }
}

fn prose_sentences(paragraph: &str) -> Vec<Sentence> {
    let read = |span: std::ops::Range<usize>| {
        let sentence = &paragraph[span];
        let words: Vec<String> = text::words(sentence).into_iter().map(|word| word.lower).collect();
        Sentence { question: prose::is_question(sentence), words }
    };
    text::sentences(paragraph).into_iter().map(|s| read(s.span)).filter(|s| !s.words.is_empty()).collect()
}

/// Flesch reading ease and Flesch–Kincaid grade of so many words, sentences (at least one each) and syllables.
fn readability(words: usize, sentences: usize, syllables: usize) -> (f64, f64) {
    let per_sentence = words as f64 / sentences as f64;
    let per_word = syllables as f64 / words as f64;
    (206.835 - 1.015 * per_sentence - 84.6 * per_word, 0.39 * per_sentence + 11.8 * per_word - 15.59)
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

fn deviation(values: &[f64]) -> f64 {
    let mean = mean(values);
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (squares / values.len().max(1) as f64).sqrt()
}

fn median(mut values: Vec<usize>) -> f64 {
    values.sort_unstable();
    let middle = values.len() / 2;
    match values.get(middle) {
        Some(high) if values.len().is_multiple_of(2) => (values[middle - 1] + high) as f64 / 2.0,
        Some(middle) => *middle as f64,
        None => 0.0,
    }
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn measured(texts: &[&str]) -> BrandMetrics {
        measure(&texts.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>()).expect("there is a sentence")
    }

    #[test]
    fn the_phrase_of_the_house_is_found() {
        let text = "The customer experience matters. Great customer experience wins. We build customer experience daily.";
        let metrics = measured(&[text]);
        assert_eq!(metrics.sentences, 3);
        assert!((5.0..=7.0).contains(&(metrics.sentence_words_mean + 1.0)), "4, 4 and 5 words");
        let phrase = SignaturePhrase { phrase: "customer experience".into(), count: 3 };
        assert_eq!(metrics.signature_phrases, [phrase]);
    }

    #[test]
    fn figures_by_hand() {
        let post = "---\ntitle: Not counted\n---\n# Nor this\nThe cat sat. Did it make a table?\n\nIt did.\n\n#Cat #Mat\n";
        let metrics = measured(&[post, "A dog ran off. #Dog", "#Only #Tags"]);
        assert_eq!((metrics.texts, metrics.sentences), (2, 5));
        // 3, 5, 2, 4 and 1 words: the tag behind a sentence is one of its own.
        assert_eq!((metrics.sentence_words_mean, metrics.text_words_mean), (3.0, 7.5));
        // Squares of 0, 2, 1, 1, 2 sum to 10; 10 / 5 = 2.
        assert!((metrics.sentence_words_sd - 2f64.sqrt()).abs() < 1e-12);
        assert_eq!(metrics.paragraph_sentences_median, 2.0, "of 2, 1 and 2");
        assert_eq!((metrics.question_share, metrics.hashtags_mean), (0.2, 1.5));
        // 15 words of one syllable but `table` with two: 16 syllables.
        assert!((metrics.flesch_reading_ease - (206.835 - 1.015 * 3.0 - 84.6 * 16.0 / 15.0)).abs() < 1e-9);
        assert!((metrics.flesch_kincaid_grade - (0.39 * 3.0 + 11.8 * 16.0 / 15.0 - 15.59)).abs() < 1e-9);
    }

    #[test]
    fn readability_by_hand() {
        // 100 words, 5 sentences, 150 syllables: 206.835 - 20.3 - 126.9, and 7.8 + 17.7 - 15.59.
        let (ease, grade) = readability(100, 5, 150);
        assert!((ease - 59.635).abs() < 1e-9 && (grade - 9.91).abs() < 1e-9);
    }

    #[test]
    fn nothing_to_measure() {
        for texts in
            [vec![], vec![""], vec!["---\na: b\n---\n"], vec!["#Only #Tags"], vec!["# Heading\n\n!!! ..."]]
        {
            assert_eq!(
                measure(&texts.iter().map(|t| (*t).to_owned()).collect::<Vec<_>>()),
                None,
                "{texts:?}"
            );
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(96))]
        #[test]
        fn figures_are_finite(texts in prop::collection::vec(any::<String>(), 0..4)) {
            if let Some(metrics) = measure(&texts) {
                let figures = [
                    metrics.sentence_words_mean, metrics.sentence_words_sd, metrics.text_words_mean,
                    metrics.paragraph_sentences_median, metrics.flesch_reading_ease, metrics.flesch_kincaid_grade,
                    metrics.lexical_diversity, metrics.question_share, metrics.hashtags_mean,
                ];
                prop_assert!(figures.iter().all(|figure| figure.is_finite()));
                prop_assert!((0.0..=1.0).contains(&metrics.question_share));
            }
        }
    }
}
