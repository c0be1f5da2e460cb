//! Puts the pieces of text of a page in the order in which a person reads them.
//!
//! A page comes as runs of characters with their places. Rows are runs at one height; a gap that most rows leave free
//! parts columns; rows of several short runs that stand below one another are a table; large letters are a heading.

/// A run of characters on one line without a wide gap.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// Its left end, in points from the page's left edge.
    pub left: f64,
    /// Its right end.
    pub right: f64,
    /// Its base line, in points from the page's upper edge.
    pub y: f64,
    /// Height of its letters in points.
    pub size: f64,
    /// What it says.
    pub text: String,
}

/// A block of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Block {
    /// A line of large letters.
    Heading(String),
    /// Lines of running text.
    Paragraph(String),
    /// Rows of cells.
    Table(Vec<Vec<String>>),
}

/// A page in reading order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Arranged {
    /// Its blocks.
    pub blocks: Vec<Block>,
    /// How many columns its text has, 1 or more.
    pub columns: usize,
}

/// Rows that say something about columns.
const ROWS: usize = 8;
/// Strips into which the width is divided to look for a gap.
const STRIPS: usize = 120;
/// Rows of one table at least.
const TABLE: usize = 3;
/// Letters so much larger than most are a heading's.
const LARGE: f64 = 1.2;
/// Longest heading, in characters.
const HEADING: usize = 160;

/// Arranges a page's runs, which come in the order of the file.
pub fn arrange(mut runs: Vec<Run>) -> Arranged {
    runs.retain(|run| !run.text.trim().is_empty() && run.left.is_finite() && run.y.is_finite());
    // A font may say that its letters are narrower than nothing.
    runs.iter_mut().for_each(|run| run.right = run.right.max(run.left));
    let usual = usual_size(&runs);
    let gaps = gaps(&rows(&runs));
    let mut blocks = Vec::new();
    let mut left = f64::NEG_INFINITY;
    let ends: Vec<f64> = gaps.iter().copied().chain([f64::INFINITY]).collect();
    if gaps.is_empty() {
        arrange_column(&runs, usual, &mut blocks);
    } else {
        // What reaches over a gap, a title as a rule, stands before the columns.
        let (wide, rest): (Vec<Run>, Vec<Run>) = runs.into_iter().partition(|run| crosses(run, &gaps));
        arrange_column(&wide, usual, &mut blocks);
        for end in &ends {
            let column: Vec<Run> =
                rest.iter().filter(|run| run.left >= left && run.left < *end).cloned().collect();
            arrange_column(&column, usual, &mut blocks);
            left = *end;
        }
    }
    Arranged { blocks, columns: ends.len() }
}

fn crosses(run: &Run, gaps: &[f64]) -> bool {
    gaps.iter().any(|gap| run.left < *gap && run.right > *gap)
}

/// The size of most letters.
fn usual_size(runs: &[Run]) -> f64 {
    let mut sizes: Vec<(f64, usize)> = runs.iter().map(|run| (run.size, run.text.len())).collect();
    sizes.sort_by(|a, b| a.0.total_cmp(&b.0));
    let half = sizes.iter().map(|(_, letters)| letters).sum::<usize>() / 2;
    let mut seen = 0;
    let middle = sizes.iter().find(|(_, letters)| {
        seen += letters;
        seen > half
    });
    middle.map_or(0.0, |(size, _)| *size)
}

/// The runs by rows from above, each row from the left.
fn rows(runs: &[Run]) -> Vec<Vec<&Run>> {
    let mut sorted: Vec<&Run> = runs.iter().collect();
    sorted.sort_by(|a, b| a.y.total_cmp(&b.y).then(a.left.total_cmp(&b.left)));
    let mut rows: Vec<Vec<&Run>> = Vec::new();
    for run in sorted {
        match rows.last_mut() {
            Some(row) if (row[0].y - run.y).abs() <= run.size.max(row[0].size) * 0.4 => row.push(run),
            _ => rows.push(vec![run]),
        }
    }
    rows.iter_mut().for_each(|row| row.sort_by(|a, b| a.left.total_cmp(&b.left)));
    rows
}

