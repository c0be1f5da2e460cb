//! Rule packs: stored, proven, chosen, and ready to apply.
use std::collections::HashMap;
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};

use copydesk_guard::pack::{ActivePack, BUILT_IN, Faults, Pack, built_in};
use copydesk_rpc::{Kind, ServiceError, Violations};
use copydesk_types::TenantId;

use super::App;
use crate::error::of_store;
use crate::ports::{Choice, Lists, StoredPack};

/// The type of a pack in errors.
pub(crate) const RULE_PACK: &str = "copydesk.agent_orchestrator.v1.RulePack";

/// Versions that a tenant may store.
const MOST_PACKS: u64 = 500;
/// Packs that are kept ready.
const MOST_READY: usize = 256;

/// A pack that may be applied.
#[derive(Clone)]
pub(crate) enum Ready {
    BuiltIn(&'static ActivePack),
    Own(Arc<ActivePack>),
}

impl Deref for Ready {
    type Target = ActivePack;

    fn deref(&self) -> &ActivePack {
        match self {
            Self::BuiltIn(pack) => pack,
            Self::Own(pack) => pack,
        }
    }
}

/// Packs that were proven and compiled, by content and lists.
#[derive(Default)]
pub(crate) struct Workbench(Mutex<HashMap<String, Arc<ActivePack>>>);

impl Workbench {
    fn get(&self, key: &str) -> Option<Arc<ActivePack>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    fn put(&self, key: String, pack: &Arc<ActivePack>) {
        let mut ready = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if ready.len() >= MOST_READY {
            ready.clear();
        }
        ready.insert(key, pack.clone());
    }
}

/// A pack as it is listed.
pub(crate) struct Listed {
    pub(crate) id: String,
    pub(crate) version: String,
    pub(crate) title: String,
    pub(crate) hash: String,
    pub(crate) is_active: bool,
    pub(crate) is_built_in: bool,
    pub(crate) created_ms: Option<i64>,
    pub(crate) lists: Lists,
}

impl App {
    /// Stores a version of a pack; the same again changes nothing.
    pub(crate) async fn create_pack(
        &self,
        tenant: TenantId,
        document: String,
    ) -> Result<Listed, ServiceError> {
        let pack = Pack::parse(&document).map_err(|faults| invalid(&faults))?;
        let store = &self.ports.packs;
        let known = store.pack(tenant, &pack.id, &pack.version).await.map_err(of_store)?;
        if known.is_none() && store.count_packs(tenant).await.map_err(of_store)? >= MOST_PACKS {
            let message = "the tenant has as many versions of rule packs as it may have";
            return Err(ServiceError::new(Kind::ResourceExhausted, "QUOTA_EXCEEDED", message)
                .with_quota("rule_packs", format!("at most {MOST_PACKS} versions")));
        }
        let hash = pack.content_hash();
        let new = StoredPack {
            id: pack.id,
            version: pack.version,
            title: pack.title,
            hash: hash.clone(),
            document,
            created_ms: self.now(),
        };
        let stored = store.add_pack(tenant, &new).await.map_err(of_store)?;
        if stored.hash != hash {
            return Err(ServiceError::already_exists(RULE_PACK, format!("{}@{}", stored.id, stored.version)));
        }
        let choices = store.choices(tenant).await.map_err(of_store)?;
        Ok(listed(&stored, choices.get(&stored.id)))
    }

    /// A pack with its document; an empty version means the one that holds.
    pub(crate) async fn get_pack(
        &self,
        tenant: TenantId,
        id: &str,
        version: &str,
    ) -> Result<(Listed, String), ServiceError> {
        let choices = self.ports.packs.choices(tenant).await.map_err(of_store)?;
        let choice = choices.get(id);
        let wanted = if version.is_empty() { choice.map_or("", |choice| &choice.version) } else { version };
        let stored = match wanted {
            "" => None,
            wanted => self.ports.packs.pack(tenant, id, wanted).await.map_err(of_store)?,
        };
        if let Some(stored) = stored {
            return Ok((listed(&stored, choice), stored.document));
        }
        let own = built_in_listed(id, choice).filter(|listed| wanted.is_empty() || listed.version == wanted);
        let document = BUILT_IN.iter().find(|(known, _)| *known == id).map(|(_, text)| (*text).to_owned());
        own.zip(document).ok_or_else(|| no_such_pack(id, version))
    }

    /// The built-in packs and all versions of the tenant's own.
    pub(crate) async fn list_packs(&self, tenant: TenantId) -> Result<Vec<Listed>, ServiceError> {
        let choices = self.ports.packs.choices(tenant).await.map_err(of_store)?;
        let stored = self.ports.packs.packs(tenant).await.map_err(of_store)?;
        let built_in = BUILT_IN.iter().filter_map(|(id, _)| built_in_listed(id, choices.get(*id)));
        let own = stored.iter().map(|pack| listed(pack, choices.get(&pack.id)));
        let mut all: Vec<Listed> = built_in.chain(own).collect();
        all.sort_by(|a, b| (&a.id, a.created_ms).cmp(&(&b.id, b.created_ms)));
        Ok(all)
    }

    /// Makes a version hold, once it has proven itself.
    pub(crate) async fn activate_pack(
        &self,
        tenant: TenantId,
        id: &str,
        version: &str,
        lists: Lists,
    ) -> Result<Listed, ServiceError> {
        let stored = match version {
            "" => None,
            version => self.ports.packs.pack(tenant, id, version).await.map_err(of_store)?,
        };
        // The built-in one may be named by its version too, unless the tenant has one of the same.
        let held = stored.as_ref().map(|stored| stored.version.clone()).unwrap_or_default();
        let choice = Choice { version: held, is_off: false, lists };
        let built_in = || {
            let listed = built_in_listed(id, Some(&choice));
            listed.filter(|listed| version.is_empty() || listed.version == version)
        };
        let listed = stored.as_ref().map(|stored| listed(stored, Some(&choice))).or_else(built_in);
        let listed = listed.ok_or_else(|| no_such_pack(id, version))?;
        self.ready(tenant, id, &choice).await?;
        self.ports.packs.choose(tenant, id, &choice, self.now()).await.map_err(of_store)?;
        Ok(listed)
    }

