//! The conversation: messages with their parts, and the tools that may be asked for.
use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use copydesk_proto::llm_router::v1 as pb;
use prost::Message as _;

use super::{Faults, MAX_SCHEMA_BYTES, MAX_TEXT_BYTES, json};
use crate::domain::{Image, ImageSource, Part, Tool, ToolCall, ToolChoice, ToolResult, Turn};

const MAX_MESSAGES: usize = 64;
const MAX_PARTS: usize = 64;
const MAX_IMAGE_BYTES: usize = 20 << 20;
const MAX_URL: usize = 2_048;
const MAX_TOOLS: usize = 128;
const MAX_NAME: usize = 64;
const MAX_DESCRIPTION: usize = 4_096;
const MEDIA_TYPES: [&str; 4] = ["image/png", "image/jpeg", "image/webp", "image/gif"];

/// Reads the messages.
pub(super) fn turns(messages: Vec<pb::Message>, faults: &mut Faults<'_>) -> Vec<Turn> {
    let count = (1..=MAX_MESSAGES).contains(&messages.len());
    faults.check(count, "messages", "must hold 1 to 64 messages");
    let (text, images) = sizes(&messages);
    faults.check(text <= MAX_TEXT_BYTES, "messages", "must hold at most 1 MiB of text");
    faults.check(images <= MAX_IMAGE_BYTES, "messages", "must hold at most 20 MiB of pictures");
    let mut reader = Reader { faults, calls: BTreeMap::new() };
    messages.into_iter().enumerate().map(|(i, message)| reader.turn(i, message)).collect()
}

/// Bytes of text, tool calls and results, and of pictures.
fn sizes(messages: &[pb::Message]) -> (usize, usize) {
    use pb::part::Part as P;
    let (mut text, mut images) = (0, 0);
    for message in messages {
        text += message.text.len();
        for part in message.parts.iter().filter_map(|part| part.part.as_ref()) {
            match part {
                P::Text(more) => text += more.len(),
                P::ToolCall(call) => text += call.encoded_len(),
                P::ToolResult(result) => text += result.text.len(),
                P::Image(image) => images += image.encoded_len(),
            }
        }
    }
    (text, images)
}

struct Reader<'a, 'f> {
    faults: &'a mut Faults<'f>,
    /// The tool of every call so far, by the call's id.
    calls: BTreeMap<String, String>,
}

impl Reader<'_, '_> {
    fn turn(&mut self, i: usize, message: pb::Message) -> Turn {
        let at = format!("messages[{i}]");
        let role = pb::Role::try_from(message.role).unwrap_or_default();
        if role == pb::Role::Unspecified {
            self.faults.push(&format!("{at}.role"), "must be SYSTEM, USER, ASSISTANT or TOOL");
        }
        if message.text.is_empty() && message.parts.is_empty() {
            self.faults.push(&format!("{at}.text"), "must not be empty without parts");
        }
        let tool_text = role == pb::Role::Tool && !message.text.is_empty();
        self.faults.check(
            !tool_text,
            &format!("{at}.text"),
            "must be empty in a message of TOOL: results are parts",
        );
        self.faults.storable(&format!("{at}.text"), &message.text);
        self.faults.check(
            message.parts.len() <= MAX_PARTS,
            &format!("{at}.parts"),
            "must hold at most 64 parts",
        );
        let parts = message.parts.into_iter().enumerate();
        let parts = parts.filter_map(|(n, part)| self.part(role, format!("{at}.parts[{n}]"), part)).collect();
        Turn { role, text: message.text, parts }
    }

    fn part(&mut self, role: pb::Role, at: String, part: pb::Part) -> Option<Part> {
        use pb::part::Part as P;
        let (fits, whose) = match &part.part {
            None => {
                self.faults.push(&at, "must be set");
                return None;
            }
            Some(P::Text(_)) => (role != pb::Role::Tool, "SYSTEM, USER or ASSISTANT"),
            Some(P::Image(_)) => (role == pb::Role::User, "USER"),
            Some(P::ToolCall(_)) => (role == pb::Role::Assistant, "ASSISTANT"),
            Some(P::ToolResult(_)) => (role == pb::Role::Tool, "TOOL"),
        };
        self.faults.check(fits, &at, &format!("belongs into a message of {whose}"));
        match part.part? {
            P::Text(text) => {
                self.faults.check(!text.is_empty(), &format!("{at}.text"), "must not be empty");
                self.faults.storable(&format!("{at}.text"), &text);
                Some(Part::Text(text))
            }
            P::Image(picture) => image(&format!("{at}.image"), picture, self.faults).map(Part::Image),
            P::ToolCall(call) => Some(Part::ToolCall(self.call(&format!("{at}.tool_call"), call))),
            P::ToolResult(result) => {
                Some(Part::ToolResult(self.result(&format!("{at}.tool_result"), result)))
            }
        }
    }

