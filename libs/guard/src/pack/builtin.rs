//! The packs that the crate brings. They are documents like a tenant's own and are proven like them.

use std::sync::LazyLock;

use super::active::ActivePack;
use super::document::Pack;

/// The documents by the ids of their packs.
pub const BUILT_IN: [(&str, &str); 4] = [
    ("marketing", include_str!("../../packs/marketing.toml")),
    ("personal-data", include_str!("../../packs/personal-data.toml")),
    ("secrets", include_str!("../../packs/secrets.toml")),
    ("injection", include_str!("../../packs/injection.toml")),
];

static ACTIVE: LazyLock<Vec<ActivePack>> = LazyLock::new(|| {
    let read = |(_, text): &(&str, &str)| Pack::parse(text).ok()?.activate().ok();
    BUILT_IN.iter().filter_map(read).collect()
});

/// The built-in pack of this id, ready to apply.
pub fn built_in(id: &str) -> Option<&'static ActivePack> {
    ACTIVE.iter().find(|pack| pack.id() == id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pack_proves_itself() {
        for (id, text) in BUILT_IN {
            match Pack::parse(text) {
                Ok(pack) => {
                    assert_eq!(pack.id, id);
                    assert_eq!(
                        pack.activate().map(|_| ()).map_err(|failed| failed.to_string()),
                        Ok(()),
                        "{id}"
                    );
                }
                Err(faults) => panic!("{id}: {faults}"),
            }
        }
    }
}
