//! The engine for several machines, over real PostgreSQL.

use std::sync::Arc;

use okmsd::store::{
    engine::Engine,
    engines::postgres::{self, PostgresEngine, PostgresOptions},
};
use tokio::{runtime::Handle, task::block_in_place};

use crate::{
    cluster::{self, Node},
    common::*,
    contract::contract,
};

async fn open(options: &PostgresOptions) -> Arc<dyn Engine> {
    Arc::new(PostgresEngine::open(options.clone(), blind()).await.unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_keeps_the_contract() {
    if !cluster::is_there() {
        return;
    }
    let folder = cluster::folder();
    let mut node = Node::init(folder.path(), "primary", "fsync = off");
    node.start();
    let mut stores = Vec::new();
    for nth in 0..14 {
        let options = node.options(&format!("contract{nth}"));
        assert!(postgres::init(&options, None, true).await.unwrap());
        stores.push(options);
    }
    contract(|nth| block_in_place(|| Handle::current().block_on(open(&stores[nth])))).await;
}
