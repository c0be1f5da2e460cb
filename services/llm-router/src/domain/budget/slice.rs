//! What one replica holds of a window, and how the shared amount is divided. All amounts are nano-dollars, 0 or more.

/// What one replica holds of a window.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Slice {
    /// What the store gave it.
    pub granted: i64,
    /// What its finished calls cost.
    pub spent: i64,
    /// What its running calls may cost at most.
    pub reserved: i64,
}

impl Slice {
    /// What a call may still reserve.
    pub fn available(&self) -> i64 {
        self.granted.saturating_sub(self.committed()).max(0)
    }

    /// What is spent, or may be by calls that nobody can call back.
    pub fn committed(&self) -> i64 {
        self.spent.saturating_add(self.reserved)
    }

    /// Sets an amount aside; false, and nothing is changed, when it is not there.
    pub fn reserve(&mut self, amount: i64) -> bool {
        let enough = amount <= self.available();
        if enough {
            self.reserved = self.reserved.saturating_add(amount);
        }
        enough
    }

    /// A call that had reserved `worst` has cost `actual`. A cost beyond the worst case is counted all the same.
    pub fn settle(&mut self, worst: i64, actual: i64) {
        self.reserved = self.reserved.saturating_sub(worst);
        self.spent = self.spent.saturating_add(actual);
    }

    /// Takes out what exceeds `keep` beyond the committed amount, so that it can be given back.
    pub fn trim(&mut self, keep: i64) {
        self.granted = self.granted.min(self.committed().saturating_add(keep.max(0)));
    }
}

/// How much of a window to give to a replica that lacks `need`: its share of the limit if that is there, else exactly
/// what it lacks, else nothing. `granted` is what was given away before.
pub fn slice_of(limit: i64, granted: i64, need: i64, ratio: f64) -> Option<i64> {
    let left = limit.saturating_sub(granted);
    let share = (limit as f64 * ratio) as i64;
    [share.max(need), need].into_iter().find(|amount| *amount <= left)
}

/// What a lease holds after its replica said that it wants to hold `target` and has committed `committed`, where the
/// store has `stored`. Less in the store means that the lease was taken back while its replica was silent: then the
/// replica keeps what is there, but for money that it cannot call back.
pub fn reconciled(stored: i64, target: i64, committed: i64) -> i64 {
    stored.min(target).max(committed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_share_else_the_need_else_nothing() {
        assert_eq!(slice_of(100, 0, 1, 0.05), Some(5));
        assert_eq!(slice_of(100, 0, 40, 0.05), Some(40));
        assert_eq!(slice_of(100, 97, 2, 0.05), Some(2));
        assert_eq!(slice_of(100, 97, 4, 0.05), None);
        assert_eq!(slice_of(100, 120, 1, 0.05), None, "a limit that was lowered");
        assert_eq!(slice_of(i64::MAX, 0, 1, 1.0), Some(i64::MAX));
    }

    #[test]
    fn a_cost_beyond_the_worst_case_counts() {
        let mut slice = Slice { granted: 10, ..Slice::default() };
        assert!(slice.reserve(10) && !slice.reserve(1));
        slice.settle(10, 25);
        assert_eq!((slice.spent, slice.reserved, slice.available()), (25, 0, 0));
        assert_eq!(reconciled(10, 10, slice.committed()), 25);
    }

    #[derive(Debug, Clone)]
    enum Act {
        Reserve(i64),
        Settle(u8),
        Return(i64),
        Reclaim,
    }

    fn acts() -> impl Strategy<Value = Vec<(usize, Act)>> {
        let act = prop_oneof![
            6 => (1_i64..400).prop_map(Act::Reserve),
            4 => any::<u8>().prop_map(Act::Settle),
            2 => (0_i64..50).prop_map(Act::Return),
            1 => Just(Act::Reclaim),
        ];
        prop::collection::vec((0..REPLICAS, act), 1..400)
    }

    const REPLICAS: usize = 3;
    const LIMIT: i64 = 2_000;

    /// A window and its leases, as the store keeps them, and what each replica believes to hold.
    #[derive(Default)]
    struct Model {
        granted: i64,
        leases: [i64; REPLICAS],
        slices: [Slice; REPLICAS],
        running: [Vec<i64>; REPLICAS],
        /// True after a lease was taken back: the replica must renew before it promises more.
        late: [bool; REPLICAS],
    }

    impl Model {
        fn renew(&mut self, who: usize, keep: i64) {
            let slice = &mut self.slices[who];
            slice.trim(keep);
            let now = reconciled(self.leases[who], slice.granted, slice.committed());
            self.granted += now - self.leases[who];
            (self.leases[who], slice.granted, self.late[who]) = (now, now, false);
        }

        fn act(&mut self, who: usize, act: &Act) {
            match *act {
                Act::Reserve(amount) => {
                    if self.late[who] {
                        self.renew(who, i64::MAX);
                    }
                    let need = amount - self.slices[who].available();
                    if need > 0
                        && let Some(more) = slice_of(LIMIT, self.granted, need, 0.05)
                    {
                        self.granted += more;
                        self.leases[who] += more;
                        self.slices[who].granted += more;
                    }
                    if self.slices[who].reserve(amount) {
                        self.running[who].push(amount);
                    }
                }
                Act::Settle(share) => {
                    if let Some(worst) = self.running[who].pop() {
                        self.slices[who].settle(worst, worst * i64::from(share) / 255);
                    }
                }
                Act::Return(keep) => self.renew(who, keep),
                // The lease ran out: what the ledger says was spent stays. Only idle replicas are silent that long here,
                // because what is under way is added again when its replica comes back.
                Act::Reclaim if self.running[who].is_empty() => {
                    self.granted += self.slices[who].spent - self.leases[who];
                    self.leases[who] = self.slices[who].spent;
                    self.late[who] = true;
                }
                Act::Reclaim => {}
            }
        }
    }

    proptest! {
        #[test]
        fn no_interleaving_overspends(acts in acts()) {
            let mut model = Model::default();
            for (who, act) in &acts {
                model.act(*who, act);
                prop_assert!(model.granted <= LIMIT);
                prop_assert_eq!(model.granted, model.leases.iter().sum::<i64>());
                let committed: i64 = model.slices.iter().map(Slice::committed).sum();
                prop_assert!(committed <= LIMIT);
                for (slice, late) in model.slices.iter().zip(model.late) {
                    prop_assert!(late || slice.committed() <= slice.granted);
                }
            }
            for who in 0..REPLICAS {
                while let Some(worst) = model.running[who].pop() {
                    model.slices[who].settle(worst, 0);
                }
                model.renew(who, 0);
            }
            let spent: i64 = model.slices.iter().map(|slice| slice.spent).sum();
            prop_assert_eq!(model.granted, spent, "at the end everything unused is back");
        }
    }
}
