//! The web's rules: which URLs and addresses may be asked, and what a site's robots.txt says. Pure; the sockets are in
//! `adapters/web`.

pub mod address;
pub mod allow;
pub mod media;
pub mod robots;
pub mod target;

/// Why the web gave nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WebFault {
    /// The URL cannot be asked, whatever it leads to.
    Url,
    /// It leads to an address that is not public and not allowed.
    Forbidden,
    /// The site's robots.txt asks us not to.
    Robots,
    /// Too many redirects, or one that leads nowhere.
    Redirects,
    /// The answer is longer than is allowed, packed or unpacked.
    TooLarge,
    /// The answer is of a kind that is not taken.
    ContentType,
    /// The answer is no proper HTTP.
    BadAnswer,
    /// No text can be made of it.
    Unreadable,
    /// The site answers with an error that stays.
    Status,
    /// The site is overloaded or broken at the moment.
    Busy,
    /// There is no such name, or nobody answers there.
    Unreachable,
    /// It took longer than is allowed.
    Timeout,
}

impl WebFault {
    /// The stable word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Url => "WEB_URL",
            Self::Forbidden => "WEB_ADDRESS_FORBIDDEN",
            Self::Robots => "WEB_ROBOTS",
            Self::Redirects => "WEB_REDIRECTS",
            Self::TooLarge => "WEB_TOO_LARGE",
            Self::ContentType => "WEB_CONTENT_TYPE",
            Self::BadAnswer => "WEB_BAD_ANSWER",
            Self::Unreadable => "WEB_UNREADABLE",
            Self::Status => "WEB_STATUS",
            Self::Busy => "WEB_BUSY",
            Self::Unreachable => "WEB_UNREACHABLE",
            Self::Timeout => "WEB_TIMEOUT",
        }
    }

    /// Whether another attempt later may help.
    pub const fn may_pass(self) -> bool {
        matches!(self, Self::Busy | Self::Unreachable | Self::Timeout)
    }
}

/// The web gave nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct WebError {
    /// Why.
    pub fault: WebFault,
    /// For a person; nothing of the content, and no address that was looked up.
    pub message: String,
    /// The status of the answer, if there was one.
    pub status: Option<u16>,
}

impl WebError {
    /// A fault without a status.
    pub fn new(fault: WebFault, message: impl Into<String>) -> Self {
        Self { fault, message: message.into(), status: None }
    }

    /// A status that is no success.
    pub fn status(status: u16) -> Self {
        let fault = if status == 429 || status >= 500 { WebFault::Busy } else { WebFault::Status };
        Self { fault, message: format!("the site answers with status {status}"), status: Some(status) }
    }

    /// Whether the site says that there is no such page.
    pub fn is_gone(&self) -> bool {
        matches!(self.status, Some(404 | 410))
    }
}