    fn call(&mut self, at: &str, call: pb::ToolCall) -> ToolCall {
        check_name(&format!("{at}.name"), &call.name, self.faults);
        self.faults.word(&format!("{at}.id"), &call.id, super::MAX_WORD);
        let fresh = !call.id.is_empty() && self.calls.insert(call.id.clone(), call.name.clone()).is_none();
        self.faults.check(fresh, &format!("{at}.id"), "must be set and unique among the tool calls");
        let arguments = match json::from_struct(call.arguments.unwrap_or_default()) {
            serde_json::Value::Object(arguments) => arguments,
            _ => serde_json::Map::new(),
        };
        ToolCall { id: call.id, name: call.name, arguments }
    }

    fn result(&mut self, at: &str, result: pb::ToolResult) -> ToolResult {
        self.faults.storable(&format!("{at}.text"), &result.text);
        let name = self.calls.get(&result.tool_call_id).cloned();
        let known = name.is_some();
        self.faults.check(known, &format!("{at}.tool_call_id"), "is not the id of an earlier tool call");
        ToolResult {
            call_id: result.tool_call_id,
            name: name.unwrap_or_default(),
            text: result.text,
            is_error: result.is_error,
        }
    }
}

fn image(at: &str, image: pb::Image, faults: &mut Faults<'_>) -> Option<Image> {
    use pb::image::Source;
    let details = ["", "low", "high", "auto"];
    faults.check(
        details.contains(&image.detail.as_str()),
        &format!("{at}.detail"),
        "must be low, high or auto",
    );
    let source = match image.source {
        None => {
            faults.push(&format!("{at}.source"), "must be data or url");
            return None;
        }
        Some(Source::Data(data)) => {
            let known = MEDIA_TYPES.contains(&image.media_type.as_str());
            faults.check(
                known,
                &format!("{at}.media_type"),
                &format!("must be one of {}", MEDIA_TYPES.join(", ")),
            );
            faults.check(!data.is_empty(), &format!("{at}.data"), "must not be empty");
            ImageSource::Data(Bytes::from(data))
        }
        Some(Source::Url(url)) => {
            let good = url.len() <= MAX_URL
                && url::Url::parse(&url).is_ok_and(|u| u.scheme() == "https" && u.has_host());
            faults.check(
                good,
                &format!("{at}.url"),
                "must be an https:// address of at most 2,048 characters",
            );
            ImageSource::Url(url)
        }
    };
    Some(Image { media_type: image.media_type, source, detail: image.detail })
}

/// Reads the tools and the choice among them.
pub(super) fn tools(
    tools: Vec<pb::Tool>,
    choice: Option<pb::ToolChoice>,
    faults: &mut Faults<'_>,
) -> (Vec<Tool>, ToolChoice) {
    faults.check(tools.len() <= MAX_TOOLS, "tools", "must hold at most 128 tools");
    let mut names = BTreeSet::new();
    let mut read = Vec::with_capacity(tools.len().min(MAX_TOOLS));
    for (i, tool) in tools.into_iter().enumerate() {
        let at = format!("tools[{i}]");
        check_name(&format!("{at}.name"), &tool.name, faults);
        faults.check(names.insert(tool.name.clone()), &format!("{at}.name"), "another tool has this name");
        let short = tool.description.chars().count() <= MAX_DESCRIPTION;
        faults.check(short, &format!("{at}.description"), "must have at most 4,096 characters");
        faults.storable(&format!("{at}.description"), &tool.description);
        let parameters = tool.parameters;
        let small = parameters.as_ref().is_none_or(|schema| schema.encoded_len() <= MAX_SCHEMA_BYTES);
        faults.check(small, &format!("{at}.parameters"), "must have at most 64 KiB");
        let parameters = parameters.map(json::from_struct);
        read.push(Tool { name: tool.name, description: tool.description, parameters });
    }
    let choice = choice.map_or(ToolChoice::Auto, |choice| self::choice(choice, &names, faults));
    (read, choice)
}

fn choice(choice: pb::ToolChoice, names: &BTreeSet<String>, faults: &mut Faults<'_>) -> ToolChoice {
    let mode = pb::ToolMode::try_from(choice.mode).unwrap_or_else(|_| {
        faults.push("tool_choice.mode", "is not a known mode");
        pb::ToolMode::Auto
    });
    if !choice.name.is_empty() {
        faults.check(
            names.contains(&choice.name),
            "tool_choice.name",
            "is not the name of a tool of the request",
        );
        faults.check(mode == pb::ToolMode::Required, "tool_choice.mode", "must be REQUIRED with a name");
        return ToolChoice::Named(choice.name);
    }
    match mode {
        pb::ToolMode::Unspecified | pb::ToolMode::Auto => ToolChoice::Auto,
        pb::ToolMode::None => ToolChoice::None,
        pb::ToolMode::Required => {
            faults.check(!names.is_empty(), "tool_choice.mode", "must not be REQUIRED without tools");
            ToolChoice::Required
        }
    }
}

fn check_name(field: &str, name: &str, faults: &mut Faults<'_>) {
    let shaped = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    let good = (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(shaped);
    faults.check(good, field, "must be 1 to 64 of a-z, A-Z, 0-9, _ and -");
}
