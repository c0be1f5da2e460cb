//! Reads pictures of pages with a vision model, by way of llm-router: one page a call, the picture first.

use std::time::Duration;

use async_trait::async_trait;
use copydesk_proto::llm_router::v1 as pb;
use copydesk_proto::llm_router::v1::llm_service_client::LlmServiceClient;
use copydesk_rpc::{Channel, Kind, ServiceError};
use tokio::sync::Semaphore;

use crate::config::OcrConfig;
use crate::domain::reading::Picture;
use crate::ports::{Ocr, OcrError};
use crate::structs;

/// Who answers for it.
const PEER: &str = "llm-router";
/// Most bytes of a picture: what the router takes, less what stands around it.
const LARGEST: usize = (20 << 20) - 1024;

/// A configured vision model.
pub struct RouterOcr {
    client: LlmServiceClient<Channel>,
    config: OcrConfig,
    id: String,
    turns: Semaphore,
}

impl RouterOcr {
    /// The model that the settings name, over a channel to the router.
    pub fn new(channel: Channel, config: &OcrConfig) -> Self {
        // What a text depends on: other settings give other texts.
        let told = serde_json::to_string(&(&config.prompt, config.max_output_tokens, &config.extra));
        let told = blake3::hash(told.unwrap_or_default().as_bytes()).to_hex();
        Self {
            client: LlmServiceClient::new(channel).max_decoding_message_size(64 << 20),
            id: format!("{} {}", config.model, &told[..16]),
            turns: Semaphore::new(config.at_once as usize),
            config: config.clone(),
        }
    }

    fn request(&self, picture: &Picture) -> pb::GenerateRequest {
        let image = pb::Image {
            media_type: picture.media_type.clone(),
            source: Some(pb::image::Source::Data(picture.bytes.clone())),
            detail: String::new(),
        };
        let part = |part| pb::Part { part: Some(part) };
        let parts =
            vec![part(pb::part::Part::Image(image)), part(pb::part::Part::Text(self.config.prompt.clone()))];
        let message = pb::Message { role: pb::Role::User.into(), text: String::new(), parts };
        pb::GenerateRequest {
            messages: vec![message],
            model: self.config.model.clone(),
            temperature: Some(0.0),
            max_output_tokens: Some(self.config.max_output_tokens),
            extra: (!self.config.extra.is_empty()).then(|| structs::of_object(&self.config.extra)),
            attribution: Some(pb::Attribution { step: "ocr".into(), ..pb::Attribution::default() }),
            ..pb::GenerateRequest::default()
        }
    }
}

#[async_trait]
impl Ocr for RouterOcr {
    fn id(&self) -> &str {
        &self.id
    }

    async fn read(&self, picture: &Picture) -> Result<String, OcrError> {
        if picture.bytes.len() > LARGEST {
            return Err(failed("the picture has more bytes than the llm-router takes"));
        }
        let _turn = self.turns.acquire().await.map_err(|_| failed("it is closed"))?;
        let mut request = tonic::Request::new(self.request(picture));
        request.set_timeout(Duration::from_secs(self.config.timeout_seconds));
        let answer = self.client.clone().generate(request).await;
        let answer = answer.map_err(|status| refused(&ServiceError::from_peer(status, PEER)))?.into_inner();
        let completion = answer.completion.unwrap_or_default();
        if completion.stop_reason == pb::StopReason::Refusal as i32 {
            return Err(failed("it refused"));
        }
        // Only the model that was asked for has seen the picture: the offline writer has not.
        if completion.degraded {
            return Err(failed("another answered in its place"));
        }
        Ok(cleaned(&answer.text))
    }
}

/// The router's word and sentence, without what a provider itself said: that may quote the page.
fn refused(error: &ServiceError) -> OcrError {
    let passing = matches!(error.kind(), Kind::Unavailable | Kind::ResourceExhausted);
    OcrError {
        reason: format!("the llm-router says {}: {}", error.reason(), error.message()),
        again: (passing && error.reason() != "BUDGET_EXHAUSTED")
            .then(|| error.retry_after().unwrap_or_default()),
    }
}

fn failed(reason: &str) -> OcrError {
    OcrError { reason: reason.to_owned(), again: None }
}

/// The text without the marks of places that some models put around it, and without a fence around the whole.
fn cleaned(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("<|") {
        out.push_str(before);
        let Some((mark, after)) = after.split_once("|>") else {
            rest = after;
            break;
        };
        // `<|det|>[[…]]<|/det|>` holds numbers, `<|ref|>title<|/ref|>` the kind of a block: neither is text.
        let end = format!("<|/{mark}|>");
        rest = match after.split_once(end.as_str()) {
            Some((_, after)) if matches!(mark, "det" | "ref") => after,
            _ => after,
        };
    }
    out.push_str(rest);
    let out = out.trim();
    let fenced = out.strip_prefix("```markdown").and_then(|inner| inner.strip_suffix("```"));
    fenced.unwrap_or(out).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_of_places_are_no_text() {
        let said = "<|ref|>title<|/ref|><|det|>[[1, 2, 3, 4]]<|/det|>\n# Cold vans\n\nWords.<|end|>";
        assert_eq!(cleaned(said), "# Cold vans\n\nWords.");
        assert_eq!(cleaned("```markdown\n| a |\n```"), "| a |");
        assert_eq!(cleaned("a <| b"), "a  b");
    }
}
