//! Settings of this service.
use std::time::Duration;

use copydesk_store::Dialect;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::backoff::Backoff;

/// Settings of the run engine. Every default suits one machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Config {
    /// Steps that this process runs at once, 1 to 1,024.
    pub slots: u32,
    /// Steps of one tenant that run at once, in all processes together, 1 to 1,024.
    pub max_running_per_tenant: u32,
    /// How long a claimed step stays its worker's without a heartbeat, in milliseconds, 300 to 600,000. After a crash
    /// on a shared database, its steps are taken over after this long.
    pub lease_ms: u32,
    /// How often the engine looks for work that nobody woke it for, in milliseconds, 5 to 60,000.
    pub poll_ms: u32,
    /// Attempts of a step before its run fails, 1 to 100.
    pub max_attempts: u32,
    /// Longest wait after the first failed attempt, in milliseconds, 1 to 60,000; doubles with every attempt.
    pub retry_base_ms: u32,
    /// Longest wait between two attempts, in milliseconds, not below `retry_base_ms`, 3,600,000 at most.
    pub retry_cap_ms: u32,
    /// Longest time for one attempt of a step, in seconds, 1 to 3,600.
    pub step_timeout_s: u32,
    /// Deadline of a run that asks for none, in seconds, 1 to 86,400.
    pub run_deadline_s: u32,
    /// How long running steps may go on when the process stops, in milliseconds, 0 to 60,000.
    pub stop_grace_ms: u32,
    /// Take over all unfinished steps at once when the service starts. Only right when no other process works on the
    /// same database. Absent: yes on SQLite, whose data folder is locked, no on PostgreSQL.
    pub expire_leases_at_start: Option<bool>,
    /// Silence on a watch after which a heartbeat is sent, in milliseconds, 10 to 50,000.
    pub watch_heartbeat_ms: u32,
    /// How often a watch looks for events that nobody told it of, in milliseconds, 5 to 60,000. Absent: every ten
    /// seconds on SQLite, where one process does all the work and tells its watches, every second on PostgreSQL.
    pub watch_poll_ms: Option<u32>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            slots: 16,
            max_running_per_tenant: 8,
            lease_ms: 15_000,
            poll_ms: 500,
            max_attempts: 4,
            retry_base_ms: 500,
            retry_cap_ms: 30_000,
            step_timeout_s: 300,
            run_deadline_s: 3_600,
            stop_grace_ms: 5_000,
            expire_leases_at_start: None,
            watch_heartbeat_ms: 15_000,
            watch_poll_ms: None,
        }
    }
}

impl Config {
    /// Every fault as `key: what is wrong`; empty when the settings are good.
    pub fn validate(&self) -> Vec<String> {
        let ranges = [
            ("slots", self.slots, 1, 1_024),
            ("max_running_per_tenant", self.max_running_per_tenant, 1, 1_024),
            ("lease_ms", self.lease_ms, 300, 600_000),
            ("poll_ms", self.poll_ms, 5, 60_000),
            ("max_attempts", self.max_attempts, 1, 100),
            ("retry_base_ms", self.retry_base_ms, 1, 60_000),
            ("retry_cap_ms", self.retry_cap_ms, self.retry_base_ms, 3_600_000),
            ("step_timeout_s", self.step_timeout_s, 1, 3_600),
            ("run_deadline_s", self.run_deadline_s, 1, 86_400),
            ("stop_grace_ms", self.stop_grace_ms, 0, 60_000),
            ("watch_heartbeat_ms", self.watch_heartbeat_ms, 10, 50_000),
            ("watch_poll_ms", self.watch_poll_ms.unwrap_or(1_000), 5, 60_000),
        ];
        let faults = ranges.into_iter().filter(|(_, value, min, max)| !(*min..=*max).contains(value));
        faults.map(|(key, value, min, max)| format!("{key}: must be {min} to {max}, is {value}")).collect()
    }

    /// Fills in what depends on the database.
    pub(crate) fn resolved(mut self, dialect: Dialect) -> Self {
        let embedded = dialect == Dialect::Sqlite;
        self.expire_leases_at_start.get_or_insert(embedded);
        self.watch_poll_ms.get_or_insert(if embedded { 10_000 } else { 1_000 });
        self
    }

    pub(crate) fn watch_poll(&self) -> Duration {
        millis(self.watch_poll_ms.unwrap_or(1_000))
    }

    pub(crate) fn backoff(&self) -> Backoff {
        Backoff { base: millis(self.retry_base_ms), cap: millis(self.retry_cap_ms) }
    }
}

pub(crate) fn millis(ms: u32) -> Duration {
    Duration::from_millis(u64::from(ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_good_and_all_faults_are_named() {
        assert_eq!(Config::default().validate(), Vec::<String>::new());
        let bad = Config { slots: 0, lease_ms: 1, retry_base_ms: 100, retry_cap_ms: 99, ..Config::default() };
        let faults = bad.validate();
        assert_eq!(faults.len(), 3, "{faults:?}");
        assert!(faults.iter().any(|f| f.starts_with("retry_cap_ms: must be 100 to")), "{faults:?}");
    }

    #[test]
    fn the_database_decides_what_the_operator_left_open() {
        let embedded = Config::default().resolved(Dialect::Sqlite);
        assert_eq!((embedded.expire_leases_at_start, embedded.watch_poll_ms), (Some(true), Some(10_000)));
        let own = Config { watch_poll_ms: Some(7), ..Config::default() }.resolved(Dialect::Postgres);
        assert_eq!((own.expire_leases_at_start, own.watch_poll_ms), (Some(false), Some(7)));
    }
}
