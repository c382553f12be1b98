//! What becomes of a read with a token, and of a login, as tokens grow in number.

use std::sync::Arc;

use okmsd::{
    auth::{Action, Principal},
    clock::{Clock, SystemClock},
    model::Bearer,
    service::TokenRequest,
};
use tokio::task::JoinSet;

use super::{
    Effort, Outcome,
    client::{self, Dialect, SECRET, micros, timed},
    growth::{FILLERS, open},
    kv::{Caller, Peer},
    note,
    server::{Region, Server},
    table::{Budget, Rounds, Row, median},
};

const READS: usize = 2_000;
const LOGINS: usize = 100;

pub(super) async fn measure(effort: Effort) -> Outcome<Vec<Row>> {
    let (small, large) = (Region::create()?, Region::create()?);
    for (region, tokens) in [(&small, 1), (&large, effort.secrets)] {
        // Makes the files, with the domain.
        drop(Server::okmsd(region, &[]).await?);
        fill(region, tokens).await?;
    }
    let few = Server::okmsd(&small, &[]).await?;
    let many = Server::okmsd(&large, &[]).await?;
    let (mut few, mut many) = (Clients::of(&small, &few).await?, Clients::of(&large, &many).await?);
    let (mut with, mut without, mut logins) =
        (Rounds::default(), Rounds::default(), Rounds::default());
    for round in 0..=effort.rounds {
        note(format_args!("reads with a token, turn {round}"));
        let mut times = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..READS {
            times.0.push(micros(timed(few.bearer.read(SECRET)).await?));
            times.1.push(micros(timed(many.bearer.read(SECRET)).await?));
            times.2.push(micros(timed(many.plain.read(SECRET)).await?));
        }
        let (mut of_few, mut of_many) = (Vec::new(), Vec::new());
        for _ in 0..LOGINS {
            of_few.push(micros(timed(few.plain.login()).await?));
            of_many.push(micros(timed(many.plain.login()).await?));
        }
        // The first turn warms up.
        if round > 0 {
            let of_one = median(times.1);
            with.push(of_one, median(times.0));
            without.push(of_one, median(times.2));
            logins.push(median(of_many), median(of_few));
        }
    }
    let tokens = effort.secrets;
    Ok(vec![
        with.row(
            format!("p50 of a read with one of {tokens} tokens, beside one of a few"),
            " us",
            Budget::AtMost(1.3),
        ),
        without.row(
            format!("p50 of a read with one of {tokens} tokens, beside none"),
            " us",
            Budget::None,
        ),
        logins.row(
            format!("p50 of a login beside {tokens} tokens, beside one among a few"),
            " us",
            Budget::AtMost(1.3),
        ),
    ])
}

/// Makes tokens through the use case, without a server.
async fn fill(region: &Region, tokens: usize) -> Outcome<()> {
    note(format_args!("making {tokens} tokens"));
    let service = Arc::new(open(region).await?);
    let rights = service.access.directory();
    let permit = Principal::of_process();
    let permit = Arc::new(permit.authorize(region.id()?.parse()?, &[Action::DomainGet], rights)?);
    let mut fillers = JoinSet::new();
    for first in 0..FILLERS.min(tokens) {
        let (service, permit) = (Arc::clone(&service), Arc::clone(&permit));
        fillers.spawn(async move {
            for number in (first..tokens).step_by(FILLERS) {
                // Of one key each, as no key may have so many.
                let mut key = [7; 32];
                key[..8].copy_from_slice(&u64::try_from(number)?.to_be_bytes());
                let request = TokenRequest {
                    key_sha256: Some(key),
                    life_seconds: 768 * 3_600,
                    most_seconds: 768 * 3_600,
                    is_renewable: true,
                    path: "auth/cert/login".to_owned(),
                    display_name: "bench".to_owned(),
                    meta: Vec::new(),
                    bearer: Bearer::default(),
                };
                service.tokens.create(&permit, request, SystemClock.now()).await?;
            }
            Outcome::Ok(())
        });
    }
    while let Some(filled) = fillers.join_next().await {
        filled??;
    }
    tokio::task::spawn_blocking(move || drop(service)).await?;
    Ok(())
}

/// A client, before and after it has logged in.
struct Clients {
    plain: Caller,
    bearer: Caller,
}

impl Clients {
    async fn of(region: &Region, server: &Server) -> Outcome<Self> {
        let peer = Peer::okmsd(region, server)?;
        let mut plain = peer.connect().await?;
        plain.write(SECRET, Dialect::Kv.update(&client::value(1024))).await?;
        Ok(Self { plain, bearer: peer.login().await?.connect().await? })
    }
}