/// Where columns of running text part: places that hardly any row covers, with long runs on both sides.
fn gaps(rows: &[Vec<&Run>]) -> Vec<f64> {
    let all = || rows.iter().flatten();
    let left = all().map(|run| run.left).fold(f64::INFINITY, f64::min);
    let right = all().map(|run| run.right).fold(f64::NEG_INFINITY, f64::max);
    let width = right - left;
    if rows.len() < ROWS || !width.is_finite() || width <= 0.0 {
        return Vec::new();
    }
    let strip = |x: f64| (((x - left) / width * STRIPS as f64) as usize).min(STRIPS - 1);
    let mut covered = [0usize; STRIPS];
    for run in all() {
        covered[strip(run.left)..=strip(run.right)].iter_mut().for_each(|rows| *rows += 1);
    }
    let most = rows.len() / 10;
    let mut gaps = Vec::new();
    let mut at = 0;
    while at < STRIPS {
        let end = (at..STRIPS).find(|strip| covered[*strip] > most).unwrap_or(STRIPS);
        if end > at && at > 0 && end < STRIPS {
            gaps.push(left + width * (at + end) as f64 / 2.0 / STRIPS as f64);
        }
        at = end.max(at) + 1;
    }
    let columns = gaps.len() + 1;
    if filled(rows, &gaps, left, right) {
        gaps.truncate(columns - 1)
    } else {
        gaps.clear()
    }
    gaps
}

/// Whether the runs between the gaps fill them as lines of text do, rather than as cells of a table do.
fn filled(rows: &[Vec<&Run>], gaps: &[f64], left: f64, right: f64) -> bool {
    if gaps.is_empty() || gaps.len() > 3 {
        return false;
    }
    let ends: Vec<f64> = [left].into_iter().chain(gaps.iter().copied()).chain([right]).collect();
    ends.windows(2).all(|ends| {
        let inside =
            rows.iter().flatten().filter(|run| run.left >= ends[0] - 1.0 && run.right <= ends[1] + 1.0);
        let widths: Vec<f64> = inside.map(|run| run.right - run.left).collect();
        let enough = widths.len() >= ROWS.min(rows.len() / 3).max(3);
        enough && widths.iter().sum::<f64>() / widths.len() as f64 > (ends[1] - ends[0]) * 0.55
    })
}

fn arrange_column(runs: &[Run], usual: f64, blocks: &mut Vec<Block>) {
    let rows = rows(runs);
    let mut at = 0;
    let mut text = Lines::default();
    while at < rows.len() {
        let table = table_end(&rows, at);
        if table - at >= TABLE {
            text.end(blocks);
            let cells = |row: &Vec<&Run>| row.iter().map(|run| run.text.trim().to_owned()).collect();
            blocks.push(Block::Table(rows[at..table].iter().map(cells).collect()));
            at = table;
        } else {
            text.add(&rows[at], usual, blocks);
            at += 1;
        }
    }
    text.end(blocks);
}

/// The end of the rows from `at` on whose runs stand below one another.
fn table_end(rows: &[Vec<&Run>], at: usize) -> usize {
    let first = &rows[at];
    if first.len() < 2 {
        return at;
    }
    let below = |row: &Vec<&Run>| {
        row.len() == first.len() && row.iter().zip(first).all(|(a, b)| a.left <= b.right && b.left <= a.right)
    };
    let near = |at: usize| {
        at == 0 || rows[at][0].y - rows[at - 1][0].y < rows[at][0].size.max(rows[at - 1][0].size) * 4.0
    };
    (at + 1..rows.len()).find(|next| !below(&rows[*next]) || !near(*next)).unwrap_or(rows.len())
}

/// Lines that are being joined into paragraphs.
#[derive(Default)]
struct Lines {
    text: String,
    y: f64,
    size: f64,
}

impl Lines {
    fn add(&mut self, row: &[&Run], usual: f64, blocks: &mut Vec<Block>) {
        let line = row.iter().map(|run| run.text.trim()).collect::<Vec<_>>().join(" ");
        let (y, size) = (row[0].y, row[0].size);
        let apart = (y - self.y).abs() > self.size.max(size) * 1.7 || (size - self.size).abs() > size * 0.15;
        if apart {
            self.end(blocks);
        }
        if size > usual * LARGE && line.chars().count() <= HEADING && !line.is_empty() {
            self.end(blocks);
            match blocks.last_mut() {
                // A heading of two lines.
                Some(Block::Heading(before)) if !apart => {
                    before.push(' ');
                    before.push_str(&line);
                }
                _ => blocks.push(Block::Heading(line)),
            }
        } else {
            self.join(&line);
        }
        (self.y, self.size) = (y, size);
    }

