//! Start-up time and memory.

use std::{fs, process::Command};

use super::{
    Effort, Outcome,
    client::{self, Dialect, SECRET},
    note,
    server::{OKMSD, Region, Server},
    table::{Budget, Row, median},
};

const STARTS: usize = 5;
const IDLE: usize = 100;

pub(super) async fn measure(_: Effort) -> Outcome<Vec<Row>> {
    note("start-up and memory");
    let region = Region::create()?;
    let files = Command::new(OKMSD).arg("init").arg("--dir").arg(region.path("")).output()?;
    if !files.status.success() {
        return Err(format!("okmsd init: {}", String::from_utf8_lossy(&files.stderr)).into());
    }
    let mut starts = Vec::new();
    for _ in 0..STARTS {
        let (server, time) = Server::timed(&region).await?;
        starts.push(time.as_secs_f64() * 1e3);
        drop(server);
        for file in ["okmsd.redb", "okmsd.redb-log"] {
            fs::remove_file(region.path(file))?;
        }
    }
    let server = Server::okmsd(&region, &[]).await?;
    let (id, client) = (region.id()?, region.client(&server)?);
    client.connect().await?.create(&id, SECRET, &client::value(1024)).await?;
    let mut idle = Vec::new();
    for _ in 0..IDLE {
        let mut connection = client.connect().await?;
        connection.get(&Dialect::Native.secret_url(&id, SECRET)).await?;
        idle.push(connection);
    }
    let resident = f64::from(server.resident_kib()?) / 1024.0;
    drop(idle);
    Ok(vec![
        Row::alone(
            "from its start to ready, on an empty store".to_owned(),
            median(starts),
            " ms",
            Budget::AtMost(100.0),
        ),
        Row::alone(
            format!("resident with {IDLE} idle connections"),
            resident,
            " MiB",
            Budget::AtMost(40.0),
        ),
    ])
}
