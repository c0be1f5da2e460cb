//! What reading a document may take, and who reads its pictures.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::LARGEST_DOCUMENT;
use crate::domain::reading::ReadLimits;

/// What reading one document may take. PDF and Office documents are read in a process of their own, which is held to
/// these limits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Parsing {
    /// Pages, slides or sheets of a document, 1 to 100,000.
    pub max_pages: u32,
    /// Bytes of the text that comes out, and of what is unpacked on the way to it, 1 to 1 GiB.
    pub max_unpacked_bytes: u64,
    /// Bytes of memory, 64 MiB to 64 GiB.
    pub max_memory_bytes: u64,
    /// Milliseconds, 100 to 3,600,000.
    pub max_millis: u64,
    /// The program that reads when it is called with `parse-child`. Absent: the running one.
    pub program: Option<PathBuf>,
}

/// A vision model that reads pictures of pages.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OcrConfig {
    /// The router's name of the model, `<provider>/<model>`, for example `vllm/deepseek-ai/DeepSeek-OCR`.
    pub model: String,
    /// What it is told after the picture.
    #[serde(default = "ocr_prompt")]
    pub prompt: String,
    /// Most tokens of one page, 256 to 131,072.
    #[serde(default = "ocr_tokens")]
    pub max_output_tokens: u32,
    /// Fields of the provider's own protocol, such as `skip_special_tokens` and `vllm_xargs` of DeepSeek-OCR. Servers may
    /// refuse fields that they do not know.
    #[serde(default)]
    pub extra: serde_json::Map<String, serde_json::Value>,
    /// Pages that are read at once, of all documents, 1 to 64.
    #[serde(default = "ocr_at_once")]
    pub at_once: u32,
    /// How often one page is asked for while the failure may pass, 1 to 10. The router asks its provider again by itself.
    #[serde(default = "ocr_attempts")]
    pub attempts: u32,
    /// Seconds for one page, 1 to 600. The provider's own `timeout_s` in the router counts too.
    #[serde(default = "ocr_timeout")]
    pub timeout_seconds: u64,
    /// Pictures of one document, 1 to 100,000.
    #[serde(default = "ocr_pages")]
    pub max_pages: u32,
}

fn ocr_prompt() -> String {
    "<|grounding|>Convert the document to markdown.".to_owned()
}

fn ocr_tokens() -> u32 {
    8192
}

fn ocr_at_once() -> u32 {
    2
}

fn ocr_attempts() -> u32 {
    3
}

fn ocr_timeout() -> u64 {
    300
}

fn ocr_pages() -> u32 {
    500
}

impl Default for Parsing {
    fn default() -> Self {
        let limits = ReadLimits::default();
        Self {
            max_pages: limits.pages,
            max_unpacked_bytes: limits.unpacked_bytes,
            max_memory_bytes: limits.memory_bytes,
            max_millis: limits.millis,
            program: None,
        }
    }
}

impl Parsing {
    /// As the parsers take them.
    pub(crate) fn limits(&self) -> ReadLimits {
        ReadLimits {
            pages: self.max_pages,
            unpacked_bytes: self.max_unpacked_bytes,
            memory_bytes: self.max_memory_bytes,
            millis: self.max_millis,
        }
    }

    pub(super) fn faults(&self) -> Vec<String> {
        let good = [
            ((1..=100_000).contains(&self.max_pages), "max_pages: must be 1 to 100,000"),
            (
                (1..=LARGEST_DOCUMENT).contains(&self.max_unpacked_bytes),
                "max_unpacked_bytes: must be 1 to 1 GiB",
            ),
            (
                (64 << 20..=64 << 30).contains(&self.max_memory_bytes),
                "max_memory_bytes: must be 64 MiB to 64 GiB",
            ),
            ((100..=3_600_000).contains(&self.max_millis), "max_millis: must be 100 to 3,600,000"),
        ];
        good.iter().filter(|(good, _)| !good).map(|(_, fault)| format!("parsing.{fault}")).collect()
    }
}

impl OcrConfig {
    pub(super) fn faults(&self) -> Vec<String> {
        let good = [
            (!self.model.trim().is_empty(), "model: must name a model of the router"),
            (!self.prompt.is_empty(), "prompt: must not be empty"),
            ((256..=131_072).contains(&self.max_output_tokens), "max_output_tokens: must be 256 to 131,072"),
            ((1..=64).contains(&self.at_once), "at_once: must be 1 to 64"),
            ((1..=10).contains(&self.attempts), "attempts: must be 1 to 10"),
            ((1..=600).contains(&self.timeout_seconds), "timeout_seconds: must be 1 to 600"),
            ((1..=100_000).contains(&self.max_pages), "max_pages: must be 1 to 100,000"),
        ];
        good.iter().filter(|(good, _)| !good).map(|(_, fault)| format!("ocr.{fault}")).collect()
    }
}
