//! What is to be written, and what it may rest on.
use copydesk_proto::llm_router::v1 as pb;
use copydesk_proto::types::v1 as types;

use super::{Faults, MAX_TEXT_BYTES};
use crate::domain::{Brief, Direction, Passage};

const MAX_PASSAGES: usize = 256;
const MAX_DIRECTIONS: usize = 64;

fn passage(passage: types::Passage) -> Passage {
    Passage {
        kind: passage.source_kind(),
        start: passage.span.map_or(0, |span| span.start),
        id: passage.passage_id,
        document_id: passage.document_id,
        title: passage.title,
        text: passage.text,
        score: passage.score,
    }
}

pub(super) fn evidence(passages: Vec<types::Passage>, faults: &mut Faults<'_>) -> Vec<Passage> {
    faults.check(passages.len() <= MAX_PASSAGES, "evidence", "must hold at most 256 passages");
    let bytes: usize = passages.iter().map(|passage| passage.text.len() + passage.title.len()).sum();
    faults.check(bytes <= MAX_TEXT_BYTES, "evidence", "must hold at most 1 MiB of text");
    for (i, passage) in passages.iter().enumerate() {
        faults.storable(&format!("evidence[{i}].text"), &passage.text);
        faults.storable(&format!("evidence[{i}].title"), &passage.title);
    }
    passages.into_iter().map(passage).collect()
}

pub(super) fn brief(brief: pb::Brief, faults: &mut Faults<'_>) -> Brief {
    let texts = [
        ("topic", &brief.topic),
        ("voice", &brief.voice),
        ("brand", &brief.brand),
        ("draft", &brief.draft),
        ("angle", &brief.angle),
    ];
    for (field, text) in texts {
        faults.storable(&format!("brief.{field}"), text);
    }
    let bytes: usize = texts.iter().map(|(_, text)| text.len()).sum();
    faults.check(bytes <= MAX_TEXT_BYTES, "brief", "must hold at most 1 MiB of text");
    faults.check(
        brief.directions.len() <= MAX_DIRECTIONS,
        "brief.directions",
        "must hold at most 64 directions",
    );
    let known = types::ContentType::try_from(brief.content_type).is_ok();
    faults.check(known, "brief.content_type", "is not a known content type");
    let content_type = brief.content_type();
    let mut directions = Vec::with_capacity(brief.directions.len());
    for (i, direction) in brief.directions.into_iter().enumerate() {
        faults.storable(&format!("brief.directions[{i}].text"), &direction.text);
        faults.storable(&format!("brief.directions[{i}].phrase"), &direction.phrase);
        if pb::DirectionRule::try_from(direction.rule).is_err() {
            faults.push(&format!("brief.directions[{i}].rule"), "is not a known rule");
        }
        let rule = direction.rule();
        directions.push(Direction {
            rule,
            text: direction.text,
            limit: direction.limit,
            phrase: direction.phrase,
        });
    }
    Brief {
        topic: brief.topic,
        content_type,
        voice: brief.voice,
        brand: brief.brand,
        draft: brief.draft,
        angle: brief.angle,
        directions,
    }
}
