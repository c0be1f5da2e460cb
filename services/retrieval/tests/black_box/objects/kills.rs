//! kill -9 while originals and snapshots come and go: whatever a row names is there, and nothing else is.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use copydesk_proto::retrieval::v1::DeleteSnapshotRequest;
use copydesk_retrieval::Config;
use copydesk_retrieval::adapters::{DatabaseStore, MIGRATOR, objects};
use copydesk_retrieval::app::Sweeper;
use copydesk_retrieval::ports::ObjectLedger;
use copydesk_rpc::testing;
use copydesk_store::{Database, DatabaseConfig};

use super::places::files;
use super::service::{outside, page};
use crate::common::{Bench, rows};

const FOLDER: &str = "COPYDESK_TEST_OBJECTS_FOLDER";
const ROUNDS: u64 = 8;

async fn open(folder: &Path) -> Database {
    let config = DatabaseConfig::file(folder.join("library.sqlite3"));
    Database::open(&config, "test", &MIGRATOR).await.unwrap()
}

/// Replaces three documents again and again, and makes and deletes snapshots.
async fn serve(folder: &Path) {
    let database = open(folder).await;
    let places = objects::open(&Config::default().objects, folder, &database).await.unwrap();
    DatabaseStore::new(database.clone()).recover_objects().await.unwrap();
    let context = testing::context(folder);
    let service =
        copydesk_retrieval::assemble_from(Config::default(), database.clone(), context, outside(places));
    let tenant = Bench { name: "child", channel: testing::local(service), database }.tenant(1);
    let base = tenant.new_base("x").await.knowledge_base_id;
    let mut said = std::fs::File::options().create(true).append(true).open(folder.join("said")).unwrap();
    for turn in 0.. {
        let word = format!("word{}x{turn}", std::process::id());
        let docs: Vec<_> = (0..3).map(|n| page(&n.to_string(), &word)).collect();
        tenant.ingest(&word, &base, &docs).await;
        let snapshot = tenant.make_snapshot(&base).await.unwrap().snapshot_id;
        writeln!(said, "{snapshot}").unwrap();
        if turn % 2 == 1 {
            let delete = DeleteSnapshotRequest { snapshot_id: snapshot };
            tenant.run(tenant.snapshot_service().delete_snapshot(delete)).await.unwrap();
        }
    }
}

#[test]
#[ignore = "is the child of the other test"]
fn objects_child() {
    let folder = PathBuf::from(std::env::var(FOLDER).unwrap());
    tokio::runtime::Runtime::new().unwrap().block_on(serve(&folder));
}

/// A child that is never left behind.
struct Library(Child);

impl Drop for Library {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn said(folder: &Path) -> usize {
    std::fs::read_to_string(folder.join("said")).unwrap_or_default().lines().count()
}

/// Starts the child and kills it after so many microseconds of its second turn.
fn interrupted(folder: &Path, pause: u64) {
    let before = said(folder);
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["objects::kills::objects_child", "--exact", "--ignored"]).env(FOLDER, folder);
    let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut library = Library(command.spawn().unwrap());
    let began = Instant::now();
    while said(folder) == before {
        assert!(began.elapsed() < Duration::from_secs(120), "the child did nothing");
        assert!(library.0.try_wait().unwrap().is_none(), "the child ended");
        std::thread::sleep(Duration::from_micros(500));
    }
    std::thread::sleep(Duration::from_micros(pause));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_leaves_every_object_that_a_row_names_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for round in 0..ROUNDS {
        interrupted(folder, round * 7_919 % 40_000);
        let database = open(folder).await;
        let places = objects::open(&Config::default().objects, folder, &database).await.unwrap();
        DatabaseStore::new(database.clone()).recover_objects().await.unwrap();
        let context = testing::context(folder);
        let desk = copydesk_retrieval::desk(Config::default(), database.clone(), context, outside(places));
        let sweeper = Sweeper::new(desk.clone());
        while sweeper.turn().await.unwrap() {}
        let named = "SELECT tenant, document_id AS id FROM document UNION ALL SELECT tenant, snapshot_id FROM snapshot";
        let named = database.query(named, &[]).await.unwrap();
        for row in &named {
            let (tenant, id): (String, String) = (row.get("tenant").unwrap(), row.get("id").unwrap());
            let tenant = tenant.parse().unwrap();
            match id.parse() {
                Ok(document) => drop(desk.original(tenant, document).await.unwrap()),
                Err(_) => drop(desk.snapshot_file(tenant, id.parse().unwrap()).await.unwrap()),
            }
        }
        assert_eq!(rows(&database, "object").await, named.len() as i64, "round {round}");
        assert_eq!(files(&folder.join("objects")).len(), named.len(), "round {round}");
        database.close().await;
    }
}