    /// Adds a line; a word that was cut at the line's end is made whole.
    fn join(&mut self, line: &str) {
        let cut = self.text.strip_suffix('-').is_some_and(|word| word.ends_with(char::is_lowercase));
        if cut && line.starts_with(char::is_lowercase) {
            self.text.pop();
        } else if !self.text.is_empty() {
            self.text.push('\n');
        }
        self.text.push_str(line);
    }

    fn end(&mut self, blocks: &mut Vec<Block>) {
        if !self.text.is_empty() {
            blocks.push(Block::Paragraph(std::mem::take(&mut self.text)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(left: f64, y: f64, size: f64, text: &str) -> Run {
        Run { left, right: left + text.len() as f64 * size * 0.5, y, size, text: text.into() }
    }

    #[test]
    fn running_text_becomes_paragraphs_and_headings() {
        let runs = vec![
            run(50.0, 80.0, 20.0, "Cold vans"),
            run(50.0, 120.0, 10.0, "The tempera-"),
            run(50.0, 132.0, 10.0, "ture was low"),
            run(90.0, 132.0, 10.0, "and dry."),
            run(50.0, 170.0, 10.0, "Next."),
        ];
        let arranged = arrange(runs);
        let paragraph = |text: &str| Block::Paragraph(text.into());
        assert_eq!(
            arranged.blocks,
            [
                Block::Heading("Cold vans".into()),
                paragraph("The temperature was low and dry."),
                paragraph("Next.")
            ]
        );
        assert_eq!(arranged.columns, 1);
    }

    #[test]
    fn columns_are_read_one_after_the_other() {
        let mut runs = vec![run(200.0, 40.0, 10.0, "A title over both of the columns here")];
        for row in 0..12 {
            let y = 80.0 + f64::from(row) * 12.0;
            runs.push(run(50.0, y, 10.0, &format!("left words that fill a line {row:02}")));
            runs.push(run(310.0, y, 10.0, &format!("right words that fill a line {row:02}")));
        }
        let arranged = arrange(runs);
        assert_eq!(arranged.columns, 2);
        let [Block::Paragraph(title), Block::Paragraph(left), Block::Paragraph(right)] =
            arranged.blocks.as_slice()
        else {
            panic!("{:#?}", arranged.blocks)
        };
        assert!(title.starts_with("A title") && left.starts_with("left") && left.ends_with("line 11"));
        assert!(right.starts_with("right") && !right.contains("left"));
    }

    #[test]
    fn rows_of_cells_are_a_table() {
        let mut runs = vec![run(50.0, 60.0, 10.0, "Prices of this year")];
        for (row, cells) in [["Van", "Price"], ["Small", "100"], ["Large", "250"]].iter().enumerate() {
            let y = 90.0 + row as f64 * 14.0;
            runs.push(run(50.0, y, 10.0, cells[0]));
            runs.push(run(250.0, y, 10.0, cells[1]));
        }
        let arranged = arrange(runs);
        let Block::Table(rows) = &arranged.blocks[1] else { panic!("{:#?}", arranged.blocks) };
        assert_eq!(rows[2], ["Large", "250"]);
        assert_eq!(arranged.columns, 1);
    }

    #[test]
    fn any_places_can_be_arranged() {
        let odd = [f64::NAN, f64::INFINITY, -1e300, 0.0, 1e300, 5.0];
        let run = |left: f64, right: f64, y: f64| Run { left, right, y, size: y, text: "x".into() };
        for width in [1.0, -40.0, f64::NAN, f64::INFINITY] {
            let runs = odd.iter().flat_map(|left| odd.map(|y| run(*left, left + width, y)));
            assert!(!arrange(runs.collect()).blocks.is_empty());
            // As many rows as tell of columns.
            let rows = (0..40).map(|row| {
                let left = f64::from(row % 7) * 90.0;
                run(left, left + width, f64::from(row) * 12.0)
            });
            assert!(!arrange(rows.collect()).blocks.is_empty());
        }
        assert_eq!(arrange(Vec::new()), Arranged { blocks: Vec::new(), columns: 1 });
    }
}
