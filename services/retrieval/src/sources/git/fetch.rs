//! Fetches one commit, as shallow as it may be, into a folder of the service's own.

use std::io::Write;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue};
use http::{Method, StatusCode};

use super::super::{Tools, reason};
use super::protocol::{Line, Lines, odd, request, unavailable};
use super::{Content, Spec};
use crate::adapters::{Answer, Ask, Client};
use crate::domain::origin::Miss;
use crate::domain::web::target::Target;
use crate::domain::web::{WebError, WebFault};

/// There when all was fetched; it says which commit.
pub const WHOLE: &str = "fetched";
/// How long all of it may take.
const LIMIT: Duration = Duration::from_secs(900);
/// How long an answer's head may take.
const HEAD: Duration = Duration::from_secs(60);
const REDIRECTS: u32 = 5;
/// References that are looked at.
const REFERENCES: usize = 200_000;
/// Bytes of one object, unpacked.
const OBJECT: usize = 256 << 20;

/// Fetches; the id of the commit.
pub async fn fetch(tools: &Tools, target: &Target, spec: &Spec, folder: &Path) -> Result<String, Miss> {
    let work = async {
        let _ = tokio::fs::remove_dir_all(folder).await;
        tokio::fs::create_dir_all(folder).await.map_err(|_| full())?;
        let remote = Remote::open(tools.client.tls_or_allowed(), target).await?;
        let commit = remote.commit(&spec.revision).await?;
        let depth = if spec.contents.contains(&Content::Commits) { spec.max_commits + 1 } else { 1 };
        let pack = folder.join("pack");
        let shallow = remote.pack(&commit, depth, &pack, tools.config.sources.max_git_bytes).await?;
        let (folder, id) = (folder.to_owned(), commit.clone());
        let unpacked = tokio::task::spawn_blocking(move || unpack(&folder, &pack, &shallow, &id)).await;
        unpacked.map_err(|_| odd("its pack cannot be read"))??;
        Ok(commit)
    };
    match tokio::time::timeout(LIMIT, work).await {
        Ok(commit) => commit,
        Err(_) => {
            Err(Miss::source(reason::UNAVAILABLE, format!("took longer than {} seconds", LIMIT.as_secs())))
        }
    }
}

struct Remote {
    client: Client,
    base: Target,
}

impl Remote {
    /// Asks who is there; a redirect here is where the repository is.
    async fn open(client: Client, target: &Target) -> Result<Self, Miss> {
        const WAY: &str = "/info/refs?service=git-upload-pack";
        let base = target.as_str().trim_end_matches('/');
        let mut at = Target::parse(&format!("{base}{WAY}")).map_err(|error| failed(&error))?;
        for _ in 0..=REDIRECTS {
            let answer = ask(&client, &at, Method::GET, Bytes::new()).await?;
            if answer.status.is_redirection() {
                let next = at.join(answer.header("location").unwrap_or_default());
                at = next.map_err(|_| odd("a redirect leads nowhere"))?;
                continue;
            }
            check(&answer, "application/x-git-upload-pack-advertisement")?;
            let base = at.as_str().strip_suffix(WAY).ok_or_else(|| odd("a redirect leads elsewhere"))?;
            let base = Target::parse(base).map_err(|error| failed(&error))?;
            return Self { client, base }.greeted(answer).await;
        }
        Err(odd("it leads on and on"))
    }

    async fn greeted(self, answer: Answer) -> Result<Self, Miss> {
        let mut lines = Lines::of(answer);
        let mut first = lines.text().await?;
        if first.as_deref().is_some_and(|line| line.starts_with("# service=")) {
            // A message of its own.
            lines.text().await?;
            first = lines.text().await?;
        }
        if first.as_deref() != Some("version 2") {
            return Err(odd("it does not speak version 2"));
        }
        while let Some(capability) = lines.text().await? {
            if capability.starts_with("object-format=") && capability != "object-format=sha1" {
                return Err(Miss::source(
                    reason::REFUSED,
                    "repositories of other hashes than SHA-1 are not read",
                ));
            }
        }
        Ok(self)
    }

    async fn say(&self, command: &str, arguments: &[String]) -> Result<Lines, Miss> {
        let url = format!("{}/git-upload-pack", self.base.as_str().trim_end_matches('/'));
        let target = Target::parse(&url).map_err(|error| failed(&error))?;
        let answer = ask(&self.client, &target, Method::POST, request(command, arguments)).await?;
        check(&answer, "application/x-git-upload-pack-result")?;
        Ok(Lines::of(answer))
    }

    /// The commit that a revision means.
    async fn commit(&self, revision: &str) -> Result<String, Miss> {
        if is_id(revision) {
            return Ok(revision.to_ascii_lowercase());
        }
        let wanted: Vec<String> = match revision {
            "" => vec!["HEAD".to_owned()],
            full if full.starts_with("refs/") => vec![full.to_owned()],
            short => vec![format!("refs/heads/{short}"), format!("refs/tags/{short}")],
        };
        let prefixes = wanted.iter().map(|name| format!("ref-prefix {name}"));
        let arguments: Vec<String> = ["peel".to_owned()].into_iter().chain(prefixes).collect();
        let mut lines = self.say("ls-refs", &arguments).await?;
        let (mut found, mut left) = (vec![None; wanted.len()], REFERENCES);
        while let Some(line) = lines.text().await? {
            left = left.checked_sub(1).ok_or_else(|| odd("it has too many references"))?;
            let mut words = line.split(' ');
            let (Some(id), Some(name)) = (words.next(), words.next()) else {
                return Err(odd("a reference is odd"));
            };
            let peeled = words.find_map(|word| word.strip_prefix("peeled:"));
            let id = peeled.unwrap_or(id);
            if let Some(at) = wanted.iter().position(|wanted| wanted == name) {
                found[at] = is_id(id).then(|| id.to_owned());
            }
        }
        let missing = || Miss::source(reason::REFUSED, "there is no such branch, tag or commit");
        found.into_iter().flatten().next().ok_or_else(missing)
    }