    /// Turns a pack off; one that is off stays so.
    pub(crate) async fn deactivate_pack(&self, tenant: TenantId, id: &str) -> Result<(), ServiceError> {
        let own = || async { self.ports.packs.packs(tenant).await.map_err(of_store) };
        if built_in(id).is_none() && !own().await?.iter().any(|pack| pack.id == id) {
            return Err(no_such_pack(id, ""));
        }
        let off = Choice { is_off: true, ..Choice::default() };
        self.ports.packs.choose(tenant, id, &off, self.now()).await.map_err(of_store)
    }

    /// The packs that hold for a tenant, by id: all, or those that are named. One that is named must hold.
    pub(crate) async fn active_packs(
        &self,
        tenant: TenantId,
        named: &[String],
    ) -> Result<Vec<Ready>, ServiceError> {
        let mut choices = self.ports.packs.choices(tenant).await.map_err(of_store)?;
        for (id, _) in BUILT_IN {
            choices.entry(id.to_owned()).or_default();
        }
        choices.retain(|_, choice| !choice.is_off);
        let mut violations = Violations::new();
        for (at, id) in named.iter().enumerate() {
            let known = choices.contains_key(id);
            violations.check(known, format!("pack_ids[{at}]"), "is no pack that is active");
        }
        violations.finish()?;
        let wanted = |id: &String| named.is_empty() || named.contains(id);
        let mut packs = Vec::new();
        for (id, choice) in choices.iter().filter(|(id, _)| wanted(id)) {
            packs.push(self.ready(tenant, id, choice).await?);
        }
        Ok(packs)
    }

    /// A pack, proven and compiled.
    async fn ready(&self, tenant: TenantId, id: &str, choice: &Choice) -> Result<Ready, ServiceError> {
        let is_built_in = choice.version.is_empty();
        if is_built_in && choice.lists.is_empty() {
            return built_in(id).map(Ready::BuiltIn).ok_or_else(|| no_such_pack(id, ""));
        }
        let key = serde_json::to_string(&(tenant, id, &choice.version, &choice.lists))
            .map_err(ServiceError::internal)?;
        if let Some(pack) = self.workbench.get(&key) {
            return Ok(Ready::Own(pack));
        }
        let document = if is_built_in {
            BUILT_IN.iter().find(|(known, _)| *known == id).map(|(_, text)| (*text).to_owned())
        } else {
            let stored = self.ports.packs.pack(tenant, id, &choice.version).await.map_err(of_store)?;
            stored.map(|stored| stored.document)
        };
        let document = document.ok_or_else(|| no_such_pack(id, &choice.version))?;
        let lists = choice.lists.clone();
        // A large pack takes a while to compile and to prove.
        let pack = Arc::new(self.aside(tenant, move || prove(&document, lists)).await??);
        self.workbench.put(key, &pack);
        Ok(Ready::Own(pack))
    }
}

fn prove(document: &str, lists: Lists) -> Result<ActivePack, ServiceError> {
    let pack = Pack::parse(document).map_err(|faults| invalid(&faults))?;
    let pack = pack.with_lists(lists).map_err(|unknown| {
        let mut violations = Violations::new();
        for name in unknown {
            violations.push("lists", format!("the pack has no list {name:?}"));
        }
        violations.finish().err().unwrap_or_else(|| no_such_pack(document, ""))
    })?;
    pack.activate().map_err(|failed| {
        let message = format!("the pack does not pass its own vectors: {failed}");
        ServiceError::new(Kind::FailedPrecondition, "VECTORS_FAILED", message)
    })
}

fn invalid(faults: &Faults) -> ServiceError {
    let mut violations = Violations::new();
    for fault in &faults.0 {
        violations.push(format!("document.{}", fault.field), &fault.problem);
    }
    match violations.finish() {
        Err(error) => error,
        Ok(()) => ServiceError::new(Kind::InvalidArgument, "INVALID_FIELDS", "the document is no rule pack"),
    }
}

fn no_such_pack(id: &str, version: &str) -> ServiceError {
    let name = if version.is_empty() { id.to_owned() } else { format!("{id}@{version}") };
    ServiceError::not_found(RULE_PACK, name)
}

fn listed(stored: &StoredPack, choice: Option<&Choice>) -> Listed {
    let holds = choice.filter(|choice| !choice.is_off && choice.version == stored.version);
    Listed {
        id: stored.id.clone(),
        version: stored.version.clone(),
        title: stored.title.clone(),
        hash: stored.hash.clone(),
        is_active: holds.is_some(),
        is_built_in: false,
        created_ms: Some(stored.created_ms),
        lists: holds.map(|choice| choice.lists.clone()).unwrap_or_default(),
    }
}

fn built_in_listed(id: &str, choice: Option<&Choice>) -> Option<Listed> {
    let pack = built_in(id)?;
    let usual = Choice::default();
    let holds = Some(choice.unwrap_or(&usual)).filter(|choice| !choice.is_off && choice.version.is_empty());
    Some(Listed {
        id: id.to_owned(),
        version: pack.version().to_owned(),
        title: pack.title().to_owned(),
        hash: pack.content_hash().to_owned(),
        is_active: holds.is_some(),
        is_built_in: true,
        created_ms: None,
        lists: holds.map(|choice| choice.lists.clone()).unwrap_or_default(),
    })
}
