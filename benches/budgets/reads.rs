//! Reads of one secret, over connections that stay open and over new ones, beside bare servers.

use std::{fs, path::Path, time::Duration};

use super::{
    Effort, Outcome,
    client::{self, Dialect, SECRET},
    load::{Load, Protocol},
    note,
    server::{Region, Server},
    table::{Budget, Rounds, Row},
};

/// How many connections read at once over HTTP/1.1.
pub(super) const READERS: usize = 32;
/// How many connections, with how many streams each, read at once over HTTP/2.
const MULTIPLEXED: (usize, usize) = (4, 8);
/// How many clients connect at once.
pub(super) const CONNECTORS: usize = 16;

/// Reads of one secret of 1 KiB over connections that stay open.
pub(super) async fn measure(oha: &Path, effort: Effort) -> Outcome<Vec<Row>> {
    let region = Region::create()?;
    let (okmsd, reference) = pair(&region, "http", &[]).await?;
    let mut rows = Vec::new();
    for (protocol, name, least) in [
        (Protocol::Http1(READERS), "HTTP/1.1", 0.9),
        (Protocol::Http2(MULTIPLEXED.0, MULTIPLEXED.1), "HTTP/2", 0.85),
    ] {
        let (mut rates, mut costs, mut dialects) =
            (Rounds::default(), Rounds::default(), Rounds::default());
        for round in 0..effort.rounds {
            note(format_args!("reads over {name}, turn {}", round + 1));
            let (native, kv) = (Target::native(&okmsd, &region)?, Target::kv(&okmsd, &region)?);
            let both =
                alternate(round, oha, &native, &native.at(&reference), protocol, effort.turn)
                    .await?;
            rates.push(both.0.rate, both.1.rate);
            costs.push(both.0.cpu_micros, both.1.cpu_micros);
            let both = alternate(round, oha, &kv, &native, protocol, effort.turn).await?;
            dialects.push(both.0.rate, both.1.rate);
        }
        rows.push(rates.row(
            format!("reads of a 1 KiB secret, {name}"),
            "/s",
            Budget::AtLeast(least),
        ));
        rows.push(dialects.row(
            format!("reads of a 1 KiB secret over KV2, beside native ones, {name}"),
            "/s",
            Budget::AtLeast(0.9),
        ));
        rows.push(costs.row(
            format!("the server's processor time for one, {name}"),
            " us",
            Budget::None,
        ));
    }
    Ok(rows)
}

/// New connections, each with a full handshake and one read.
pub(super) async fn connections(oha: &Path, effort: Effort) -> Outcome<Vec<Row>> {
    let region = Region::create()?;
    // Clients that can resume a session do.
    let (okmsd, reference) =
        pair(&region, "accept", &[("OKMSD_SERVER__SESSION_CACHE", "0")]).await?;
    let (mut rates, mut costs) = (Rounds::default(), Rounds::default());
    for round in 0..effort.rounds {
        note(format_args!("new connections, turn {}", round + 1));
        let protocol = Protocol::Connect(CONNECTORS);
        let native = Target::native(&okmsd, &region)?;
        let both =
            alternate(round, oha, &native, &native.at(&reference), protocol, effort.turn).await?;
        rates.push(both.0.rate, both.1.rate);
        costs.push(both.0.cpu_micros, both.1.cpu_micros);
    }
    if okmsd.metric("okmsd_handshakes_total{result=\"resumed\"}").await? > 0.0 {
        return Err("sessions were resumed, so that the handshakes were not full ones".into());
    }
    Ok(vec![
        rates.row("new mTLS connections with one read".to_owned(), "/s", Budget::AtLeast(0.95)),
        costs.row("the server's processor time for one".to_owned(), " us", Budget::None),
    ])
}

/// okmsd with one secret of 1 KiB, and a reference that answers the same bytes.
async fn pair(region: &Region, reference: &str, env: &[(&str, &str)]) -> Outcome<(Server, Server)> {
    let okmsd = Server::okmsd(region, env).await?;
    let client = region.client(&okmsd)?;
    let mut connection = client.connect().await?;
    connection.create(&region.id()?, SECRET, &client::value(1024)).await?;
    let body = connection.get(&Dialect::Native.secret_url(&region.id()?, SECRET)).await?;
    let answer = region.path("answer.json");
    fs::write(&answer, body)?;
    let reference = Server::reference(region, reference, &answer).await?;
    Ok((okmsd, reference))
}

/// A server, and what is read from it.
pub(super) struct Target<'s> {
    pub(super) server: &'s Server,
    /// Whose certificates are shown.
    pub(super) region: &'s Region,
    pub(super) url: String,
    /// As `name: value`.
    pub(super) headers: Vec<String>,
}

impl<'s> Target<'s> {
    fn native(server: &'s Server, region: &'s Region) -> Outcome<Self> {
        Self::plain(server, Dialect::Native, region)
    }

    fn kv(server: &'s Server, region: &'s Region) -> Outcome<Self> {
        Self::plain(server, Dialect::Kv, region)
    }

    /// The secret that is read, of the region's domain.
    pub(super) fn plain(server: &'s Server, dialect: Dialect, region: &'s Region) -> Outcome<Self> {
        let url = dialect.secret_url(&region.id()?, SECRET);
        Ok(Self { server, region, url, headers: Vec::new() })
    }

    /// The same from another server.
    fn at(&self, server: &'s Server) -> Self {
        Target { server, region: self.region, url: self.url.clone(), headers: self.headers.clone() }
    }
}

/// What one turn of one server came to.
pub(super) struct Turn {
    pub(super) rate: f64,
    pub(super) cpu_micros: f64,
}

/// A turn of each, in an order that changes from round to round.
pub(super) async fn alternate(
    round: usize,
    oha: &Path,
    measured: &Target<'_>,
    reference: &Target<'_>,
    protocol: Protocol,
    time: Duration,
) -> Outcome<(Turn, Turn)> {
    let turn = async |Target { server, region, url, headers }: &Target<'_>| -> Outcome<Turn> {
        let load = Load { oha, region, server, protocol, headers };
        load.run(url, Duration::from_millis(500)).await?;
        let before = server.cpu_seconds()?;
        let done = load.run(url, time).await?;
        let used = server.cpu_seconds()? - before;
        Ok(Turn { rate: done.rate, cpu_micros: used * 1e6 / done.requests })
    };
    if round.is_multiple_of(2) {
        let first = turn(measured).await?;
        Ok((first, turn(reference).await?))
    } else {
        let first = turn(reference).await?;
        Ok((turn(measured).await?, first))
    }
}
