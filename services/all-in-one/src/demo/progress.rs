//! What the demo shows while it works: bars and spinners on a terminal, plain lines elsewhere.
use std::cell::RefCell;
use std::time::Duration;

use copydesk_proto::agent_orchestrator::v1::watch_run_response::Event;
use copydesk_proto::agent_orchestrator::v1::{Run, WatchRunResponse};
use copydesk_proto::retrieval::v1::Ingestion;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::show::count;

const TICK: Duration = Duration::from_millis(80);

/// The display.
pub(super) struct Progress {
    bars: Option<MultiProgress>,
}

impl Progress {
    pub(super) fn new(terminal: bool) -> Self {
        Self { bars: terminal.then(MultiProgress::new) }
    }

    /// A line that stays.
    pub(super) fn line(&self, text: &str) {
        match &self.bars {
            Some(bars) => drop(bars.println(text)),
            None => eprintln!("{text}"),
        }
    }

    pub(super) fn ingestion(&self, documents: usize) -> IngestionBar<'_> {
        let bar = self.bars.as_ref().map(|bars| {
            let bar = bars.add(ProgressBar::new(documents as u64));
            if let Ok(style) = ProgressStyle::with_template("  documents  [{bar:30}] {pos}/{len}  {msg}") {
                bar.set_style(style.progress_chars("=> "));
            }
            bar
        });
        IngestionBar { show: self, bar }
    }

    pub(super) fn run(&self, name: &'static str) -> RunLine<'_> {
        let bar = self.bars.as_ref().map(|bars| {
            let bar = bars.add(ProgressBar::new_spinner());
            if let Ok(style) = ProgressStyle::with_template("  {spinner} {prefix:<12} {wide_msg}") {
                bar.set_style(style);
            }
            bar.set_prefix(name);
            bar.enable_steady_tick(TICK);
            bar
        });
        RunLine { show: self, name, bar, state: RefCell::default() }
    }
}

/// The documents on their way in.
pub(super) struct IngestionBar<'a> {
    show: &'a Progress,
    bar: Option<ProgressBar>,
}

impl IngestionBar<'_> {
    pub(super) fn update(&self, now: &Ingestion) {
        if let Some(bar) = &self.bar {
            bar.set_position(u64::from(now.documents_done + now.documents_unchanged));
            bar.set_message(count(now.chunks_written, "chunk"));
        }
    }

    pub(super) fn done(&self, done: &Ingestion) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        let (documents, chunks) =
            (count(done.documents_total, "document"), count(done.chunks_written, "chunk"));
        self.show.line(&format!("ingested {documents}, {chunks}"));
    }
}

/// One run: who is at work, and how far the text has come.
pub(super) struct RunLine<'a> {
    show: &'a Progress,
    name: &'static str,
    bar: Option<ProgressBar>,
    state: RefCell<State>,
}

#[derive(Default)]
struct State {
    working: Vec<(String, String)>,
    written: u64,
}

impl RunLine<'_> {
    pub(super) fn event(&self, event: &WatchRunResponse) {
        let mut state = self.state.borrow_mut();
        match &event.event {
            Some(Event::StepStarted(s)) => {
                state.working.retain(|(_, step)| *step != s.step);
                state.working.push((s.agent.clone(), s.step.clone()));
                state.written = 0;
            }
            Some(Event::StepFinished(s)) => {
                state.working.retain(|(_, step)| *step != s.step);
                let line = format!(
                    "[{}] {:<12} {:<16} {:>4} ms  {}",
                    self.name, s.agent, s.step, s.duration_ms, s.summary
                );
                self.show.line(&line);
            }
            Some(Event::StepFailed(s)) => {
                let next = if s.will_retry { ", trying again" } else { "" };
                self.show.line(&format!(
                    "[{}] {:<12} {:<16} failed: {}{next}",
                    self.name, s.agent, s.step, s.reason
                ));
            }
            Some(Event::DraftDelta(d)) => state.written = d.offset + d.text.len() as u64,
            _ => {}
        }
        if let Some(bar) = &self.bar {
            let who: Vec<_> = state.working.iter().map(|(agent, step)| format!("{agent} · {step}")).collect();
            let written = if state.written > 0 {
                format!("  ({} written)", count(state.written, "byte"))
            } else {
                String::new()
            };
            bar.set_message(format!("{}{written}", who.join("   ")));
        }
    }

    pub(super) fn done(&self, run: &Run) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        let state = crate::show::ending(run);
        let score = run.result.as_ref().map(|r| format!(", score {:.1}", r.score)).unwrap_or_default();
        self.show.line(&format!("[{}] {state}{score}", self.name));
    }
}
