//! How soon whoever follows events knows of a write, beside its writer.

use std::time::{Duration, Instant};

use serde_json::Value;

use super::{
    Effort, Outcome,
    client::{Connection, micros, value},
    note,
    server::{Region, Server},
    table::{Budget, Rounds, Row, median, percentile},
};

/// How many writes a turn has.
const WRITES: usize = 300;
/// So long before each the follower has asked.
const BEFORE: Duration = Duration::from_millis(3);

pub(super) async fn measure(effort: Effort) -> Outcome<Vec<Row>> {
    let region = Region::create()?;
    let server = Server::okmsd(&region, &[]).await?;
    let (client, id) = (region.client(&server)?, region.id()?);
    let (mut writer, mut follower) = (client.connect().await?, client.connect().await?);
    let events = format!("/api/{id}/v2/events");
    let mut next = next(&mut follower, &events).await?;
    let (mut middle, mut late) = (Rounds::default(), Rounds::default());
    for round in 0..effort.rounds {
        note(format_args!("events that are waited for, turn {}", round + 1));
        let (mut told, mut answered) = (Vec::new(), Vec::new());
        for number in 0..WRITES {
            let waits = format!("{events}?since={next}&wait=30");
            let follows = async {
                let next = self::next(&mut follower, &waits).await?;
                Outcome::Ok((next, Instant::now()))
            };
            let writes = async {
                tokio::time::sleep(BEFORE).await;
                let (path, begun) = (format!("events/{round}/{number}"), Instant::now());
                writer.create(&id, &path, &value(64)).await?;
                Outcome::Ok((begun, begun.elapsed()))
            };
            let (follows, (begun, took)) = tokio::try_join!(follows, writes)?;
            next = follows.0;
            told.push(micros(follows.1.saturating_duration_since(begun)));
            answered.push(micros(took));
        }
        late.push(percentile(&told, 0.99), percentile(&answered, 0.99));
        middle.push(median(told), median(answered));
    }
    let what = "from a write until it is told to who waits for events, beside until it is answered";
    Ok(vec![
        middle.row(format!("p50 {what}"), " us", Budget::None),
        late.row("p99 of the same".to_owned(), " us", Budget::None),
    ])
}

/// How to go on behind what this address tells.
async fn next(follower: &mut Connection, url: &str) -> Outcome<String> {
    let told: Value = serde_json::from_slice(&follower.get(url).await?)?;
    let next = told.get("next").and_then(Value::as_str);
    Ok(next.ok_or("the answer has no next")?.to_owned())
}
