//! What becomes of a read with a token, and of a login, as tokens grow in number.

use std::sync::Arc;

use hyper::Method;
use okmsd::{
    auth::{Action, Principal},
    clock::{Clock, SystemClock},
    service::TokenRequest,
};
use tokio::task::JoinSet;

use super::{
    Effort, Outcome, SECRET,
    client::{self, Connection, Dialect, timed},
    growth::{FILLERS, micros, open},
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
    let (mut few, mut many) = (Bearer::of(&small, &few).await?, Bearer::of(&large, &many).await?);
    let (mut with, mut without, mut logins) =
        (Rounds::default(), Rounds::default(), Rounds::default());
    for round in 0..=effort.rounds {
        note(format_args!("reads with a token, turn {round}"));
        let mut times = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..READS {
            times.0.push(micros(timed(few.read(true)).await?));
            times.1.push(micros(timed(many.read(true)).await?));
            times.2.push(micros(timed(many.read(false)).await?));
        }
        let (mut of_few, mut of_many) = (Vec::new(), Vec::new());
        for _ in 0..LOGINS {
            of_few.push(micros(timed(few.login()).await?));
            of_many.push(micros(timed(many.login()).await?));
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
    let permit =
        Arc::new(Principal::of_process().authorize(region.id()?.parse()?, &[Action::DomainGet])?);
    let mut fillers = JoinSet::new();
    for first in 0..FILLERS.min(tokens) {
        let (service, permit) = (Arc::clone(&service), Arc::clone(&permit));
        fillers.spawn(async move {
            for _ in (first..tokens).step_by(FILLERS) {
                let request = TokenRequest {
                    key_sha256: [7; 32],
                    life_seconds: 768 * 3_600,
                    most_seconds: 768 * 3_600,
                    is_renewable: true,
                    path: "auth/cert/login",
                    display_name: "bench".to_owned(),
                    meta: Vec::new(),
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

/// A client that has logged in.
struct Bearer {
    connection: Connection,
    id: String,
    token: String,
}

impl Bearer {
    async fn of(region: &Region, server: &Server) -> Outcome<Self> {
        let (mut connection, id) = (region.client(server)?.connect().await?, region.id()?);
        connection.create(&id, SECRET, &client::value(1024)).await?;
        let mut bearer = Self { connection, id, token: String::new() };
        let answer = bearer.login().await?;
        let token =
            answer.split("\"client_token\":\"").nth(1).and_then(|rest| rest.split('"').next());
        token.ok_or("a login told no token")?.clone_into(&mut bearer.token);
        Ok(bearer)
    }

    async fn login(&mut self) -> Outcome<String> {
        let url = format!("/api/{}/v1/auth/cert/login", self.id);
        let answer = self.connection.call(Method::POST, &url, &[], "{}".into()).await?;
        Ok(String::from_utf8(answer.into_body().to_vec())?)
    }

    async fn read(&mut self, with_token: bool) -> Outcome<()> {
        let url = Dialect::Kv.secret_url(&self.id, SECRET);
        let token = [("x-vault-token", &*self.token)];
        let headers = if with_token { &token[..] } else { &[] };
        self.connection.call(Method::GET, &url, headers, bytes::Bytes::new()).await.map(drop)
    }
}
