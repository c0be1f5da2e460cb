//! The closed lists: kinds of sources, kinds of content, formats. Each value has a word that is stored and logged.

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$value_doc:meta])* $value:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($(#[$value_doc])* $value,)* }

        impl $name {
            /// Every value, in the order of the contract.
            pub const ALL: &'static [Self] = &[$(Self::$value),*];

            /// The word that is stored in rows.
            pub const fn word(self) -> &'static str {
                match self { $(Self::$value => $word,)* }
            }

            /// The value with this word, if there is one.
            pub fn from_word(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|value| value.word() == word)
            }
        }
    };
}

words! {
    /// Where a document came from.
    SourceKind {
        /// A guide, a page, a note.
        Document = "document",
        /// A project's README.
        Readme = "readme",
        /// A product or feature page.
        Product = "product",
        /// A changelog or release note.
        Changelog = "changelog",
        /// An issue or support thread.
        Issue = "issue",
        /// A customer story.
        CaseStudy = "case_study",
        /// Something the brand has published before.
        Post = "post",
        /// A worked example or sample program.
        Example = "example",
        /// The message of a commit.
        Commit = "commit",
        /// Comments of source code.
        Code = "code",
        /// A page from the web.
        WebPage = "web_page",
    }
}

words! {
    /// What kind of content a text is, or is for. It sets the size of passages and how many a search returns.
    ContentType {
        /// A blog article.
        Blog = "blog",
        /// A social post.
        Social = "social",
        /// A short advertisement.
        Ad = "ad",
    }
}

words! {
    /// What a knowledge base holds.
    KnowledgeBaseKind {
        /// Any documents.
        General = "general",
        /// A code repository: its kinds of sources weigh differently by default.
        CodeRepository = "code_repository",
    }
}

words! {
    /// How a document's text is read.
    Format {
        /// Plain text: paragraphs divided by empty lines.
        Text = "text",
        /// CommonMark with tables; YAML front matter is not indexed.
        Markdown = "markdown",
        /// What its bytes say, then its key's ending; only until the document is read.
        Auto = "auto",
        /// HTML: its content without what stands around it.
        Html = "html",
        /// PDF, also of scans.
        Pdf = "pdf",
        /// Word.
        Docx = "docx",
        /// PowerPoint.
        Pptx = "pptx",
        /// Excel.
        Xlsx = "xlsx",
        /// Values with commas or other separators between them.
        Csv = "csv",
        /// PNG, JPEG, WebP or GIF, read by a vision model.
        Image = "image",
    }
}

impl Format {
    /// True when the bytes are the text, so that what is not UTF-8 is refused at upload.
    pub const fn is_text(self) -> bool {
        matches!(self, Self::Text | Self::Markdown)
    }
}

/// A set of source kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceKinds(u16);

impl SourceKinds {
    /// The kinds in `only` (all when it is empty) without those in `never`.
    pub fn new(only: &[SourceKind], never: &[SourceKind]) -> Self {
        let wanted = if only.is_empty() { SourceKind::ALL } else { only };
        Self(bits(wanted) & !bits(never))
    }

    /// Every kind.
    pub fn all() -> Self {
        Self::new(&[], &[])
    }

    /// Exactly these kinds.
    pub fn of(kinds: impl IntoIterator<Item = SourceKind>) -> Self {
        Self(kinds.into_iter().fold(0, |set, kind| set | (1 << kind as u16)))
    }

    /// The kinds that are in both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// The kinds that are not in the other.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// True when no kind is in it.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// True when `kind` is in the set.
    pub const fn contains(self, kind: SourceKind) -> bool {
        self.0 & (1 << kind as u16) != 0
    }
}

fn bits(kinds: &[SourceKind]) -> u16 {
    kinds.iter().fold(0, |set, kind| set | (1 << *kind as u16))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_find_their_values() {
        for kind in SourceKind::ALL {
            assert_eq!(SourceKind::from_word(kind.word()), Some(*kind));
        }
        assert_eq!(Format::from_word("markdown"), Some(Format::Markdown));
        assert_eq!(ContentType::from_word("poem"), None);
    }

    #[test]
    fn exclusion_wins_over_inclusion() {
        let kinds = SourceKinds::new(&[SourceKind::Issue, SourceKind::Post], &[SourceKind::Post]);
        let held: Vec<_> = SourceKind::ALL.iter().filter(|kind| kinds.contains(**kind)).collect();
        assert_eq!(held, [&SourceKind::Issue]);
        assert!(SourceKind::ALL.iter().all(|kind| SourceKinds::all().contains(*kind)));
        let two = SourceKinds::of([SourceKind::Issue, SourceKind::WebPage]);
        assert_eq!(SourceKinds::all().and(two), two);
        assert_eq!(two.without(SourceKinds::of([SourceKind::Issue])), SourceKinds::of([SourceKind::WebPage]));
        assert!(two.without(SourceKinds::all()).is_empty());
    }
}