    /// Writes the pack of a commit to a file, and tells at which commits it was cut off.
    async fn pack(&self, commit: &str, depth: u32, file: &Path, most: u64) -> Result<Vec<String>, Miss> {
        let arguments = [
            "no-progress".to_owned(),
            "ofs-delta".to_owned(),
            format!("want {commit}"),
            format!("deepen {depth}"),
            "done".to_owned(),
        ];
        let mut lines = self.say("fetch", &arguments).await?;
        let mut shallow = Vec::new();
        // Sections end with a delimiter; the pack is the last one.
        loop {
            let line = match lines.next().await? {
                Some(Line::Data(bytes)) => bytes,
                Some(Line::Delimiter) => continue,
                Some(Line::Flush) | None => return Err(odd("there is no pack in its answer")),
            };
            match line.trim_ascii_end() {
                b"packfile" => break,
                line if line.starts_with(b"ERR ") => {
                    return Err(Miss::source(reason::REFUSED, "the server refuses to give this commit"));
                }
                line => {
                    let id = line.strip_prefix(b"shallow ").and_then(|id| std::str::from_utf8(id).ok());
                    shallow.extend(id.filter(|id| is_id(id)).map(str::to_owned));
                }
            }
        }
        let mut out = std::fs::File::create(file).map_err(|_| full())?;
        let mut written: u64 = 0;
        while let Some(Line::Data(bytes)) = lines.next().await? {
            match bytes.split_first() {
                Some((1, data)) => {
                    written += data.len() as u64;
                    if written > most {
                        let message = format!("its pack is longer than {most} bytes");
                        return Err(Miss::source(reason::TOO_LARGE, message));
                    }
                    out.write_all(data).map_err(|_| full())?;
                }
                Some((2, _)) | None => {}
                Some(_) => return Err(unavailable("the server gave up while it sent the pack")),
            }
        }
        Ok(shallow)
    }
}

/// Makes a repository of a pack. Every object is checked against its id on the way.
fn unpack(folder: &Path, pack: &Path, shallow: &[String], commit: &str) -> Result<(), Miss> {
    let read = || odd("its pack cannot be read");
    let bare = gix::create::Kind::Bare;
    gix::create::into(folder.join("git"), bare, gix::create::Options::default()).map_err(|_| full())?;
    let mut file = std::io::BufReader::new(std::fs::File::open(pack).map_err(|_| full())?);
    let options = gix_pack::bundle::write::Options {
        thread_limit: Some(1),
        alloc_limit_bytes: Some(OBJECT),
        ..gix_pack::bundle::write::Options::default()
    };
    let into = folder.join("git").join("objects").join("pack");
    gix_pack::Bundle::write_to_directory(
        &mut file,
        Some(&into),
        &mut gix::progress::Discard,
        &AtomicBool::new(false),
        None::<gix::objs::find::Never>,
        gix::hash::Kind::Sha1,
        options,
    )
    .map_err(|_| read())?;
    if !shallow.is_empty() {
        let list = shallow.iter().map(|id| format!("{id}\n")).collect::<String>();
        std::fs::write(folder.join("git").join("shallow"), list).map_err(|_| full())?;
    }
    let _ = std::fs::remove_file(pack);
    std::fs::write(folder.join(WHOLE), commit).map_err(|_| full())
}

async fn ask(client: &Client, target: &Target, method: Method, body: Bytes) -> Result<Answer, Miss> {
    let headers = vec![
        (HeaderName::from_static("git-protocol"), HeaderValue::from_static("version=2")),
        (ACCEPT_ENCODING, HeaderValue::from_static("identity")),
        (CONTENT_TYPE, HeaderValue::from_static("application/x-git-upload-pack-request")),
    ];
    let sent = client.send(target, Ask { method, headers, body });
    match tokio::time::timeout(HEAD, sent).await {
        Ok(answer) => answer.map_err(|error| failed(&error)),
        Err(_) => Err(unavailable("its answer took too long")),
    }
}

fn check(answer: &Answer, media: &str) -> Result<(), Miss> {
    match answer.status {
        StatusCode::OK if answer.header("content-type") == Some(media) => Ok(()),
        StatusCode::OK => Err(odd("its answer is of another kind")),
        status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
            Err(unavailable(&format!("it answers with status {}", status.as_u16())))
        }
        status => {
            let message =
                format!("there is no such repository, or it is not for us (status {})", status.as_u16());
            Err(Miss::source(reason::REFUSED, message))
        }
    }
}

fn failed(error: &WebError) -> Miss {
    match error.fault {
        WebFault::Forbidden => Miss::source(reason::FORBIDDEN, error.message.clone()),
        fault if fault.may_pass() => unavailable(&error.message),
        _ => odd(&error.message),
    }
}

fn is_id(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

fn full() -> Miss {
    unavailable("the data folder cannot be written")
}
